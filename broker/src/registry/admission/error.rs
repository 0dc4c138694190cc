//! Why somebody cannot be let in.

use comity_membership::{Departure, Subject};
use comity_types::{SpiffeId, Timestamp};

use crate::registry::RegistryError;
use crate::registry::authorities::AuthorityError;
use crate::registry::enrolments::store::StoreError;
use crate::registry::enrolments::{InviteId, Refused};
use crate::registry::proposals::ProposalError;

/// Who ends the suspension of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// The organisation that said it.
    Organisation,
    /// As many operators as have to.
    Operators,
    /// Time, or whoever braked it.
    Brake {
        /// When it lapses.
        at: Timestamp,
    },
}

impl Ends {
    /// What whoever is in the way of it reads.
    fn hint(self, subject: &Subject) -> String {
        match self {
            Self::Organisation => {
                format!("whoever has the key of {} ends it: comity lift {subject}", subject.trust_domain())
            }
            Self::Operators => format!("operators of the federation end it: comity lift {subject}"),
            Self::Brake { at } => {
                format!("it lapses at {at}; the operator who braked it takes it back before: comity lift {subject}")
            }
        }
    }
}

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
    /// The caller, or its organisation, is suspended.
    #[error(
        "{member} does not take part: {subject} is suspended: {reason} (hint: whoever suspended it ends that: comity lift {subject}; ask an operator of the federation, or who has the organisation's key)"
    )]
    Suspended {
        /// Who.
        member: SpiffeId,
        /// What of it is suspended: itself, or its organisation.
        subject: Box<Subject>,
        /// Why.
        reason: String,
    },
    /// The caller, or its organisation, was a member and is none any more.
    #[error("{member} does not take part (hint: it has to be invited and to join again)")]
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
        "a certificate of this member is suspended, and no other one is made for who has its key alone: {subject} (hint: {ends}; until then a connection with another certificate that holds renews that: comity identity renew)",
        ends = ends.hint(subject)
    )]
    CertificateSuspended {
        /// Which, with whose it is.
        subject: Box<Subject>,
        /// Who ends that.
        ends: Ends,
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
    /// Whose key it is was a member, and is none any more.
    #[error("{id} is not a member any more")]
    Departed {
        /// Whose it was.
        id: SpiffeId,
        /// Who left: itself, or its organisation.
        subject: Box<Subject>,
        /// How.
        departure: Box<Departure>,
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
