//! One directory, one invite, one identity: what is there already decides what may be asked for.

use comity_identity::{IdentityDir, Invite};
use comity_proto::error::Detail;
use comity_types::SpiffeId;
use comity_types::ids::Kind;
use tonic::Status;

use super::EnrolError;

/// Reasons by which a broker says that it will never answer this key's request with this invite by a certificate.
const WORTHLESS: &[&str] =
    &["INVITE_UNKNOWN", "INVITE_EXPIRED", "INVITE_BOUND_TO_ANOTHER_KEY", "INVITE_OF_ANOTHER_KIND"];

/// True if a refusal is about the invite itself, and not about what was asked with it.
pub(super) fn is_about_the_invite(status: &Status) -> bool {
    Detail::of(status).is_some_and(|detail| detail.reason.starts_with("INVITE_"))
}

/// Refuses a directory that belongs to another invite, before anybody is asked.
pub(super) fn check(dir: &IdentityDir, invite: &Invite) -> Result<(), EnrolError> {
    match dir.invite_id()? {
        Some(taken) if taken == invite.id_text() => Ok(()),
        None if !dir.is_joined() => Ok(()),
        taken => Err(other_invite(dir, taken.unwrap_or_default())?),
    }
}

/// Has the directory belong to `invite` from now on.
pub(super) fn take_up(dir: &IdentityDir, invite: &Invite) -> Result<(), EnrolError> {
    let taken = dir.take_up(invite)?;
    if taken == invite.id_text() { Ok(()) } else { Err(other_invite(dir, taken)?) }
}

/// What a refused call means. An invite that the broker calls worthless makes room for the next one.
pub(super) fn refused(dir: &IdentityDir, invite: &Invite, status: Status) -> EnrolError {
    let worthless = Detail::of(&status).is_some_and(|detail| WORTHLESS.contains(&detail.reason.as_str()));
    let put_down = if worthless { dir.put_down(invite) } else { Ok(()) };
    put_down.map_or_else(EnrolError::from, |()| status.into())
}

/// Refuses an identity that this program cannot act as.
pub(super) fn check_kind(identity: &SpiffeId, kinds: &[Kind]) -> Result<(), EnrolError> {
    if kinds.contains(&identity.kind()) {
        return Ok(());
    }
    Err(EnrolError::OtherKind { identity: identity.clone(), expected: kinds.to_vec() })
}

fn other_invite(dir: &IdentityDir, enrolment_id: String) -> Result<EnrolError, EnrolError> {
    let path = dir.path().to_owned();
    if dir.is_joined() {
        return Ok(EnrolError::AlreadyJoined { dir: path, identity: dir.identity()?.spiffe_id });
    }
    Ok(EnrolError::AlreadyAsked { dir: path, enrolment_id })
}
