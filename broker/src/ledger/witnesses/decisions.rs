//! The decision log before its witnesses: its proofs are read from the tiles that are published.

use std::path::PathBuf;
use std::sync::Arc;

use comity_types::Digest;
use comity_witness::Proofs;
use tokio::sync::watch;

use super::Witnessed;
use crate::ledger::log::{DecisionLog, LogError, Published, Reader};

/// Where what accuses the log is kept, in its directory.
const EVIDENCE: &str = "evidence";

impl Witnessed for DecisionLog {
    const NAME: &'static str = "decision log";
    type Proofs = Reader;
    type Change = Published;

    fn shown(&self) -> (Arc<str>, Reader) {
        let reader = self.reader();
        (reader.published().note, reader)
    }

    fn changes(&self) -> watch::Receiver<Published> {
        self.published()
    }

    async fn flush(&self) -> Result<(), LogError> {
        Self::flush(self).await
    }

    async fn keep(&self, cosigned: Published) -> Result<(), LogError> {
        let log = self.clone();
        tokio::task::spawn_blocking(move || log.keep_cosigned(cosigned)).await.unwrap_or(Ok(()))
    }

    fn evidence(&self) -> PathBuf {
        self.dir().join(EVIDENCE)
    }

    fn end(&self, cause: &str) {
        Self::end(self, cause);
    }
}

impl Proofs for Reader {
    async fn consistency(&self, old: u64, new: u64) -> Option<Vec<Digest>> {
        read(self, move |reader| reader.consistency(old, new)).await
    }

    async fn prefix(&self, old: u64, new: u64) -> Option<Vec<Digest>> {
        read(self, move |reader| reader.prefix(old, new)).await
    }
}

/// Reads a proof away from the runtime's threads.
async fn read(
    reader: &Reader,
    proof: impl FnOnce(&Reader) -> Result<Option<Vec<Digest>>, LogError> + Send + 'static,
) -> Option<Vec<Digest>> {
    let reader = reader.clone();
    let read = tokio::task::spawn_blocking(move || proof(&reader)).await.ok()?;
    read.inspect_err(|error| tracing::error!(%error, "witnesses get no proof")).ok()?
}
