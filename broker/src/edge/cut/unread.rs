//! Cuts the connection of whoever takes part no longer and does not read that its answers have ended.
//!
//! HTTP/2 asks for the next piece of an answer only when its reader has room for it. To a reader that stalls, an answer
//! cannot be ended: its trailers wait behind what HTTP/2 has taken already. Its connection can.

use std::time::Duration;

use comity_runtime::accept::{Connection, PeerInfo};
use comity_runtime::tasks::Tasks;

use super::{super::standing::hearing, when};
use crate::registry::Registry;

/// How long whoever loses its part has to read why its answers end: longer than [`LAST_WORD`](super::LAST_WORD), so that
/// the answers that end by then arrive as well, and below the second within which the last stream is to be closed.
pub(super) const TO_READ: Duration = Duration::from_millis(700);

/// Cuts this connection when its peer has lost its part and lets an answer lie; until the connection has ended.
pub(crate) fn watch(registry: &Registry, connection: &Connection, tasks: &Tasks) {
    if connection.info().peer.is_some() {
        let (registry, info, gone) = (registry.clone(), connection.info().clone(), connection.gone());
        tasks.spawn("unread", async move {
            gone.run_until_cancelled(until_unread(&registry, &info)).await.unwrap_or(());
        });
    }
}

/// Each time that the peer loses its part, until it has been cut.
async fn until_unread(registry: &Registry, info: &PeerInfo) {
    let Some(peer) = &info.peer else { return };
    loop {
        when(registry, |federation| hearing(federation, peer, "").err()).await;
        // Who is let back in within it, and loses its part again, has as long again to read of that.
        let back = when(registry, |federation| hearing(federation, peer, "").ok());
        if tokio::time::timeout(TO_READ, back).await.is_ok() {
            continue;
        }
        if !info.answers.is_empty() {
            tracing::info!(peer.id = %peer.id(), remote = %info.remote, "a connection was cut: its member takes part no longer, and did not read that");
            return info.cut.cancel();
        }
        when(registry, |federation| hearing(federation, peer, "").ok()).await;
    }
}
