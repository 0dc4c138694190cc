//! The files beside an identity in which it is kept how far the decision log was seen, and what convicts it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_transparency::Tree;
use comity_transparency::witness::{Evidence, Finding};
use comity_types::{Digest, Timestamp};
use serde::{Deserialize, Serialize};

use super::ends::Open;
use super::{DecisionLog, DecisionsError, Seen};

/// The last checkpoint that was verified, with what it takes to go on from it.
pub const SEEN_FILE: &str = "decisions.checkpoint.json";
/// What proves that the log is another one now, or has lost leaves that it had signed. Nothing is followed beside it.
pub const EVIDENCE_FILE: &str = "decisions.evidence";
/// Two checkpoints that do not go together, of which nothing proves that the log signed what it should not have.
pub const DOUBT_FILE: &str = "decisions.doubt";

/// What is kept, as JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// The signed note.
    checkpoint: String,
    /// The roots of its tree's complete subtrees, the largest first.
    subtrees: Vec<Digest>,
    /// Which leaves are decisions that have not ended, a bit each; base64. Absent where an older program kept this: then the
    /// leaves are read once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    open: Option<String>,
    /// When it was verified, by the clock of whoever keeps it.
    at: Timestamp,
}

/// Why what is kept cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeptError {
    /// A file cannot be read or written.
    #[error("{} cannot be used", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what was kept.
    #[error(
        "{} is not what was kept (hint: look who changed it; without the file, the log is verified from its first leaf, and what was seen of it before no longer counts)",
        path.display()
    )]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// How far the log was seen; none where it never was.
///
/// # Errors
/// It cannot be read, or is not what was kept: unless somebody looks into it, nothing is to be followed on.
pub fn seen(dir: &Path, log: &DecisionLog) -> Result<Option<Seen>, KeptError> {
    let path = dir.join(SEEN_FILE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(KeptError::File { path, source }),
    };
    let read = || {
        let Kept { checkpoint, subtrees, open, .. } = serde_json::from_slice(&text)?;
        let note = log.signed(&checkpoint)?;
        let (size, root) = (note.checkpoint().size, note.checkpoint().root);
        let tree = Tree::from_roots(size, subtrees).filter(|tree| tree.root() == root);
        let bits = open.map(|open| STANDARD.decode(open)).transpose()?;
        let open = bits.map(|bits| Open::from_bytes(&bits, size).ok_or("what is open in it is of another size"));
        Ok(Seen { note, tree: tree.ok_or("its subtrees do not lead to its root")?, open: open.transpose()? })
    };
    read().map(Some).map_err(|source| KeptError::Damaged { path, source })
}

/// Keeps how far the log was seen.
///
/// # Errors
/// It cannot be written.
pub fn keep(dir: &Path, seen: &Seen, at: Timestamp) -> Result<(), KeptError> {
    let path = dir.join(SEEN_FILE);
    let open = seen.open.as_ref().map(|open| STANDARD.encode(open.to_bytes()));
    let kept = Kept { checkpoint: seen.note.to_string(), subtrees: seen.tree.roots().to_vec(), open, at };
    let written = serde_json::to_vec_pretty(&kept).map_err(io::Error::from).and_then(|text| replace(&path, &text));
    written.map_err(|source| KeptError::File { path, source })
}

/// Keeps what a contradiction is evidence of; gives the file. None where there is none.
///
/// # Errors
/// It cannot be written.
pub fn convict(dir: &Path, error: &DecisionsError) -> Result<Option<PathBuf>, KeptError> {
    let DecisionsError::Contradiction { finding, evidence } = error else { return Ok(None) };
    let name = match finding {
        Finding::Fork | Finding::Impossible | Finding::Rollback => EVIDENCE_FILE,
        Finding::Unconnected => DOUBT_FILE,
    };
    let path = dir.join(name);
    replace(&path, evidence.to_string().as_bytes()).map_err(|source| KeptError::File { path: path.clone(), source })?;
    Ok(Some(path))
}

/// What convicted the log before: it is not followed any further.
///
/// # Errors
/// It cannot be read, or is no evidence against this log.
pub fn convicted(dir: &Path, log: &DecisionLog) -> Result<Option<(PathBuf, Finding)>, KeptError> {
    let path = dir.join(EVIDENCE_FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(KeptError::File { path, source }),
    };
    let checked = text.parse::<Evidence>().and_then(|evidence| log.check(&evidence));
    match checked {
        Ok(finding) => Ok(Some((path, finding))),
        Err(error) => Err(KeptError::Damaged { path, source: error.into() }),
    }
}

/// Puts a file in place, whole and durable: an older one after a crash would forget what was seen.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    let aside = PathBuf::from(aside);
    let mut file = File::create(&aside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&aside, path)
}
