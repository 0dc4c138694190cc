//! Who this program is, read from a directory that enrolment filled.

use std::path::Path;
use std::sync::Arc;

use comity_identity::store::StoreError;
use comity_identity::{Credentials, IdentityDir, LeafIdentity, Root};
use comity_runtime::clock::SystemClock;
use comity_types::{Clock, SpiffeId};

/// A member's identity and the federation that it belongs to. Clones share the credentials.
#[derive(Debug, Clone)]
pub struct Identity {
    dir: IdentityDir,
    id: SpiffeId,
    brokers: Vec<String>,
    root: Arc<Root>,
    credentials: Arc<Credentials>,
    clock: Arc<dyn Clock>,
}

impl Identity {
    /// Reads the identity in `dir` and checks all of it.
    ///
    /// # Errors
    /// Something is missing or broken, or others may read the key.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with_clock(dir, Arc::new(SystemClock))
    }

    /// Reads the identity in `dir`, and holds certificates against `clock`.
    ///
    /// # Errors
    /// As for [`Identity::open`].
    pub fn open_with_clock(dir: impl AsRef<Path>, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let dir = IdentityDir::open(dir.as_ref())?;
        let (identity, root, credentials) = (dir.identity()?, Arc::new(dir.load_root()?), dir.credentials()?);
        Ok(Self { dir, id: identity.spiffe_id, brokers: identity.brokers, root, credentials, clock })
    }

    /// Reads the identity in `dir`, whose key and certificate come from elsewhere: whoever brings them keeps them fresh.
    ///
    /// # Errors
    /// Something is missing or broken, or the credentials are somebody else's.
    pub fn open_with_credentials(
        dir: impl AsRef<Path>,
        credentials: Arc<Credentials>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let dir = IdentityDir::open_without_key(dir.as_ref())?;
        dir.check_owner(&credentials)?;
        let (identity, root) = (dir.identity()?, Arc::new(dir.load_root()?));
        Ok(Self { dir, id: identity.spiffe_id, brokers: identity.brokers, root, credentials, clock })
    }

    /// Who this is.
    #[must_use]
    pub const fn id(&self) -> &SpiffeId {
        &self.id
    }

    /// Where it is kept.
    #[must_use]
    pub const fn dir(&self) -> &IdentityDir {
        &self.dir
    }

    /// Where the federation's brokers are, `host:port`.
    #[must_use]
    pub fn brokers(&self) -> &[String] {
        &self.brokers
    }

    /// The federation's root document.
    #[must_use]
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Certificate and key. A renewal replaces what is inside, for connections and listeners alike.
    #[must_use]
    pub const fn credentials(&self) -> &Arc<Credentials> {
        &self.credentials
    }

    /// What the certificate in use says.
    #[must_use]
    pub fn leaf(&self) -> LeafIdentity {
        self.credentials.leaf()
    }

    /// What tells the time.
    #[must_use]
    pub const fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }
}
