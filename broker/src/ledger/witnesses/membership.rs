//! The membership log before its witnesses: an entry is shown once it is in force, and its proofs are made from the hashes of
//! all entries, which are kept here.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use comity_transparency::proof;
use comity_transparency::tile::{NotAtHand, Tiles};
use comity_transparency::tree::leaf_hash;
use comity_types::Digest;
use comity_witness::Proofs;
use tokio::sync::watch;

use super::Witnessed;
use crate::ledger::log::{LogError, Published};
use crate::registry::Registry;

/// Entries that are taken from the registry at once: so many are hashed in milliseconds.
const BATCH_ENTRIES: usize = 256;

/// The federation's statements, as witnesses see them.
#[derive(Debug, Clone)]
pub struct MembershipLog {
    registry: Registry,
    evidence: PathBuf,
    tiles: Arc<Mutex<Tiles>>,
}

impl MembershipLog {
    /// The log of this registry; what accuses it is kept in `evidence`.
    #[must_use]
    pub fn new(registry: Registry, evidence: PathBuf) -> Self {
        Self { registry, evidence, tiles: Arc::default() }
    }

    /// Makes a proof away from the runtime's threads, once all entries are hashed that it is about.
    async fn proof(
        &self,
        new: u64,
        make: impl FnOnce(&Tiles) -> Result<Option<Vec<Digest>>, NotAtHand> + Send + 'static,
    ) -> Option<Vec<Digest>> {
        let log = self.clone();
        let made = tokio::task::spawn_blocking(move || {
            let mut tiles = log.tiles.lock().unwrap_or_else(PoisonError::into_inner);
            log.hash_up_to(new, &mut tiles);
            make(&tiles)
        });
        made.await.ok()?.inspect_err(|_| tracing::error!("witnesses of the membership log get no proof")).ok()?
    }

    fn hash_up_to(&self, size: u64, tiles: &mut Tiles) {
        while tiles.size() < size {
            let batch = self.registry.entries_after(tiles.size(), BATCH_ENTRIES);
            if batch.is_empty() {
                return;
            }
            batch.iter().for_each(|(_, entry)| tiles.push(leaf_hash(entry)));
        }
    }
}

impl Witnessed for MembershipLog {
    const NAME: &'static str = "membership log";
    type Proofs = Self;
    type Change = u64;

    fn shown(&self) -> (Arc<str>, Self) {
        (Arc::clone(&self.registry.snapshot().checkpoint), self.clone())
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.registry.changed()
    }

    /// Nothing to wait for: what is durable is in force, and shown, at once.
    async fn flush(&self) -> Result<(), LogError> {
        Ok(())
    }

    async fn keep(&self, cosigned: Published) -> Result<(), LogError> {
        self.registry.keep_cosigned(cosigned.checkpoint.size, &cosigned.note);
        Ok(())
    }

    fn evidence(&self) -> PathBuf {
        self.evidence.clone()
    }

    fn end(&self, cause: &str) {
        self.registry.end(cause);
    }
}

impl Proofs for MembershipLog {
    async fn consistency(&self, old: u64, new: u64) -> Option<Vec<Digest>> {
        self.proof(new, move |tiles| proof::consistency(tiles, old, new)).await
    }

    async fn prefix(&self, old: u64, new: u64) -> Option<Vec<Digest>> {
        self.proof(new, move |tiles| proof::prefix(tiles, old, new)).await
    }
}
