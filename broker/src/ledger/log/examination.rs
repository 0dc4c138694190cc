//! Everything that is full, read again while the broker runs, from its start on and then once a day: a start looks at the
//! right edge alone, and what nobody reads would be found damaged by whoever needs it.
//!
//! It is slow on purpose: one file at a time, of which most are in no cache, and nobody waits for it.

use std::sync::Arc;
use std::time::Duration;

use comity_runtime::chain;
use comity_transparency::tile::{Resource, WIDTH};
use comity_types::{Clock, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{DecisionLog, LogError};

/// The time from one file to the next: 50 files of some 8 to 30 KiB a second, which no disk feels; a million leaves in three
/// minutes, a hundred million in some four hours.
const PACE: Duration = Duration::from_millis(20);
/// The time from the end of one pass to the next.
const REST: Duration = Duration::from_secs(24 * 3600);
/// How often it says how far it is.
const TELLS: Duration = Duration::from_secs(600);

impl DecisionLog {
    /// Reads everything that is full again and again, until `stop`, or until something is damaged: that ends the log.
    pub async fn examine(self, clock: Arc<dyn Clock>, stop: CancellationToken) {
        let passes = async {
            // Who starts a broker on an old disk knows by this what has been looked at, and what has not yet.
            tracing::info!(
                leaves = self.reader().published().checkpoint.size,
                "the decision log holds at its right edge and in what was written ahead; all that is older is read again now"
            );
            loop {
                match self.examine_once(PACE).await {
                    Ok(files) => {
                        self.0.examined.send_replace(Some(clock.now()));
                        tracing::info!(files, "the decision log was read again: all full tiles and bundles hold");
                    }
                    // Whoever waits for the log's failure says it.
                    Err(LogError::Damaged { .. } | LogError::Failed { .. }) => return,
                    Err(error) => {
                        tracing::warn!(
                            error = chain::text(&error),
                            "the decision log could not be read again to its end"
                        );
                    }
                }
                tokio::time::sleep(REST).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = passes => {}
        }
    }

    /// One pass over all full tiles and bundles of what is published. Returns how many files that were.
    ///
    /// # Errors
    /// One is damaged, by which the log has ended; or it cannot be read.
    pub(super) async fn examine_once(&self, pace: Duration) -> Result<u64, LogError> {
        let size = self.reader().published().checkpoint.size;
        let (mut files, mut told) = (0, Instant::now());
        for resource in Resource::all(size).filter(is_full) {
            let reader = self.reader();
            let held = tokio::task::spawn_blocking(move || reader.examine(resource)).await;
            // A task that was cancelled, since the runtime ends.
            held.map_err(|_| self.0.failure.error())??;
            files += 1;
            if told.elapsed() >= TELLS {
                told = Instant::now();
                tracing::info!(files, at = %resource, leaves = size, "the decision log is being read again");
            }
            tokio::time::sleep(pace).await;
        }
        Ok(files)
    }

    /// When everything was last read again to its end, since the start.
    #[must_use]
    pub fn examined(&self) -> Option<Timestamp> {
        *self.0.examined.borrow()
    }
}

fn is_full(resource: &Resource) -> bool {
    match resource {
        Resource::Tile { width, .. } | Resource::Entries { width, .. } => u64::from(*width) == WIDTH,
        Resource::Checkpoint => false,
    }
}
