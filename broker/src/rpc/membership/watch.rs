//! The log for whoever follows it: what is there, then each new entry, with a checkpoint whenever all was sent. Holds no
//! queue of its own: a slow reader reads later from the registry itself.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use comity_proto::membership::WatchResponse;
use futures::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use tonic::Status;

use crate::registry::Registry;

/// Entries that are taken from the registry at once.
const BATCH_ENTRIES: usize = 64;
/// How long nothing is sent at most: whoever hears nothing for some of these knows that it may be behind.
pub(super) const CHECKPOINT_EVERY: Duration = Duration::from_secs(5);

/// What `Watch` streams.
pub(super) type Entries = Pin<Box<dyn Stream<Item = Result<WatchResponse, Status>> + Send>>;

/// Where a reader is.
struct Reader {
    registry: Registry,
    after: u64,
    /// It has the checkpoint of `after`.
    told: bool,
}

/// Every entry after `after`, until `stop` ends: its reader then reconnects. The edge ends it where the reader takes part no
/// longer.
pub(super) fn entries(registry: Registry, after: u64, stop: impl Future<Output = ()> + Send + 'static) -> Entries {
    let reader = Reader { registry, after, told: false };
    let batches = stream::try_unfold(reader, |reader| async move {
        let Some((batch, reader)) = reader.next().await? else { return Ok::<_, Status>(None) };
        Ok(Some((stream::iter(batch.into_iter().map(Ok)), reader)))
    });
    Box::pin(batches.try_flatten().take_until(stop))
}

impl Reader {
    /// What comes next; nothing when the registry is gone.
    async fn next(mut self) -> Result<Option<(Vec<WatchResponse>, Self)>, Status> {
        let mut changed = self.registry.changed();
        if self.told {
            let more = changed.wait_for(|epoch| *epoch > self.after);
            if let Ok(Err(_)) = tokio::time::timeout(CHECKPOINT_EVERY, more).await {
                return Ok(None);
            }
        }
        let snapshot = self.registry.snapshot();
        let mut batch: Vec<_> = self.registry.entries_after(self.after, BATCH_ENTRIES).into_iter().map(entry).collect();
        self.after = batch.last().map_or(self.after, |last| last.epoch);
        let epoch = snapshot.federation().epoch();
        // Who knows more than this broker, as after its data were restored, waits like everybody else.
        self.told = self.after >= epoch;
        if self.told {
            batch.push(WatchResponse { epoch, entry: Bytes::new(), checkpoint: snapshot.shown().to_owned() });
        }
        Ok(Some((batch, self)))
    }
}

fn entry((epoch, entry): (u64, std::sync::Arc<[u8]>)) -> WatchResponse {
    WatchResponse { epoch, entry: Bytes::from_owner(entry), checkpoint: String::new() }
}
