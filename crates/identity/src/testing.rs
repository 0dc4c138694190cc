//! What this crate's tests share: a clock to set, organisations, and handshakes in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use comity_types::{Clock, SpiffeId, Timestamp};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use rustls_pki_types::{CertificateDer, ServerName};

use crate::{Authority, Credentials, KeyPair, OrganisationAnchors, SigningRequest};

/// The instant at which tests take place.
pub(crate) fn now() -> Timestamp {
    "2026-11-23T10:00:00Z".parse().unwrap()
}

/// A clock that stands still until it is set.
#[derive(Debug)]
pub(crate) struct SetClock(AtomicI64);

impl SetClock {
    pub(crate) fn at(instant: Timestamp) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(instant.as_millis())))
    }

    pub(crate) fn set(&self, instant: Timestamp) {
        self.0.store(instant.as_millis(), Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

/// An organisation with a hosted authority.
pub(crate) struct Organisation {
    pub(crate) authority: Authority,
}

impl Organisation {
    pub(crate) fn new(domain: &str) -> Self {
        Self {
            authority: Authority::generate(domain.parse().unwrap(), now().minus(Duration::from_secs(86_400))).unwrap(),
        }
    }

    pub(crate) fn id(&self, kind: &str, name: &str) -> SpiffeId {
        format!("spiffe://{}/{kind}/{name}", self.authority.domain()).parse().unwrap()
    }

    pub(crate) fn anchors(&self) -> OrganisationAnchors {
        OrganisationAnchors::new(self.authority.domain().clone(), &[self.authority.anchor()]).unwrap()
    }

    /// A chain that holds for an hour from `from`, and its key.
    pub(crate) fn issue(&self, kind: &str, name: &str, from: Timestamp) -> (Vec<CertificateDer<'static>>, KeyPair) {
        let (id, key) = (self.id(kind, name), KeyPair::generate().unwrap());
        let request = SigningRequest::parse(&key.signing_request(&id).unwrap()).unwrap();
        let issued = self.authority.issue(&request, &id, &[], Duration::from_secs(3600), from).unwrap();
        (issued.chain, key)
    }

    pub(crate) fn credentials(&self, kind: &str, name: &str) -> Arc<Credentials> {
        let (chain, key) = self.issue(kind, name, now());
        Arc::new(Credentials::new(chain, &key).unwrap())
    }
}

/// Both ends of a finished handshake.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) client: ClientConnection,
    pub(crate) server: ServerConnection,
}

/// Whose side gave up, and why.
#[derive(Debug)]
pub(crate) enum Failed {
    Client(rustls::Error),
    Server(rustls::Error),
}

impl Failed {
    /// The whole chain of messages.
    pub(crate) fn text(&self) -> String {
        let (Self::Client(error) | Self::Server(error)) = self;
        format!("{error:?}")
    }
}

/// A handshake in memory, until neither side has anything left to say.
pub(crate) fn connect(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> Result<Connected, Failed> {
    let name = ServerName::try_from("any.example").unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    while client.wants_write() || server.wants_write() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        feed(&wire, |bytes| server.read_tls(bytes).unwrap());
        server.process_new_packets().map_err(Failed::Server)?;
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        feed(&wire, |bytes| client.read_tls(bytes).unwrap());
        client.process_new_packets().map_err(Failed::Client)?;
    }
    assert!(!client.is_handshaking() && !server.is_handshaking(), "the handshake stopped half-way");
    Ok(Connected { client, server })
}

fn feed(mut wire: &[u8], mut read: impl FnMut(&mut &[u8]) -> usize) {
    while !wire.is_empty() {
        assert_ne!(read(&mut wire), 0, "the receiver takes no more");
    }
}
