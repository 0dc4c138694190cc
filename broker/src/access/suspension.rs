//! What ends a call before its time: a member of it no longer takes part.

use comity_proto::error::Failure;
use comity_types::{Digest, SpiffeId};

use crate::edge::denial;
use crate::registry::Registry;

/// Resolves, to what the caller is told, when `member` does not take part, or the certificate that it shows is
/// suspended: at once, or when the registry says so.
pub async fn of(registry: &Registry, member: &SpiffeId, certificate: Option<Digest>) -> Failure {
    let mut changed = registry.changed();
    loop {
        // Seen before the state is read, so that a change in between is not missed.
        changed.mark_unchanged();
        let snapshot = registry.snapshot();
        let federation = snapshot.federation();
        let standing = match certificate {
            Some(certificate) => federation.standing_with(member, certificate),
            None => federation.standing(member),
        };
        if let Some(failure) = denial(member, standing, federation.epoch()) {
            return failure;
        }
        if changed.changed().await.is_err() {
            // The registry is gone, and the broker with it; its tasks end this call.
            return std::future::pending().await;
        }
    }
}
