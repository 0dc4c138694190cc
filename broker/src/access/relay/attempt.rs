//! One try: the request to one node, up to the first byte of its answer.

use std::time::Duration;

use bytes::Bytes;
use comity_proto::error::{Detail, Failure, RETRY_AFTER_SECONDS, retry_after};
use comity_proto::metadata;
use comity_types::{Digest, OfferName, SpiffeId, TrustDomain};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::access::Parts;
use crate::access::body::{malformed, may_be_compressed};
use crate::access::commit::Permit;
use crate::access::decide::Candidate;
use crate::access::framing::{Framing, Malformed};
use crate::access::request::{self, Admitted, timeout_value};
use crate::ledger::decisions::{TryRecord, UsedNothing};
use crate::links::{Event, Failing, InFlight, LinkError, Links, Outgoing, Sent, is_failure};

/// What a node says where it has run nothing of a request, beside its vetoes: it declines before it asks its backend. What a
/// backend has done that failed, or was too busy, nobody here knows.
const NOT_RUN: [&str; 8] = [
    "NODE_FULL",
    "OFFER_FULL",
    "MODEL_BUSY",
    "REQUEST_INVALID",
    "PAYLOAD_INVALID",
    "NOT_SUPPORTED",
    "PROMPT_TOO_LONG",
    "NOT_A_BROKER",
];

/// What it says where the permit was there before.
const REPLAYED: &str = "PERMIT_REPLAYED";

/// What every message of gRPC says that it is.
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// How often a request is sent again that its node did not look at, since it was leaving the connection: over another of its
/// tunnels, or over a connection that stands since. A try makes one connection at most: whoever leaves one that was made for this
/// very request does not rotate.
const SENT_AGAIN: usize = 2;

/// How long a node is left alone that has no room and does not say for how long: it would decline the next request as well.
const UNSAID_REST: Duration = Duration::from_secs(1);

/// When to come back who has its share of a node: what it waits for is that requests of its own end, which it knows better.
const SHARE_AGAIN_SECONDS: u64 = 1;

/// An answer that has begun.
#[derive(Debug)]
pub(in crate::access) struct Answer {
    /// Who answers.
    pub(in crate::access) candidate: Candidate,
    /// The node's head.
    pub(in crate::access) head: HeaderMap,
    /// The first frame: bytes, or trailers if there are none.
    pub(in crate::access) first: Frame<Bytes>,
    /// Where that leaves its messages.
    pub(in crate::access) framing: Framing,
    /// What follows.
    pub(in crate::access) rest: Option<Upstream>,
}

/// The rest of an answer, on its way.
#[derive(Debug)]
pub(in crate::access) struct Upstream {
    pub(in crate::access) body: Incoming,
    /// SHA-256 of the certificate that the node showed.
    pub(in crate::access) certificate: Digest,
    /// Counts as a call of the node until the answer has ended, and takes how it did.
    pub(in crate::access) in_flight: InFlight,
}

/// How a try ended.
pub(super) enum Outcome {
    Answered(Box<Answer>),
    Rejected(Rejection),
}

/// Why a try failed in a way that leaves others to be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum Rejection {
    /// The node cannot be reached, or its connection broke before it answered.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// It began to answer, and broke off before the first byte.
    #[error("the answer broke off before its first byte")]
    Cut,
    /// What it answers first is no message, or none where there has to be one.
    #[error("the node's answer is malformed: {0}")]
    Malformed(Malformed),
    /// It does not speak gRPC.
    #[error("the node answered with HTTP status {0}")]
    NotGrpc(StatusCode),
    /// It declined, and somebody else may not.
    #[error("the node declined with gRPC status {}", code(.0).unwrap_or(Code::Unknown))]
    Declined(Box<HeaderMap>),
    /// It no longer takes part.
    #[error("{}", .0.message)]
    Suspended(Failure),
}

impl Rejection {
    /// True if the same node may well answer another try.
    pub(super) const fn is_accident(&self) -> bool {
        matches!(
            self,
            Self::Cut | Self::Link(LinkError::Broken { .. } | LinkError::Left { .. } | LinkError::Refused { .. })
        )
    }

    /// What the record says of it, which the caller may read: no more than [`conclude`](Self::conclude) tells.
    pub(super) fn word(&self) -> String {
        match self {
            Self::Declined(trailers) => {
                format!("declined with status {}", i32::from(code(trailers).unwrap_or(Code::Unknown)))
            }
            Self::Malformed(_) => TryRecord::MALFORMED.to_owned(),
            Self::Link(_) | Self::Cut | Self::NotGrpc(_) | Self::Suspended(_) => "no answer".to_owned(),
        }
    }

    /// Whether the node cannot be connected to: none of its other offers can be reached either.
    pub(super) const fn is_out_of_reach(&self) -> bool {
        matches!(self, Self::Link(LinkError::Unreachable { .. }))
    }

    /// Whether a node may have worked on the request: a further try is one more for the nodes. Of a veto nothing was run, and
    /// without a connection nothing was sent.
    pub(super) fn was_worked_on(&self) -> bool {
        match self {
            Self::Declined(trailers) => !is_veto(trailers),
            Self::Cut
            | Self::Malformed(_)
            | Self::NotGrpc(_)
            | Self::Suspended(_)
            | Self::Link(LinkError::Broken { .. }) => true,
            Self::Link(
                LinkError::NotServing { .. }
                | LinkError::Unreachable { .. }
                | LinkError::NoTunnel { .. }
                | LinkError::Full { .. }
                | LinkError::Share { .. }
                | LinkError::Left { .. }
                | LinkError::Refused { .. },
            ) => false,
        }
    }

    /// Why no node has used anything of the try, where that is known.
    pub(super) fn used_nothing(&self) -> Option<UsedNothing> {
        match self {
            Self::Declined(trailers) => was_not_run(trailers).then_some(UsedNothing::NotRun),
            Self::Link(LinkError::Left { .. } | LinkError::Refused { .. }) => Some(UsedNothing::NotRun),
            Self::Link(
                LinkError::NotServing { .. }
                | LinkError::Unreachable { .. }
                | LinkError::NoTunnel { .. }
                | LinkError::Full { .. }
                | LinkError::Share { .. },
            ) => Some(UsedNothing::NotSent),
            Self::Cut
            | Self::Malformed(_)
            | Self::NotGrpc(_)
            | Self::Suspended(_)
            | Self::Link(LinkError::Broken { .. }) => None,
        }
    }

    /// The code that it is told with.
    pub(super) fn code(&self) -> Code {
        match self {
            Self::Declined(trailers) => code(trailers).unwrap_or(Code::Unknown),
            Self::Malformed(problem) => malformed(*problem).code,
            Self::Link(LinkError::Share { .. }) => Code::ResourceExhausted,
            Self::Link(_) | Self::Cut | Self::NotGrpc(_) | Self::Suspended(_) => Code::Unavailable,
        }
    }

    /// What it says of the node, or of its offer: nothing, where it says more of this request.
    fn fault(&self) -> Option<Failing> {
        match self {
            Self::Link(LinkError::Unreachable { .. }) => Some(Failing::Connecting),
            Self::Link(LinkError::Broken { .. } | LinkError::Left { .. } | LinkError::Refused { .. })
            | Self::NotGrpc(_) => Some(Failing::Connection),
            Self::Cut | Self::Malformed(_) => Some(Failing::Answer),
            Self::Declined(trailers) => code(trailers).is_some_and(is_failure).then_some(Failing::Answer),
            Self::Link(
                LinkError::NotServing { .. }
                | LinkError::NoTunnel { .. }
                | LinkError::Full { .. }
                | LinkError::Share { .. },
            )
            | Self::Suspended(_) => None,
        }
    }

    /// For how long the node is left alone: for as long as it says, or a little where it has no room and does not say when it
    /// has. By a veto it says nothing of that, which is about this caller.
    fn rest(&self) -> Option<Duration> {
        let Self::Declined(trailers) = self else { return None };
        let said = || Status::from_header_map(trailers).and_then(|status| retry_after(&status));
        let code = code(trailers)?;
        let is_full = code == Code::ResourceExhausted;
        if is_full || code == Code::Unavailable { said().or_else(|| is_full.then_some(UNSAID_REST)) } else { None }
    }

    /// What the caller gets, if this was the last try.
    pub(super) fn conclude(self, method: request::Method, candidate: &Candidate) -> Result<Answer, Failure> {
        match self {
            // The node's own words are the best account of why.
            Self::Declined(trailers) => Ok(Answer {
                candidate: candidate.clone(),
                head: HeaderMap::new(),
                first: Frame::trailers(*trailers),
                framing: Framing::new(method, false),
                rest: None,
            }),
            Self::Malformed(problem) => Err(malformed(problem).with("offer", &candidate.offer.name)),
            Self::Link(LinkError::Share { node }) => Err(share_taken(&node).with("offer", &candidate.offer.name)),
            Self::Link(_) | Self::Cut | Self::NotGrpc(_) | Self::Suspended(_) => {
                // What the connection met there is the operators' business: a member could publish any address
                // and read from the error what listens on it.
                tracing::info!(offer.id = %candidate.offer.name, error = %self, "no eligible node answered");
                let message = format!(
                    "no eligible node answered; the last one tried was {} (hint: try again)",
                    candidate.offer.name
                );
                Err(Failure::new(Code::Unavailable, "NODES_UNAVAILABLE", message).with("offer", &candidate.offer.name))
            }
        }
    }
}

/// What the caller gets whose organisation has its share of the last node that there was to try.
fn share_taken(node: &SpiffeId) -> Failure {
    let message = format!(
        "the organisation has as many requests in flight to {node} as it may while others are there (hint: wait for some to end, and try again in {SHARE_AGAIN_SECONDS} s)"
    );
    let failure = Failure::new(Code::ResourceExhausted, "NODE_SHARE_TAKEN", message);
    failure.with("node", node).with(RETRY_AFTER_SECONDS, SHARE_AGAIN_SECONDS)
}

/// A request that travels while its decision becomes durable. The node has the message, and runs nothing of it before the
/// permit follows; where this is dropped, none does.
#[derive(Debug)]
pub(in crate::access) struct Ahead {
    offer: OfferName,
    permit: oneshot::Sender<HeaderValue>,
    sent: oneshot::Receiver<Result<Sent, LinkError>>,
}

impl Ahead {
    /// Sends the message to the node of `candidate`.
    pub(in crate::access) fn send(parts: &Parts, admitted: &Admitted, candidate: &Candidate) -> Self {
        let ((permit, follows), (mut done, sent)) = (oneshot::channel(), oneshot::channel());
        let request = request(admitted, Outgoing::followed(admitted.body.clone(), follows));
        let (links, offer) = (parts.links.clone(), candidate.offer.name.clone());
        let caller = admitted.caller.trust_domain().clone();
        parts.tasks.spawn("ahead", async move {
            tokio::select! {
                sent = links.send(&offer, &caller, request) => drop(done.send(sent)),
                () = done.closed() => {}
            }
        });
        Self { offer: candidate.offer.name.clone(), permit, sent }
    }

    /// Whether it is on its way to this candidate.
    pub(super) fn is_for(&self, candidate: &Candidate) -> bool {
        self.offer == candidate.offer.name
    }

    /// Has the permit follow, and waits for the answer. None where the broker is stopping.
    async fn follow(self, permit: HeaderValue) -> Option<Result<Sent, LinkError>> {
        // Where the connection has broken, nobody takes it, and `sent` says why.
        let _broken = self.permit.send(permit).is_err();
        self.sent.await.ok()
    }
}

/// Sends the request to the node of `candidate`, which is this one of the eligible set, or has the permit follow where it is
/// there already, and waits for the first frame of the answer.
///
/// # Errors
/// The broker itself is at fault; another try would not help.
pub(super) async fn attempt(
    parts: &Parts,
    admitted: &Admitted,
    permit: &Permit,
    (rank, candidate): (usize, &Candidate),
    attempt: u32,
    ahead: Option<Ahead>,
) -> Result<Outcome, Failure> {
    let proof = permit.proof(rank, attempt)?;
    let caller = admitted.caller.trust_domain();
    let watch = Watch::begin(&parts.links, &candidate.offer.name, caller);
    let followed = match ahead {
        Some(ahead) => ahead.follow(proof.clone()).await,
        None => None,
    };
    let send = || parts.links.send(&candidate.offer.name, caller, permitted(admitted, proof.clone()));
    let mut sent = match followed {
        Some(sent) => sent,
        None => send().await,
    };
    for _ in 0..SENT_AGAIN {
        if !matches!(sent, Err(LinkError::Left { is_fresh: false, .. })) {
            break;
        }
        sent = send().await;
    }
    let outcome = match sent {
        Ok(sent) => classify(admitted.method, candidate, sent).await,
        Err(error) => Outcome::Rejected(error.into()),
    };
    watch.ended(&outcome);
    Ok(outcome)
}

/// Tells what becomes of a try to whom the next ones are chosen by; where it is dropped before, that nobody waited longer.
/// It begins with the permit: that this was awaited is not the node's doing.
struct Watch<'a> {
    links: &'a Links,
    offer: &'a OfferName,
    caller: &'a TrustDomain,
    begun: Instant,
    has_ended: bool,
}

impl<'a> Watch<'a> {
    fn begin(links: &'a Links, offer: &'a OfferName, caller: &'a TrustDomain) -> Self {
        Self { links, offer, caller, begun: Instant::now(), has_ended: false }
    }

    fn ended(mut self, outcome: &Outcome) {
        self.has_ended = true;
        let tell = |event| self.links.tell(self.offer, self.caller, event);
        match outcome {
            Outcome::Answered(answer) if answer.rest.is_some() => tell(Event::Answered { after: self.begun.elapsed() }),
            Outcome::Answered(_) => tell(Event::Declined),
            Outcome::Rejected(rejection) => {
                tell(Event::Declined);
                rejection.fault().map(Event::Failed).into_iter().for_each(tell);
                rejection.rest().map(|time| Event::Resting { time }).into_iter().for_each(tell);
            }
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.links.tell(self.offer, self.caller, Event::Waited { in_vain: self.begun.elapsed() });
        }
    }
}

/// The caller's message with its permit.
fn permitted(admitted: &Admitted, permit: HeaderValue) -> Request<Outgoing> {
    let mut request = request(admitted, Outgoing::whole(admitted.body.clone()));
    request.headers_mut().insert(metadata::PERMIT, permit);
    request
}

/// The caller's message as it came. Nothing else of what the caller sent goes on, but the ids of its trace, where traces are made.
fn request(admitted: &Admitted, body: Outgoing) -> Request<Outgoing> {
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = http::Uri::from_static(admitted.method.path());
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, GRPC);
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.extend(admitted.account.traceparent());
    headers.insert("grpc-timeout", timeout_value(admitted.deadline.saturating_duration_since(Instant::now())));
    request
}

async fn classify(method: request::Method, candidate: &Candidate, sent: Sent) -> Outcome {
    let Sent { answer, in_flight, certificate } = sent;
    let (head, mut body) = answer.into_parts();
    if head.status != StatusCode::OK {
        return Outcome::Rejected(Rejection::NotGrpc(head.status));
    }
    // An answer without messages may have its status in its head.
    let first = if head.headers.contains_key(Status::GRPC_STATUS) {
        Frame::trailers(head.headers.clone())
    } else {
        match first_frame(&mut body).await {
            Some(frame) => frame,
            None => return Outcome::Rejected(Rejection::Cut),
        }
    };
    first.trailers_ref().into_iter().for_each(|trailers| in_flight.reported(trailers));
    if let Some(trailers) = first.trailers_ref().filter(|trailers| may_be_tried_elsewhere(trailers)) {
        return Outcome::Rejected(Rejection::Declined(Box::new(trailers.clone())));
    }
    let mut framing = Framing::new(method, may_be_compressed(&head.headers));
    if let Err(problem) = begin(&mut framing, &first) {
        return Outcome::Rejected(Rejection::Malformed(problem));
    }
    if let Some(trailers) = first.trailers_ref() {
        in_flight.ended(code(trailers));
    }
    let rest = first.is_data().then_some(Upstream { body, certificate, in_flight });
    Outcome::Answered(Box::new(Answer { candidate: candidate.clone(), head: head.headers, first, framing, rest }))
}

/// Holds the first frame against what an answer has to be; of a failure nothing has to come.
fn begin(framing: &mut Framing, first: &Frame<Bytes>) -> Result<(), Malformed> {
    match (first.data_ref(), first.trailers_ref().and_then(code)) {
        (Some(data), _) => framing.take(data),
        (None, Some(Code::Ok)) => framing.end(),
        (None, _) => Ok(()),
    }
}

/// The first frame that says something; `None` if the answer ended or broke before one.
async fn first_frame(body: &mut Incoming) -> Option<Frame<Bytes>> {
    loop {
        let frame = body.frame().await?.ok()?;
        if frame.data_ref().is_none_or(|data| !data.is_empty()) {
            return Some(frame);
        }
    }
}

fn code(trailers: &HeaderMap) -> Option<Code> {
    trailers.get(Status::GRPC_STATUS).map(|value| Code::from_bytes(value.as_bytes()))
}

/// Whether another node may well do what this one would not: it is overloaded, cannot work now, or its own rules
/// or its own view of the federation and of the decision log forbid it.
fn may_be_tried_elsewhere(trailers: &HeaderMap) -> bool {
    matches!(code(trailers), Some(Code::Unavailable | Code::ResourceExhausted)) || is_veto(trailers)
}

/// Whether the node's own rules, or its own view of the federation and of the decision log, forbid it.
fn is_veto(trailers: &HeaderMap) -> bool {
    refusal(trailers).is_some_and(|Detail { reason, .. }| is_of_veto(&reason))
}

/// Whether the node says that it has run nothing of the request.
pub(super) fn was_not_run(trailers: &HeaderMap) -> bool {
    refusal(trailers).is_some_and(|Detail { reason, .. }| {
        // Whose permit was there before may have been run then.
        let is_veto = is_of_veto(&reason) && reason != REPLAYED;
        is_veto || reason.starts_with("REPLICA_") || NOT_RUN.contains(&reason.as_str())
    })
}

fn is_of_veto(reason: &str) -> bool {
    reason == "NODE_VETO" || reason.starts_with("PERMIT_") || reason.starts_with("LOG_")
}

/// Why a node refuses; nothing where it says that it went well.
fn refusal(trailers: &HeaderMap) -> Option<Detail> {
    let status = Status::from_header_map(trailers).filter(|status| status.code() != Code::Ok)?;
    Detail::of(&status)
}
