//! What an offer promises, and under what law.

use std::collections::{BTreeMap, BTreeSet};

use comity_types::{Money, Place, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Claim;
use crate::caller_rules::CallerRules;
use crate::claim::Merge;
use crate::claim::merge::same_or_conflict;
use crate::offer::named;

/// What an offer promises and what it demands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Terms {
    /// The version of these terms; callers may have to accept one.
    #[serde(skip_serializing_if = "is_zero")]
    pub version: u32,
    /// What is kept; empty: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<Claim<Retention>>,
    /// Whether inputs are trained on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training_use: Option<Claim<TrainingUse>>,
    /// Whether people read content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub human_review: Option<Claim<HumanReview>>,
    /// Whether content is logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_logging: Option<Claim<Logging>>,
    /// On what ground personal data leaves the EEA (GDPR, chapter V).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer_basis: Option<Claim<TransferBasis>>,
    /// Certificates that are held; empty: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certifications: Option<Claim<Certifications>>,
    /// Purposes that are allowed, with everything below them.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub allowed_purposes: BTreeSet<String>,
    /// Purposes that are prohibited, with everything below them.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub prohibited_purposes: BTreeSet<String>,
    /// Whether uses that Annex III of the AI Act calls high-risk are accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high_risk: Option<HighRisk>,
    /// Which callers are accepted; absent refuses every caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller_rules: Option<CallerRules>,
    /// The highest classification that is accepted, by scheme of the table.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub classification_ceilings: BTreeMap<String, Ceiling>,
    /// Categories of personal data that are accepted (DPV `pd`); absent: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted_data_categories: Option<BTreeSet<String>>,
    /// The law of the contract.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub governing_law: Option<Place>,
    /// Whose courts decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub courts: Option<Place>,
    /// The most that the operator is liable for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub liability_cap: Option<Money>,
    /// How help is to be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub support: Option<Support>,
    /// The availability that is promised, in hundredths of a percent of a month: 9990 is 99.9 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability_bp: Option<u32>,
    /// How much of the offer each caller may use; absent: as much as there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<Claim<Quota>>,
    /// How much of the reasons of these terms a caller is shown.
    #[serde(skip_serializing_if = "Disclosure::is_full")]
    pub disclosure: Disclosure,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(version: &u32) -> bool {
    *version == 0
}

named! {
    /// Which data a retention rule is about.
    RetentionData {
        /// Prompts and completions.
        Content = "content",
        /// Sizes, times, identifiers.
        Metadata = "metadata",
        /// What a classifier said of the content.
        ClassifierOutput = "classifier-output",
    }
}

named! {
    /// What causes data to be kept.
    RetentionTrigger {
        /// Every request.
        Routine = "routine",
        /// The search for abuse.
        AbuseMonitoring = "abuse-monitoring",
        /// A feature that needs it.
        ApplicationState = "application-state",
        /// A safety system's flag.
        SafetyFlagged = "safety-flagged",
        /// A law or a court.
        LegalObligation = "legal-obligation",
    }
}

impl RetentionTrigger {
    /// Its name in reasons.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Routine => "ROUTINE",
            Self::AbuseMonitoring => "ABUSE_MONITORING",
            Self::ApplicationState => "APPLICATION_STATE",
            Self::SafetyFlagged => "SAFETY_FLAGGED",
            Self::LegalObligation => "LEGAL_OBLIGATION",
        }
    }
}

/// How long one kind of data is kept, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionRule {
    /// Which data.
    pub data: RetentionData,
    /// What causes it to be kept.
    pub trigger: RetentionTrigger,
    /// For how long at most, in days; 0 means gone when the answer is.
    pub max_days: u32,
}

/// Everything that is kept. Two are the same if they keep the same for as long, in whatever order they say so.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Retention(pub Vec<RetentionRule>);

impl Retention {
    /// The longest that each kind of data is kept for each cause.
    pub(crate) fn longest(&self) -> BTreeMap<(RetentionData, RetentionTrigger), u32> {
        let mut longest = BTreeMap::new();
        for rule in &self.0 {
            let days = longest.entry((rule.data, rule.trigger)).or_insert(rule.max_days);
            *days = (*days).max(rule.max_days);
        }
        longest
    }
}

impl PartialEq for Retention {
    fn eq(&self, other: &Self) -> bool {
        self.longest() == other.longest()
    }
}

impl Eq for Retention {}

impl std::hash::Hash for Retention {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.longest().hash(state);
    }
}

/// The longer one of each kind.
impl Merge for Retention {
    fn merge(&self, other: &Self) -> Option<Self> {
        let both = Self(self.0.iter().chain(&other.0).copied().collect());
        let rule = |((data, trigger), max_days)| RetentionRule { data, trigger, max_days };
        Some(Self(both.longest().into_iter().map(rule).collect()))
    }
}

named! {
    /// Whether inputs are trained on, best first.
    TrainingUse {
        /// Never.
        Never = "never",
        /// Only for callers that agreed.
        OptIn = "opt-in",
        /// Unless the caller objected.
        OptOut = "opt-out",
        /// Always.
        Always = "always",
    }
}

named! {
    /// Whether people read content, best first.
    ReviewMode {
        /// Never.
        Never = "never",
        /// What a system flags.
        FlaggedOnly = "flagged-only",
        /// As a matter of routine.
        Routine = "routine",
    }
}

/// Whether people read content, and where they sit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HumanReview {
    /// Whether.
    pub mode: ReviewMode,
    /// Where the reviewers are.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub reviewer_places: BTreeSet<Place>,
}

/// Whether content is logged: a bool whose worse reading is "yes".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Logging(pub bool);

named! {
    /// On what ground personal data leaves the EEA (GDPR, chapter V).
    TransferBasis {
        /// The place has an adequacy decision (Art. 45).
        Adequacy = "adequacy",
        /// Standard contractual clauses (Art. 46).
        StandardClauses = "scc",
        /// Binding corporate rules (Art. 47).
        CorporateRules = "bcr",
        /// None is needed, because nothing leaves.
        NoneNeeded = "none-needed",
    }
}

named! {
    /// What a node makes of uses that Annex III of the AI Act calls high-risk.
    HighRisk {
        /// They are accepted.
        Allowed = "allowed",
        /// They are not.
        Prohibited = "prohibited",
    }
}

named! {
    /// How much of a side's reasons the other side is shown.
    Disclosure {
        /// All of them.
        Full = "full",
        /// The code alone.
        CodeOnly = "code-only",
    }
}

impl Disclosure {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
    pub(crate) fn is_full(&self) -> bool {
        *self == Self::Full
    }
}

#[expect(clippy::derivable_impls, reason = "the macro that makes the enum marks no default")]
impl Default for Disclosure {
    fn default() -> Self {
        Self::Full
    }
}

named! {
    /// How help is to be had, least first.
    Support {
        /// As time allows.
        BestEffort = "best-effort",
        /// In office hours.
        BusinessHours = "business-hours",
        /// At any time.
        AroundTheClock = "around-the-clock",
    }
}

/// The highest classification that is accepted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ceiling {
    /// A level of the scheme.
    pub level: String,
    /// Handling caveats that are accepted.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub caveats: BTreeSet<String>,
}

/// A certificate of an organisation or a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certification {
    /// A scheme of the table, such as `ISO27001` or `BSI-C5`.
    pub scheme: String,
    /// The edition, such as `2022`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edition: Option<String>,
    /// A level of the scheme, such as `type-2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// Who audited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auditor: Option<String>,
    /// When it was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued: Option<Timestamp>,
    /// The first instant at which it no longer holds; reports on a period have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// For a report on a period: its first day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_start: Option<Timestamp>,
    /// For a report on a period: its last day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_end: Option<Timestamp>,
    /// The models that it covers; empty: all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub scope_services: BTreeSet<String>,
    /// The places that it covers; empty: all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub scope_sites: BTreeSet<Place>,
}

/// Certificates that are held. Joined by intersection: what only one party says is held is not sure.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Certifications(pub BTreeSet<Certification>);

impl Merge for Certifications {
    fn merge(&self, other: &Self) -> Option<Self> {
        Some(Self(self.0.intersection(&other.0).cloned().collect()))
    }
}

impl Merge for TrainingUse {
    fn merge(&self, other: &Self) -> Option<Self> {
        Some(*self.max(other))
    }
}

impl Merge for HumanReview {
    fn merge(&self, other: &Self) -> Option<Self> {
        let reviewer_places = self.reviewer_places.union(&other.reviewer_places).cloned().collect();
        Some(Self { mode: self.mode.max(other.mode), reviewer_places })
    }
}

impl Merge for Logging {
    fn merge(&self, other: &Self) -> Option<Self> {
        Some(Self(self.0 || other.0))
    }
}

same_or_conflict!(TransferBasis);

/// How much of an offer one organisation may use, all its apps together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Most requests in one day of UTC.
    pub requests_per_day: u32,
}

/// The lower one.
impl Merge for Quota {
    fn merge(&self, other: &Self) -> Option<Self> {
        Some(Self { requests_per_day: self.requests_per_day.min(other.requests_per_day) })
    }
}

#[cfg(test)]
mod tests;
