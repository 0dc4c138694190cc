//! The hosted certificate authorities: one an organisation, with its own key and trust domain.
//! Keys lie under `<data_dir>/ca/`, readable by the broker's user alone. How one gets a new key is told in [`roll`], and
//! what is remembered of what they signed in `issued`.

mod issued;
pub mod roll;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use comity_identity::{Authority, CertificateDer, pem};
use comity_types::{Secret, Timestamp, TrustDomain};
use rustls::pki_types::pem::PemObject as _;

use comity_runtime::files::{check_secret, read_secret, write_durably};

/// Why an authority cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// There is none, though one is made for every organisation that is invited: its files are lost.
    #[error("the certificate authority of {organisation} is not whole in {}: its certificate or its key is gone (hint: restore both from a backup of the data directory; without one, the organisation itself has another one made: `comity organisation anchors roll`, while a certificate of its still holds, and nobody joins again)", dir.display())]
    Missing {
        /// Whose.
        organisation: TrustDomain,
        /// Where.
        dir: PathBuf,
    },
    /// The organisation's authorities are its own.
    #[error("the authority of {organisation} is not the broker's")]
    NotHosted {
        /// Whose.
        organisation: TrustDomain,
    },
    /// A file cannot be read or written.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another organisation's certificate lies where the key would.
    #[error("the certificate authority of {organisation} cannot be made: {} is another organisation's (hint: choose a trust domain that differs in more than \".key\")", path.display())]
    Taken {
        /// Whose.
        organisation: TrustDomain,
        /// The file.
        path: PathBuf,
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
    /// It was rolled a while ago, and leaves of the one before still live.
    #[error(
        "the certificate authority of {organisation} was rolled, and the one before stands until {until} (hint: roll again then)"
    )]
    Rolling {
        /// Whose.
        organisation: TrustDomain,
        /// Until when the anchor before stands.
        until: Timestamp,
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
    /// Those that are needed and are not whole.
    lost: Mutex<HashSet<TrustDomain>>,
    /// Held while the memory of what was issued is changed.
    issuing: Mutex<()>,
}

impl Authorities {
    /// Those under `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), loaded: Mutex::default(), lost: Mutex::default(), issuing: Mutex::default() }
    }

    /// Whether nobody but the broker's user may read any of the keys, also of those that are not needed yet.
    ///
    /// # Errors
    /// Others may, or the folder cannot be read.
    pub fn check_private(&self) -> Result<(), AuthorityError> {
        check_keys(&self.dir)
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
        let mut loaded = self.loaded();
        if let Some(authority) = loaded.get(organisation) {
            return Ok(Arc::clone(authority));
        }
        let authority = match self.signing(organisation)?.load(organisation)? {
            Some(authority) => authority,
            None => missing(AuthorityError::Missing { organisation: organisation.clone(), dir: self.dir.clone() })?,
        };
        let authority = Arc::new(authority);
        loaded.insert(organisation.clone(), Arc::clone(&authority));
        self.lost_ones().remove(organisation);
        Ok(authority)
    }

    /// Counts the authority of `organisation` as lost, until it is found.
    pub fn count_lost(&self, organisation: &TrustDomain) {
        self.lost_ones().insert(organisation.clone());
    }

    /// How many are lost, of organisations that `still` take part.
    #[must_use]
    pub fn lost(&self, still: impl Fn(&TrustDomain) -> bool) -> usize {
        self.lost_ones().iter().filter(|organisation| still(organisation)).count()
    }

    fn lost_ones(&self) -> MutexGuard<'_, HashSet<TrustDomain>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the authority that is hosted for `organisation` is known to be none of these, though it is lost itself: its
    /// certificate is there without its key.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn is_another(&self, organisation: &TrustDomain, anchors: &[Vec<u8>]) -> Result<bool, AuthorityError> {
        let hosted = self.signing(organisation)?.load_anchor()?;
        Ok(hosted.is_some_and(|hosted| anchors.iter().all(|anchor| *anchor != hosted.to_vec())))
    }

    fn create(&self, organisation: &TrustDomain, now: Timestamp) -> Result<Authority, AuthorityError> {
        let authority =
            Authority::generate(organisation.clone(), now).map_err(|source| unusable(organisation, source))?;
        let files = self.files(organisation);
        // The key of "x" and the certificate of "x.key" would be one file.
        if read(&files.key)?.is_some_and(|pem| CertificateDer::from_pem_slice(&pem).is_ok()) {
            return Err(AuthorityError::Taken { organisation: organisation.clone(), path: files.key });
        }
        files.store(&authority)?;
        Ok(authority)
    }

    fn loaded(&self) -> MutexGuard<'_, HashMap<TrustDomain, Arc<Authority>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn files(&self, organisation: &TrustDomain) -> Files {
        Files::within(&self.dir, organisation)
    }
}

/// How the name of a key's file ends.
const KEY_END: &str = ".key.pem";

/// Where one authority lies.
struct Files {
    key: PathBuf,
    anchor: PathBuf,
}

impl Files {
    fn within(dir: &Path, organisation: &TrustDomain) -> Self {
        let path = |end: &str| dir.join(format!("{organisation}{end}"));
        Self { key: path(KEY_END), anchor: path(".pem") }
    }

    /// The authority, if it is whole.
    fn load(&self, organisation: &TrustDomain) -> Result<Option<Authority>, AuthorityError> {
        let Some(anchor) = self.load_anchor()? else { return Ok(None) };
        let Some(key) = found(&self.key, read_secret(&self.key))? else { return Ok(None) };
        let key = Secret::new(String::from_utf8_lossy(&key).into_owned());
        let authority = Authority::from_pem(&key, &anchor).map_err(|source| unusable(organisation, source))?;
        if authority.domain() == organisation {
            return Ok(Some(authority));
        }
        Err(AuthorityError::OtherDomain { organisation: organisation.clone(), found: authority.domain().clone() })
    }

    fn load_anchor(&self) -> Result<Option<CertificateDer<'static>>, AuthorityError> {
        let Some(pem) = read(&self.anchor)? else { return Ok(None) };
        let malformed = |_| AuthorityError::Malformed { path: self.anchor.clone() };
        CertificateDer::from_pem_slice(&pem).map(Some).map_err(malformed)
    }

    /// The key first: a certificate is only ever there with its key, and without one the authority is missing.
    fn store(&self, authority: &Authority) -> Result<(), AuthorityError> {
        write(&self.key, authority.key_pem().reveal().as_bytes())?;
        write(&self.anchor, pem::encode(&[authority.anchor()]).as_bytes())
    }
}

/// What stands in a file, if it is there.
fn read(path: &Path) -> Result<Option<Vec<u8>>, AuthorityError> {
    found(path, std::fs::read(path))
}

fn found(path: &Path, read: io::Result<Vec<u8>>) -> Result<Option<Vec<u8>>, AuthorityError> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some).map_err(|source| AuthorityError::Io { path: path.to_owned(), source }),
    }
}

/// Every key below a folder of authorities.
fn check_keys(dir: &Path) -> Result<(), AuthorityError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| AuthorityError::Io { path, source }
    };
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(io(dir))?,
    };
    for entry in entries {
        let path = entry.map_err(io(dir))?.path();
        if path.is_dir() {
            check_keys(&path)?;
        } else if path.to_string_lossy().ends_with(KEY_END) {
            check_secret(&path).map_err(io(&path))?;
        }
    }
    Ok(())
}

/// Writes a file, and the folder that it is in, if need be.
fn write(path: &Path, bytes: &[u8]) -> Result<(), AuthorityError> {
    let dir = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    dir.and_then(|()| write_durably(path, bytes)).map_err(|source| AuthorityError::Io { path: path.to_owned(), source })
}

fn unusable(organisation: &TrustDomain, source: comity_identity::authority::AuthorityError) -> AuthorityError {
    AuthorityError::Unusable { organisation: organisation.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_organisations_authority_is_written_over_anothers() {
        let now = "2026-11-23T10:00:00Z".parse().unwrap();
        for [first, second] in [["x.example.key", "x.example"], ["x.example", "x.example.key"]] {
            let dir = tempfile::tempdir().unwrap();
            let [first, second] = [first, second].map(|domain| domain.parse::<TrustDomain>().unwrap());
            let made = Authorities::new(dir.path()).find_or_create(&first, now).unwrap();
            assert!(Authorities::new(dir.path()).find_or_create(&second, now).is_err(), "{second}");
            let again = Authorities::new(dir.path()).find(&first).unwrap();
            assert_eq!(again.anchor(), made.anchor(), "{first}");
        }
    }
}
