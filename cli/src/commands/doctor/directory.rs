//! The identity on disk: each file by itself, whatever the others are.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use comity_client::WorkloadApi;
use comity_client::enrol;
use comity_client::workload_api::Socket;
use comity_identity::store::{
    CERTIFICATE_FILE, FEDERATION_CA_FILE, IDENTITY_FILE, Identity as Named, KEY_FILE, NEXT_ORGANISATION_KEY_FILE,
    ORGANISATION_KEY_FILE, ROOT_FILE,
};
use comity_identity::{Credentials, IdentityDir, Root};
use comity_runtime::clock::SystemClock;
use comity_types::{Clock, Digest, Timestamp};

use super::finding::Finding;
use super::verdict::{self, Renewer};

/// What mends a directory that is not whole.
const RESTORE: &str = "restore it from a backup, or join again in an empty directory (`comity join INVITE --dir DIR`)";

/// What could be read of an identity: each part if it is whole.
#[derive(Debug)]
pub(super) struct Patient {
    pub(super) dir: PathBuf,
    pub(super) named: Option<Named>,
    /// Where the broker is, as the identity says, or the invite that it waits by.
    pub(super) brokers: Vec<String>,
    /// The root document that such an invite pins, which the broker is to show.
    pub(super) pinned: Option<Digest>,
    pub(super) root: Option<Root>,
    pub(super) credentials: Option<Arc<Credentials>>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Patient {
    /// Nobody yet: who has asked knows where.
    fn nobody(dir: &IdentityDir) -> Self {
        let taken = dir.taken_up().ok().flatten();
        let pinned = taken.as_ref().map(|taken| taken.federation_root);
        let brokers = taken.and_then(|taken| taken.address).into_iter().collect();
        let (dir, clock) = (dir.path().to_owned(), Arc::new(SystemClock));
        Self { dir, named: None, brokers, pinned, root: None, credentials: None, clock }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// Looks at every file.
pub(super) async fn examine(path: &Path, workload: Option<&Socket>, findings: &mut Vec<Finding>) -> Patient {
    let dir = IdentityDir::unchecked(path);
    if let Some(waits) = waiting(&dir) {
        findings.push(waits);
        keys(path, workload.is_some(), findings);
        return Patient::nobody(&dir);
    }
    let named = noted(dir.identity(), "identity", RESTORE, findings, |named: &Named| {
        format!("{} says that this is {}", path.join(IDENTITY_FILE).display(), named.spiffe_id)
    });
    let root = noted(dir.load_root(), "root", RESTORE, findings, |root: &Root| {
        format!("{} is the one that is pinned; the federation is {}", path.join(ROOT_FILE).display(), root.federation)
    });
    // Whoever reads it are clients of other makers.
    if !path.join(FEDERATION_CA_FILE).exists() && root.is_some() {
        let found = format!("{} is not there", path.join(FEDERATION_CA_FILE).display());
        findings.push(Finding::warn("anchors", found, "clients of other makers need it: restore it from a backup"));
    }
    keys(path, workload.is_some(), findings);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (credentials, renewer) = match (workload, &named) {
        (None, _) => (noted_quietly(dir.credentials(), findings), Renewer::Broker),
        (Some(socket), Some(named)) => (handed_out(socket, named, findings).await, Renewer::Workload),
        (Some(_), None) => {
            findings.push(Finding::skipped("certificate", "whose it should be is not known"));
            (None, Renewer::Workload)
        }
    };
    if let Some(credentials) = &credentials {
        findings.push(verdict::certificate(&credentials.leaf(), clock.now(), renewer));
    }
    let brokers = named.as_ref().map(|named| named.brokers.clone()).unwrap_or_default();
    Patient { dir: path.to_owned(), named, brokers, pinned: None, root, credentials, clock }
}

/// That a directory waits for what it has asked for, or was turned down, if that is all that is wrong with it.
fn waiting(dir: &IdentityDir) -> Option<Finding> {
    if dir.is_joined() {
        return None;
    }
    if let Ok(Some(reason)) = dir.rejection() {
        let found = format!("the federation's operators turned the enrolment down: {reason}");
        return Some(Finding::fail("identity", found, "settle it with them; what comes of it is another invite"));
    }
    let (taken, key) = (dir.taken_up().ok()??, dir.key().ok()?);
    let shown = dir.path().display().to_string();
    let fingerprint = key.public_key_digest().fingerprint();
    Some(verdict::waits(&shown, &taken.id, &fingerprint, enrol::to_be_signed(dir.path())))
}

fn noted<T, E: std::error::Error + 'static>(
    read: Result<T, E>,
    check: &str,
    mend: &str,
    findings: &mut Vec<Finding>,
    found: impl Fn(&T) -> String,
) -> Option<T> {
    match read {
        Ok(value) => {
            findings.push(Finding::ok(check, found(&value)));
            Some(value)
        }
        Err(error) => {
            findings.push(Finding::error(check, &error, mend));
            None
        }
    }
}

/// Key and certificate together; what is right about them, the check of the certificate says.
fn noted_quietly<E: std::error::Error + 'static>(
    read: Result<Arc<Credentials>, E>,
    findings: &mut Vec<Finding>,
) -> Option<Arc<Credentials>> {
    match read {
        Ok(credentials) => Some(credentials),
        Err(error) => {
            let mend = format!("{KEY_FILE} and {CERTIFICATE_FILE} have to be those that joined together: {RESTORE}");
            findings.push(Finding::error("certificate", &error, &mend));
            None
        }
    }
}

fn keys(path: &Path, elsewhere: bool, findings: &mut Vec<Finding>) {
    let mode = |name: &str| fs::metadata(path.join(name)).ok().map(|found| found.permissions().mode() & 0o7777);
    let shown = |name: &str| path.join(name).display().to_string();
    if !elsewhere {
        findings.push(verdict::secret_file("key", &shown(KEY_FILE), mode(KEY_FILE)));
    }
    // Most members do not have it.
    if let Some(found) = mode(ORGANISATION_KEY_FILE) {
        findings.push(verdict::secret_file("organisation's key", &shown(ORGANISATION_KEY_FILE), Some(found)));
    }
    if let Some(found) = mode(NEXT_ORGANISATION_KEY_FILE) {
        let next = shown(NEXT_ORGANISATION_KEY_FILE);
        findings.push(verdict::secret_file("organisation's next key", &next, Some(found)));
        let begun = format!("a change of keys was begun and not ended: {next} is there");
        findings.push(Finding::warn("change of keys", begun, "`comity organisation keys roll` goes on with it"));
    }
}

async fn handed_out(socket: &Socket, named: &Named, findings: &mut Vec<Finding>) -> Option<Arc<Credentials>> {
    let mend = "start SPIRE's agent, and see that it has an entry for this workload with that SPIFFE ID";
    let asked = async { WorkloadApi::open(socket).await?.credentials(&named.spiffe_id).await };
    match asked.await {
        Ok(credentials) => Some(Arc::new(credentials)),
        Err(error) => {
            findings.push(Finding::error("workload API", &error, mend));
            None
        }
    }
}
