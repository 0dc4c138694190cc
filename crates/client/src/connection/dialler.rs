//! Tries a broker's addresses one after the other.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use comity_identity::verify::check_lifetime;
use comity_identity::{Credentials, Lifetime, VerifiedPeer};
use comity_runtime::dial;
use comity_runtime::socket::Socket;
use comity_runtime::until::Until;
use comity_types::{Clock, Digest, Timestamp};
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;
use tower::Service;

use crate::identity::Identity;

/// How long a connection without our certificate is kept, at most: as long as the broker keeps it.
const UNVERIFIED_LIFETIME: Duration = comity_runtime::accept::ENROLMENT_LIFETIME;

/// A connection to the broker, until a certificate of it ends.
pub(super) type Stream = TokioIo<Until<TlsStream<Socket>>>;

/// With which certificate a connection was made, and when it is to be left; nothing while it is not made.
#[derive(Debug, Clone, Default)]
pub(super) struct Made(Arc<ArcSwapOption<(Lifetime, Digest)>>);

impl Made {
    fn note(&self, lifetime: Lifetime, certificate: Digest) {
        self.0.store(Some(Arc::new((lifetime, certificate))));
    }

    /// True if it was made, and its time is over or our certificate is another by now.
    pub(super) fn is_over(&self, credentials: &Credentials, clock: &dyn Clock) -> bool {
        let made = self.0.load();
        made.as_ref().is_some_and(|made| clock.now() >= made.0.leave_at || !credentials.shows(made.1))
    }
}

/// None of the broker's addresses led to the broker.
#[derive(Debug, thiserror::Error)]
#[error("no connection to the broker at {}", addresses.join(", "))]
pub struct NotReached {
    /// Those that were tried.
    pub addresses: Vec<String>,
    /// What was wrong with the one that got furthest.
    pub source: io::Error,
}

/// Our own certificate has ended, so there is no use in trying.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("our certificate ended at {not_after}{}", renewal.as_ref().map(|why| format!(", and could not be renewed: {why}")).unwrap_or_default())]
pub struct CertificateEnded {
    /// When it ended.
    pub not_after: Timestamp,
    /// Why it could not be renewed, where that was tried.
    pub renewal: Option<Arc<str>>,
}

/// Knows where the broker is, and how to tell that it is the broker.
#[derive(Debug, Clone)]
pub(crate) struct Dialler {
    addresses: Arc<[String]>,
    tls: Arc<ClientConfig>,
    member: Option<Identity>,
}

impl Dialler {
    pub(crate) fn of(identity: &Identity, tls: Arc<ClientConfig>) -> Self {
        Self { addresses: identity.brokers().into(), tls, member: Some(identity.clone()) }
    }

    pub(crate) fn anonymous(address: &str, tls: Arc<ClientConfig>) -> Self {
        Self { addresses: [address.to_owned()].into(), tls, member: None }
    }

    /// Who we are; `None` without a certificate.
    pub(super) const fn member(&self) -> Option<&Identity> {
        self.member.as_ref()
    }

    /// What tonic connects by. Each connection is noted in `made`.
    pub(super) fn connector(
        self,
        made: &Made,
    ) -> impl Service<Uri, Response = Stream, Error = io::Error, Future: Send> + Send + use<> {
        let made = made.clone();
        tower::service_fn(move |_: Uri| self.clone().connect(made.clone()))
    }

    async fn connect(self, made: Made) -> io::Result<Stream> {
        if let Some(identity) = &self.member {
            // What fails is told where it matters: by the certificate, once that has ended.
            let _fresh = identity.keep_fresh().await.is_ok();
        }
        self.check_certificate()?;
        // Before the handshake, which may show a newer one: that lasts longer.
        let ours = self.member.as_ref().map(Identity::leaf);
        let tls = self.dial().await?;
        let Some((ours, identity)) = ours.zip(self.member.as_ref()) else {
            return Ok(TokioIo::new(Until::new(tls, Instant::now() + UNVERIFIED_LIFETIME)));
        };
        let theirs = VerifiedPeer::assertion_of_server(tls.get_ref().1).map_err(io::Error::other)?;
        let now = identity.clock().now();
        let lifetime = Lifetime::between(now, ours.not_after, theirs.not_after());
        made.note(lifetime, ours.certificate);
        Ok(TokioIo::new(Until::new(tls, Instant::now() + lifetime.end_at.since(now))))
    }

    async fn dial(&self) -> io::Result<TlsStream<Socket>> {
        let mut worst: Option<io::Error> = None;
        for address in &*self.addresses {
            match dial::connect(address, Arc::clone(&self.tls)).await {
                Ok(tls) => return Ok(tls),
                Err(error) => worst = Some(further(worst, error)),
            }
        }
        let source = worst.unwrap_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable));
        Err(io::Error::new(source.kind(), NotReached { addresses: self.addresses.to_vec(), source }))
    }

    fn check_certificate(&self) -> io::Result<()> {
        let Some(identity) = &self.member else { return Ok(()) };
        let leaf = identity.leaf();
        if identity.clock().now() > leaf.not_after {
            let ended = CertificateEnded { not_after: leaf.not_after, renewal: identity.renewal_failure() };
            return Err(io::Error::new(io::ErrorKind::InvalidData, ended));
        }
        check_lifetime(&leaf).map_err(|refused| io::Error::new(io::ErrorKind::InvalidData, refused))
    }
}

/// A peer that answered wrongly tells more than one that did not answer.
fn further(before: Option<io::Error>, error: io::Error) -> io::Error {
    match before {
        Some(before) if before.kind() == io::ErrorKind::InvalidData => before,
        Some(_) | None => error,
    }
}
