//! A proof that something is in a log, for whoever is offline: C2SP tlog-proof, verbatim.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra <base64>              what nobody signed; may be left out
//! index <number>
//! <hash>                      from the leaf's sibling to the root's child
//!
//! <checkpoint with its signatures>
//! ```

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_types::Digest;

use crate::checkpoint::{CheckpointError, CheckpointNote, decimal, hash, hash_text};
use crate::note::MAX_NOTE_BYTES;
use crate::policy::{JudgeError, NotWitnessed, Policy, Witnessed};
use crate::proof::{MAX_PROOF_HASHES, ProofError, verify_inclusion};
use crate::verifier::Verifier;

/// The first line.
const HEADER: &str = "c2sp.org/tlog-proof@v1\n";
/// Most bytes that stand beside a proof: an entry of 65,535 bytes and as much again to read it by.
pub const MAX_EXTRA_BYTES: usize = 128 * 1024;
/// Longest proof, in bytes: what stands beside it in base64, 63 hashes, a checkpoint, and the words between.
pub const MAX_TLOG_PROOF_BYTES: usize = MAX_EXTRA_BYTES.div_ceil(3) * 4 + MAX_NOTE_BYTES + 4096;

/// A leaf's place in a log, and the way from it to a checkpoint. As text: the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// Nobody signed this; what is made of it has to lead to the leaf that is verified.
    extra: Option<Vec<u8>>,
    index: u64,
    path: Vec<Digest>,
    checkpoint: CheckpointNote,
}

/// Why a text is no proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlogProofError {
    /// Longer than [`MAX_TLOG_PROOF_BYTES`], or what stands beside it than [`MAX_EXTRA_BYTES`].
    #[error("a proof has at most {MAX_TLOG_PROOF_BYTES} bytes, {MAX_EXTRA_BYTES} of them beside it")]
    TooLong,
    /// Another first line.
    #[error("the first line of a proof is c2sp.org/tlog-proof@v1")]
    Header,
    /// Not base64, or nothing.
    #[error("the line `extra` of the proof holds base64, and is left out where there is nothing")]
    Extra,
    /// No index.
    #[error("the proof has a line `index` and a number, without zeros before it")]
    Index,
    /// Not a hash.
    #[error("hash {0} of the proof is not 32 bytes in base64")]
    Hash(usize),
    /// Too many.
    #[error("the proof has more than {MAX_PROOF_HASHES} hashes")]
    Hashes,
    /// No empty line.
    #[error("the proof has no empty line before its checkpoint")]
    NoCheckpoint,
    /// No checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// Why a proof does not show that a leaf is in a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unproven {
    /// The checkpoint counts for nothing.
    #[error(transparent)]
    Judge(#[from] JudgeError),
    /// Too few witnesses.
    #[error(transparent)]
    NotWitnessed(#[from] NotWitnessed),
    /// The leaf is another, or elsewhere.
    #[error("the leaf is not in the log at that index")]
    Inclusion(#[from] ProofError),
}

impl TlogProof {
    /// Puts a proof together.
    ///
    /// # Errors
    /// `extra` is empty or above [`MAX_EXTRA_BYTES`], or there are more than 63 hashes.
    pub fn new(
        extra: Option<Vec<u8>>,
        index: u64,
        path: Vec<Digest>,
        checkpoint: CheckpointNote,
    ) -> Result<Self, TlogProofError> {
        match extra.as_ref().map_or(1, Vec::len) {
            0 => return Err(TlogProofError::Extra),
            1..=MAX_EXTRA_BYTES => {}
            _ => return Err(TlogProofError::TooLong),
        }
        if path.len() > MAX_PROOF_HASHES {
            return Err(TlogProofError::Hashes);
        }
        Ok(Self { extra, index, path, checkpoint })
    }

    /// What stands beside the proof: whatever anybody wrote there.
    #[must_use]
    pub fn extra(&self) -> Option<&[u8]> {
        self.extra.as_deref()
    }

    /// Which leaf, from 0.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// From the leaf's sibling up.
    #[must_use]
    pub fn path(&self) -> &[Digest] {
        &self.path
    }

    /// The checkpoint, of which nothing has been verified.
    #[must_use]
    pub const fn checkpoint(&self) -> &CheckpointNote {
        &self.checkpoint
    }

    /// Shows that the leaf with this hash is in a log of the policy, at a checkpoint that enough witnesses cosigned
    /// (tlog-proof, "Verifying a tlog proof").
    ///
    /// # Errors
    /// The checkpoint does not count, too few witnesses cosigned it, or the leaf is not there.
    pub fn verify(&self, leaf: Digest, policy: &Policy) -> Result<Witnessed, Unproven> {
        let logs: Vec<_> = policy.logs().iter().map(|log| log.key.clone()).collect();
        self.verify_of(leaf, &logs, policy)
    }

    /// [`verify`](Self::verify) in a log that the caller knows, in place of the policy's.
    ///
    /// # Errors
    /// The same.
    pub fn verify_of(&self, leaf: Digest, logs: &[Verifier], policy: &Policy) -> Result<Witnessed, Unproven> {
        let witnessed = policy.judge_of(logs, &self.checkpoint)?.witnessed()?;
        let checkpoint = witnessed.checkpoint();
        verify_inclusion(self.index, checkpoint.size, leaf, &self.path, checkpoint.root)?;
        Ok(witnessed)
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEADER)?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", hash_text(hash)))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for TlogProof {
    type Err = TlogProofError;

    fn from_str(text: &str) -> Result<Self, TlogProofError> {
        if text.len() > MAX_TLOG_PROOF_BYTES {
            return Err(TlogProofError::TooLong);
        }
        let rest = text.strip_prefix(HEADER).ok_or(TlogProofError::Header)?;
        let (head, checkpoint) = rest.split_once("\n\n").ok_or(TlogProofError::NoCheckpoint)?;
        let mut lines = head.split('\n').peekable();
        let extra = lines.next_if(|line| line.starts_with("extra")).map(extra).transpose()?;
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(decimal);
        let index = index.ok_or(TlogProofError::Index)?;
        Self::new(extra, index, hashes(lines)?, CheckpointNote::parse(checkpoint)?)
    }
}

fn extra(line: &str) -> Result<Vec<u8>, TlogProofError> {
    let encoded = line.strip_prefix("extra ").ok_or(TlogProofError::Extra)?;
    STANDARD.decode(encoded).map_err(|_| TlogProofError::Extra)
}

/// At most 63 hashes, a line each.
fn hashes<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Vec<Digest>, TlogProofError> {
    let mut path = Vec::new();
    for (place, line) in lines.enumerate() {
        if place >= MAX_PROOF_HASHES {
            return Err(TlogProofError::Hashes);
        }
        path.push(hash(line).ok_or(TlogProofError::Hash(place + 1))?);
    }
    Ok(path)
}
