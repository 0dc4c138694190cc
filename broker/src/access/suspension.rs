//! What ends a call before its time: a member of it no longer takes part.

use comity_membership::{Standing, Subject};
use comity_proto::error::Failure;
use comity_types::SpiffeId;
use tonic::Code;

use crate::registry::Registry;

/// Resolves, to what the caller is told, when `member` does not take part: at once, or when the registry says so.
pub async fn of(registry: &Registry, member: &SpiffeId) -> Failure {
    let mut changed = registry.changed();
    loop {
        // Seen before the state is read, so that a change in between is not missed.
        changed.mark_unchanged();
        let snapshot = registry.snapshot();
        if let Some(failure) = failure(member, snapshot.federation.standing(member), snapshot.federation.epoch()) {
            return failure;
        }
        if changed.changed().await.is_err() {
            // The registry is gone, and the broker with it; its tasks end this call.
            return std::future::pending().await;
        }
    }
}

fn failure(member: &SpiffeId, standing: Standing, now: u64) -> Option<Failure> {
    let denied = |reason, message: String, epoch: u64| {
        Failure::new(Code::PermissionDenied, reason, message).with("member", member).with("epoch", epoch)
    };
    match standing {
        Standing::Active => None,
        Standing::Unknown => Some(denied("UNKNOWN_MEMBER", format!("{member} is not a member"), now)),
        Standing::Suspended { subject, epoch, .. } => {
            let reason = match subject {
                Subject::Organisation(_) => "ORGANISATION_SUSPENDED",
                Subject::Member(_) => "MEMBER_SUSPENDED",
            };
            Some(denied(
                reason,
                format!("{subject} is suspended since epoch {epoch} (hint: ask an operator of the federation)"),
                epoch,
            ))
        }
    }
}
