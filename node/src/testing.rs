//! What this crate's tests share: a federation with a node in it, a clock that is moved, a broker that does as it is
//! told, and what was logged.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::signature::Ed25519KeyPair;
use comity_identity::{
    Authority, CertificateDer, IdentityDir, Invite, Inviter, KeyPair, Root, RootOperator, SigningRequest,
    root::ROOT_VERSION,
};
use comity_runtime::clock::SystemClock;
use comity_transparency::testing::TestKey;
use comity_transparency::{LogKey, NoteKey, PublicKey};
use comity_types::{Clock, Secret, SpiffeId, Timestamp};
use tempfile::TempDir;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::Config;
use crate::replica::Replica;
use crate::retry::Pace;

mod broker;
mod history;
mod permits;

pub(crate) use broker::{Broker, Said, Tunnel, acceptor};
pub(crate) use history::{History, facts};
pub(crate) use permits::{Decided, Permits};

/// The node.
pub(crate) const NODE: &str = "spiffe://org-a.example/node/n1";
/// The federation's broker.
pub(crate) const BROKER: &str = "spiffe://fed.example/broker/b1";
/// The name of the federation's log.
const LOG: &str = "fed.example/membership";
/// How long the node's certificate holds: it is renewed between 12 and 15 hours of its age.
pub(crate) const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// Enough for any state that a test waits for, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// The pace of tests.
pub(crate) const FAST: Pace = Pace {
    first_pause: Duration::from_millis(1),
    longest_pause_away: Duration::from_millis(5),
    longest_pause_refused: Duration::from_millis(5),
    longest_pause_suspended: Duration::from_millis(5),
    call_deadline: Duration::from_secs(10),
    settle: Duration::from_secs(1),
    silence: Duration::from_secs(10),
    look: Duration::from_millis(1),
};
const TOML: &str = r#"
[node]
listen = "127.0.0.1:0"
data_dir = "data"
[backends.small]
kind = "embedded-embeddings"
[terms.standard]
retention = []
training_use = "never"
allowed_purposes = ["dpv:Purpose"]
caller_rules = { served = "everyone" }
[[offers]]
id = "embed"
model = "small"
backend = "small"
capabilities = ["embed"]
processing_locations = ["DE"]
sub_processors = []
licence = "Apache-2.0"
terms = "standard"
"#;

/// The system's time, moved by what a test sets; counts how often it is read.
#[derive(Debug, Default)]
pub(crate) struct MovedClock {
    millis: AtomicI64,
    reads: AtomicUsize,
}

impl MovedClock {
    pub(crate) fn move_by(&self, duration: Duration) {
        self.millis.fetch_add(duration.as_millis().try_into().unwrap(), Ordering::SeqCst);
    }

    pub(crate) fn move_back(&self, duration: Duration) {
        self.millis.fetch_sub(duration.as_millis().try_into().unwrap(), Ordering::SeqCst);
    }

    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        self.reads.fetch_add(1, Ordering::SeqCst);
        Timestamp::from_millis(SystemClock.now().as_millis() + self.millis.load(Ordering::SeqCst)).unwrap()
    }
}

/// A federation, a member organisation, and its node with an identity.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) federation: Authority,
    pub(crate) organisation: Authority,
    pub(crate) config: Config,
    root_json: Vec<u8>,
    alice: Secret<Vec<u8>>,
    log_key: Secret<Vec<u8>>,
}

impl World {
    /// A federation whose broker is at `address`.
    pub(crate) fn at(address: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (federation, organisation) = (authority("fed.example"), authority("org-a.example"));
        let (alice, log_key) = (NoteKey::generate("alice".into()).unwrap(), NoteKey::generate(LOG.into()).unwrap());
        let root_json = root(address, &federation, &alice, &log_key).to_json().unwrap();
        let (alice, log_key) = (alice.to_pkcs8().unwrap(), log_key.to_pkcs8().unwrap());
        std::fs::write(folder.path().join("node.toml"), TOML).unwrap();
        let config = Config::load(&folder.path().join("node.toml")).unwrap();
        let dir = IdentityDir::create(config.identity_dir()).unwrap();
        let key = dir.pending_key().unwrap();
        dir.save(&chain(&organisation, NODE, &key), &root_json).unwrap();
        Self { folder, federation, organisation, config, root_json, alice, log_key }
    }

    /// The configuration of a node that has not joined.
    pub(crate) fn newcomer(&self) -> Config {
        let mut config = self.config.clone();
        config.node.identity_dir = Some(self.folder.path().join("newcomer"));
        config
    }

    /// What its federation was founded with, and the first entry of its log.
    pub(crate) fn history(&self) -> History {
        self.history_at(SystemClock.now())
    }

    /// The same, and a second entry, which admits the node's organisation with the node.
    pub(crate) fn history_with_node(&self) -> History {
        let mut history = self.history();
        history.admit(facts("org-a.example", "DE"), NODE);
        history
    }

    /// The same, of another time.
    pub(crate) fn history_at(&self, at: Timestamp) -> History {
        let alice = TestKey::Ed25519(Ed25519KeyPair::from_pkcs8(self.alice.reveal()).unwrap());
        let log_key = NoteKey::from_pkcs8(LOG.into(), &self.log_key).unwrap();
        let root = Root::from_json(&self.root_json).unwrap();
        let genesis = comity_runtime::genesis::genesis(&root, Root::digest(&self.root_json));
        History::founded(genesis, alice, log_key, at)
    }

    /// A copy of its federation's state, empty and by this clock.
    pub(crate) fn replica(&self, clock: Arc<dyn Clock>) -> Replica {
        self.replica_within(clock, self.config.budgets())
    }

    /// The same, that may be so old.
    pub(crate) fn replica_within(&self, clock: Arc<dyn Clock>, budgets: crate::replica::Budgets) -> Replica {
        let root = Root::from_json(&self.root_json).unwrap();
        Replica::new(&root, Root::digest(&self.root_json), clock, budgets)
    }

    pub(crate) fn invite(&self, address: &str) -> String {
        Invite::generate(Inviter::Operators, Root::digest(&self.root_json), address)
            .unwrap()
            .encode()
            .unwrap()
            .reveal()
            .clone()
    }

    pub(crate) fn data(&self, file: &str) -> PathBuf {
        self.folder.path().join("data").join(file)
    }
}

fn root(address: &str, federation: &Authority, alice: &NoteKey, log_key: &NoteKey) -> Root {
    Root {
        version: ROOT_VERSION,
        federation: "fed.example".parse().unwrap(),
        broker: BROKER.parse().unwrap(),
        addresses: vec![address.to_owned()],
        anchors: vec![federation.anchor()],
        decision_log: LogKey::generate("fed.example/decisions/b1").unwrap().verifiers().clone(),
        log_key: log_key.public().unwrap(),
        operators: vec![RootOperator {
            id: "spiffe://fed.example/operator/alice".parse().unwrap(),
            key: PublicKey::from_ed25519(&alice.public().unwrap()),
        }],
        root_threshold: 1,
        membership_threshold: 1,
        founded_at: SystemClock.now(),
    }
}

/// Somebody who signs certificates for a domain.
pub(crate) fn authority(domain: &str) -> Authority {
    Authority::generate(domain.parse().unwrap(), SystemClock.now()).unwrap()
}

/// A certificate for `key` that begins now.
pub(crate) fn chain(authority: &Authority, id: &str, key: &KeyPair) -> Vec<CertificateDer<'static>> {
    let id: SpiffeId = id.parse().unwrap();
    let request = SigningRequest::parse(&key.signing_request(&id).unwrap()).unwrap();
    authority.issue(&request, &id, &[], LIFETIME, SystemClock.now()).unwrap().chain
}

/// Waits until `state` holds.
pub(crate) async fn eventually(state: impl Fn() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !state() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    waited.await.expect("the state did not come");
}

/// Runs `work`, which never ends, until `state` holds.
pub(crate) async fn run_until(work: impl Future<Output = ()>, state: impl Fn() -> bool) {
    tokio::select! {
        () = work => panic!("it ended"),
        () = eventually(state) => {}
    }
}

/// What was logged by the thread of one test.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Collects until the guard is dropped.
    pub(crate) fn collect(&self) -> tracing::subscriber::DefaultGuard {
        // An event that a thread met which collects nothing would be off for every thread: here none is.
        let _already = tracing::subscriber::set_global_default(tracing_subscriber::registry());
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(self.clone()).finish();
        tracing::subscriber::set_default(subscriber)
    }

    pub(crate) fn lines_with(&self, text: &str) -> Vec<String> {
        let log = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        log.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
