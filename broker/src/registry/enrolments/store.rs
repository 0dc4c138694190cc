//! Keeps the events of enrolments: durable first, then in the fold that everyone reads.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use super::{Enrolments, Event, Refused};
use crate::ledger::journal::{Journal, JournalError};

/// Why events cannot be read or added.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A frame of the journal is not an event, or does not follow those before it.
    #[error("enrolment event {position} cannot be read: {problem} (hint: restore enrolments.journal from a copy)")]
    Damaged {
        /// Which, from 0.
        position: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The event cannot be made a frame.
    #[error("cannot encode an enrolment event")]
    Encode(#[from] serde_json::Error),
    /// The event does not follow what is there.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// A handle on the enrolments of one data directory.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    journal: Journal,
    current: ArcSwap<Enrolments>,
    writer: Mutex<()>,
}

impl Store {
    /// Opens or makes the journal and folds what is in it.
    ///
    /// # Errors
    /// The journal is damaged or in use, or an event in it cannot be read.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let (journal, frames) = Journal::open(path)?;
        let current = ArcSwap::from_pointee(fold(&frames)?);
        Ok(Self(Arc::new(Inner { journal, current, writer: Mutex::new(()) })))
    }

    /// Reads the journal at `path` as a start would, and changes nothing.
    ///
    /// # Errors
    /// The journal is damaged, or an event in it cannot be read.
    pub fn check(path: &Path) -> Result<(), StoreError> {
        let mut frames = Vec::new();
        Journal::read(path, |frame| frames.push(frame))?;
        fold(&frames).map(drop)
    }

    /// The enrolments as they stand.
    #[must_use]
    pub fn current(&self) -> Arc<Enrolments> {
        self.0.current.load_full()
    }

    /// Adds an event; when this returns, it is durable and visible. Not to be cancelled midway: see `registry::run_to_end`.
    ///
    /// # Errors
    /// The event does not follow what is there, or the journal has failed.
    pub async fn append(&self, event: Event) -> Result<Arc<Enrolments>, StoreError> {
        let _turn = self.0.writer.lock().await;
        let mut next = Enrolments::clone(&self.0.current.load());
        let frame = serde_json::to_vec(&event)?;
        next.apply(event)?;
        self.0.journal.append(frame).await?;
        let next = Arc::new(next);
        self.0.current.store(Arc::clone(&next));
        Ok(next)
    }

    /// Resolves when the journal has failed.
    pub async fn failed(&self) -> Arc<str> {
        self.0.journal.failed().await
    }
}

fn fold(frames: &[Vec<u8>]) -> Result<Enrolments, StoreError> {
    let mut enrolments = Enrolments::default();
    for (position, frame) in frames.iter().enumerate() {
        let damaged = |problem: String| StoreError::Damaged { position, problem };
        let event = serde_json::from_slice(frame).map_err(|error| damaged(error.to_string()))?;
        enrolments.apply(event).map_err(|error| damaged(error.to_string()))?;
    }
    Ok(enrolments)
}
