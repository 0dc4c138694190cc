//! What a caller demands, and how layers of it merge: only ever tighter.
//!
//! Requirements form a meet-semilattice (VOCABULARY D4): an allow-list that is
//! absent allows everything, one that is present and empty allows nothing, and
//! [`Requirements::meet`] keeps every layer's lists side by side, so that an offer
//! has to satisfy each of them. Expanding blocs is left to the evaluation, which
//! knows the day.

mod file;

use std::collections::{BTreeMap, BTreeSet};

use comity_types::{Currency, PlaceOrBloc};
use serde::{Deserialize, Serialize};

pub use file::{MAX_ENTRIES, RequirementsError, RequirementsFile, RequirementsTable};

use crate::offer::{Capability, RetentionTrigger};

/// Sets of which every one must contain a thing for it to be allowed. No sets: all is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowLists<T: Ord>(pub BTreeSet<BTreeSet<T>>);

impl<T: Ord> Default for AllowLists<T> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<T: Ord> AllowLists<T> {
    /// A single list.
    pub fn one(list: impl IntoIterator<Item = T>) -> Self {
        Self(BTreeSet::from([list.into_iter().collect()]))
    }

    /// True if there is no list, so that everything is allowed.
    #[must_use]
    pub fn is_unrestricted(&self) -> bool {
        self.0.is_empty()
    }
}

/// A ceiling on how long prompts and completions are kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionLimit {
    /// At most this many days, by every rule whose trigger is not accepted.
    pub max_days: u32,
    /// Triggers that are accepted whatever their days.
    #[serde(default)]
    pub accept_triggers: BTreeSet<RetentionTrigger>,
}

/// A price ceiling in one currency, in millionths of its unit for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PriceCeiling {
    /// For input tokens.
    pub input_micros: u64,
    /// For output tokens.
    pub output_micros: u64,
}

/// What a caller demands: a conjunction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requirements {
    /// All processing places must be in each.
    pub allowed_processing_locations: AllowLists<PlaceOrBloc>,
    /// No processing place may be in it.
    pub forbidden_processing_locations: BTreeSet<PlaceOrBloc>,
    /// All storage places must be in each.
    pub allowed_storage_locations: AllowLists<PlaceOrBloc>,
    /// No storage place may be in it.
    pub forbidden_storage_locations: BTreeSet<PlaceOrBloc>,
    /// All access places must be in each.
    pub allowed_access_locations: AllowLists<PlaceOrBloc>,
    /// No access place may be in it.
    pub forbidden_access_locations: BTreeSet<PlaceOrBloc>,
    /// The operator's seat must be in each.
    pub allowed_operator_seats: AllowLists<PlaceOrBloc>,
    /// The seats of all the operator's controllers must be in each.
    pub allowed_controller_seats: AllowLists<PlaceOrBloc>,
    /// No controller of the operator may be seated in it.
    pub forbidden_controller_seats: BTreeSet<PlaceOrBloc>,
    /// Every limit must hold.
    pub retention_limits: BTreeSet<RetentionLimit>,
    /// Inputs must not be trained on.
    pub no_training: bool,
    /// The licence must be in each.
    pub allowed_licences: AllowLists<String>,
    /// Every ceiling must hold, so an offer in another currency is refused.
    pub max_prices: BTreeMap<Currency, PriceCeiling>,
    /// Beyond the one that the method needs.
    pub required_capabilities: BTreeSet<Capability>,
}

impl Requirements {
    /// What both demand: the result is never looser than either (VOCABULARY D4).
    #[must_use]
    pub fn meet(mut self, other: Self) -> Self {
        self.allowed_processing_locations.0.extend(other.allowed_processing_locations.0);
        self.forbidden_processing_locations.extend(other.forbidden_processing_locations);
        self.allowed_storage_locations.0.extend(other.allowed_storage_locations.0);
        self.forbidden_storage_locations.extend(other.forbidden_storage_locations);
        self.allowed_access_locations.0.extend(other.allowed_access_locations.0);
        self.forbidden_access_locations.extend(other.forbidden_access_locations);
        self.allowed_operator_seats.0.extend(other.allowed_operator_seats.0);
        self.allowed_controller_seats.0.extend(other.allowed_controller_seats.0);
        self.forbidden_controller_seats.extend(other.forbidden_controller_seats);
        self.retention_limits.extend(other.retention_limits);
        self.no_training |= other.no_training;
        self.allowed_licences.0.extend(other.allowed_licences.0);
        for (currency, ceiling) in other.max_prices {
            let own = self.max_prices.entry(currency).or_insert(ceiling);
            own.input_micros = own.input_micros.min(ceiling.input_micros);
            own.output_micros = own.output_micros.min(ceiling.output_micros);
        }
        self.required_capabilities.extend(other.required_capabilities);
        self
    }
}
