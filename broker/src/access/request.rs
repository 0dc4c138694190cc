//! Reads what the broker reads of a request: the one message's frame, the envelope in it, the deadline.
//! The payload beside the envelope is not looked at.

mod envelopes;
mod frame;
mod timeout;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use comity_policy::Capability;
use comity_proto::convert::{Envelope, WireError};
use comity_proto::error::Failure;
use comity_runtime::observe::Account;
use comity_types::{Digest, SpiffeId};
use http::Request;
use tokio::time::Instant;
use tonic::Code;
use tonic::body::Body;

use super::Parts;
use crate::registry::memory::Question;

pub use envelopes::Envelopes;
pub(crate) use timeout::value as timeout_value;

/// How long a call may take at most, whether or not it states a deadline of its own: an answer that is made
/// for an hour is one that nobody waits for.
pub const MAX_CALL: Duration = Duration::from_secs(3600);
/// How long the one message of a request may take to arrive, at most: so that callers who send nothing hold no place.
pub const MAX_ARRIVAL: Duration = Duration::from_secs(60);

/// The methods of `Inference`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// One answer.
    Chat,
    /// An answer as it is made.
    ChatStream,
    /// Vectors.
    Embed,
    /// A body in a backend's format.
    Forward,
}

impl Method {
    /// The method that a path such as `/comity.inference.v1.Inference/Chat` names.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Self> {
        let all = [Self::Chat, Self::ChatStream, Self::Embed, Self::Forward];
        all.into_iter().find(|method| method.path() == path)
    }

    /// Its path.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Chat => "/comity.inference.v1.Inference/Chat",
            Self::ChatStream => "/comity.inference.v1.Inference/ChatStream",
            Self::Embed => "/comity.inference.v1.Inference/Embed",
            Self::Forward => "/comity.inference.v1.Inference/Forward",
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "Chat",
            Self::ChatStream => "ChatStream",
            Self::Embed => "Embed",
            Self::Forward => "Forward",
        }
    }

    /// What a model has to be able to do.
    #[must_use]
    pub const fn capability(self) -> Capability {
        match self {
            Self::Chat | Self::ChatStream => Capability::Chat,
            Self::Embed => Capability::Embed,
            Self::Forward => Capability::Forward,
        }
    }
}

/// A request that was read and can be decided on.
#[derive(Debug)]
pub struct Admitted {
    /// The app that calls.
    pub caller: SpiffeId,
    /// SHA-256 of the certificate that it calls with.
    pub certificate: Digest,
    /// What it calls.
    pub method: Method,
    /// What it demands.
    pub envelope: Arc<Envelope>,
    /// The digest that the permit names the envelope by.
    pub envelope_sha256: Digest,
    /// The envelope in canonical encoding, of which that is the digest.
    pub envelope_bytes: Bytes,
    /// The same without the nonce.
    pub asked: Bytes,
    /// The message in its frame, exactly as it came.
    pub body: Bytes,
    /// What is told of it when it has ended.
    pub account: Account,
    /// When it came.
    pub arrived: Instant,
    /// When the caller wants it to have ended.
    pub deadline: Instant,
}

impl Admitted {
    /// What is asked, without what makes no difference to which offers are eligible.
    #[must_use]
    pub fn question(&self) -> Question {
        let (caller, capability) = (self.caller.clone(), self.method.capability());
        Question { caller, capability, envelope: self.asked.clone() }
    }
}

/// Reads a request of `caller`.
///
/// # Errors
/// It is too large, compressed, cut, more than one message, or its envelope is not one.
pub async fn admit(
    caller: &SpiffeId,
    certificate: Digest,
    method: Method,
    request: Request<Body>,
    parts: &Parts,
) -> Result<Admitted, Failure> {
    let arrived = Instant::now();
    let deadline = arrived + timeout::of(request.headers())?.unwrap_or(MAX_CALL).min(MAX_CALL);
    let account = Account::of(request.extensions());
    let last_byte = deadline.min(arrived + MAX_ARRIVAL);
    let reading = frame::read(request.into_body(), parts.request_bytes);
    let body = tokio::time::timeout_at(last_byte, reading).await.map_err(|_| too_slow())??;
    account.read(body.len());
    let raw = frame::envelope(&body.slice(frame::PREFIX_BYTES..)).map_err(invalid)?;
    let read = parts.envelopes.read(&raw).map_err(invalid)?;
    may_be_hedged(method, &read.envelope).map_err(invalid)?;
    may_be_bounded(method, &read.envelope).map_err(invalid)?;
    Ok(Admitted {
        caller: caller.clone(),
        certificate,
        method,
        envelope: read.envelope,
        envelope_sha256: read.sha256,
        envelope_bytes: read.bytes,
        asked: read.asked,
        body,
        account,
        arrived,
        deadline,
    })
}

/// Whether two nodes may run the request at once, where the caller wants that: of a body in a backend's own format, nobody here
/// knows what it does beside being answered.
fn may_be_hedged(method: Method, envelope: &Envelope) -> Result<(), WireError> {
    if method == Method::Forward && envelope.prefer.hedge.is_some() {
        let problem = "`Forward` is never asked of two nodes at once, since a backend's own format may say what must not happen twice (hint: leave it out)";
        return Err(WireError::new("envelope.preferences.hedge", problem));
    }
    Ok(())
}

/// Whether a node can hold what the payload asks for against what the envelope says that it does: nobody here reads a body in a
/// backend's own format, and what is embedded has no answer of tokens.
fn may_be_bounded(method: Method, envelope: &Envelope) -> Result<(), WireError> {
    match method {
        Method::Chat | Method::ChatStream => Ok(()),
        Method::Embed | Method::Forward if envelope.max_output_tokens.is_none() => Ok(()),
        Method::Embed | Method::Forward => {
            let problem = "is of `Chat` and `ChatStream` alone (hint: leave it out)";
            Err(WireError::new("envelope.max_output_tokens", problem))
        }
    }
}

fn invalid(error: WireError) -> Failure {
    let message = crate::rpc::located(&error.path, &error.problem);
    Failure::new(Code::InvalidArgument, "INVALID_FIELD", message).with("field", error.path)
}

fn too_slow() -> Failure {
    let message = "the request's message did not arrive in time (hint: send it at once, and leave time for the answer)";
    Failure::new(Code::DeadlineExceeded, "REQUEST_TOO_SLOW", message)
}
