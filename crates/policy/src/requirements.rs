//! What a caller demands, and how layers of it merge: only ever tighter.
//!
//! Requirements form a meet-semilattice (VOCABULARY D4): an allow-list that is
//! absent allows everything, one that is present and empty allows nothing, and
//! [`Requirements::meet`] keeps every layer's lists side by side, so that an offer
//! has to satisfy each of them. Expanding blocs is left to the evaluation, which
//! knows the day (decision 2).

mod check;
mod file;
mod meet;

use std::collections::{BTreeMap, BTreeSet};

use comity_types::{Currency, PlaceOrBloc};
use serde::{Deserialize, Serialize};

pub use check::check;
pub use file::{RequirementsError, RequirementsFile, RequirementsTable};
pub use meet::key;

use crate::caller_rules::Indirect;
use crate::claim::Assurance;
use crate::offer::{Capability, Objective, SafetyGrade};
use crate::ownership::Interest;
use crate::terms::{RetentionTrigger, Support};

/// Sets of which every one must contain a thing for it to be allowed. No sets: all is allowed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
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
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionLimit {
    /// At most this many days, by every rule whose trigger is not accepted.
    pub max_days: u32,
    /// Triggers that are accepted whatever their days.
    #[serde(default)]
    pub accept_triggers: BTreeSet<RetentionTrigger>,
}

/// A price ceiling in one currency, in millionths of its unit for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceCeiling {
    /// For input tokens.
    pub input_micros: u64,
    /// For output tokens.
    pub output_micros: u64,
}

/// Freedom from a law that compels access: nobody who can read content may be within its reach.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoExposure {
    /// A regime of the table, such as `US-CLOUD-ACT`.
    pub regime: String,
    /// Runtimes that keep content from their operator, if hardware attests them; empty: none is trusted to.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub accept_attested_runtimes: BTreeSet<String>,
}

/// How much of an operator may belong to others (SecNumCloud 3.2, 19.6: 24 % alone, 39 % together).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignOwnership {
    /// Who is not foreign: places and blocs.
    pub home: BTreeSet<PlaceOrBloc>,
    /// The most that one foreign holder may have, in hundredths of a percent.
    pub individual_bp: u32,
    /// The most that all foreign holders may have together, in hundredths of a percent.
    pub aggregate_bp: u32,
    /// How stakes count that are held through others.
    #[serde(default)]
    pub indirect: Indirect,
    /// Which holdings are counted, each kind for itself; empty: capital and votes.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub interests: BTreeSet<Interest>,
}

/// A certificate that has to be held.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequiredCertification {
    /// A scheme of the table.
    pub scheme: String,
    /// The lowest level; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// Editions that count; empty: any that is not withdrawn.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub editions: BTreeSet<String>,
    /// For a report on a period: the most days since its end; absent: what the table says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_days: Option<u32>,
}

/// What a caller demands: a conjunction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Requirements {
    /// All processing places must be in each.
    #[serde(skip_serializing_if = "is_default")]
    pub allowed_processing_locations: AllowLists<PlaceOrBloc>,
    /// No processing place may be in it.
    #[serde(skip_serializing_if = "is_default")]
    pub forbidden_processing_locations: BTreeSet<PlaceOrBloc>,
    /// All storage places must be in each.
    #[serde(skip_serializing_if = "is_default")]
    pub allowed_storage_locations: AllowLists<PlaceOrBloc>,
    /// No storage place may be in it.
    #[serde(skip_serializing_if = "is_default")]
    pub forbidden_storage_locations: BTreeSet<PlaceOrBloc>,
    /// All access places must be in each.
    #[serde(skip_serializing_if = "is_default")]
    pub allowed_access_locations: AllowLists<PlaceOrBloc>,
    /// No access place may be in it.
    #[serde(skip_serializing_if = "is_default")]
    pub forbidden_access_locations: BTreeSet<PlaceOrBloc>,
    /// The operator's seat must be in each.
    #[serde(skip_serializing_if = "is_default")]
    pub allowed_operator_seats: AllowLists<PlaceOrBloc>,
    /// The seats of all who control the operator must be in each.
    #[serde(skip_serializing_if = "is_default")]
    pub allowed_controller_seats: AllowLists<PlaceOrBloc>,
    /// Nobody who controls the operator may be seated in it.
    #[serde(skip_serializing_if = "is_default")]
    pub forbidden_controller_seats: BTreeSet<PlaceOrBloc>,
    /// Laws that may not reach anybody who can read content.
    #[serde(skip_serializing_if = "is_default")]
    pub no_exposure: BTreeSet<NoExposure>,
    /// How much of the operator may belong to others; every one must hold.
    #[serde(skip_serializing_if = "is_default")]
    pub foreign_ownership: BTreeSet<ForeignOwnership>,
    /// Sub-processors that may not take part, by id.
    #[serde(skip_serializing_if = "is_default")]
    pub forbidden_sub_processors: BTreeSet<String>,
    /// Where content leaves one of these, a ground of GDPR's chapter V is needed.
    #[serde(skip_serializing_if = "is_default")]
    pub transfer_basis_outside: AllowLists<PlaceOrBloc>,
    /// Every limit must hold.
    #[serde(skip_serializing_if = "is_default")]
    pub retention_limits: BTreeSet<RetentionLimit>,
    /// Inputs must not be trained on.
    #[serde(skip_serializing_if = "is_default")]
    pub no_training: bool,
    /// Nobody may read content.
    #[serde(skip_serializing_if = "is_default")]
    pub no_human_review: bool,
    /// Content must not be logged.
    #[serde(skip_serializing_if = "is_default")]
    pub no_content_logging: bool,
    /// Every one must be held.
    #[serde(skip_serializing_if = "is_default")]
    pub required_certifications: BTreeSet<RequiredCertification>,
    /// The lowest sovereignty rating, by objective.
    #[serde(skip_serializing_if = "is_default")]
    pub min_seal: BTreeMap<Objective, u8>,
    /// The lowest CADA level.
    #[serde(skip_serializing_if = "is_default")]
    pub min_cada_level: Option<u8>,
    /// The lowest Gaia-X label.
    #[serde(skip_serializing_if = "is_default")]
    pub min_gaiax_label: Option<u8>,
    /// The lowest safety grade.
    #[serde(skip_serializing_if = "is_default")]
    pub min_safety_grade: Option<SafetyGrade>,
    /// How far somebody has to stand behind a claim, by its path.
    #[serde(skip_serializing_if = "is_default")]
    pub min_assurance: BTreeMap<String, Assurance>,
    /// The licence must be in each.
    #[serde(skip_serializing_if = "is_default")]
    pub allowed_licences: AllowLists<String>,
    /// The law of the contract must be in each.
    #[serde(skip_serializing_if = "is_default")]
    pub allowed_governing_laws: AllowLists<PlaceOrBloc>,
    /// The operator must be liable for this much, by currency, in micro-units.
    #[serde(skip_serializing_if = "is_default")]
    pub min_liability_caps: BTreeMap<Currency, u64>,
    /// The least support.
    #[serde(skip_serializing_if = "is_default")]
    pub min_support: Option<Support>,
    /// The lowest availability, in hundredths of a percent of a month.
    #[serde(skip_serializing_if = "is_default")]
    pub min_availability_bp: Option<u32>,
    /// Every ceiling must hold, so an offer in another currency is refused.
    #[serde(skip_serializing_if = "is_default")]
    pub max_prices: BTreeMap<Currency, PriceCeiling>,
    /// Beyond the one that the method needs.
    #[serde(skip_serializing_if = "is_default")]
    pub required_capabilities: BTreeSet<Capability>,
}

/// What a requirement is that is not made; it is left out of what is stored.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
