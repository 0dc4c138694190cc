//! What a witness of logs answers: C2SP tlog-witness, verbatim, without the HTTP around it.
//!
//! ```text
//! body ─▶ judge ─▶ Refused (status, body, evidence)
//!            └────▶ Advance ──stored──▶ Persisted ──sign──▶ lines of cosignatures
//! ```
//!
//! A witness never signs two checkpoints of a log that contradict each other, whatever it is asked in whatever order
//! and wherever it stops. Two things see to it, and types hold both: an [`Advance`] has the witness to itself until it is
//! stored or dropped, so that nothing is judged by what is about to change; and only what [was stored](Advance::persist)
//! can be signed.

mod advance;
mod client;
mod evidence;
mod request;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::BTreeMap;

use comity_types::Digest;

use crate::checkpoint::{Checkpoint, CheckpointError, CheckpointNote};
use crate::cosignature::CosigningKey;
use crate::key::SigningError;
use crate::note::{MAX_NAME_BYTES, NoteError};
use crate::proof::verify_consistency;
use crate::verifier::Verifier;

pub use advance::{Advance, Persisted};
pub use client::{CosignedBy, ResponseError, conflict_size, merge};
pub use evidence::{EVIDENCE_HEADER, Evidence, EvidenceError, Finding, MAX_EVIDENCE_BYTES};
pub use request::{AddCheckpoint, MAX_REQUEST_BYTES};
pub use verdict::{Refusal, Refused, Verdict};

/// A witness: its keys, and of every log that it knows the latest checkpoint.
#[derive(Debug)]
pub struct Witness {
    keys: Vec<CosigningKey>,
    logs: BTreeMap<String, Known>,
}

/// A log that the witness knows.
#[derive(Debug)]
struct Known {
    keys: Vec<Verifier>,
    /// What was stored, with the log's signatures alone.
    latest: Option<CheckpointNote>,
    /// What monitors get: the same or an earlier one, with the witness's own cosignatures.
    published: Option<CheckpointNote>,
}

/// Why a log is not taken up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// It is known.
    #[error("the witness knows the log {0:?} already")]
    Known(String),
    /// It is not known.
    #[error("the witness does not know the log {0:?}")]
    Unknown(String),
    /// Not an origin that a cosignature can commit to.
    #[error("an origin has from 1 to {MAX_NAME_BYTES} bytes, on one line")]
    Origin,
    /// No key of the log.
    #[error("a log has at least one key")]
    NoKey,
    /// The log is the witness's own.
    #[error("no witness vouches for its own log")]
    Own,
    /// What was stored is not what the log signed: nothing may be signed until somebody has looked into it.
    #[error(
        "what is stored of the log is not what it signed (hint: bring back the file, or the witness may contradict itself)"
    )]
    Stored(#[source] CheckpointError),
}

impl Witness {
    /// A witness that cosigns with these keys: at least one, and no two of one log.
    ///
    /// # Errors
    /// There is no key.
    pub fn new(keys: Vec<CosigningKey>) -> Result<Self, SigningError> {
        if keys.is_empty() { Err(SigningError::Unusable) } else { Ok(Self { keys, logs: BTreeMap::new() }) }
    }

    /// Who verifies its cosignatures.
    pub fn verifiers(&self) -> impl Iterator<Item = &Verifier> {
        self.keys.iter().map(CosigningKey::verifier)
    }

    /// Takes up a log: its keys, any of which is its word, and the note that was stored of it last. Whoever passes
    /// nothing in place of what was stored makes the witness contradict itself.
    ///
    /// # Errors
    /// The log is known or the witness's own, or what was stored is not what it signed.
    pub fn add_log(&mut self, origin: &str, keys: Vec<Verifier>, stored: Option<&str>) -> Result<(), LogError> {
        if self.logs.contains_key(origin) {
            return Err(LogError::Known(origin.to_owned()));
        }
        if origin.is_empty() || origin.len() > MAX_NAME_BYTES || origin.contains(|c: char| c < ' ') {
            return Err(LogError::Origin);
        }
        self.check_keys(&keys)?;
        let latest = stored.map(|note| restored(origin, &keys, note)).transpose().map_err(LogError::Stored)?;
        self.logs.insert(origin.to_owned(), Known { keys, latest, published: None });
        Ok(())
    }

    /// Changes the keys of a log. What it signed with the old ones still binds it; whoever takes the log up again before
    /// it signed anything with the new ones has to [pass](Self::add_log) the old ones too.
    ///
    /// # Errors
    /// The log is not known, or the keys are none or the witness's own.
    pub fn rekey_log(&mut self, origin: &str, keys: Vec<Verifier>) -> Result<(), LogError> {
        self.check_keys(&keys)?;
        let log = self.logs.get_mut(origin).ok_or_else(|| LogError::Unknown(origin.to_owned()))?;
        log.keys = keys;
        Ok(())
    }

    fn check_keys(&self, keys: &[Verifier]) -> Result<(), LogError> {
        if keys.is_empty() {
            return Err(LogError::NoKey);
        }
        let own = self.verifiers().any(|own| keys.iter().any(|key| key.is_same_key(own) || key.name() == own.name()));
        if own { Err(LogError::Own) } else { Ok(()) }
    }

    /// The latest checkpoint of a log that was stored.
    #[must_use]
    pub fn latest(&self, origin: &str) -> Option<&Checkpoint> {
        self.logs.get(origin)?.latest.as_ref().map(CheckpointNote::checkpoint)
    }

    /// Answers `add-checkpoint`, by its body.
    pub fn receive(&mut self, body: &[u8]) -> Verdict<'_> {
        match AddCheckpoint::parse(body) {
            Ok(request) => self.judge(&request),
            Err(refusal) => Verdict::Refused(Box::new(Refused { refusal, evidence: None })),
        }
    }

    /// Answers `add-checkpoint` (tlog-witness, "add-checkpoint", in the order of its text).
    pub fn judge(&mut self, request: &AddCheckpoint) -> Verdict<'_> {
        let Self { keys, logs } = self;
        let refused = |refusal, evidence| Verdict::Refused(Box::new(Refused { refusal, evidence }));
        let Some(log) = logs.get_mut(&request.note().checkpoint().origin) else {
            return refused(Refusal::UnknownOrigin, None);
        };
        if let Err(refusal) = log.verify(request.note()) {
            return refused(refusal, None);
        }
        let note = request.note().with_lines_of(&log.keys);
        if let Err(refusal) = log.consistent(request) {
            let evidence = Evidence::of(&refusal, log.latest.as_ref(), note, request.path());
            return refused(refusal, evidence);
        }
        Verdict::Advance(Advance { log, keys, note })
    }

    /// The checkpoints that are stored and not published, since the witness stopped between the two: to be signed again.
    pub fn unpublished(&mut self) -> impl Iterator<Item = Persisted<'_>> {
        let Self { keys, logs } = self;
        let open = logs.values_mut().filter(|log| log.published.is_none());
        open.filter_map(|log| Some(Persisted { note: log.latest.clone()?, log, keys }))
    }

    /// What monitors get at `<monitoring prefix>/<path>`: the latest checkpoint that was cosigned, with the log's
    /// signatures and the witness's own (tlog-witness, "Monitor Retrieval Mechanism"). Nothing is 404.
    #[must_use]
    pub fn published(&self, path: &str) -> Option<String> {
        let (_, log) = self.logs.iter().find(|(origin, _)| monitoring_path(origin) == path)?;
        log.published.as_ref().map(CheckpointNote::to_string)
    }
}

/// Where monitors find a log's checkpoint below a witness's monitoring prefix.
#[must_use]
pub fn monitoring_path(origin: &str) -> String {
    format!("{}/checkpoint", Digest::of(origin.as_bytes()))
}

/// A stored checkpoint, verified anew: a file can be damaged or be another log's.
fn restored(origin: &str, keys: &[Verifier], note: &str) -> Result<CheckpointNote, CheckpointError> {
    let note = CheckpointNote::parse(note)?;
    if note.checkpoint().origin != origin {
        let found = note.checkpoint().origin.clone();
        return Err(CheckpointError::OtherOrigin { expected: origin.to_owned(), found });
    }
    if !is_signed(&note, keys)? {
        return Err(NoteError::Unsigned.into());
    }
    Ok(note.with_lines_of(keys))
}

/// Whether any of the keys signed; none of them may be forged.
fn is_signed(note: &CheckpointNote, keys: &[Verifier]) -> Result<bool, NoteError> {
    keys.iter().try_fold(false, |signed, key| Ok(note.signed_by(key)?.is_some() || signed))
}

impl Known {
    fn verify(&self, note: &CheckpointNote) -> Result<(), Refusal> {
        match is_signed(note, &self.keys) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refusal::NotSigned),
            Err(_) => Err(Refusal::Forged),
        }
    }

    /// Whether the checkpoint continues what is stored.
    fn consistent(&self, request: &AddCheckpoint) -> Result<(), Refusal> {
        let (new, old) = (request.note().checkpoint(), request.old());
        if old > new.size {
            return Err(Refusal::OldAboveNew);
        }
        let empty = Digest::of(b"");
        let latest = self.latest.as_ref().map(CheckpointNote::checkpoint);
        let (size, root) = latest.map_or((0, empty), |latest| (latest.size, latest.root));
        if old != size {
            return Err(Refusal::Conflict { size });
        }
        if new.size == 0 && new.root != empty {
            return Err(Refusal::EmptyRoot);
        }
        Ok(verify_consistency(old, new.size, root, new.root, request.path())?)
    }
}
