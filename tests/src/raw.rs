//! A peer that speaks HTTP/2 by hand, frame by frame, over TLS, and does not keep to its rules; and what becomes of it.

use std::io;
use std::sync::Arc;

use comity_client::Identity;
use comity_identity::tls::{client_config, enrolment_client_config};
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::wait::PATIENCE;

/// What every client says first.
pub const FIRST: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Flags: the end of a call's message, and of its head.
pub const END_STREAM: u8 = 1;
/// The end of a head.
pub const END_HEADERS: u8 = 4;
/// Flags of settings and pings: an answer.
pub const ACK: u8 = 1;
/// The largest frame that need be taken, in bytes of its payload (RFC 9113, section 4.2).
pub const LARGEST_FRAME: usize = 16 * 1024;
/// Bytes before each frame.
const HEAD: usize = 9;

/// The kinds of frames (RFC 9113, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are those of the RFC")]
pub enum Kind {
    Data = 0,
    Headers = 1,
    Priority = 2,
    RstStream = 3,
    Settings = 4,
    Ping = 6,
    GoAway = 7,
    WindowUpdate = 8,
    Continuation = 9,
    /// One that nobody knows.
    Unknown = 0xee,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With a GOAWAY, for this error (section 7).
    Told(u32),
    /// Without a word.
    Cut,
    /// Not at all, whatever was sent.
    Not,
}

/// `FLOW_CONTROL_ERROR`.
pub const FLOW_CONTROL_ERROR: Ended = Ended::Told(3);
/// `ENHANCE_YOUR_CALM`.
pub const ENHANCE_YOUR_CALM: Ended = Ended::Told(11);

/// A frame.
///
/// # Panics
/// If it is larger than a frame can be.
#[must_use]
pub fn frame(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind as u8, flags], &stream.to_be_bytes(), payload].concat()
}

/// Headers as HPACK takes them, each written out, none remembered (RFC 7541, section 6.2.2).
#[must_use]
pub fn headers(pairs: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [length(text.len()), text.as_bytes().to_vec()].concat();
    pairs.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

/// A length with seven bits before it is continued (section 5.1).
fn length(mut of: usize) -> Vec<u8> {
    if of < 127 {
        return vec![u8::try_from(of).unwrap()];
    }
    let mut bytes = vec![127];
    of -= 127;
    while of >= 128 {
        bytes.push(u8::try_from(of % 128).unwrap() | 128);
        of /= 128;
    }
    bytes.push(u8::try_from(of).unwrap());
    bytes
}

/// The head of a call of this method, with these headers beside those that it has to have.
#[must_use]
pub fn call(path: &str, beside: &[(&str, &str)]) -> Vec<u8> {
    let own = [
        (":method", "POST"),
        (":scheme", "https"),
        (":path", path),
        (":authority", "broker"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    headers(&[&own, beside].concat())
}

/// As who an identity calls its broker.
///
/// # Panics
/// If it cannot.
#[must_use]
pub fn member(identity: &Identity) -> Arc<ClientConfig> {
    let root = identity.root();
    let anchors = Arc::new(root.organisation_anchors().unwrap());
    let clock = Arc::clone(identity.clock());
    client_config(Arc::clone(identity.credentials()), root.broker.clone(), anchors, clock).unwrap()
}

/// As who somebody without a certificate calls the same broker.
///
/// # Panics
/// If nobody can.
#[must_use]
pub fn stranger(identity: &Identity) -> Arc<ClientConfig> {
    let root = identity.root();
    let anchors = Arc::new(root.organisation_anchors().unwrap());
    enrolment_client_config(root.broker.clone(), anchors, Arc::clone(identity.clock())).unwrap()
}

/// Connects, and says nothing.
///
/// # Errors
/// The connection is refused.
///
/// # Panics
/// Never: the name is one.
pub async fn connect(address: &str, tls: &Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let mut tls = TlsConnector::from(Arc::clone(tls)).connect("broker".try_into().unwrap(), tcp).await?;
    // In TLS 1.3 a client is done before the server has looked at it; a server that takes it begins with its settings.
    let _settings = read(&mut tls).await?;
    Ok(tls)
}

/// Sends one piece after another, reading whatever comes, until the other side ends the connection or `most` are sent; says
/// how it ended.
///
/// # Panics
/// If neither is so within [`PATIENCE`].
pub async fn flood(
    connection: impl AsyncRead + AsyncWrite,
    most: u32,
    mut piece: impl FnMut(u32) -> Vec<u8> + Send,
) -> Ended {
    let (reader, mut writer) = tokio::io::split(connection);
    let writing = async {
        let mut sent = 0;
        while sent < most && writer.write_all(&piece(sent)).await.is_ok() && writer.flush().await.is_ok() {
            sent += 1;
            // Whoever reads, and whoever is honest, have their turn.
            tokio::task::yield_now().await;
        }
        sent == most
    };
    let mut reading = std::pin::pin!(ending(reader));
    let flooding = async {
        tokio::select! {
            ended = reading.as_mut() => ended,
            all_sent = writing => if all_sent { Ended::Not } else { reading.await },
        }
    };
    tokio::time::timeout(PATIENCE, flooding).await.expect("nothing more is taken, and nothing is said")
}

/// Reads until the connection ends.
async fn ending(mut reader: impl AsyncRead + Unpin) -> Ended {
    let mut ended = Ended::Cut;
    while let Ok(read) = read(&mut reader).await {
        if read.kind == Kind::GoAway as u8 {
            let code = read.payload.get(4..8).map(|code| u32::from_be_bytes(code.try_into().unwrap()));
            ended = code.map_or(Ended::Cut, Ended::Told);
        }
    }
    ended
}

/// A frame that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Its kind, by number.
    pub kind: u8,
    /// Which call it is of; 0 of none.
    pub stream: u32,
    /// What it holds.
    pub payload: Vec<u8>,
}

/// Reads the next frame.
///
/// # Errors
/// The connection ends before it is whole.
pub async fn read(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Read> {
    let mut head = [0; HEAD];
    reader.read_exact(&mut head).await?;
    let [a, b, c, kind, _flags, stream @ ..] = head;
    let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap()];
    reader.read_exact(&mut payload).await?;
    Ok(Read { kind, stream: u32::from_be_bytes(stream), payload })
}

/// What a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Resident memory, in bytes.
    pub memory: u64,
    /// Open files and sockets.
    pub descriptors: usize,
}

impl Held {
    /// By a process that runs.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn by(process: u32) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
        Self { memory: kibibytes * 1024, descriptors }
    }
}
