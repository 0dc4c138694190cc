//! Tries a broker's addresses one after the other.

use std::io;
use std::sync::Arc;

use comity_identity::Credentials;
use comity_runtime::dial;
use comity_types::{Clock, Timestamp};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::identity::Identity;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("our certificate ended at {not_after}")]
pub struct CertificateEnded {
    /// When it ended.
    pub not_after: Timestamp,
}

/// Knows where the broker is, and how to tell that it is the broker.
#[derive(Debug, Clone)]
pub(crate) struct Dialler {
    addresses: Arc<[String]>,
    tls: Arc<ClientConfig>,
    member: Option<(Arc<Credentials>, Arc<dyn Clock>)>,
}

impl Dialler {
    pub(crate) fn of(identity: &Identity, tls: Arc<ClientConfig>) -> Self {
        let member = Some((Arc::clone(identity.credentials()), Arc::clone(identity.clock())));
        Self { addresses: identity.brokers().into(), tls, member }
    }

    pub(crate) fn anonymous(address: &str, tls: Arc<ClientConfig>) -> Self {
        Self { addresses: [address.to_owned()].into(), tls, member: None }
    }

    pub(crate) async fn connect(self) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
        self.check_certificate()?;
        let mut worst: Option<io::Error> = None;
        for address in &*self.addresses {
            match dial::connect(address, Arc::clone(&self.tls)).await {
                Ok(tls) => return Ok(TokioIo::new(tls)),
                Err(error) => worst = Some(further(worst, error)),
            }
        }
        let source = worst.unwrap_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable));
        Err(io::Error::new(source.kind(), NotReached { addresses: self.addresses.to_vec(), source }))
    }

    fn check_certificate(&self) -> io::Result<()> {
        let Some((credentials, clock)) = &self.member else { return Ok(()) };
        let not_after = credentials.leaf().not_after;
        if clock.now() <= not_after {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, CertificateEnded { not_after }))
    }
}

/// A peer that answered wrongly tells more than one that did not answer.
fn further(before: Option<io::Error>, error: io::Error) -> io::Error {
    match before {
        Some(before) if before.kind() == io::ErrorKind::InvalidData => before,
        Some(_) | None => error,
    }
}
