//! What a node's operator can do about a reason. What the caller can do is the code's own hint.

use comity_policy::ReasonCode;

/// What the operator of the offer can do, in a sentence.
pub(super) const fn for_node(code: ReasonCode) -> &'static str {
    match code {
        ReasonCode::ClaimMissing => "state the fact in node.toml or organisation.toml",
        ReasonCode::ClaimExpired | ReasonCode::ClaimNotYetValid | ReasonCode::ClaimRevoked => {
            "state the fact for the time that it holds now"
        }
        ReasonCode::ClaimConflict => "withdraw the statement that is wrong, or ask its issuer to",
        ReasonCode::IssuerNotTrusted | ReasonCode::AssuranceTooLow | ReasonCode::AttestationInvalid => {
            "add a statement by an issuer whose word has the weight (`comity table show issuers`)"
        }
        ReasonCode::CodeUnrecognised => "use a code of the tables, or bring the program up to date",
        ReasonCode::ProcessingLocationNotAllowed
        | ReasonCode::StorageLocationNotAllowed
        | ReasonCode::AccessLocationNotAllowed
        | ReasonCode::SubProcessorLocationNotAllowed
        | ReasonCode::BrokerPathNotAllowed => {
            "make an offer of its own for each region, so that a caller can choose one; every place listed has to suit"
        }
        ReasonCode::OperatorSeatNotAllowed
        | ReasonCode::CompelledAccessExposure
        | ReasonCode::ControllerNotAllowed
        | ReasonCode::ForeignOwnershipThresholdExceeded => {
            "nothing in the terms: it follows from who the operator is; keep organisation.toml true"
        }
        ReasonCode::OwnershipUndetermined => "disclose more owners in organisation.toml",
        ReasonCode::SubProcessorNotAllowed => "make an offer without the sub-processor",
        ReasonCode::TransferBasisMissing => "agree on standard clauses and state `transfer_basis`",
        ReasonCode::RetentionExceedsMax
        | ReasonCode::TrainingOnInputs
        | ReasonCode::HumanReviewNotAllowed
        | ReasonCode::ContentLoggingNotAllowed => "promise less use of content in the terms, if that is what happens",
        ReasonCode::DataCategoryNotAccepted
        | ReasonCode::ClassificationAboveCeiling
        | ReasonCode::ClassificationIncomparable
        | ReasonCode::HandlingCaveatNotAccepted => {
            "accept more in `accepted_data_categories` or `classification_ceilings`, if the node may hold it"
        }
        ReasonCode::CertificationMissing
        | ReasonCode::CertificationExpired
        | ReasonCode::CertificationEditionWithdrawn
        | ReasonCode::CertificationLevelTooLow
        | ReasonCode::CertificationScopeMismatch => "list the current certificate in the terms' `certifications`",
        ReasonCode::SealBelowMinimum | ReasonCode::SovereigntyLevelTooLow | ReasonCode::SafetyGradeTooLow => {
            "state the rating after the next assessment"
        }
        ReasonCode::NodeTermsIncomplete => "complete the terms; `comity-node check` names what is missing",
        ReasonCode::CallerPlaceNotServed
        | ReasonCode::CallerOwnershipRestricted
        | ReasonCode::CallerOwnershipUndetermined
        | ReasonCode::CallerListedParty
        | ReasonCode::CallerSectorNotServed
        | ReasonCode::CallerOrgTypeNotServed
        | ReasonCode::CallerTermsNotAccepted => {
            "change `caller_rules` if they refuse whom they should not; `comity policy check` tries them"
        }
        ReasonCode::PurposeUndeclared => "nothing: a request without a purpose is refused everywhere",
        ReasonCode::PurposeNotAllowed | ReasonCode::PurposeProhibited | ReasonCode::PurposeTooBroad => {
            "change the terms' purposes or `high_risk` if they refuse what they should not"
        }
        ReasonCode::LicenceTerritoryExcluded
        | ReasonCode::LicenceScaleThresholdExceeded
        | ReasonCode::LicenceFieldOfUseExcluded
        | ReasonCode::LicenceNotAcceptable => {
            "offer a model under another licence, or obtain a grant from its licensor"
        }
        ReasonCode::StatutoryProhibition => "nothing: no terms lift a law",
        ReasonCode::GoverningLawNotAllowed
        | ReasonCode::LiabilityCapBelowMin
        | ReasonCode::SupportBelowMin
        | ReasonCode::PriceAboveMax => "make an offer with other terms or another price",
        ReasonCode::ModelNotOffered | ReasonCode::CapabilityMissing => "offer the model, or state what it can do",
        ReasonCode::OfferNotInForce => "renew the offer: `in_force` and `state` in node.toml",
        ReasonCode::QuotaExceeded => "grant more: `quota` in node.toml",
        ReasonCode::FederationPolicy => "ask the federation's operators",
    }
}
