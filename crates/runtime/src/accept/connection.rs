//! A connection whose peer is known, taken or dialled, until a certificate of it ends or somebody cuts it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use comity_identity::VerifiedPeer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_rustls::TlsStream;
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;
use tonic::transport::server::Connected;

use crate::socket::Socket;

/// Who is at the other end. It is in the extensions of every request.
#[derive(Debug, Clone)]
pub struct PeerInfo {
    /// The member; `None` on the enrolment protocol, which has no certificate.
    pub peer: Option<VerifiedPeer>,
    /// Where it calls from.
    pub remote: SocketAddr,
    /// Cuts the connection at once, with all its streams: what a suspension in flight needs.
    pub cut: CancellationToken,
    /// Cancelled when the connection takes no more calls, because its end is near: streams that would go on for ever
    /// end then, so that whoever reads them asks again over a new one.
    pub draining: CancellationToken,
    /// The answers on their way to the peer, for whoever counts them: an answer is there until its peer has read it.
    pub answers: TaskTracker,
}

impl PeerInfo {
    /// A peer whose connection nobody has cut.
    #[must_use]
    pub fn new(peer: Option<VerifiedPeer>, remote: SocketAddr) -> Self {
        let (cut, draining) = (CancellationToken::new(), CancellationToken::new());
        Self { peer, remote, cut, draining, answers: TaskTracker::new() }
    }
}

/// Bytes over TLS, from and to a known peer.
pub struct Connection {
    tls: TlsStream<Socket>,
    info: PeerInfo,
    ends: Ends,
    expiry: Pin<Box<Sleep>>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    held: Option<super::Held>,
    gone: CancellationToken,
    _gone: DropGuard,
}

/// When a connection is drained, and when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) drain_at: Instant,
    pub(crate) end_at: Instant,
}

/// Why a connection ended before its peers wanted it to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Ended {
    #[error("a certificate of the connection has ended")]
    Expired,
    #[error("the connection was cut")]
    Cut,
}

impl Connection {
    pub(crate) fn new(tls: TlsStream<Socket>, info: PeerInfo, ends: Ends) -> Self {
        let (cut, gone) = (Box::pin(info.cut.clone().cancelled_owned()), CancellationToken::new());
        let guard = gone.clone().drop_guard();
        Self { tls, info, ends, expiry: Box::pin(sleep_until(ends.end_at)), cut, held: None, gone, _gone: guard }
    }

    /// When it is to take no more calls.
    pub(super) const fn drain_at(&self) -> Instant {
        self.ends.drain_at
    }

    /// To be cancelled then.
    pub(super) fn draining(&self) -> CancellationToken {
        self.info.draining.clone()
    }

    /// Cancelled when whoever has the connection has dropped it: it broke, or both sides were done.
    #[must_use]
    pub fn gone(&self) -> CancellationToken {
        self.gone.clone()
    }

    /// Who is at the other end.
    #[must_use]
    pub const fn info(&self) -> &PeerInfo {
        &self.info
    }

    /// Keeps the connection's share of the limits until the connection is dropped.
    pub(super) fn holding(mut self, held: super::Held) -> Self {
        self.held = Some(held);
        self
    }

    /// Whoever reads is woken when the time has come: HTTP/2 always reads.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let ended = if self.cut.as_mut().poll(context).is_ready() {
            Ended::Cut
        } else if self.expiry.as_mut().poll(context).is_ready() {
            Ended::Expired
        } else {
            return Ok(());
        };
        Err(io::Error::new(io::ErrorKind::ConnectionAborted, ended))
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("info", &self.info).finish_non_exhaustive()
    }
}

impl Connected for Connection {
    type ConnectInfo = PeerInfo;

    fn connect_info(&self) -> PeerInfo {
        self.info.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.tls).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.tls).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.tls).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Where the peer takes no bytes, nothing else may be waited for.
        self.check(context)?;
        Pin::new(&mut self.tls).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(context)
    }
}
