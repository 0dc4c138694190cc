//! The closed list of reasons. A new code is a new schema version.

use std::fmt;

/// Who refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The caller's requirements.
    Caller,
    /// The node's terms.
    Node,
    /// The model's licence.
    Licence,
    /// A law that forbids the use.
    Statute,
    /// The federation, or the state that things are in.
    Federation,
}

impl Side {
    /// Every side, in the order in which reasons are grouped.
    pub const ALL: [Self; 5] = [Self::Caller, Self::Node, Self::Licence, Self::Statute, Self::Federation];

    /// Its name for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Node => "node",
            Self::Licence => "licence",
            Self::Statute => "statute",
            Self::Federation => "federation",
        }
    }
}

/// One reason why an offer is not eligible. Sorted by code, subject, side and path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason {
    /// What kind of reason.
    pub code: ReasonCode,
    /// What it is about: a place, a rule, a trigger, the path of a claim. May be empty.
    pub subject: String,
    /// Who refused: the side that read the field.
    pub side: Side,
    /// The field that was read.
    pub path: String,
    /// Whose field it is: `offer`, `operator`, `caller`, `request`, `broker`, or a sub-processor's id.
    pub party: String,
    /// What would have been accepted.
    pub expected: String,
    /// What was found.
    pub actual: String,
    /// The row or the rule that asked, such as `US-CLOUD-ACT`; empty where it is the requirement itself.
    pub rule: String,
}

impl Reason {
    /// The reason without what its side does not disclose.
    #[must_use]
    pub fn code_only(self) -> Self {
        let nothing = String::new;
        Self { subject: nothing(), path: nothing(), expected: nothing(), actual: nothing(), rule: nothing(), ..self }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.subject.as_str() {
            "" => write!(f, "{}", self.code),
            subject => write!(f, "{}({subject})", self.code),
        }
    }
}

/// A set of codes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ReasonCodes(u64);

/// A code's number is its bit.
const _: () = assert!(ReasonCode::ALL.len() <= u64::BITS as usize);

impl ReasonCodes {
    /// None at all: eligible.
    pub const NONE: Self = Self(0);

    /// Adds a code.
    pub const fn insert(&mut self, code: ReasonCode) {
        self.0 |= 1 << (code as u32);
    }

    /// True if there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// True if the code is among them.
    #[must_use]
    pub const fn contains(self, code: ReasonCode) -> bool {
        self.0 & (1 << (code as u32)) != 0
    }

    /// Each of them, in their order.
    pub fn iter(self) -> impl Iterator<Item = ReasonCode> {
        ReasonCode::ALL.iter().copied().filter(move |code| self.contains(*code))
    }
}

impl FromIterator<ReasonCode> for ReasonCodes {
    fn from_iter<I: IntoIterator<Item = ReasonCode>>(codes: I) -> Self {
        let mut all = Self::NONE;
        codes.into_iter().for_each(|code| all.insert(code));
        all
    }
}

/// Makes the enum, its texts, sides and hints from one table, so that no code lacks one.
macro_rules! reason_codes {
    ($($variant:ident = $text:literal, $side:ident, $meaning:literal, $hint:literal;)*) => {
        /// What kind of reason.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ReasonCode { $(#[doc = $meaning] $variant,)* }

        impl ReasonCode {
            /// Every code there is.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code as it travels.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// On whose behalf it is usually given; a [`Reason`] says on whose it was.
            #[must_use]
            pub const fn side(self) -> Side {
                match self { $(Self::$variant => Side::$side,)* }
            }

            /// What it means, in a sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }

            /// What would mend it, in a sentence.
            #[must_use]
            pub const fn hint(self) -> &'static str {
                match self { $(Self::$variant => $hint,)* }
            }
        }

        impl fmt::Display for ReasonCode {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for ReasonCode {
            type Err = comity_types::Invalid;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err(comity_types::Invalid::new(text, "a reason code of this version")),
                }
            }
        }
    };
}

reason_codes! {
    ClaimMissing = "CLAIM_MISSING", Caller,
        "A fact is read that nobody states.",
        "ask whose fact it is to state it, or drop the requirement that reads it";
    ClaimExpired = "CLAIM_EXPIRED", Caller,
        "A fact is read that was stated for a time that is over.",
        "ask whose fact it is to renew the claim";
    ClaimNotYetValid = "CLAIM_NOT_YET_VALID", Caller,
        "A fact is read that is stated for a time to come.",
        "wait until the claim begins, or ask whose fact it is to correct its date";
    ClaimRevoked = "CLAIM_REVOKED", Caller,
        "A fact is read whose statement was taken back.",
        "ask whose fact it is for a new statement";
    ClaimConflict = "CLAIM_CONFLICT", Caller,
        "A fact is read on which live statements contradict each other.",
        "ask whose fact it is to withdraw the wrong statement";
    IssuerNotTrusted = "ISSUER_NOT_TRUSTED", Caller,
        "Somebody stands behind the fact whose word has not this weight in the federation.",
        "ask for a statement by an issuer of the federation's table";
    AssuranceTooLow = "ASSURANCE_TOO_LOW", Caller,
        "Nobody stands behind the fact as far as the caller asks.",
        "lower the assurance that is required, or ask for an audit of the fact";
    CodeUnrecognised = "CODE_UNRECOGNISED", Caller,
        "A code is in no table of this federation.",
        "use a code of the federation's tables; `comity table list` shows them";
    ProcessingLocationNotAllowed = "PROCESSING_LOCATION_NOT_ALLOWED", Caller,
        "The offer may process in a place that the caller does not allow.",
        "allow the place, or choose an offer elsewhere";
    StorageLocationNotAllowed = "STORAGE_LOCATION_NOT_ALLOWED", Caller,
        "The offer may store in a place that the caller does not allow.",
        "allow the place, or choose an offer elsewhere";
    AccessLocationNotAllowed = "ACCESS_LOCATION_NOT_ALLOWED", Caller,
        "People in a place that the caller does not allow can reach the machine.",
        "allow the place, or choose an offer elsewhere";
    SubProcessorLocationNotAllowed = "SUBPROCESSOR_LOCATION_NOT_ALLOWED", Caller,
        "A sub-processor that can read content works in a place that the caller does not allow.",
        "allow the place, or choose an offer without the sub-processor";
    OperatorSeatNotAllowed = "OPERATOR_SEAT_NOT_ALLOWED", Caller,
        "The operator has its seat in a place that the caller does not allow.",
        "allow the seat, or choose another operator";
    TransferBasisMissing = "TRANSFER_BASIS_MISSING", Caller,
        "Content leaves where the caller wants it to stay, without a ground that covers it.",
        "choose an offer with standard clauses or inside the places, or allow the transfer";
    BrokerPathNotAllowed = "BROKER_PATH_NOT_ALLOWED", Caller,
        "The broker that ends the caller's TLS runs in a place that the caller does not allow for processing.",
        "call a broker in an allowed place, or allow the broker's place";
    CompelledAccessExposure = "COMPELLED_ACCESS_EXPOSURE", Caller,
        "A law that the caller wants to be free from reaches somebody who can read content.",
        "choose an operator that the law does not reach, or drop the regime";
    ControllerNotAllowed = "CONTROLLER_NOT_ALLOWED", Caller,
        "Who controls the operator has its seat in a place that the caller does not allow.",
        "allow the controller's seat, or choose another operator";
    ForeignOwnershipThresholdExceeded = "FOREIGN_OWNERSHIP_THRESHOLD_EXCEEDED", Caller,
        "More of the operator belongs to others than the caller allows.",
        "raise the threshold, or choose another operator";
    OwnershipUndetermined = "OWNERSHIP_UNDETERMINED", Caller,
        "What is known of the operator's owners does not settle the question.",
        "ask the operator to disclose its owners";
    SubProcessorNotAllowed = "SUBPROCESSOR_NOT_ALLOWED", Caller,
        "A sub-processor takes part that the caller forbids.",
        "choose an offer without the sub-processor";
    RetentionExceedsMax = "RETENTION_EXCEEDS_MAX", Caller,
        "Prompts or completions are kept longer than the caller allows.",
        "raise the limit, accept the trigger, or choose an offer that keeps less";
    TrainingOnInputs = "TRAINING_ON_INPUTS", Caller,
        "The operator may train on what the caller sends.",
        "choose an offer whose terms rule training out, or record an objection";
    HumanReviewNotAllowed = "HUMAN_REVIEW_NOT_ALLOWED", Caller,
        "People may read prompts or completions.",
        "choose an offer without human review, or allow it";
    ContentLoggingNotAllowed = "CONTENT_LOGGING_NOT_ALLOWED", Caller,
        "Prompts or completions are logged.",
        "choose an offer that does not log content, or allow it";
    DataCategoryNotAccepted = "DATA_CATEGORY_NOT_ACCEPTED", Node,
        "The node does not accept a category of personal data that the request declares.",
        "choose an offer that accepts the category";
    ClassificationAboveCeiling = "CLASSIFICATION_ABOVE_CEILING", Node,
        "The content is classified higher than the node accepts.",
        "choose an offer with a higher ceiling";
    ClassificationIncomparable = "CLASSIFICATION_INCOMPARABLE", Node,
        "The node says nothing about the scheme in which the content is classified.",
        "choose an offer that states a ceiling in the scheme";
    HandlingCaveatNotAccepted = "HANDLING_CAVEAT_NOT_ACCEPTED", Node,
        "The content has a handling caveat that the node does not accept.",
        "choose an offer that accepts the caveat";
    CertificationMissing = "CERTIFICATION_MISSING", Caller,
        "The certificate that the caller asks for is not held.",
        "choose an offer with the certificate";
    CertificationExpired = "CERTIFICATION_EXPIRED", Caller,
        "The certificate is over, or its report is too old.",
        "ask the operator for a current one";
    CertificationEditionWithdrawn = "CERTIFICATION_EDITION_WITHDRAWN", Caller,
        "The certificate's edition no longer counts, or is none that the caller accepts.",
        "ask the operator for a certificate of a current edition";
    CertificationLevelTooLow = "CERTIFICATION_LEVEL_TOO_LOW", Caller,
        "The certificate is of a lower level than the caller asks for.",
        "choose an offer with a higher level";
    CertificationScopeMismatch = "CERTIFICATION_SCOPE_MISMATCH", Caller,
        "The certificate does not cover the model, or the places where it runs.",
        "choose an offer within the certificate's scope";
    SealBelowMinimum = "SEAL_BELOW_MINIMUM", Caller,
        "A sovereignty rating is lower than the caller asks for.",
        "lower the minimum, or choose an offer with a higher rating";
    SovereigntyLevelTooLow = "SOVEREIGNTY_LEVEL_TOO_LOW", Caller,
        "The sovereignty level or label is lower than the caller asks for.",
        "lower the minimum, or choose an offer with a higher level";
    SafetyGradeTooLow = "SAFETY_GRADE_TOO_LOW", Caller,
        "The model's safety grade is lower than the caller asks for.",
        "lower the grade, or choose another model";
    AttestationInvalid = "ATTESTATION_INVALID", Caller,
        "The fact is attested, and its verifier does not affirm it.",
        "ask the operator for an attestation that its verifier affirms";
    NodeTermsIncomplete = "NODE_TERMS_INCOMPLETE", Node,
        "The offer's terms leave something open that the request asks about.",
        "ask the operator to complete its terms";
    CallerPlaceNotServed = "CALLER_PLACE_NOT_SERVED", Node,
        "The node does not serve callers from this place.",
        "choose an offer that serves the place";
    CallerOwnershipRestricted = "CALLER_OWNERSHIP_RESTRICTED", Node,
        "The node does not serve callers that are owned or controlled like this.",
        "choose an offer without such a rule";
    CallerOwnershipUndetermined = "CALLER_OWNERSHIP_UNDETERMINED", Node,
        "The node has a rule on who owns or controls a caller, and what the caller states does not settle it.",
        "state ownership and ultimate_controllers in organisation.toml";
    CallerListedParty = "CALLER_LISTED_PARTY", Node,
        "The caller stands on a list of restricted parties.",
        "choose an offer without such a rule";
    CallerSectorNotServed = "CALLER_SECTOR_NOT_SERVED", Node,
        "The node does not serve the caller's sector.",
        "choose an offer that serves the sector";
    CallerOrgTypeNotServed = "CALLER_ORG_TYPE_NOT_SERVED", Node,
        "The node does not serve this kind of organisation.",
        "choose an offer that serves it";
    CallerTermsNotAccepted = "CALLER_TERMS_NOT_ACCEPTED", Node,
        "The caller has not accepted the terms that the node asks for.",
        "accept the current version of the operator's terms";
    PurposeUndeclared = "PURPOSE_UNDECLARED", Node,
        "The request says no purpose.",
        "declare what the request is for, such as dpv:CustomerCare";
    PurposeNotAllowed = "PURPOSE_NOT_ALLOWED", Node,
        "The node's terms do not allow the purpose.",
        "choose an offer whose terms allow the purpose";
    PurposeProhibited = "PURPOSE_PROHIBITED", Node,
        "The node's terms prohibit the purpose.",
        "choose an offer whose terms allow the purpose";
    PurposeTooBroad = "PURPOSE_TOO_BROAD", Node,
        "The purpose includes one that the node or the model's licence prohibits.",
        "declare a narrower purpose";
    LicenceTerritoryExcluded = "LICENCE_TERRITORY_EXCLUDED", Licence,
        "The model's licence grants no rights to operators of this place.",
        "choose another model, or an operator elsewhere";
    LicenceScaleThresholdExceeded = "LICENCE_SCALE_THRESHOLD_EXCEEDED", Licence,
        "The operator is larger than the model's licence allows.",
        "choose another operator or model";
    LicenceFieldOfUseExcluded = "LICENCE_FIELD_OF_USE_EXCLUDED", Licence,
        "The model's licence excludes the purpose.",
        "choose a model whose licence allows the purpose";
    LicenceNotAcceptable = "LICENCE_NOT_ACCEPTABLE", Caller,
        "The model's licence is not among those that the caller allows.",
        "allow the licence, or choose another model";
    StatutoryProhibition = "STATUTORY_PROHIBITION", Statute,
        "A law forbids the use.",
        "do not ask for this use, or claim an exception that applies";
    GoverningLawNotAllowed = "GOVERNING_LAW_NOT_ALLOWED", Caller,
        "The contract is under a law that the caller does not allow.",
        "allow the law, or choose an offer under another one";
    LiabilityCapBelowMin = "LIABILITY_CAP_BELOW_MIN", Caller,
        "The operator is liable for less than the caller asks for.",
        "lower the minimum, or choose another offer";
    SupportBelowMin = "SUPPORT_BELOW_MIN", Caller,
        "Support or availability is less than the caller asks for.",
        "lower the minimum, or choose another offer";
    PriceAboveMax = "PRICE_ABOVE_MAX", Caller,
        "The offer costs more than the caller allows.",
        "raise the ceiling, or choose a cheaper offer";
    ModelNotOffered = "MODEL_NOT_OFFERED", Federation,
        "The offer is for another model.",
        "ask for a model that `comity model list` shows";
    CapabilityMissing = "CAPABILITY_MISSING", Federation,
        "The model cannot do what the request needs.",
        "choose an offer with the capability";
    OfferNotInForce = "OFFER_NOT_IN_FORCE", Federation,
        "The offer has ended, has not begun, or takes no calls.",
        "ask the operator to renew the offer";
    QuotaExceeded = "QUOTA_EXCEEDED", Federation,
        "The caller's organisation has used up what the offer grants it on one day of UTC.",
        "wait until the next day in UTC, or choose another offer";
    FederationPolicy = "FEDERATION_POLICY", Federation,
        "The operator, its node or the caller is suspended, or a rule of the federation forbids it.",
        "ask the federation's operators";
}

#[cfg(test)]
mod tests;
