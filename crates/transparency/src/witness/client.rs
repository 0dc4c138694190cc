//! The log's side: what it makes of a witness's answer.

use crate::checkpoint::{CheckpointNote, decimal};
use crate::note::{NoteError, SignatureLine};
use crate::verifier::{Kind, Verifier};

/// A witness whose cosignature was taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosignedBy {
    /// Its key.
    pub key: Verifier,
    /// When, in seconds since 1970: at least 1.
    pub time: u64,
}

/// Why nothing of an answer is taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// Not lines of signatures, or too much.
    #[error("the witness's answer is no lines of signatures")]
    Malformed(#[from] NoteError),
    /// A wrong signature.
    #[error("the witness {0} answered with a forged signature")]
    Forged(String),
    /// A witness says when (tlog-witness: the timestamp must not be zero).
    #[error("the witness {0} cosigned without a time")]
    Untimed(String),
    /// No witness that is known.
    #[error("no witness that is known cosigned")]
    Nobody,
}

/// Takes over the cosignatures of known witnesses from the body of a 200; those of strangers are left out.
///
/// # Errors
/// The body is something else, or one of the signatures is wrong: then the note is as it was.
pub fn merge(note: &mut CheckpointNote, body: &str, witnesses: &[Verifier]) -> Result<Vec<CosignedBy>, ResponseError> {
    let (mut merged, mut cosigned) = (note.clone(), Vec::new());
    for line in SignatureLine::parse_all(body)? {
        let known = witnesses.iter().find(|key| key.kind() != Kind::Note && key.names(&line));
        let Some(key) = known else { continue };
        let name = || key.name().to_owned();
        let signed = key.verify(note, &line).map_err(|_| ResponseError::Forged(name()))?;
        let time = signed.time.ok_or_else(|| ResponseError::Untimed(name()))?;
        merged.append(line)?;
        cosigned.push(CosignedBy { key: key.clone(), time });
    }
    if cosigned.is_empty() {
        return Err(ResponseError::Nobody);
    }
    *note = merged;
    Ok(cosigned)
}

/// The size that the body of a 409 names: what the next request starts from.
#[must_use]
pub fn conflict_size(body: &str) -> Option<u64> {
    body.strip_suffix('\n').and_then(decimal)
}
