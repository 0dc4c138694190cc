//! Follows the registry: what is there, then each new entry. Holds no queue of its own: a slow
//! reader reads later from the registry itself.

use std::pin::Pin;

use bytes::Bytes;
use comity_proto::membership::WatchResponse;
use comity_types::SpiffeId;
use futures::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use tonic::Status;

use crate::edge;
use crate::registry::Registry;

/// Entries that are taken from the registry at once.
const BATCH_ENTRIES: usize = 64;

/// What `Watch` streams.
pub(super) type Entries = Pin<Box<dyn Stream<Item = Result<WatchResponse, Status>> + Send>>;

/// Every entry after `after`, for as long as `caller` takes part and until `stop` ends: the caller then reconnects.
pub(super) fn entries(
    registry: Registry,
    caller: SpiffeId,
    after: u64,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Entries {
    let batches = stream::try_unfold((registry, caller, after), |(registry, caller, after)| async move {
        let mut changed = registry.changed();
        let Ok(_) = changed.wait_for(|epoch| *epoch > after).await.map(|epoch| *epoch) else {
            return Ok::<_, Status>(None);
        };
        // Between the request and now, the caller may have been suspended.
        edge::check_standing(&registry.snapshot().federation, &caller)?;
        let batch = registry.entries_after(after, BATCH_ENTRIES);
        let last = batch.last().map_or(after, |(epoch, _)| *epoch);
        Ok(Some((batch, (registry, caller, last))))
    });
    let flat = batches.map_ok(|batch| {
        stream::iter(batch).map(|(epoch, entry)| Ok(WatchResponse { epoch, entry: Bytes::from_owner(entry) }))
    });
    Box::pin(flat.try_flatten().take_until(stop))
}
