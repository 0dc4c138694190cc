//! Why somebody cannot be let in.

use comity_types::SpiffeId;

use crate::registry::RegistryError;
use crate::registry::authorities::AuthorityError;
use crate::registry::enrolments::store::StoreError;
use crate::registry::enrolments::{InviteId, Refused};
use crate::registry::proposals::ProposalError;

/// Why somebody cannot be let in.
#[derive(Debug, thiserror::Error)]
pub enum AdmissionError {
    /// The enrolment does not allow it.
    #[error(transparent)]
    Enrolment(#[from] Refused),
    /// The member exists.
    #[error("{member} is a member already (hint: choose another name; a member gets a fresh certificate by renewing)")]
    Exists {
        /// Who.
        member: SpiffeId,
    },
    /// A field cannot be used.
    #[error("{field}: {problem}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// Why, and how to mend it.
        problem: String,
    },
    /// The caller, or its organisation, is suspended or unknown.
    #[error("{member} does not take part")]
    NotActive {
        /// Who.
        member: SpiffeId,
    },
    /// The invite is for something that the caller cannot become.
    #[error(
        "the invite is for {member}, which this program cannot become (hint: nodes join with `comity-node join`, apps and operators with `comity join`; the invite is not used up)"
    )]
    OtherKind {
        /// Whom the invite is for.
        member: SpiffeId,
    },
    /// A certificate of the member's was suspended, and its key may be with whoever it was suspended for.
    #[error(
        "a certificate of {member} is suspended, and no other one is made for who has its key alone (hint: renew by a connection with a certificate that holds; or lift the suspension; or be withdrawn and join with a new key)"
    )]
    CertificateSuspended {
        /// Who.
        member: SpiffeId,
    },
    /// What operators propose cannot be kept.
    #[error(transparent)]
    Proposals(#[from] ProposalError),
    /// Nobody has admitted the key.
    #[error("the key {fingerprint} is not admitted (hint: join with an invite)")]
    KeyNotAdmitted {
        /// The key, short.
        fingerprint: String,
    },
    /// Operators have not decided on what the key asked for.
    #[error(
        "the enrolment {id} waits for the federation's operators (hint: compare the fingerprint {fingerprint} with them)"
    )]
    Waits {
        /// What they approve.
        id: InviteId,
        /// The key, short.
        fingerprint: String,
    },
    /// Operators said no to what the key asked for.
    #[error("the federation's operators turned the enrolment down: {reason}")]
    TurnedDown {
        /// Why.
        reason: String,
    },
    /// The invite was taken up with other papers, and those are what operators decide on.
    #[error(
        "this invite was taken up with other {differs}, and operators decide on what came first (hint: give the same as the first time; or have an operator reject the enrolment, and join by another invite)"
    )]
    OtherApplication {
        /// What differs.
        differs: &'static str,
    },
    /// The events cannot be kept.
    #[error(transparent)]
    Store(StoreError),
    /// The registry does not take it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The authority cannot sign.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Randomness failed, or a certificate cannot be made.
    #[error("cannot make a certificate: {problem}")]
    Internal {
        /// Why.
        problem: String,
    },
}

impl From<StoreError> for AdmissionError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(refused) => Self::Enrolment(refused),
            other @ (StoreError::Journal(_) | StoreError::Damaged { .. } | StoreError::Encode(_)) => Self::Store(other),
        }
    }
}
