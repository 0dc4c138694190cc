//! The files in which a node keeps the log, and an operator beside their identity, for themselves and for whoever looks at
//! them: `comity log verify` and `comity doctor`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use comity_membership::equivocation::Evidence as Statements;
use comity_proto::membership::WatchResponse;
use comity_types::Timestamp;
use serde::{Deserialize, Serialize};

use super::{FollowError, Followed};

/// The entries, a line of JSON each, as they came.
pub const LOG_FILE: &str = "federation.log";
/// The last checkpoint.
pub const CHECKPOINT_FILE: &str = "federation.checkpoint.json";
/// What proves equivocation: that the broker showed two pasts ([`Evidence`]), or that two statements were signed at one
/// position ([`comity_membership::equivocation::Evidence`]).
pub const EVIDENCE_FILE: &str = "equivocation.json";

/// What shows that the broker's log had fewer entries than before, which is no proof of two pasts.
pub const ROLLBACK_FILE: &str = "rollback.json";

/// Two checkpoints of one log that do not go together: what it was, and what it is said to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The last one that agreed with the log beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreed: Option<Heard>,
    /// The one that was shown then: a signed note.
    pub then: String,
    /// The name of the log's file, in the same folder.
    pub log: String,
}

impl Evidence {
    /// Keeps it in `folder`, whole; gives the file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self, folder: &Path, name: &str) -> io::Result<PathBuf> {
        let path = folder.join(name);
        replace(&path, &serde_json::to_vec_pretty(self)?)?;
        Ok(path)
    }
}

/// Keeps in `folder` what proves that two statements were signed at one position; gives the file.
///
/// # Errors
/// It cannot be written.
pub fn keep_statements(evidence: &Statements, folder: &Path) -> io::Result<PathBuf> {
    let path = folder.join(EVIDENCE_FILE);
    replace(&path, &serde_json::to_vec_pretty(evidence)?)?;
    Ok(path)
}

/// What a broker sent that does not fit what it showed before: no signature of the broker's is on it, so that it proves
/// nothing to others, and tells people where to look.
pub const REFUSED_FILE: &str = "refused.json";

/// An entry that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusedEntry {
    /// The last checkpoint that agreed with the log beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreed: Option<Heard>,
    /// Where the broker says that it stands.
    pub epoch: u64,
    /// The entry as it came; what is not UTF-8 in it is replaced.
    pub entry: String,
    /// Why it was refused.
    pub why: String,
}

impl RefusedEntry {
    /// Keeps it in `folder`, whole; gives the file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self, folder: &Path) -> io::Result<PathBuf> {
        let path = folder.join(REFUSED_FILE);
        replace(&path, &serde_json::to_vec_pretty(self)?)?;
        Ok(path)
    }
}

/// Puts a file in place, whole.
pub(super) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let aside = path.with_extension("new");
    fs::write(&aside, content)?;
    fs::rename(&aside, path)
}

/// A checkpoint, and when it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heard {
    /// The signed note.
    pub checkpoint: String,
    /// When it came, by the clock of whoever keeps it.
    pub at: Timestamp,
}

/// Why a copy of the log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// A file cannot be read, or is not what it should be.
    #[error("it cannot be read")]
    File(#[from] io::Error),
    /// What is in it is not believed.
    #[error("entry {epoch} is not believed")]
    Follow {
        /// Which.
        epoch: u64,
        /// Why.
        #[source]
        source: Box<FollowError>,
    },
}

/// The checkpoint in a data directory; none where there is no file.
///
/// # Errors
/// It cannot be read, or is none.
pub fn heard(data_dir: &Path) -> Result<Option<Heard>, KeptError> {
    match fs::read(data_dir.join(CHECKPOINT_FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
        Ok(text) => Ok(Some(serde_json::from_slice(&text).map_err(io::Error::from)?)),
    }
}

/// Takes in the log of a data directory. Its last line, if it has no end yet, is being written and does not count.
///
/// # Errors
/// It cannot be read, or an entry in it is not to be believed.
pub fn replay(data_dir: &Path, followed: &mut Followed) -> Result<(), KeptError> {
    let text = fs::read(data_dir.join(LOG_FILE))?;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let Some(entry) = line.strip_suffix(b"\n") else { break };
        let epoch = followed.log().federation().epoch().saturating_add(1);
        let part = WatchResponse { epoch, entry: entry.to_vec().into(), checkpoint: String::new() };
        followed.take(&part).map_err(|error| KeptError::Follow { epoch, source: Box::new(error) })?;
    }
    Ok(())
}
