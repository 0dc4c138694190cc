//! The way to a cosignature: stored, then signed. The fields are the witness's; nothing outside of it makes one.

use super::Known;
use crate::checkpoint::{Checkpoint, CheckpointNote};
use crate::cosignature::CosigningKey;
use crate::key::SigningError;

/// A checkpoint that continues what is stored. Until it is stored or dropped, nothing else is judged.
#[derive(Debug)]
#[must_use = "nothing is signed before it is stored"]
pub struct Advance<'w> {
    pub(super) log: &'w mut Known,
    pub(super) keys: &'w [CosigningKey],
    pub(super) note: CheckpointNote,
}

impl<'w> Advance<'w> {
    /// The checkpoint.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        self.note.checkpoint()
    }

    /// Stores it: `store` takes the origin and the note, and returns when both would survive the machine's end. If it
    /// fails, nothing changes and nothing can be signed.
    ///
    /// # Errors
    /// What `store` returns.
    pub fn persist<E>(self, store: impl FnOnce(&str, &str) -> Result<(), E>) -> Result<Persisted<'w>, E> {
        let Self { log, keys, note } = self;
        store(&note.checkpoint().origin, &note.to_string())?;
        log.latest = Some(note.clone());
        Ok(Persisted { log, keys, note })
    }
}

/// A checkpoint that is stored, and so may be signed.
#[derive(Debug)]
#[must_use = "whoever asked waits for the cosignatures"]
pub struct Persisted<'w> {
    pub(super) log: &'w mut Known,
    pub(super) keys: &'w [CosigningKey],
    pub(super) note: CheckpointNote,
}

impl Persisted<'_> {
    /// The checkpoint.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        self.note.checkpoint()
    }

    /// Cosigns it by every key of the witness, `time` seconds after 1970 began, and publishes it so: the lines are the
    /// response's body, with status 200.
    ///
    /// # Errors
    /// The time is none, or the cryptographic library failed.
    pub fn sign(self, time: u64) -> Result<String, SigningError> {
        let Self { log, keys, mut note } = self;
        let mut body = String::new();
        for key in keys {
            let line = key.cosign(&note, time)?;
            body.push_str(&format!("{line}\n"));
            note.append(line).map_err(|_| SigningError::Unusable)?;
        }
        log.published = Some(note);
        Ok(body)
    }
}
