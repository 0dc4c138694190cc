//! The closed list of reasons. A new code is a new schema version.

use std::fmt;

/// Who refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The caller's requirements.
    Caller,
    /// The node's terms.
    Node,
    /// The federation, or the state that things are in.
    Federation,
}

/// One reason why an offer is not eligible. Sorted by code, subject and path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason {
    /// What kind of reason.
    pub code: ReasonCode,
    /// What it is about: a place, a rule, a trigger, the path of a claim. May be empty.
    pub subject: String,
    /// The field that was read.
    pub path: &'static str,
    /// What would have been accepted.
    pub expected: String,
    /// What was found.
    pub actual: String,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.subject.as_str() {
            "" => write!(f, "{}", self.code),
            subject => write!(f, "{}({subject})", self.code),
        }
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

            /// Whose refusal it is.
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
        "A requirement reads a fact that nobody states.",
        "ask the operator to state the fact, or drop the requirement that reads it";
    ClaimExpired = "CLAIM_EXPIRED", Caller,
        "A fact that a requirement reads was stated for a time that is over.",
        "ask the operator to renew the claim";
    ClaimNotYetValid = "CLAIM_NOT_YET_VALID", Caller,
        "A fact that a requirement reads is stated for a time to come.",
        "wait until the claim begins, or ask the operator to correct its date";
    CodeUnrecognised = "CODE_UNRECOGNISED", Caller,
        "A bloc or purpose is in no table of this federation.",
        "use a code of the federation's tables";
    ProcessingLocationNotAllowed = "PROCESSING_LOCATION_NOT_ALLOWED", Caller,
        "The offer may process in a place that the caller does not allow.",
        "allow the place, or choose an offer elsewhere";
    StorageLocationNotAllowed = "STORAGE_LOCATION_NOT_ALLOWED", Caller,
        "The offer may store in a place that the caller does not allow.",
        "allow the place, or choose an offer elsewhere";
    AccessLocationNotAllowed = "ACCESS_LOCATION_NOT_ALLOWED", Caller,
        "People in a place that the caller does not allow can reach the machine.",
        "allow the place, or choose an offer elsewhere";
    OperatorSeatNotAllowed = "OPERATOR_SEAT_NOT_ALLOWED", Caller,
        "The operator has its seat in a place that the caller does not allow.",
        "allow the seat, or choose another operator";
    BrokerPathNotAllowed = "BROKER_PATH_NOT_ALLOWED", Caller,
        "The broker that ends the caller's TLS runs in a place that the caller does not allow for processing.",
        "call a broker in an allowed place, or allow the broker's place";
    ControllerNotAllowed = "CONTROLLER_NOT_ALLOWED", Caller,
        "Who ultimately controls the operator has its seat in a place that the caller does not allow.",
        "allow the controller's seat, or choose another operator";
    RetentionExceedsMax = "RETENTION_EXCEEDS_MAX", Caller,
        "Prompts or completions are kept longer than the caller allows.",
        "raise the limit, accept the trigger, or choose an offer that keeps less";
    TrainingOnInputs = "TRAINING_ON_INPUTS", Caller,
        "The operator may train on what callers send.",
        "choose an offer whose terms rule training out";
    NodeTermsIncomplete = "NODE_TERMS_INCOMPLETE", Node,
        "The offer does not say whom it serves.",
        "ask the operator to state its terms, with caller_rules";
    CallerPlaceNotServed = "CALLER_PLACE_NOT_SERVED", Node,
        "The node does not serve callers from this place.",
        "choose an offer that serves the place";
    CallerOwnershipRestricted = "CALLER_OWNERSHIP_RESTRICTED", Node,
        "The node does not serve callers that are controlled from this place.",
        "choose an offer without such a rule";
    CallerOwnershipUndetermined = "CALLER_OWNERSHIP_UNDETERMINED", Node,
        "The node has a rule on who controls a caller, and the caller does not say.",
        "state ultimate_controllers in organisation.toml";
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
        "The purpose includes one that the node prohibits.",
        "declare a narrower purpose";
    LicenceNotAcceptable = "LICENCE_NOT_ACCEPTABLE", Caller,
        "The model's licence is not among those that the caller allows.",
        "allow the licence, or choose another model";
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
        "The offer has ended, or has not begun.",
        "ask the operator to renew the offer";
    FederationPolicy = "FEDERATION_POLICY", Federation,
        "The operator, its node or the caller is suspended.",
        "ask the federation's operators";
}
