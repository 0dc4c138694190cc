//! What a caller demands, and how layers of it merge: only ever tighter.
//!
//! Requirements form a meet-semilattice (VOCABULARY D4): an allow-list that is
//! absent allows everything, one that is present and empty allows nothing, and
//! [`Requirements::meet`] keeps every layer's lists side by side, so that an offer
//! has to satisfy each of them. Expanding blocs is left to the evaluation, which
//! knows the day.

use std::collections::{BTreeMap, BTreeSet};

use comity_types::{Currency, PlaceOrBloc};
use serde::{Deserialize, Serialize};

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
