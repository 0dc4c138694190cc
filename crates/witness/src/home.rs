//! What a witness keeps, in a directory of its own:
//! ```text
//! ed25519.key, ml-dsa-44.key     what it cosigns with: PKCS #8 in DER, for its user alone
//! logs/<SHA-256 of the origin>   the latest checkpoint of a log: a signed note
//! evidence/<SHA-256>             what a log signed against itself (comity/log-evidence@v1)
//! doubts/<SHA-256>               the same, of what a wrong proof may explain: for people alone
//! ```
//! Every file is whole or absent. Whoever brings back an old copy of `logs`, or removes it, makes the witness contradict
//! itself: better a witness with new keys than one with an old memory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use comity_runtime::files::write_durably;
use comity_transparency::cosignature::{CosignatureKind, CosigningKey};
use comity_transparency::key::SigningError;
use comity_transparency::witness::Evidence;
use comity_types::{Digest, Secret};

/// Most doubts that are kept: each is some kilobytes, and wrong proofs with right checkpoints can be sent by anybody.
pub const MAX_DOUBTS: usize = 64;
/// The keys, and what they sign.
const KEYS: [(&str, CosignatureKind); 2] =
    [("ed25519.key", CosignatureKind::Ed25519), ("ml-dsa-44.key", CosignatureKind::MlDsa44)];

/// A witness's directory.
#[derive(Debug, Clone)]
pub struct Home(PathBuf);

/// Why a witness's directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    /// A file cannot be read or written.
    #[error("cannot use {} of the witness", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key is none, or the witness's name is none.
    #[error("cannot use the key {} of the witness", path.display())]
    Key {
        /// The file, or where it would be.
        path: PathBuf,
        /// Why.
        source: SigningError,
    },
    /// There are keys, and no memory of what they signed.
    #[error("{} is missing, and there are keys that have signed (hint: bring it back as it was last; if it is lost, remove the keys as well, and give the new ones to whoever counts on this witness)", path.display())]
    Forgotten {
        /// The directory.
        path: PathBuf,
    },
}

impl Home {
    /// Opens or makes the directory of the witness `name`, and takes up its keys, or makes them.
    ///
    /// # Errors
    /// It cannot be used, or has keys and no memory.
    pub fn open(dir: &Path, name: &str) -> Result<(Self, Vec<CosigningKey>), HomeError> {
        let home = Self(dir.to_owned());
        let has_keys = KEYS.iter().any(|(file, _)| dir.join(file).exists());
        if has_keys && !home.logs().is_dir() {
            return Err(HomeError::Forgotten { path: home.logs() });
        }
        for dir in [home.logs(), home.evidence_dir(), home.doubts_dir()] {
            fs::create_dir_all(&dir).map_err(|source| HomeError::Io { path: dir.clone(), source })?;
        }
        let keys = KEYS.into_iter().map(|(file, kind)| home.key(file, name, kind)).collect::<Result<_, _>>()?;
        Ok((home, keys))
    }

    fn key(&self, file: &str, name: &str, kind: CosignatureKind) -> Result<CosigningKey, HomeError> {
        let path = self.0.join(file);
        let unusable = |source| HomeError::Key { path: path.clone(), source };
        match fs::read(&path) {
            Ok(der) => CosigningKey::from_pkcs8(name, kind, &Secret::new(der)).map_err(unusable),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = CosigningKey::generate(name, kind).map_err(unusable)?;
                let der = key.to_pkcs8().map_err(unusable)?;
                self.write(&path, der.reveal())?;
                Ok(key)
            }
            Err(source) => Err(HomeError::Io { path, source }),
        }
    }

    /// The latest checkpoint of a log, as it was stored; none if the log is new.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn stored(&self, origin: &str) -> Result<Option<String>, HomeError> {
        let path = self.log(origin);
        match fs::read_to_string(&path) {
            Ok(note) => Ok(Some(note)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(HomeError::Io { path, source }),
        }
    }

    /// Stores a log's latest checkpoint. When this returns, it survives the machine's end.
    ///
    /// # Errors
    /// It cannot be written: what is stored is unknown then, and nothing more may be signed.
    pub fn store(&self, origin: &str, note: &str) -> Result<(), HomeError> {
        self.write(&self.log(origin), note.as_bytes())
    }

    /// Keeps evidence, once: its file. Of doubts none if there are [`MAX_DOUBTS`], which a person should have looked at by then;
    /// for what nothing can explain there is always room.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self, evidence: &Evidence, is_proof: bool) -> Result<Option<PathBuf>, HomeError> {
        let text = evidence.to_string();
        let dir = if is_proof { self.evidence_dir() } else { self.doubts_dir() };
        let path = dir.join(Digest::of(text.as_bytes()).to_string());
        if fs::read(&path).is_ok_and(|kept| kept == text.as_bytes()) {
            return Ok(Some(path));
        }
        if !is_proof && self.doubts()?.len() >= MAX_DOUBTS {
            return Ok(None);
        }
        self.write(&path, text.as_bytes())?;
        Ok(Some(path))
    }

    /// Every piece of evidence that is kept.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn evidence(&self) -> Result<Vec<PathBuf>, HomeError> {
        whole_files(&self.evidence_dir())
    }

    /// Every doubt that is kept.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn doubts(&self) -> Result<Vec<PathBuf>, HomeError> {
        whole_files(&self.doubts_dir())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), HomeError> {
        write_durably(path, bytes).map_err(|source| HomeError::Io { path: path.to_owned(), source })
    }

    fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    fn log(&self, origin: &str) -> PathBuf {
        self.logs().join(Digest::of(origin.as_bytes()).to_string())
    }

    fn evidence_dir(&self) -> PathBuf {
        self.0.join("evidence")
    }

    fn doubts_dir(&self) -> PathBuf {
        self.0.join("doubts")
    }
}

/// The files of a directory; what a crash left half written is none.
fn whole_files(dir: &Path) -> Result<Vec<PathBuf>, HomeError> {
    let failed = |source| HomeError::Io { path: dir.to_owned(), source };
    let files = fs::read_dir(dir).map_err(failed)?.map(|file| file.map(|file| file.path()));
    let mut files = files.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    files.retain(|path| path.extension().is_none());
    Ok(files)
}

/// Whether a piece of evidence is what was kept: its file is named by its SHA-256.
pub(crate) fn is_named_by_content(path: &Path, bytes: &[u8]) -> bool {
    path.file_name().is_some_and(|name| *name == *Digest::of(bytes).to_string())
}
