//! What HTTP/2 writes in one turn of its task leaves together: one TLS record and one system call for all of it.
//!
//! ```text
//! h2 ─ write, flush, write, flush ─▶ Batched ─ at the end of the turn: one write, one flush ─▶ TLS ─▶ socket
//! ```
//! The h2 crate flushes after every larger frame, since it cannot know whether there is another one to come. Its task knows:
//! when it waits, there is none. So a flush is noted, and made when the task has had its turn ([`Turns::run`]); nothing that
//! is ready waits for anything else. What cannot leave yet is bounded by `MAX_UNSENT`, and beyond that writes wait as they
//! would for the socket. What comes is watched on its way to h2 ([`calm`](crate::calm)).

use std::cell::Cell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::calm::{Allowance, Calm, Flood};

/// Most bytes that are kept back within a turn, in bytes: four full TLS records, as much as rustls itself keeps.
const MAX_UNSENT: usize = 64 * 1024;
/// How much of the buffer's memory a connection keeps while it has nothing to send, in bytes: what small answers need.
const KEPT: usize = 4 * 1024;

thread_local! {
    /// Whether this turn has used a connection: tasks that only hand messages to it have nothing to flush.
    static USED: Cell<bool> = const { Cell::new(false) };
}

/// A connection whose flushes are made by [`Turns`].
pub struct Batched<T>(Arc<Mutex<Inner<T>>>);

/// Flushes a connection at the end of each turn of the tasks that use it. Clones are for the same connection, and do not keep
/// it open.
pub struct Turns<T>(Weak<Mutex<Inner<T>>>);

/// A connection once nobody speaks over it any more, which is kept open for as long as its peer still does.
pub(crate) struct Rest<T>(Arc<Mutex<Inner<T>>>);

struct Inner<T> {
    io: T,
    unsent: Vec<u8>,
    /// How many bytes of `unsent` have left.
    sent: usize,
    wants_flush: bool,
    /// Why a flush failed, for the next who uses the connection.
    failed: Option<io::Error>,
    /// Whether the last write was kept whole: h2 writes whole frames, so that one of ours may follow.
    whole: bool,
    calm: Calm,
    /// Set when the peer was hung up on.
    flood: Option<Flood>,
}

pin_project! {
    /// A future each turn of which ends with a flush.
    pub struct Turn<T, F> {
        #[pin]
        future: F,
        turns: Turns<T>,
    }
}

/// The connection, and what makes its flushes: without that, nothing leaves. Its peer is hung up on when it asks for more
/// than its allowance.
#[must_use]
pub fn batched<T>(io: T, allowance: Allowance) -> (Batched<T>, Turns<T>) {
    let inner = Inner {
        io,
        unsent: Vec::new(),
        sent: 0,
        wants_flush: false,
        failed: None,
        whole: true,
        calm: Calm::new(allowance),
        flood: None,
    };
    let shared = Arc::new(Mutex::new(inner));
    let turns = Turns(Arc::downgrade(&shared));
    (Batched(shared), turns)
}

impl<T> Turns<T> {
    /// `future`, as a task that uses the connection.
    pub fn run<F>(&self, future: F) -> Turn<T, F> {
        Turn { future, turns: self.clone() }
    }
}

impl<T> Turns<T> {
    /// Whether the peer has said its first words, or the connection is gone.
    pub(crate) fn begun(&self) -> bool {
        self.0.upgrade().is_none_or(|shared| lock(&shared).calm.begun())
    }

    /// Why the peer was hung up on, if it was, as long as the connection is there.
    pub(crate) fn flood(&self) -> Option<Flood> {
        lock(&*self.0.upgrade()?).flood
    }
}

impl<T: AsyncWrite + Unpin> Turns<T> {
    /// Sends what is unsent, as far as the connection takes it. The task is woken when it takes more; why it failed, the task
    /// learns from its next use of the connection.
    fn end_of_turn(&self, cx: &mut Context<'_>) {
        let Some(shared) = self.0.upgrade() else { return };
        let mut inner = lock(&shared);
        if let Poll::Ready(Err(error)) = inner.poll_flush(cx) {
            inner.failed = Some(error);
            cx.waker().wake_by_ref();
        }
    }
}

impl<T: AsyncWrite + Unpin, F: Future> Future for Turn<T, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let outer = USED.replace(false);
        let polled = this.future.poll(cx);
        if USED.replace(outer) {
            this.turns.end_of_turn(cx);
        }
        polled
    }
}

impl<T: AsyncRead + Unpin> Rest<T> {
    /// Throws away what still comes, until the peer has closed the connection, or it broke.
    pub(crate) async fn hear_out(&self) {
        let mut thrown_away = vec![0; KEPT];
        poll_fn(|cx| {
            loop {
                let mut buffer = ReadBuf::new(&mut thrown_away);
                let read = ready!(Pin::new(&mut lock(&self.0).io).poll_read(cx, &mut buffer));
                if read.is_err() || buffer.filled().is_empty() {
                    return Poll::Ready(());
                }
            }
        })
        .await;
    }
}

impl<T: AsyncWrite + Unpin> Inner<T> {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(unsent) = self.unsent.get(self.sent..).filter(|unsent| !unsent.is_empty()) {
            match ready!(Pin::new(&mut self.io).poll_write(cx, unsent))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.sent += sent,
            }
        }
        self.sent = 0;
        self.unsent.clear();
        self.unsent.shrink_to(KEPT);
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(failed) = self.failed.take() {
            return Poll::Ready(Err(failed));
        }
        ready!(self.poll_send(cx))?;
        if self.wants_flush {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.wants_flush = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Room for more, if need be after some has been sent.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Some(failed) = self.failed.take() {
            return Poll::Ready(Err(failed));
        }
        if self.unsent.len() >= MAX_UNSENT {
            ready!(self.poll_send(cx))?;
        }
        Poll::Ready(Ok(MAX_UNSENT - self.unsent.len()))
    }

    /// Keeps as much of `bytes` as there is room for.
    fn keep(&mut self, bytes: &[u8], room: usize) -> usize {
        let (kept, rest) = bytes.split_at(bytes.len().min(room));
        self.unsent.extend_from_slice(kept);
        self.wants_flush = true;
        self.whole = rest.is_empty();
        self.calm.sent(kept.len());
        kept.len()
    }

    /// Watches what came; hangs up on a peer that asks for too much. It is told why, unless a frame is on its way in pieces.
    fn came(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        let Err(flood) = self.calm.came(bytes) else { return Ok(()) };
        self.flood = Some(flood);
        if self.whole {
            self.unsent.extend(self.calm.goaway());
            self.wants_flush = true;
            // What the peer does not take now, it is not told.
            let _told = self.poll_flush(cx);
        }
        Err(io::Error::other(flood))
    }
}

impl<T> Batched<T> {
    /// What is there of the connection when whoever has this is done.
    pub(crate) fn rest(&self) -> Rest<T> {
        Rest(Arc::clone(&self.0))
    }

    /// The connection, for this turn.
    fn using(&self) -> MutexGuard<'_, Inner<T>> {
        USED.set(true);
        lock(&self.0)
    }
}

fn lock<T>(shared: &Mutex<Inner<T>>) -> MutexGuard<'_, Inner<T>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Batched<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.using();
        if let Some(failed) = inner.failed.take() {
            return Poll::Ready(Err(failed));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut inner.io).poll_read(cx, buffer))?;
        Poll::Ready(inner.came(cx, buffer.filled().get(before..).unwrap_or_default()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Batched<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = self.using();
        let room = ready!(inner.poll_room(cx))?;
        Poll::Ready(Ok(inner.keep(bytes, room)))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.using();
        let room = ready!(inner.poll_room(cx))?;
        let kept = slices.iter().fold(0, |kept, slice| kept + inner.keep(slice, room - kept));
        inner.whole = slices.iter().map(|slice| slice.len()).sum::<usize>() == kept;
        Poll::Ready(Ok(kept))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Noted; the end of the turn is when.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.using().failed.take() {
            Some(failed) => Poll::Ready(Err(failed)),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.using();
        ready!(inner.poll_flush(cx))?;
        Pin::new(&mut inner.io).poll_shutdown(cx)
    }
}

impl<T> Clone for Turns<T> {
    fn clone(&self) -> Self {
        Self(Weak::clone(&self.0))
    }
}

impl<T> fmt::Debug for Batched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Batched")
    }
}

impl<T> fmt::Debug for Turns<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turns")
    }
}

impl<T, F> fmt::Debug for Turn<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turn")
    }
}

#[cfg(test)]
mod tests;
