//! What a log signed against itself, so that a stranger can see it with the log's public keys alone.
//!
//! ```text
//! comity/log-evidence@v1
//! known <bytes>           a checkpoint that was seen first, or 0
//! <signed note>
//! claimed <bytes>         a checkpoint that was seen then
//! <signed note>
//! path <number>           the consistency proof between the two that came with it
//! <hash>
//! ```
//!
//! Where the sizes differ, a path from the shorter tree's last complete subtree up to the longer one's root shows what that
//! one begins with: if it is another tree, the two are of two logs ([`prefix_root`]). Nothing stands behind the last hash. The notes are verbatim, with the log's signatures.

use std::fmt;
use std::str::FromStr;

use comity_types::Digest;

use super::verdict::Refusal;
use crate::checkpoint::{Checkpoint, CheckpointError, CheckpointNote, decimal, hash, hash_text};
use crate::note::{MAX_NOTE_BYTES, NoteError};
use crate::proof::{MAX_PROOF_HASHES, prefix_root, verify_consistency};
use crate::verifier::Verifier;

/// The first line, with its end.
pub const EVIDENCE_HEADER: &str = "comity/log-evidence@v1\n";
/// Longest evidence, in bytes: two notes, 63 hashes, and the words between.
pub const MAX_EVIDENCE_BYTES: usize = 2 * MAX_NOTE_BYTES + 4096;

/// One or two checkpoints of a log that should not be. As text: the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    known: Option<CheckpointNote>,
    claimed: CheckpointNote,
    path: Vec<Digest>,
}

/// What evidence shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// Two roots at one size, or a longer tree that is shown to begin with another than the shorter one: the log
    /// contradicts itself, and nothing can explain it.
    Fork,
    /// A root of no leaves that is not the one root of no leaves: nothing can explain that either.
    Impossible,
    /// The log signed fewer leaves at a later time than more of them: a log only grows.
    Rollback,
    /// The log signed both, and the proof does not connect them. Anybody can send a wrong proof: the log owes the right
    /// one, and if there is none, it forked.
    Unconnected,
}

/// Why evidence shows nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// Not a file of evidence.
    #[error("not evidence against a log: {0} is missing or wrong")]
    Malformed(&'static str),
    /// Not a checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The log did not sign it.
    #[error("a checkpoint of the evidence is not signed by the log")]
    NotSigned,
    /// Two logs.
    #[error("the checkpoints are of two logs")]
    TwoLogs,
    /// All is well.
    #[error("the checkpoints do not contradict each other")]
    Consistent,
}

impl Evidence {
    /// That one checkpoint was seen, and then the other. The path is what shows that they do not go together, where
    /// something does: [`prefix`](crate::proof::prefix) of the shorter tree in the longer one.
    #[must_use]
    pub const fn between(known: CheckpointNote, claimed: CheckpointNote, path: Vec<Digest>) -> Self {
        Self { known: Some(known), claimed, path }
    }

    /// The checkpoint that was seen first, and the one that was seen then.
    #[must_use]
    pub fn checkpoints(&self) -> (Option<&Checkpoint>, &Checkpoint) {
        (self.known.as_ref().map(CheckpointNote::checkpoint), self.claimed.checkpoint())
    }

    /// What a checkpoint that the log signed and the witness refuses is evidence of, next to the one that is known.
    pub(super) fn of(
        refusal: &Refusal,
        known: Option<&CheckpointNote>,
        claimed: CheckpointNote,
        path: &[Digest],
    ) -> Option<Self> {
        // Every tree begins with the empty one: it proves nothing about another.
        let known = known.filter(|known| known.checkpoint().size != 0 && claimed.checkpoint().size != 0).cloned();
        let evidence = Self { known, claimed, path: path.to_vec() };
        // A client that only guesses at what the witness has sends a proof from elsewhere, which says nothing.
        let asked = matches!(refusal, Refusal::Inconsistent(_));
        let counts = |finding| finding != Finding::Unconnected || asked;
        evidence.finding().is_ok_and(counts).then_some(evidence)
    }

    /// The log that it is against.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.claimed.checkpoint().origin
    }

    /// Verifies it with the log's keys.
    ///
    /// # Errors
    /// The log did not sign it, or there is nothing wrong.
    pub fn check(&self, log: &[Verifier]) -> Result<Finding, EvidenceError> {
        for note in self.known.iter().chain([&self.claimed]) {
            // Whoever signs may add what is no signature, by its other key, so that nobody believes the one that is.
            if !log.iter().any(|key| note.signed_by(key).is_ok_and(|signed| signed.is_some())) {
                return Err(EvidenceError::NotSigned);
            }
        }
        let finding = self.finding()?;
        let shrank = self.known.as_ref().is_some_and(|known| {
            let latest = |note: &CheckpointNote| log.iter().filter_map(|key| note.signed_by(key).ok()??.time).max();
            let later = matches!((latest(known), latest(&self.claimed)), (Some(before), Some(then)) if then > before);
            later && self.claimed.checkpoint().size < known.checkpoint().size
        });
        Ok(if finding == Finding::Unconnected && shrank { Finding::Rollback } else { finding })
    }

    fn finding(&self) -> Result<Finding, EvidenceError> {
        let empty = Digest::of(b"");
        let claimed = self.claimed.checkpoint();
        if claimed.size == 0 && claimed.root != empty {
            return Ok(Finding::Impossible);
        }
        let known = self.known.as_ref().ok_or(EvidenceError::Consistent)?.checkpoint();
        if known.origin != claimed.origin {
            return Err(EvidenceError::TwoLogs);
        }
        if known.size == claimed.size {
            return if known.root == claimed.root { Err(EvidenceError::Consistent) } else { Ok(Finding::Fork) };
        }
        let (old, new) = if known.size < claimed.size { (known, claimed) } else { (claimed, known) };
        match verify_consistency(old.size, new.size, old.root, new.root, &self.path) {
            Ok(()) => Err(EvidenceError::Consistent),
            Err(_) => match prefix_root(old.size, new.size, new.root, &self.path) {
                Some(begins) if begins == old.root => Err(EvidenceError::Consistent),
                Some(_) => Ok(Finding::Fork),
                None => Ok(Finding::Unconnected),
            },
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known.as_ref().map(CheckpointNote::to_string).unwrap_or_default();
        let claimed = self.claimed.to_string();
        write!(
            f,
            "{EVIDENCE_HEADER}known {}\n{known}claimed {}\n{claimed}path {}\n",
            known.len(),
            claimed.len(),
            self.path.len()
        )?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", hash_text(hash)))
    }
}

impl FromStr for Evidence {
    type Err = EvidenceError;

    fn from_str(text: &str) -> Result<Self, EvidenceError> {
        if text.len() > MAX_EVIDENCE_BYTES {
            return Err(CheckpointError::from(NoteError::TooLong).into());
        }
        let rest = text.strip_prefix(EVIDENCE_HEADER).ok_or(EvidenceError::Malformed("its first line"))?;
        let (known, rest) = counted(rest, "known ").ok_or(EvidenceError::Malformed("the known checkpoint"))?;
        let (claimed, rest) = counted(rest, "claimed ").ok_or(EvidenceError::Malformed("the claimed checkpoint"))?;
        let path = path(rest).ok_or(EvidenceError::Malformed("the proof"))?;
        let known = if known.is_empty() { None } else { Some(CheckpointNote::parse(known)?) };
        Ok(Self { known, claimed: CheckpointNote::parse(claimed)?, path })
    }
}

/// `<word><number>`, and so many bytes.
fn counted<'a>(text: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let (bytes, rest) = text.strip_prefix(word)?.split_once('\n')?;
    rest.split_at_checked(usize::try_from(decimal(bytes)?).ok()?)
}

/// `path <number>`, and so many hashes.
fn path(text: &str) -> Option<Vec<Digest>> {
    let (number, rest) = text.strip_prefix("path ")?.split_once('\n')?;
    let number = usize::try_from(decimal(number)?).ok().filter(|number| *number <= MAX_PROOF_HASHES)?;
    let path: Vec<_> = rest.split_inclusive('\n').map(|line| hash(line.strip_suffix('\n')?)).collect::<Option<_>>()?;
    (path.len() == number).then_some(path)
}
