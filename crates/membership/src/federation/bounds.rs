//! How long a statement may be, and how old: what is padded or was held back is none.

use std::time::Duration;

use comity_types::Timestamp;

use super::Refused;
use crate::signed::Payload;
use crate::statement::{Scope, Statement};

/// How old a statement of one signer may be when it gets its place: it is handed in when it is signed, and tried again
/// while a broker is down for a night.
pub const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// How old a statement of operators may be: so long may they take to sign it, one after the other.
pub const MAX_AGE_OF_OPERATORS: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How far a signer's clock may be ahead of the broker's.
pub const MAX_AHEAD: Duration = Duration::from_secs(10 * 60);
/// Longest statement of a kind that is short by nature, in bytes of its payload: the longest has a reason of 1 KiB and a
/// few names and keys, and white space is signed as it stands. What is longer is padded, and everybody keeps it.
pub const MAX_STATEMENT_BYTES: usize = 16 * 1024;
/// Longest acceptance of terms, in bytes of its payload: [`MAX_TERMS`](super::MAX_TERMS) digests have under 20 KiB.
pub const MAX_ACCEPTANCE_BYTES: usize = 32 * 1024;
/// Longest reason, in bytes: a sentence or two for the member.
pub const MAX_REASON_BYTES: usize = 1024;

/// What is padded is no statement: everybody keeps and reads it for ever. What may be long by nature has bounds of its
/// own, by what is in it.
pub(super) fn check_length(statement: &Statement, bytes: usize) -> Result<(), Refused> {
    let most = match statement {
        Statement::RootChanged { .. }
        | Statement::OrganisationAdmitted { .. }
        | Statement::OrganisationUpdated { .. }
        | Statement::AnchorsChanged { .. }
        | Statement::KeysChanged { .. }
        | Statement::OffersPublished { .. }
        | Statement::TablesAdopted { .. } => return Ok(()),
        Statement::TermsAccepted { .. } => MAX_ACCEPTANCE_BYTES,
        Statement::OrganisationWithdrawn { .. }
        | Statement::MemberInvited { .. }
        | Statement::InviteRevoked { .. }
        | Statement::MemberAdmitted { .. }
        | Statement::MemberWithdrawn { .. }
        | Statement::TermsWithdrawn { .. }
        | Statement::AuditorRecognised { .. }
        | Statement::AuditorRevoked { .. }
        | Statement::ClaimAudited { .. }
        | Statement::AuditWithdrawn { .. }
        | Statement::Suspended { .. }
        | Statement::Lifted { .. }
        | Statement::Evicted { .. } => MAX_STATEMENT_BYTES,
    };
    if bytes <= most { Ok(()) } else { Err(Refused::TooLong { kind: statement.kind(), found: bytes, most }) }
}

/// What was signed long ago is not said now: whoever held it back could choose the moment.
pub(super) fn check_age(payload: &Payload, scope: &Scope, entered: Timestamp) -> Result<(), Refused> {
    let oldest = match scope {
        Scope::Root | Scope::Governance(_) | Scope::Tables => MAX_AGE_OF_OPERATORS,
        Scope::Brake(_) | Scope::Organisation(_) | Scope::Member(_) => MAX_AGE,
    };
    let (signed, fresh) = (payload.at, entered.since(payload.at) <= oldest);
    if fresh && payload.at <= entered.plus(MAX_AHEAD) { Ok(()) } else { Err(Refused::NotOfNow { signed, entered }) }
}

pub(super) fn check_reason(reason: &str) -> Result<(), Refused> {
    if reason.is_empty() || reason.len() > MAX_REASON_BYTES {
        return Err(Refused::Reason { found: reason.len() });
    }
    Ok(())
}
