//! The way to the broker, a step at a time, for whoever looks for what is wrong with it.
//!
//! A handshake is read up to the broker's last word and left there: we prove nothing of ourselves, so that nothing at the
//! broker begins, a tunnel above all.

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use comity_identity::{Credentials, Root, tls};
use comity_proto::enrolment::GetRootRequest;
use comity_proto::enrolment::enrolment_client::EnrolmentClient;
use comity_types::{Clock, Timestamp};
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, ClientConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::Status;

use crate::connection::{Connection, ConnectionError};

/// Longest wait for one step: a lost SYN is sent again after 1 s and after 3.
const STEP_DEADLINE: Duration = Duration::from_secs(5);
/// What is read of a handshake at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// What a connection to the broker is for, as ALPN names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Calls of members.
    Calls,
    /// Joining.
    Enrolment,
    /// Tunnels of nodes.
    Tunnel,
}

impl Protocol {
    /// Its name.
    #[must_use]
    pub fn alpn(self) -> &'static str {
        let name = match self {
            Self::Calls => tls::ALPN_H2,
            Self::Enrolment => tls::ALPN_ENROLMENT,
            Self::Tunnel => tls::ALPN_TUNNEL,
        };
        // All of them are ASCII.
        std::str::from_utf8(name).unwrap_or_default()
    }
}

/// What a handshake agreed on. The server was verified: it is the broker that the root document names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// The protocol's name; none if the server knows none of ours.
    pub alpn: Option<String>,
    /// The version of TLS, such as `TLSv1_3`.
    pub version: String,
    /// The key exchange, such as `X25519MLKEM768`.
    pub group: String,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// It took too long.
    #[error("nothing came within {} s", STEP_DEADLINE.as_secs())]
    Slow,
    /// The name leads nowhere.
    #[error("the name has no address")]
    NoAddress,
    /// The system or the network says no.
    #[error(transparent)]
    Network(#[from] io::Error),
    /// The other end closed the connection.
    #[error("whoever listens there hung up during the handshake")]
    HungUp,
    /// By this machine's clock, the certificate does not hold yet.
    #[error("by this machine's clock it is {now}, and the broker's certificate holds from {not_before} on")]
    NotYet {
        /// This machine's time.
        now: Timestamp,
        /// When it begins.
        not_before: Timestamp,
    },
    /// By this machine's clock, the certificate has ended.
    #[error("by this machine's clock it is {now}, and the broker's certificate ended at {not_after}")]
    Ended {
        /// This machine's time.
        now: Timestamp,
        /// When it ended.
        not_after: Timestamp,
    },
    /// The server knows none of our protocols.
    #[error("whoever listens there does not speak this protocol")]
    NoProtocol,
    /// The handshake failed, or somebody else answers.
    #[error(transparent)]
    Tls(rustls::Error),
}

impl From<rustls::Error> for ProbeError {
    fn from(error: rustls::Error) -> Self {
        let at = |time: &rustls::pki_types::UnixTime| {
            i64::try_from(time.as_secs()).ok().and_then(|secs| Timestamp::from_millis(secs.checked_mul(1000)?).ok())
        };
        if let rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { time, not_before }) = &error
            && let Some((now, not_before)) = at(time).zip(at(not_before))
        {
            return Self::NotYet { now, not_before };
        }
        if let rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { time, not_after }) = &error
            && let Some((now, not_after)) = at(time).zip(at(not_after))
        {
            return Self::Ended { now, not_after };
        }
        let unknown = error == rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol);
        if unknown { Self::NoProtocol } else { Self::Tls(error) }
    }
}

/// The addresses of `host:port`.
///
/// # Errors
/// There are none, or nobody says.
pub async fn resolve(address: &str) -> Result<Vec<SocketAddr>, ProbeError> {
    let found: Vec<_> = step(async { Ok(tokio::net::lookup_host(address).await?.collect()) }).await?;
    if found.is_empty() { Err(ProbeError::NoAddress) } else { Ok(found) }
}

/// A connection to the first of these that answers.
///
/// # Errors
/// None does: why the last does not.
pub async fn reach(addresses: &[SocketAddr]) -> Result<TcpStream, ProbeError> {
    let mut last = ProbeError::NoAddress;
    for address in addresses {
        match step(async { Ok(TcpStream::connect(address).await?) }).await {
            Ok(tcp) => return Ok(tcp),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// How to shake hands with the broker of this root document.
///
/// # Errors
/// TLS cannot be set up.
pub fn config(
    root: &Root,
    credentials: &Arc<Credentials>,
    protocol: Protocol,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<ClientConfig>, ConnectionError> {
    let (anchors, broker) = (Arc::new(root.organisation_anchors()?), root.broker.clone());
    let (credentials, clock) = (Arc::clone(credentials), Arc::clone(clock));
    Ok(match protocol {
        Protocol::Calls => tls::client_config(credentials, broker, anchors, clock)?,
        Protocol::Enrolment => tls::enrolment_client_config(broker, anchors, clock)?,
        Protocol::Tunnel => tls::tunnel_client_config(credentials, broker, anchors, clock)?,
    })
}

/// How to shake hands for [`Protocol::Enrolment`], which takes no certificate of ours.
///
/// # Errors
/// TLS cannot be set up.
pub fn enrolment_config(root: &Root, clock: &Arc<dyn Clock>) -> Result<Arc<ClientConfig>, ConnectionError> {
    let anchors = Arc::new(root.organisation_anchors()?);
    Ok(tls::enrolment_client_config(root.broker.clone(), anchors, Arc::clone(clock))?)
}

/// Reads the broker's half of a handshake, and lets go.
///
/// # Errors
/// It fails, or whoever listens there is not the broker.
pub async fn shake(tcp: TcpStream, tls: Arc<ClientConfig>) -> Result<Handshake, ProbeError> {
    step(shake_without_deadline(tcp, tls)).await
}

async fn shake_without_deadline(mut tcp: TcpStream, tls: Arc<ClientConfig>) -> Result<Handshake, ProbeError> {
    let nobody = ServerName::from(std::net::Ipv4Addr::UNSPECIFIED);
    let mut connection = ClientConnection::new(tls, nobody)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    while connection.is_handshaking() {
        if connection.wants_write() {
            let mut ours = Vec::new();
            connection.write_tls(&mut ours)?;
            tcp.write_all(&ours).await?;
            continue;
        }
        let read = tcp.read(&mut chunk).await?;
        let mut theirs = chunk.get(..read).filter(|bytes| !bytes.is_empty()).ok_or(ProbeError::HungUp)?;
        while !theirs.is_empty() {
            connection.read_tls(&mut theirs)?;
            connection.process_new_packets()?;
        }
    }
    // Our half, with the certificate, is not sent: to the broker, we hung up.
    Ok(Handshake {
        alpn: connection.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
        version: connection.protocol_version().map(|version| format!("{version:?}")).unwrap_or_default(),
        group: connection
            .negotiated_key_exchange_group()
            .map(|group| format!("{:?}", group.name()))
            .unwrap_or_default(),
    })
}

async fn step<T>(work: impl Future<Output = Result<T, ProbeError>>) -> Result<T, ProbeError> {
    timeout(STEP_DEADLINE, work).await.unwrap_or(Err(ProbeError::Slow))
}

/// By how much the broker's clock is ahead of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offset {
    /// In milliseconds; negative if it is behind.
    pub millis: i64,
    /// How wrong that may be: half of the time that the answer took.
    pub uncertainty: Duration,
}

impl Offset {
    /// The broker said `told` between `sent` and `received`.
    #[must_use]
    pub fn between(sent: Timestamp, told: Timestamp, received: Timestamp) -> Self {
        let uncertainty = received.since(sent) / 2;
        Self { millis: told.as_millis().saturating_sub(sent.plus(uncertainty).as_millis()), uncertainty }
    }
}

/// A connection to one address of the broker that shows no certificate.
///
/// # Errors
/// TLS cannot be set up.
pub fn without_certificate(root: &Root, address: &str, clock: &Arc<dyn Clock>) -> Result<Connection, ConnectionError> {
    Ok(Connection::for_enrolment(address, enrolment_config(root, clock)?))
}

/// Asks the broker for what anybody may ask; who is refused takes no part, and is told why.
///
/// # Errors
/// The broker refuses, or cannot be reached.
pub async fn ask(connection: &Connection) -> Result<(), Box<Status>> {
    EnrolmentClient::new(connection.unary()).get_root(GetRootRequest {}).await.map(drop).map_err(Box::new)
}

/// Compares clocks over a connection; nothing if the broker does not tell its time.
///
/// # Errors
/// The broker refuses, or cannot be reached.
pub async fn offset(connection: &Connection, clock: &dyn Clock) -> Result<Option<Offset>, Box<Status>> {
    // The first makes the connection, whose handshake takes longer than the answer.
    ask(connection).await?;
    let sent = clock.now();
    let answer = EnrolmentClient::new(connection.unary()).get_root(GetRootRequest {}).await.map_err(Box::new)?;
    let received = clock.now();
    Ok(answer.into_inner().now.and_then(instant).map(|told| Offset::between(sent, told, received)))
}

fn instant(wire: prost_types::Timestamp) -> Option<Timestamp> {
    let millis = wire.seconds.checked_mul(1000)?.checked_add(i64::from(wire.nanos / 1_000_000))?;
    Timestamp::from_millis(millis).ok()
}
