//! The hosted certificate authorities: one an organisation, with its own key and trust domain.
//! Keys lie under `<data_dir>/ca/`, readable by the broker's user alone.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use comity_identity::{Authority, CertificateDer, pem};
use comity_types::{Secret, Timestamp, TrustDomain};
use rustls::pki_types::pem::PemObject as _;

use crate::files::write_durably;

/// Why an authority cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// There is none.
    #[error("{organisation} has no certificate authority in {}", dir.display())]
    Missing {
        /// Whose.
        organisation: TrustDomain,
        /// Where.
        dir: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A certificate cannot be understood.
    #[error("{} is not a certificate in PEM (hint: restore it from a copy)", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// Key and certificate do not serve.
    #[error("the certificate authority of {organisation} cannot be used")]
    Unusable {
        /// Whose.
        organisation: TrustDomain,
        /// Why.
        source: comity_identity::authority::AuthorityError,
    },
    /// The files hold the authority of another domain.
    #[error("the files of {organisation} hold the certificate authority of {found} (hint: restore them from a copy)")]
    OtherDomain {
        /// Whose they should be.
        organisation: TrustDomain,
        /// Whose they are.
        found: TrustDomain,
    },
}

/// Every hosted authority, read when it is first needed.
#[derive(Debug)]
pub struct Authorities {
    dir: PathBuf,
    loaded: Mutex<HashMap<TrustDomain, Arc<Authority>>>,
}

impl Authorities {
    /// Those under `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), loaded: Mutex::default() }
    }

    /// The authority of `organisation`, which must have one.
    ///
    /// # Errors
    /// Its files are missing or cannot be used.
    pub fn find(&self, organisation: &TrustDomain) -> Result<Arc<Authority>, AuthorityError> {
        self.get(organisation, Err)
    }

    /// The authority of `organisation`, made if there is none.
    ///
    /// # Errors
    /// Its files cannot be written or used.
    pub fn find_or_create(&self, organisation: &TrustDomain, now: Timestamp) -> Result<Arc<Authority>, AuthorityError> {
        self.get(organisation, |_| self.create(organisation, now))
    }

    /// Holds the lock while it reads or makes one: two callers must not both make a key.
    fn get(
        &self,
        organisation: &TrustDomain,
        missing: impl FnOnce(AuthorityError) -> Result<Authority, AuthorityError>,
    ) -> Result<Arc<Authority>, AuthorityError> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(authority) = loaded.get(organisation) {
            return Ok(Arc::clone(authority));
        }
        let authority = match self.load(organisation) {
            Err(error @ AuthorityError::Missing { .. }) => missing(error)?,
            other => other?,
        };
        let authority = Arc::new(authority);
        loaded.insert(organisation.clone(), Arc::clone(&authority));
        Ok(authority)
    }

    fn load(&self, organisation: &TrustDomain) -> Result<Authority, AuthorityError> {
        let (key_path, path) = self.paths(organisation);
        let pem = match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(AuthorityError::Missing { organisation: organisation.clone(), dir: self.dir.clone() });
            }
            other => other.map_err(|source| AuthorityError::Io { path: path.clone(), source })?,
        };
        let anchor = CertificateDer::from_pem_slice(&pem).map_err(|_| AuthorityError::Malformed { path })?;
        let key = std::fs::read_to_string(&key_path).map_err(|source| AuthorityError::Io { path: key_path, source })?;
        let authority =
            Authority::from_pem(&Secret::new(key), &anchor).map_err(|source| unusable(organisation, source))?;
        if authority.domain() == organisation {
            return Ok(authority);
        }
        Err(AuthorityError::OtherDomain { organisation: organisation.clone(), found: authority.domain().clone() })
    }

    /// The key first: a certificate is only ever there with its key, and without one the authority is missing.
    fn create(&self, organisation: &TrustDomain, now: Timestamp) -> Result<Authority, AuthorityError> {
        let authority =
            Authority::generate(organisation.clone(), now).map_err(|source| unusable(organisation, source))?;
        let (key_path, path) = self.paths(organisation);
        std::fs::create_dir_all(&self.dir).map_err(|source| AuthorityError::Io { path: self.dir.clone(), source })?;
        write_durably(&key_path, authority.key_pem().reveal().as_bytes())
            .map_err(|source| AuthorityError::Io { path: key_path, source })?;
        write_durably(&path, pem::encode(&[authority.anchor()]).as_bytes())
            .map_err(|source| AuthorityError::Io { path, source })?;
        Ok(authority)
    }

    fn paths(&self, organisation: &TrustDomain) -> (PathBuf, PathBuf) {
        (self.dir.join(format!("{organisation}.key.pem")), self.dir.join(format!("{organisation}.pem")))
    }
}

fn unusable(organisation: &TrustDomain, source: comity_identity::authority::AuthorityError) -> AuthorityError {
    AuthorityError::Unusable { organisation: organisation.clone(), source }
}
