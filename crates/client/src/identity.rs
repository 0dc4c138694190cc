//! Who this program is, read from a directory that enrolment filled.
//!
//! Certificates hold for a day. Connections of an identity have it renewed: in the background at half of its life, and
//! before a handshake that would show one that is due. Calls that run are not touched.

use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use comity_identity::store::StoreError;
use comity_identity::{Credentials, IdentityDir, LeafIdentity, Root};
use comity_runtime::chain;
use comity_runtime::clock::SystemClock;
use comity_types::{Clock, SpiffeId};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tonic::Status;

use crate::enrol::{self, EnrolError};

/// A member's identity and the federation that it belongs to. Clones share the credentials.
#[derive(Debug, Clone)]
pub struct Identity {
    dir: IdentityDir,
    id: SpiffeId,
    brokers: Vec<String>,
    root: Arc<Root>,
    credentials: Arc<Credentials>,
    clock: Arc<dyn Clock>,
    renewal: Option<Arc<Renewal>>,
}

/// How renewals of an identity go. Clones of an identity take turns.
#[derive(Debug, Default)]
struct Renewal {
    turn: Mutex<()>,
    failed: std::sync::Mutex<Option<(Instant, Arc<str>)>>,
}

/// How long a renewal that failed is not tried again while the certificate still holds.
const PAUSE: Duration = Duration::from_secs(30);
/// Longest renewal: it waits for a disk, not for people.
const RENEWAL_DEADLINE: Duration = Duration::from_secs(15);
/// How often to look whether the certificate is due, at most: a clock may jump.
const LOOK: Duration = Duration::from_secs(30);
/// How often at most: a certificate that has ended, and cannot be renewed, keeps nobody busy.
const SHORTEST_LOOK: Duration = Duration::from_millis(100);
/// How many times to look before the certificate ends, at least.
const LOOKS: u32 = 32;

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
        let renewal = Some(Arc::default());
        Ok(Self { dir, id: identity.spiffe_id, brokers: identity.brokers, root, credentials, clock, renewal })
    }

    /// The same, which somebody else keeps fresh: its connections do not.
    #[must_use]
    pub fn renewed_elsewhere(mut self) -> Self {
        self.renewal = None;
        self
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
        Ok(Self { dir, id: identity.spiffe_id, brokers: identity.brokers, root, credentials, clock, renewal: None })
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

    pub(crate) const fn shared_root(&self) -> &Arc<Root> {
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

    /// Renews the certificate if that is due: past half of its life, or ended. Does nothing where it comes from elsewhere,
    /// and nothing for a while after it failed, unless the certificate has ended.
    ///
    /// # Errors
    /// The broker cannot be reached or refuses; the certificate in use stays.
    pub async fn keep_fresh(&self) -> Result<(), EnrolError> {
        let Some(renewal) = &self.renewal else { return Ok(()) };
        if !self.is_due(renewal) {
            return Ok(());
        }
        let _turn = renewal.turn.lock().await;
        // Whoever was before us may have done it.
        if !self.is_due(renewal) {
            return Ok(());
        }
        let late = |_| EnrolError::from(Status::deadline_exceeded("the broker does not answer"));
        let renewed = timeout(RENEWAL_DEADLINE, Box::pin(enrol::renew(self))).await.map_err(late).flatten();
        let failed = renewed.as_ref().err().map(|error| (Instant::now(), chain::text(error).into()));
        *renewal.failed.lock().unwrap_or_else(PoisonError::into_inner) = failed;
        renewed.map(drop)
    }

    /// Why the last renewal failed, if it did.
    pub(crate) fn renewal_failure(&self) -> Option<Arc<str>> {
        let failed = self.renewal.as_ref()?.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.as_ref().map(|(_, why)| Arc::clone(why))
    }

    /// When to look again whether the certificate is due; never where it comes from elsewhere.
    pub(crate) fn next_look(&self) -> Option<Duration> {
        self.renewal.as_ref()?;
        let left = self.leaf().not_after.since(self.clock.now());
        Some(LOOK.min(left / LOOKS).max(SHORTEST_LOOK))
    }

    fn is_due(&self, renewal: &Renewal) -> bool {
        let now = self.clock.now();
        let failed = renewal.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let pauses = failed.as_ref().is_some_and(|(at, _)| at.elapsed() < PAUSE);
        enrol::renew_due(self, now) && (!pauses || now > self.leaf().not_after)
    }
}
