//! What the data directory was founded with: the root document, and the keys that checkpoints are signed with.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use comity_identity::Root;
use comity_identity::root::RootError;
use comity_membership::{Genesis, log};
use comity_runtime::files::read_secret;
use comity_runtime::genesis;
use comity_transparency::{LogKey, NoteKey, SigningError};
use comity_types::{Digest, Secret, SpiffeId};

/// The root document in the data directory.
const ROOT_FILE: &str = "root.json";
/// The keys that checkpoints of the decision log are signed with: Ed25519 and ML-DSA-44, each as PKCS #8 in DER.
const DECISION_LOG_KEY_FILES: [&str; 2] = ["decision-log.key", "decision-log.ml-dsa-44.key"];
/// The key that checkpoints of the membership log are signed with: Ed25519 as PKCS #8 in DER.
const LOG_KEY_FILE: &str = "log.key";

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FoundingError {
    /// A file of a founded directory is missing.
    #[error("{} is missing (hint: restore the data directory whole from a copy; without this file the federation has to be founded anew)", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The root document is missing or a file cannot be read.
    #[error("cannot read {}{}", path.display(), unreadable_hint(.source))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// root.json is wrong.
    #[error("{} cannot be used (hint: restore it from a copy)", path.display())]
    Root {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<RootError>,
    },
    /// A log's key is wrong.
    #[error("{} cannot be used (hint: restore it from a copy)", path.display())]
    LogKey {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SigningError,
    },
    /// A key is not the one that the root names, so every node would refuse.
    #[error("{} is not the key that root.json names (hint: restore both from one copy)", path.display())]
    OtherKey {
        /// The file.
        path: PathBuf,
    },
    /// The root names another broker.
    #[error("root.json names the broker {root}, and the configuration {configured} (hint: set replica to \"{}\")", root.name())]
    OtherBroker {
        /// What the root says.
        root: SpiffeId,
        /// What the configuration says.
        configured: SpiffeId,
    },
}

/// What was founded, checked.
#[derive(Debug)]
pub struct Founding {
    /// The root document.
    pub root: Root,
    /// Its exact bytes, which members pin.
    pub root_json: Bytes,
    /// Their digest.
    pub root_sha256: Digest,
    /// Signs checkpoints of the decision log.
    pub decision_log_key: LogKey,
    /// Signs checkpoints of the membership log.
    pub log_key: NoteKey,
}

impl Founding {
    /// Reads `data_dir`.
    ///
    /// # Errors
    /// A file is missing or wrong, or the two do not belong together.
    pub fn read(data_dir: &Path) -> Result<Self, FoundingError> {
        let (path, bytes) = read(data_dir, ROOT_FILE)?;
        let root = Root::from_json(&bytes).map_err(|source| FoundingError::Root { path, source: Box::new(source) })?;
        let decision_log_key = decision_log_key(data_dir, &root)?;
        let log_key = log_key(data_dir, &root)?;
        Ok(Self { root, root_sha256: Root::digest(&bytes), root_json: bytes.into(), decision_log_key, log_key })
    }

    /// Checks that the root means this broker: everyone else would refuse its certificate.
    ///
    /// # Errors
    /// It names another one.
    pub fn check_broker(&self, configured: &SpiffeId) -> Result<(), FoundingError> {
        if self.root.broker == *configured {
            return Ok(());
        }
        Err(FoundingError::OtherBroker { root: self.root.broker.clone(), configured: configured.clone() })
    }

    /// What the log begins with.
    #[must_use]
    pub fn genesis(&self) -> Genesis {
        genesis::genesis(&self.root, self.root_sha256)
    }
}

fn unreadable_hint(source: &io::Error) -> &'static str {
    if source.kind() == io::ErrorKind::NotFound {
        " (hint: \"comity federation init\" makes it, and data_dir in broker.toml says where it is)"
    } else {
        ""
    }
}

fn decision_log_key(data_dir: &Path, root: &Root) -> Result<LogKey, FoundingError> {
    let [plain, post_quantum] = DECISION_LOG_KEY_FILES.map(|name| read_key(data_dir, name));
    let ((path, plain), (_, post_quantum)) = (plain?, post_quantum?);
    let (plain, post_quantum) = (Secret::new(plain), Secret::new(post_quantum));
    let key = LogKey::from_pkcs8(&root.decision_log_origin(), &plain, &post_quantum);
    let key = key.map_err(|source| FoundingError::LogKey { path: path.clone(), source })?;
    if *key.verifiers() == root.decision_log { Ok(key) } else { Err(FoundingError::OtherKey { path }) }
}

fn log_key(data_dir: &Path, root: &Root) -> Result<NoteKey, FoundingError> {
    let (path, der) = read_key(data_dir, LOG_KEY_FILE)?;
    let unusable = |source| FoundingError::LogKey { path: path.clone(), source };
    let key = NoteKey::from_pkcs8(log::origin(&root.federation), &Secret::new(der)).map_err(unusable)?;
    if key.public().map_err(unusable)? == root.log_key { Ok(key) } else { Err(FoundingError::OtherKey { path }) }
}

fn read(data_dir: &Path, name: &str) -> Result<(PathBuf, Vec<u8>), FoundingError> {
    let path = data_dir.join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Ok((path, bytes)),
        Err(source) => Err(FoundingError::Unreadable { path, source }),
    }
}

/// A key that the root document has: whoever founds makes both.
fn read_key(data_dir: &Path, name: &str) -> Result<(PathBuf, Vec<u8>), FoundingError> {
    let path = data_dir.join(name);
    match read_secret(&path) {
        Ok(bytes) => Ok((path, bytes)),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Err(FoundingError::Missing { path }),
        Err(source) => Err(FoundingError::Unreadable { path, source }),
    }
}
