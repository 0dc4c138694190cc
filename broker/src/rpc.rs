//! One thin file per service (parse, call, render). Wire types stop here, and here alone errors
//! become a status: callers get the reason and what mends it, the log gets what is ours to mend.

pub mod catalog;
pub mod enrolment;
pub mod inference;
pub mod membership;
mod said;
#[cfg(test)]
mod tests;
pub mod transparency;

use comity_membership::Refused as StatementRefused;
use comity_policy::disclosure::Viewer;
pub(crate) use comity_proto::convert::wire_instant as timestamp;
use comity_proto::error::Failure;
use comity_proto::methods::Caller;
use comity_runtime::chain;
use comity_types::Invalid;
use http::{HeaderMap, HeaderValue};
use tonic::{Code, Status};

use crate::edge::{CallerIdentity, departed};
use crate::registry::RegistryError;
use crate::registry::admission::AdmissionError;
use crate::registry::authorities::AuthorityError;
use crate::registry::enrolments::Refused as EnrolmentRefused;
use crate::registry::proposals::ProposalError;

/// A field of a request that cannot be used.
pub(crate) fn invalid(field: &str, problem: impl std::fmt::Display) -> Status {
    failure(Code::InvalidArgument, "INVALID_FIELD", located(field, problem), vec![("field".into(), field.into())])
}

/// A problem after its field; the message as a whole has none.
pub(crate) fn located(field: &str, problem: impl std::fmt::Display) -> String {
    if field.is_empty() { problem.to_string() } else { format!("{field}: {problem}") }
}

/// Reads a text field into its type.
pub(crate) fn parse<T: std::str::FromStr<Err = Invalid>>(field: &str, text: &str) -> Result<T, Status> {
    text.parse().map_err(|error| invalid(field, error))
}

/// The status of an admission that failed.
pub(crate) fn admission(error: AdmissionError) -> Status {
    let message = error.to_string();
    match error {
        AdmissionError::Enrolment(refused) => enrolment(&refused),
        AdmissionError::Exists { member } => {
            failure(Code::AlreadyExists, "MEMBER_EXISTS", message, vec![("member".into(), member.to_string())])
        }
        AdmissionError::Invalid { field, .. } => {
            failure(Code::InvalidArgument, "INVALID_FIELD", message, vec![("field".into(), field.into())])
        }
        AdmissionError::OtherKind { member } => failure(
            Code::FailedPrecondition,
            "INVITE_OF_ANOTHER_KIND",
            message,
            vec![("kind".into(), member.kind().to_string())],
        ),
        AdmissionError::Departed { id, subject, departure } => departed(&id, &subject, &departure).into(),
        AdmissionError::KeyNotAdmitted { .. } => failure(Code::NotFound, "KEY_NOT_ADMITTED", message, vec![]),
        AdmissionError::Waits { id, fingerprint } => {
            let metadata = vec![("enrolment".into(), id.to_string()), ("fingerprint".into(), fingerprint)];
            failure(Code::FailedPrecondition, "ENROLMENT_WAITS", message, metadata)
        }
        AdmissionError::TurnedDown { reason } => {
            failure(Code::FailedPrecondition, "ENROLMENT_REJECTED", message, vec![("why".into(), reason)])
        }
        AdmissionError::OtherApplication { .. } => {
            failure(Code::FailedPrecondition, "OTHER_APPLICATION", message, vec![])
        }
        AdmissionError::NotActive { .. } | AdmissionError::Suspended { .. } => {
            failure(Code::PermissionDenied, "NOT_ACTIVE", message, vec![])
        }
        AdmissionError::Registry(error) => registry(&error),
        AdmissionError::Authority(AuthorityError::Rolling { .. }) => {
            failure(Code::FailedPrecondition, "ANCHORS_ROLLING", message, vec![])
        }
        AdmissionError::Proposals(error) => proposal(error),
        AdmissionError::CertificateSuspended { .. } => {
            failure(Code::PermissionDenied, "CERTIFICATE_SUSPENDED", message, vec![])
        }
        AdmissionError::Authority(lost @ AuthorityError::Missing { .. }) => authority_lost(&lost),
        AdmissionError::Authority(AuthorityError::NotHosted { organisation }) => {
            let message = format!(
                "the broker hosts no certificate authority for {organisation} (hint: sign the anchors of your own: comity organisation anchors set FILE)"
            );
            failure(Code::NotFound, "NO_HOSTED_AUTHORITY", message, vec![])
        }
        AdmissionError::Store(_) | AdmissionError::Authority(_) | AdmissionError::Internal { .. } => ours(&error),
    }
}

/// The status of a change to the registry that failed.
pub(crate) fn registry(error: &RegistryError) -> Status {
    match error {
        RegistryError::Refused(refused) => statement(refused),
        RegistryError::Unreadable(_) => invalid("envelope", error),
        RegistryError::Anchor { .. } => invalid("anchors", error),
        RegistryError::Stopping => failure(Code::Unavailable, "STOPPING", error.to_string(), vec![]),
        RegistryError::Journal(_)
        | RegistryError::Damaged { .. }
        | RegistryError::Equivocated { .. }
        | RegistryError::OtherRoot { .. }
        | RegistryError::NotFounded { .. }
        | RegistryError::Lost { .. }
        | RegistryError::Sign(_)
        | RegistryError::Encode(_) => ours(error),
    }
}

fn statement(refused: &StatementRefused) -> Status {
    use StatementRefused as R;
    let (code, reason) = match refused {
        R::NotAMember(_) => (Code::NotFound, "NOT_A_MEMBER"),
        R::AlreadyAMember(_) => (Code::AlreadyExists, "MEMBER_EXISTS"),
        R::AlreadyInvited(_) | R::InviteTaken(_) => (Code::AlreadyExists, "MEMBER_INVITED"),
        R::NoInvite(_) => (Code::NotFound, "INVITE_UNKNOWN"),
        R::InviteExpired { .. } => (Code::FailedPrecondition, "INVITE_EXPIRED"),
        R::TooManyInvites(_) => (Code::ResourceExhausted, "TOO_MANY_INVITES"),
        R::NotOfNow { .. } => (Code::FailedPrecondition, "NOT_OF_NOW"),
        R::TooManyMembers(_) => (Code::ResourceExhausted, "TOO_MANY_MEMBERS"),
        R::Signatures(_) => (Code::PermissionDenied, "SIGNATURE_REFUSED"),
        R::TooFew { .. } => (Code::PermissionDenied, "TOO_FEW_SIGNATURES"),
        R::Equivocation { scope, next, .. } => {
            let metadata = vec![("scope".into(), scope.to_string()), ("next".into(), next.to_string())];
            return failure(Code::Aborted, "EQUIVOCATION", refused.to_string(), metadata);
        }
        R::Version { next, scope, .. } => {
            let metadata = vec![("scope".into(), scope.to_string()), ("next".into(), next.to_string())];
            return failure(Code::Aborted, "VERSION", refused.to_string(), metadata);
        }
        R::Unreadable(_)
        | R::OtherFederation
        | R::TooLong { .. }
        | R::Reason { .. }
        | R::WrongDomain { .. }
        | R::Keys { .. }
        | R::Anchors { .. }
        | R::TooManyOffers { .. }
        | R::AcceptedInFacts(_)
        | R::Tables(_)
        | R::Offer { .. } => (Code::InvalidArgument, "INVALID_FIELD"),
        R::AlreadySuspended(_)
        | R::NotSuspended(_)
        | R::SuspendedByItsOwn(_)
        | R::SuspendedByOperators(_)
        | R::Suspended(_)
        | R::Ratified(_)
        | R::NotSeen { .. }
        | R::NotLapsed(_)
        | R::BrakeSpent(_)
        | R::BrakeSpentOnAnother(_)
        | R::TooManyCertificates(_)
        | R::Held(_)
        | R::ApplicationUsed(_)
        | R::Governance(_)
        | R::Said { .. }
        | R::Terms { .. }
        | R::NotAccepted { .. }
        | R::Auditor { .. }
        | R::NotAnAuditor { .. }
        | R::Audit { .. }
        | R::NoAudit { .. }
        | R::LastOperator(_) => (Code::FailedPrecondition, "STATEMENT_REFUSED"),
        R::OutOfOrder { .. } | R::BackInTime { .. } | R::Founding => return ours(refused),
    };
    failure(code, reason, refused.to_string(), vec![])
}

/// The status of a statement that is neither in force nor a proposal.
pub(crate) fn proposal(error: ProposalError) -> Status {
    match error {
        ProposalError::Registry(error) => registry(&error),
        ProposalError::NobodyInOffice { .. } => {
            failure(Code::PermissionDenied, "TOO_FEW_SIGNATURES", error.to_string(), vec![])
        }
        ProposalError::TooMany | ProposalError::TooManyOfOne { .. } | ProposalError::TooManyOfTables { .. } => {
            failure(Code::ResourceExhausted, "TOO_MANY_PROPOSALS", error.to_string(), vec![])
        }
        ProposalError::TooOften { retry_after, .. }
        | ProposalError::TooManyBrakes { retry_after, .. }
        | ProposalError::SignsTooOften { retry_after, .. } => {
            let retry_after = ("retry_after_seconds".into(), retry_after.as_secs().to_string());
            failure(Code::ResourceExhausted, "STATEMENT_RATE", error.to_string(), vec![retry_after])
        }
        ProposalError::Unknown { .. } => failure(Code::NotFound, "PROPOSAL_NOT_FOUND", error.to_string(), vec![]),
        ProposalError::NoVote { .. } => failure(Code::PermissionDenied, "NO_VOTE", error.to_string(), vec![]),
        ProposalError::TooLong { .. } => failure(Code::InvalidArgument, "INVALID_FIELD", error.to_string(), vec![]),
        ProposalError::Journal(_) | ProposalError::Damaged { .. } | ProposalError::Encode(_) => ours(&error),
    }
}

fn enrolment(refused: &EnrolmentRefused) -> Status {
    let (code, reason) = match refused {
        EnrolmentRefused::Unknown => (Code::PermissionDenied, "INVITE_UNKNOWN"),
        EnrolmentRefused::Expired { .. } => (Code::FailedPrecondition, "INVITE_EXPIRED"),
        EnrolmentRefused::AnotherKey { .. } => (Code::PermissionDenied, "INVITE_BOUND_TO_ANOTHER_KEY"),
        EnrolmentRefused::WrongState { .. } => (Code::FailedPrecondition, "ENROLMENT_STATE"),
        EnrolmentRefused::NoEnrolment { .. } => (Code::NotFound, "ENROLMENT_NOT_FOUND"),
        EnrolmentRefused::AlreadyInvited { .. } => (Code::AlreadyExists, "MEMBER_INVITED"),
        EnrolmentRefused::TooMany | EnrolmentRefused::TooManyOfOne { .. } => {
            (Code::ResourceExhausted, "TOO_MANY_INVITES")
        }
    };
    failure(code, reason, refused.to_string(), vec![])
}

/// Something that the caller cannot mend: the log gets the whole chain, the caller that it was not them.
fn ours(error: &(dyn std::error::Error + 'static)) -> Status {
    tracing::error!(error = chain::text(error), "the broker failed a call");
    failure(Code::Internal, "BROKER_FAILED", "the broker failed; its log says why".into(), vec![])
}

/// What a member can do about an authority that the broker has lost is little, and it is not its fault.
fn authority_lost(lost: &AuthorityError) -> Status {
    tracing::error!(error = chain::text(lost), "a hosted authority is lost, and signs nothing");
    let message = "the broker has lost the certificate authority that it hosts for this organisation, and signs nothing for it (hint: ask operators to restore the broker's data directory from a backup. Without one, `comity organisation anchors roll` has another authority made, with the organisation's key and while a certificate of a member still holds; where none does, operators evict the organisation and it joins again)";
    failure(Code::Internal, "HOSTED_AUTHORITY_LOST", message.into(), vec![])
}

/// A status with its reason.
pub(crate) fn failure(code: Code, reason: &'static str, message: String, metadata: Vec<(String, String)>) -> Status {
    Failure { metadata, ..Failure::new(code, reason, message) }.into()
}

/// The trailers that end an answer which has begun.
pub(crate) fn trailers(failure: Failure) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if Status::from(failure).add_header(&mut trailers).is_err() {
        trailers.clear();
        trailers.insert(Status::GRPC_STATUS, HeaderValue::from(i32::from(Code::Internal)));
    }
    trailers
}

/// As whom a caller looks at what organisations may keep to themselves.
pub(crate) fn viewer(caller: &CallerIdentity) -> Viewer<'_> {
    match caller.role {
        Caller::Governor => Viewer::Governor,
        Caller::Member(_) | Caller::Anonymous => Viewer::Member(caller.organisation()),
    }
}
