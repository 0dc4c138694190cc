//! How many bytes of requests are held at once: a call is kept whole until it has ended, since it may have to be sent again,
//! and places alone would let one organisation fill the memory with its largest.
//!
//! The first [`UNIT`] of each is part of its place: most requests have no more. What comes beyond is counted as it comes, in
//! units, for its organisation, and counts until the call has ended.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use comity_proto::error::Failure;
use comity_runtime::fair::{Fair, Full, Rule, Share};
use comity_types::TrustDomain;
use http_body::{Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

use crate::config::{Limits, ORGANISATIONS_PART_OF_MEMORY};

/// What is counted at once, in bytes: a long prompt, and one turn of a connection.
pub const UNIT: usize = 64 * 1024;

/// The memory for requests. Clones are handles to the same.
#[derive(Debug, Clone)]
pub struct Memory(Fair<Option<TrustDomain>>);

/// What one call holds of it, until every handle is dropped.
#[derive(Debug, Clone)]
pub struct Weight(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    memory: Memory,
    organisation: Option<TrustDomain>,
    shares: Mutex<Vec<Share<Option<TrustDomain>>>>,
    /// Set when it would have needed more than there was.
    refused: AtomicBool,
}

impl Memory {
    /// With these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let all = limits.request_memory / UNIT;
        Self(Fair::new(Rule::new(all, (all / ORGANISATIONS_PART_OF_MEMORY).max(1))))
    }

    /// Of a call that has sent nothing yet, by whoever this is.
    #[must_use]
    pub(super) fn weigh(&self, organisation: Option<TrustDomain>) -> Weight {
        let (memory, refused) = (self.clone(), AtomicBool::new(false));
        Weight(Arc::new(Inner { memory, organisation, shares: Mutex::default(), refused }))
    }
}

impl Weight {
    /// The body of the call, which ends with an error when it is more than there is room for.
    pub(super) fn of(&self, body: Body) -> Body {
        Body::new(Weighed { body, weight: self.clone(), came: 0, counted: UNIT })
    }

    /// What the caller is told when it was refused for its size.
    pub(super) fn refused(&self) -> Option<Failure> {
        self.0.refused.load(Ordering::Relaxed).then(|| too_much(self.0.organisation.is_some()))
    }

    fn take(&self) -> Result<(), Full> {
        let share = self.0.memory.0.take(self.0.organisation.clone());
        let share = share.inspect_err(|_| self.0.refused.store(true, Ordering::Relaxed))?;
        self.0.shares.lock().unwrap_or_else(PoisonError::into_inner).push(share);
        Ok(())
    }
}

fn too_much(member: bool) -> Failure {
    let whose = if member { "organisation's requests" } else { "requests without a certificate" };
    let message = format!(
        "this request, with the {whose} that still run, is more than the broker keeps at once (hint: wait for some to end, \
         and try again after what RetryInfo says, or send less at once)"
    );
    Failure::new(Code::ResourceExhausted, "REQUESTS_TOO_LARGE", message)
}

/// A request's body that is counted as it comes.
struct Weighed {
    body: Body,
    weight: Weight,
    came: usize,
    /// Up to where there is room for it.
    counted: usize,
}

impl http_body::Body for Weighed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)?) else { return Poll::Ready(None) };
        self.came += frame.data_ref().map_or(0, Bytes::len);
        while self.came > self.counted {
            if self.weight.take().is_err() {
                // Also polled again, it has ended.
                self.body = Body::empty();
                return Poll::Ready(Some(Err(too_much(self.weight.0.organisation.is_some()).into())));
            }
            self.counted += UNIT;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
