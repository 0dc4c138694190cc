//! Follows the registry: what is there, then each new entry. Holds no queue of its own: a slow
//! reader reads later from the registry itself.

use std::pin::Pin;

use comity_membership::Standing;
use comity_proto::membership::WatchResponse;
use comity_types::SpiffeId;
use futures::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use tonic::{Code, Status};

use crate::registry::Registry;
use crate::rpc::failure;

/// Entries that are taken from the registry at once.
const BATCH_ENTRIES: usize = 64;

/// What `Watch` streams.
pub(super) type Entries = Pin<Box<dyn Stream<Item = Result<WatchResponse, Status>> + Send>>;

/// Every entry after `after`, for as long as `caller` takes part.
pub(super) fn entries(registry: Registry, caller: SpiffeId, after: u64) -> Entries {
    let batches = stream::try_unfold((registry, caller, after), |(registry, caller, after)| async move {
        let mut changed = registry.changed();
        // The broker ends the stream by ending the registry.
        let Ok(_) = changed.wait_for(|epoch| *epoch > after).await.map(|epoch| *epoch) else { return Ok(None) };
        if registry.snapshot().federation.standing(&caller) != Standing::Active {
            return Err(failure(Code::PermissionDenied, "MEMBER_SUSPENDED", format!("{caller} no longer takes part"), vec![]));
        }
        let batch = registry.entries_after(after, BATCH_ENTRIES);
        let last = batch.last().map_or(after, |(epoch, _)| *epoch);
        Ok(Some((batch, (registry, caller, last))))
    });
    let flat = batches.map_ok(|batch| stream::iter(batch).map(|(epoch, entry)| Ok(WatchResponse { epoch, entry: entry.to_vec() })));
    Box::pin(flat.try_flatten())
}
