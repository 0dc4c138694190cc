//! What this crate's tests share: organisations, TLS configurations, listeners, and what was logged.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use comity_identity::{Authority, Credentials, KeyPair, OrganisationAnchors, SharedAnchors, SigningRequest, tls};
use comity_types::{Clock, SpiffeId};
use rustls::{ClientConfig, ServerConfig};
use tracing_subscriber::fmt::MakeWriter;

use crate::accept::{Acceptor, Incoming, Listener};
use crate::clock::SystemClock;
use crate::tasks::Tasks;

/// Enough for any state that a test waits for, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How long the certificates of tests hold.
pub(crate) const LIFETIME: Duration = Duration::from_secs(3600);

/// An organisation with an authority of its own.
pub(crate) struct Organisation {
    authority: Authority,
}

impl Organisation {
    pub(crate) fn new(domain: &str) -> Self {
        Self { authority: Authority::generate(domain.parse().unwrap(), SystemClock.now()).unwrap() }
    }

    pub(crate) fn id(&self, path: &str) -> SpiffeId {
        format!("spiffe://{}/{path}", self.authority.domain()).parse().unwrap()
    }

    pub(crate) fn anchors(&self) -> OrganisationAnchors {
        OrganisationAnchors::new(self.authority.domain().clone(), &[self.authority.anchor()]).unwrap()
    }

    pub(crate) fn credentials(&self, path: &str) -> Arc<Credentials> {
        let (id, key) = (self.id(path), KeyPair::generate().unwrap());
        let request = SigningRequest::parse(&key.signing_request(&id).unwrap()).unwrap();
        let issued = self.authority.issue(&request, &id, &[], LIFETIME, SystemClock.now()).unwrap();
        Arc::new(Credentials::new(issued.chain, &key).unwrap())
    }
}

/// A federation whose broker takes the members of one organisation, and of those others that a test names.
pub(crate) struct World {
    pub(crate) federation: Organisation,
    pub(crate) member: Organisation,
    others: Vec<OrganisationAnchors>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::trusting(&[])
    }

    pub(crate) fn trusting(others: &[Organisation]) -> Self {
        let (federation, member) = (Organisation::new("fed.example"), Organisation::new("org-a.example"));
        Self { federation, member, others: others.iter().map(Organisation::anchors).collect() }
    }

    pub(crate) fn acceptor(&self) -> Acceptor {
        let (clock, credentials) = (Arc::new(SystemClock), self.federation.credentials("broker/b1"));
        let trusted = std::iter::once(self.member.anchors()).chain(self.others.iter().cloned());
        let anchors = Arc::new(SharedAnchors::new(trusted.collect()));
        let mutual: Arc<ServerConfig> =
            tls::server_config(Arc::clone(&credentials), anchors.clone(), clock.clone()).unwrap();
        let tunnels = tls::tunnel_server_config(Arc::clone(&credentials), anchors, clock.clone()).unwrap();
        let enrolment = tls::enrolment_server_config(credentials, clock).unwrap();
        Acceptor::new(mutual, Some(enrolment)).with_tunnels(tunnels)
    }

    /// What `node`, a member of `organisation`, opens a tunnel to the broker with.
    pub(crate) fn tunnel(&self, organisation: &Organisation, node: &str) -> Arc<ClientConfig> {
        let (broker, anchors) = (self.federation.id("broker/b1"), Arc::new(self.federation.anchors()));
        tls::tunnel_client_config(organisation.credentials(node), broker, anchors, Arc::new(SystemClock)).unwrap()
    }

    /// What `caller`, a member of `organisation`, calls the broker with.
    pub(crate) fn client(&self, organisation: &Organisation, caller: &str) -> Arc<ClientConfig> {
        let broker = self.federation.id("broker/b1");
        let anchors = Arc::new(self.federation.anchors());
        tls::client_config(organisation.credentials(caller), broker, anchors, Arc::new(SystemClock)).unwrap()
    }

    pub(crate) fn enrolling(&self) -> Arc<ClientConfig> {
        let anchors = Arc::new(self.federation.anchors());
        tls::enrolment_client_config(self.federation.id("broker/b1"), anchors, Arc::new(SystemClock)).unwrap()
    }
}

/// Listens on a free port.
pub(crate) async fn listen(acceptor: Acceptor, tasks: &Tasks) -> (SocketAddr, Incoming) {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    (listener.local_addr(), listener.incoming(acceptor, tasks))
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

/// Waits until `state` holds.
pub(crate) async fn eventually(state: impl Fn() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !state() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.expect("the state did not come");
}
