//! What ends a call before its time: the broker stops, or a member of the call no longer takes part.
//!
//! The edge ends every call of such a caller, whatever it calls ([`Ends`]). The calls of `Inference` end themselves by the
//! same word ([`of_member`], for caller and node), since what became of them is to be on record first. An answer is only told
//! to whoever reads it: of those who do not, the connection is cut ([`watch`]).

#[cfg(test)]
mod tests;
mod unread;

use std::time::Duration;

use comity_identity::VerifiedPeer;
use comity_membership::Federation;
use comity_proto::error::Failure;
use comity_proto::methods::{Answer, Method};
use comity_types::{Digest, SpiffeId};

use super::standing::{denial_in, hearing};
use super::stop::Stop;
use crate::access::request;
use crate::registry::Registry;

pub(crate) use self::unread::watch;

/// How long a call with one answer may still take to give it: what it said may be the very reason why its caller takes
/// part no longer, as when somebody leaves, and is then told that it is said.
const LAST_WORD: Duration = Duration::from_millis(500);

/// What may end one call before it ends by itself.
#[derive(Debug, Clone)]
pub(super) struct Ends {
    stop: Stop,
    registry: Registry,
    /// Who calls, unless the service looks after that itself, or nobody does.
    watched: Option<(VerifiedPeer, &'static Method)>,
}

impl Ends {
    /// Of a call of `method`, by `peer` if somebody has shown a certificate.
    pub(super) fn new(registry: Registry, stop: Stop, peer: Option<&VerifiedPeer>, method: &'static Method) -> Self {
        let by_itself = request::Method::of_path(method.path).is_some();
        let watched = peer.filter(|_| !by_itself).map(|peer| (peer.clone(), method));
        Self { stop, registry, watched }
    }

    /// Resolves, to what the caller is told, when it has to end while its answer is awaited.
    pub(super) async fn before_the_answer(self) -> Failure {
        let is_short = self.watched.as_ref().is_some_and(|(_, method)| method.answer == Answer::Message);
        let told = async {
            let failure = denied(&self.registry, self.watched.as_ref()).await;
            if is_short {
                tokio::time::sleep(LAST_WORD).await;
            }
            failure
        };
        tokio::select! {
            failure = self.stop.clone().reached() => failure,
            failure = told => failure,
        }
    }

    /// Resolves when the answer that has begun has to end. One message that was made is handed over.
    pub(super) async fn within_the_answer(self) -> Failure {
        let streams = self.watched.as_ref().filter(|(_, method)| method.answer == Answer::Stream);
        tokio::select! {
            failure = self.stop.clone().reached() => failure,
            failure = denied(&self.registry, streams) => failure,
        }
    }

    /// Whether nothing more of an answer may go out once it has to end: without it, the service has the last word.
    pub(super) fn comes_first(&self) -> bool {
        self.watched.as_ref().is_some_and(|(_, method)| method.answer == Answer::Stream)
    }
}

async fn denied(registry: &Registry, caller: Option<&(VerifiedPeer, &'static Method)>) -> Failure {
    match caller {
        Some((peer, method)) => when(registry, |federation| hearing(federation, peer, method.path).err()).await,
        None => std::future::pending().await,
    }
}

/// Resolves, to what is told, when `member` does not take part, or the certificate that it shows is suspended: at once, or
/// when the registry says so.
pub(crate) async fn of_member(registry: &Registry, member: &SpiffeId, certificate: Option<Digest>) -> Failure {
    when(registry, |federation| out_of(federation, member, certificate)).await
}

/// What is told to `member` where it does not take part in this state, or the certificate that it shows is suspended.
pub(crate) fn out_of(federation: &Federation, member: &SpiffeId, certificate: Option<Digest>) -> Option<Failure> {
    let standing = match certificate {
        Some(certificate) => federation.standing_with(member, certificate),
        None => federation.standing(member),
    };
    denial_in(federation, member, standing)
}

/// Resolves to what `find` finds in the state, now or after a change.
async fn when<T>(registry: &Registry, find: impl Fn(&Federation) -> Option<T>) -> T {
    let mut changed = registry.changed();
    loop {
        // Seen before the state is read, so that a change in between is not missed.
        changed.mark_unchanged();
        if let Some(found) = find(registry.snapshot().federation()) {
            return found;
        }
        if changed.changed().await.is_err() {
            // The registry is gone, and the broker with it; its tasks end this call.
            return std::future::pending().await;
        }
    }
}
