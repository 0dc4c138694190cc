//! An identity on disk: one directory with the key, the certificate and the federation that they belong to.
//!
//! | file | holds |
//! |---|---|
//! | `key.pem` | the private key, readable by its owner alone; made once, and never leaves |
//! | `organisation.key.pem` | the key that signs for the organisation, with its first member or with whoever got a copy; readable by its owner alone |
//! | `organisation.next.key.pem` | the key that is to sign in its place, from before it is said until that is known |
//! | `authority.json` | where the organisation's own authority and its key are, if they sign on this machine |
//! | `cert.pem` | the certificate chain, leaf first |
//! | `federation-ca.pem` | the federation's authorities, for clients that are not ours |
//! | `invite.json` | which invite the key asks with, from before it asks |
//! | `rejected.json` | why operators turned down what was asked for last, until another invite is taken up |
//! | `root.json` | the root document, byte for byte |
//! | `identity.json` | who this is, which root it pins, where the brokers are; written last, so it marks a whole identity |

use std::path::{Path, PathBuf};
use std::sync::Arc;

use comity_types::{Digest, Secret, SpiffeId};
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use crate::pem;
use crate::request::{KeyError, KeyPair};
use crate::root::{Root, RootError};
use crate::tls::{Credentials, CredentialsError};

mod files;
mod invite;

pub use invite::{INVITE_FILE, REJECTION_FILE, TakenUp};

/// The private key.
pub const KEY_FILE: &str = "key.pem";
/// The key that signs for the organisation, where this directory holds it.
pub const ORGANISATION_KEY_FILE: &str = "organisation.key.pem";
/// The key that is to take its place, while the federation is told.
pub const NEXT_ORGANISATION_KEY_FILE: &str = "organisation.next.key.pem";
/// Where the organisation's own authority is.
pub const AUTHORITY_FILE: &str = "authority.json";
/// The certificate chain.
pub const CERTIFICATE_FILE: &str = "cert.pem";
/// The federation's authorities.
pub const FEDERATION_CA_FILE: &str = "federation-ca.pem";
/// The root document.
pub const ROOT_FILE: &str = "root.json";
/// Who this is.
pub const IDENTITY_FILE: &str = "identity.json";

/// A directory that holds, or will hold, one identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityDir {
    path: PathBuf,
}

/// What `identity.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Who this is.
    pub spiffe_id: SpiffeId,
    /// The digest of the root document that this identity believes.
    pub federation_root: Digest,
    /// Where the federation's brokers are, `host:port`.
    pub brokers: Vec<String>,
}

/// Where certificates come from, where it is not the broker: files on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentitySource {
    /// The authority's certificates, in PEM.
    pub ca: PathBuf,
    /// Its key, in PEM.
    pub ca_key: PathBuf,
}

/// A private key in PEM that nobody but its owner may read, wherever it is.
///
/// # Errors
/// It is missing, broken, or others may read it.
pub fn read_key(path: &Path) -> Result<KeyPair, StoreError> {
    let bytes = Secret::new(files::read_secret(path)?);
    let content = || StoreError::Content { path: path.to_owned(), expected: "a private key in PEM" };
    let text = std::str::from_utf8(bytes.reveal()).map_err(|_| content())?;
    KeyPair::from_pem(&Secret::new(text.to_owned())).map_err(|source| StoreError::Key { path: path.to_owned(), source })
}

/// Why an identity on disk cannot be used or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The directory or one of its files is not there.
    #[error("{} does not exist (hint: join the federation first, or name the directory of an identity)", path.display())]
    Missing {
        /// What was looked for.
        path: PathBuf,
    },
    /// Operators turned down what the directory asked for, and it has no identity.
    #[error(
        "{} has no identity: the federation's operators turned its enrolment down: {reason} (hint: settle that with them, and join again with the invite that they then make)", dir.display()
    )]
    TurnedDown {
        /// The directory.
        dir: PathBuf,
        /// Their reason.
        reason: String,
    },
    /// Others may read the private key.
    #[error("{} can be read by others, its mode is {mode:03o} (hint: chmod 600 {})", path.display(), path.display())]
    Exposed {
        /// The key.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file is larger than anything that belongs there.
    #[error("{} has more than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What is allowed.
        limit: u64,
    },
    /// The operating system refused.
    #[error("{} cannot be read or written", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file's content is not what its name says.
    #[error("{} does not hold {expected}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// The key cannot be made or read.
    #[error("{}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// Key and certificate do not make credentials, or are somebody else's.
    #[error("{}", path.display())]
    Credentials {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<CredentialsError>,
    },
    /// The root document is not the one that the identity pins, or is wrong.
    #[error("{}", path.display())]
    Root {
        /// The root document's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<RootError>,
    },
}

impl IdentityDir {
    /// Takes a directory that holds a whole identity, and checks that all of it can be used.
    ///
    /// # Errors
    /// Something is missing, broken, or the key can be read by others.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let dir = Self { path: path.into() };
        dir.identity()?;
        dir.load_root()?;
        dir.credentials()?;
        Ok(dir)
    }

    /// Takes a directory as it is, for whoever looks for what is wrong with it.
    #[must_use]
    pub fn unchecked(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Takes a directory that holds an identity whose key and certificate are elsewhere, such as in a Workload API.
    ///
    /// # Errors
    /// The rest of it is missing or broken.
    pub fn open_without_key(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let dir = Self { path: path.into() };
        dir.load_root()?;
        Ok(dir)
    }

    /// Takes a directory for an identity to come, and makes it if need be, for its owner alone.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let dir = Self { path: path.into() };
        files::make_directory(&dir.path)?;
        Ok(dir)
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// True if an identity was saved here.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.file(IDENTITY_FILE).exists()
    }

    /// The key to ask for a certificate with: the one that is here, or a new one.
    ///
    /// It is on disk before anybody is asked, so that after a lost reply the same key asks again.
    ///
    /// # Errors
    /// The key cannot be made, stored or read, or others may read it.
    pub fn pending_key(&self) -> Result<KeyPair, StoreError> {
        self.key_or_new(KEY_FILE)
    }

    /// The key that is to sign for a new organisation: the one that is here, or a new one.
    ///
    /// # Errors
    /// The key cannot be made, stored or read, or others may read it.
    pub fn pending_organisation_key(&self) -> Result<KeyPair, StoreError> {
        self.key_or_new(ORGANISATION_KEY_FILE)
    }

    /// The key that is to take the place of the organisation's: the one that is here, or a new one. It is on disk before
    /// anybody is told, so that no crash leaves an organisation without the key that it has named.
    ///
    /// # Errors
    /// The key cannot be made, stored or read, or others may read it.
    pub fn pending_next_organisation_key(&self) -> Result<KeyPair, StoreError> {
        self.key_or_new(NEXT_ORGANISATION_KEY_FILE)
    }

    /// The key that was to take the place of the organisation's, if that was begun and not ended.
    ///
    /// # Errors
    /// It is broken, or others may read it.
    pub fn next_organisation_key(&self) -> Result<Option<KeyPair>, StoreError> {
        self.optional_key(NEXT_ORGANISATION_KEY_FILE)
    }

    /// Puts the next key in the place of the organisation's, which signs nothing any more: in one step.
    ///
    /// # Errors
    /// There is none, or it cannot be moved.
    pub fn take_up_next_organisation_key(&self) -> Result<(), StoreError> {
        files::replace(&self.file(NEXT_ORGANISATION_KEY_FILE), &self.file(ORGANISATION_KEY_FILE))
    }

    fn key_or_new(&self, name: &str) -> Result<KeyPair, StoreError> {
        match self.key_in(name) {
            Err(StoreError::Missing { path }) => {
                let made = KeyPair::generate().map_err(|source| StoreError::Key { path: path.clone(), source })?;
                files::write_new_secret(&path, made.to_pem().reveal().as_bytes())?;
                // Whoever came first has won; both go on with the key on disk.
                self.key_in(name)
            }
            found => found,
        }
    }

    /// Takes a key that was made before its place was there, unless there is one already, which then stays.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn store_key(&self, key: &KeyPair) -> Result<(), StoreError> {
        files::write_new_secret(&self.file(KEY_FILE), key.to_pem().reveal().as_bytes())
    }

    /// Stores what enrolment brought: the answer to the [pending key](Self::pending_key), and the root document that the invite pins.
    ///
    /// # Errors
    /// The certificate is not for this key, the root document is wrong, or it cannot be written.
    pub fn save(&self, chain: &[CertificateDer<'static>], root_json: &[u8]) -> Result<Identity, StoreError> {
        let credentials =
            Credentials::new(chain.to_vec(), &self.key()?).map_err(|source| self.credentials_error(source))?;
        self.save_for(credentials.leaf().id, chain, root_json)
    }

    /// Stores an identity whose key is elsewhere: its holder adds these files to the directory of the key.
    ///
    /// # Errors
    /// The root document is wrong, or it cannot be written.
    pub fn save_for(
        &self,
        spiffe_id: SpiffeId,
        chain: &[CertificateDer<'static>],
        root_json: &[u8],
    ) -> Result<Identity, StoreError> {
        let root = Root::from_json(root_json).map_err(|source| self.root_error(source))?;
        let identity = Identity { spiffe_id, federation_root: Root::digest(root_json), brokers: root.addresses };
        let json =
            serde_json::to_vec_pretty(&identity).map_err(|_| self.content_error(IDENTITY_FILE, "an identity"))?;
        files::write(&self.file(ROOT_FILE), root_json)?;
        files::write(&self.file(FEDERATION_CA_FILE), pem::encode(&root.anchors).as_bytes())?;
        files::write(&self.file(CERTIFICATE_FILE), pem::encode(chain).as_bytes())?;
        files::write(&self.file(IDENTITY_FILE), &json)?;
        Ok(identity)
    }

    /// Stores a fresh certificate for the same key and the same ID.
    ///
    /// # Errors
    /// It is for another key or ID, or cannot be written; the old one stays.
    pub fn save_certificate(&self, chain: &[CertificateDer<'static>]) -> Result<(), StoreError> {
        let fresh = Credentials::new(chain.to_vec(), &self.key()?).map_err(|source| self.credentials_error(source))?;
        self.check_owner(&fresh)?;
        files::write(&self.file(CERTIFICATE_FILE), pem::encode(chain).as_bytes())
    }

    /// Who this is.
    ///
    /// # Errors
    /// The file is missing or broken.
    pub fn identity(&self) -> Result<Identity, StoreError> {
        let bytes = match files::read(&self.file(IDENTITY_FILE)) {
            Err(missing @ StoreError::Missing { .. }) => return Err(self.turned_down()?.unwrap_or(missing)),
            read => read?,
        };
        serde_json::from_slice(&bytes)
            .map_err(|_| self.content_error(IDENTITY_FILE, "an identity (hint: join again in an empty directory)"))
    }

    /// The certificate chain, leaf first.
    ///
    /// # Errors
    /// The file is missing or broken.
    pub fn chain(&self) -> Result<Vec<CertificateDer<'static>>, StoreError> {
        let bytes = files::read(&self.file(CERTIFICATE_FILE))?;
        pem::decode(&bytes).ok_or_else(|| self.content_error(CERTIFICATE_FILE, "certificates in PEM"))
    }

    /// The key, if there is one.
    ///
    /// # Errors
    /// It is missing, broken, or others may read it.
    pub fn key(&self) -> Result<KeyPair, StoreError> {
        self.key_in(KEY_FILE)
    }

    /// The key that signs for the organisation; none where this directory does not hold it.
    ///
    /// # Errors
    /// It is broken, or others may read it.
    pub fn organisation_key(&self) -> Result<Option<KeyPair>, StoreError> {
        self.optional_key(ORGANISATION_KEY_FILE)
    }

    fn optional_key(&self, name: &str) -> Result<Option<KeyPair>, StoreError> {
        match self.key_in(name) {
            Err(StoreError::Missing { .. }) => Ok(None),
            found => found.map(Some),
        }
    }

    fn key_in(&self, name: &str) -> Result<KeyPair, StoreError> {
        read_key(&self.file(name))
    }

    /// Certificate and key, ready for TLS.
    ///
    /// # Errors
    /// One of them is missing or broken, or they do not belong together.
    pub fn credentials(&self) -> Result<Arc<Credentials>, StoreError> {
        let credentials =
            Credentials::new(self.chain()?, &self.key()?).map_err(|source| self.credentials_error(source))?;
        self.check_owner(&credentials)?;
        Ok(Arc::new(credentials))
    }

    /// The root document, checked against the digest that the identity pins.
    ///
    /// # Errors
    /// It is missing, broken or another one.
    pub fn load_root(&self) -> Result<Root, StoreError> {
        let pinned = self.identity()?.federation_root;
        let bytes = files::read(&self.file(ROOT_FILE))?;
        Root::pinned(&bytes, pinned).map_err(|source| self.root_error(source))
    }

    /// Remembers where certificates come from.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save_source(&self, source: &IdentitySource) -> Result<(), StoreError> {
        let json = serde_json::to_vec_pretty(source);
        let json = json.map_err(|_| self.content_error(AUTHORITY_FILE, "an authority's files"))?;
        files::write(&self.file(AUTHORITY_FILE), &json)
    }

    /// Has certificates come from the broker again.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn forget_source(&self) -> Result<(), StoreError> {
        self.forget(AUTHORITY_FILE)
    }

    /// Removes a file, if it is there.
    fn forget(&self, name: &str) -> Result<(), StoreError> {
        match files::remove(&self.file(name)) {
            Err(StoreError::Missing { .. }) => Ok(()),
            done => done,
        }
    }

    fn turned_down(&self) -> Result<Option<StoreError>, StoreError> {
        let turned_down = |reason| StoreError::TurnedDown { dir: self.path.clone(), reason };
        Ok(self.rejection()?.map(turned_down))
    }

    /// Where certificates come from; none where it is the broker.
    ///
    /// # Errors
    /// The file is broken.
    pub fn source(&self) -> Result<Option<IdentitySource>, StoreError> {
        match files::read(&self.file(AUTHORITY_FILE)) {
            Err(StoreError::Missing { .. }) => Ok(None),
            Err(other) => Err(other),
            Ok(bytes) => {
                let read = serde_json::from_slice(&bytes);
                read.map(Some).map_err(|_| self.content_error(AUTHORITY_FILE, "an authority's files"))
            }
        }
    }

    /// Checks that credentials are those of the identity here.
    ///
    /// # Errors
    /// They are somebody else's.
    pub fn check_owner(&self, credentials: &Credentials) -> Result<(), StoreError> {
        let (expected, found) = (self.identity()?.spiffe_id, credentials.leaf().id);
        if found == expected {
            Ok(())
        } else {
            Err(self.credentials_error(CredentialsError::OtherId { expected, found }))
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn content_error(&self, name: &str, expected: &'static str) -> StoreError {
        StoreError::Content { path: self.file(name), expected }
    }

    fn credentials_error(&self, source: CredentialsError) -> StoreError {
        StoreError::Credentials { path: self.file(CERTIFICATE_FILE), source: Box::new(source) }
    }

    fn root_error(&self, source: RootError) -> StoreError {
        StoreError::Root { path: self.file(ROOT_FILE), source: Box::new(source) }
    }
}

#[cfg(test)]
mod tests;
