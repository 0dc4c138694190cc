//! Follows the decision log with a book of its own, and keeps that on disk now and then: so that a restart has little to read,
//! and what a record said still counts after the record has been erased.
//!
//! The log is the truth, and the file is behind it: whatever it lacks is read from the log.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use comity_runtime::chain;
use comity_types::Timestamp;
use tokio_util::sync::CancellationToken;

use super::accounts::Accounts;
use super::definition::Budgets;
use super::fold::{Fold, FoldError};
use super::snapshot;
use crate::ledger::log::{DecisionLog, LogError, Reader};

/// How often the book is kept: what a start reads of the log is no more than a minute's.
const EVERY: Duration = Duration::from_secs(60);

/// Why it is not known, or not kept, what was spent.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The log does not say.
    #[error("it is not known what budgets have left")]
    Fold(#[from] FoldError),
    /// The log takes no more.
    #[error(transparent)]
    Log(#[from] LogError),
    /// It cannot be kept.
    #[error("cannot write {}, where it is kept what was spent of budgets", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The broker is stopping.
    #[error("the broker is stopping")]
    Stopping,
}

/// Keeps what was spent. Clones are the same.
#[derive(Debug, Clone)]
pub struct Keeper {
    log: DecisionLog,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug)]
struct Kept {
    path: PathBuf,
    fold: Fold,
    /// How many leaves the file knows of.
    written: Option<u64>,
}

impl Keeper {
    /// Takes up what was spent, from the file and from the log behind it. Every decision of the log has its end by then.
    ///
    /// # Errors
    /// It is not known.
    pub async fn open(
        path: PathBuf,
        log: DecisionLog,
        budgets: Arc<Budgets>,
        now: Timestamp,
    ) -> Result<(Self, Accounts), KeeperError> {
        log.flush().await?;
        let reader = log.reader();
        let opened = move || Kept::open(path, &budgets, &reader, now);
        let kept = tokio::task::spawn_blocking(opened).await.map_err(|_| KeeperError::Stopping)??;
        let accounts = Accounts::new(kept.fold.book().clone());
        Ok((Self { log, kept: Arc::new(Mutex::new(kept)) }, accounts))
    }

    /// Keeps all that the log says by now.
    ///
    /// # Errors
    /// The log cannot be read, or the file not be written.
    pub async fn keep(&self) -> Result<(), KeeperError> {
        self.log.flush().await?;
        let (reader, kept) = (self.log.reader(), Arc::clone(&self.kept));
        let keep = move || kept.lock().unwrap_or_else(PoisonError::into_inner).keep(&reader);
        tokio::task::spawn_blocking(keep).await.map_err(|_| KeeperError::Stopping)?
    }

    /// Keeps it every minute, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
            if let Err(error) = self.keep().await {
                // The log has what this lacks; an erasure, which would take it away, is refused for as long.
                tracing::error!(error = chain::text(&error), "what was spent of budgets could not be kept");
            }
        }
    }

    /// What the log says, for tests that hold the live accounts against it.
    #[cfg(test)]
    pub(crate) fn book(&self) -> super::book::Book {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).fold.book().clone()
    }
}

impl Kept {
    fn open(path: PathBuf, budgets: &Arc<Budgets>, reader: &Reader, now: Timestamp) -> Result<Self, KeeperError> {
        let mut fold = Fold::new(budgets, now);
        let known = match snapshot::read(&path, &mut fold, reader.published().checkpoint.size) {
            Ok(known) => known,
            Err(error) => {
                let error = chain::text(&error);
                tracing::warn!(path = %path.display(), error, "what was spent of budgets is read from the decision log anew");
                None
            }
        };
        fold.begin(reader, known)?;
        let mut kept = Self { path, fold, written: None };
        kept.keep(reader)?;
        tracing::info!(leaves = kept.fold.leaves(), "budgets are counted");
        Ok(kept)
    }

    fn keep(&mut self, reader: &Reader) -> Result<(), KeeperError> {
        self.fold.follow(reader)?;
        if self.written == Some(self.fold.leaves()) {
            return Ok(());
        }
        let failed = |source| KeeperError::Write { path: self.path.clone(), source };
        snapshot::write(&self.path, &self.fold).map_err(failed)?;
        self.written = Some(self.fold.leaves());
        Ok(())
    }
}
