//! What is told of one call when it has ended: a line of the access log, the spans of a trace, or nothing where neither is
//! asked for.
//!
//! A call has an [`Account`] in its request's extensions, which the program's main flow fills in as it learns things; what
//! counts the calls ([`crate::metrics::CallsLayer`]) opens it and ends it. Only what is verified or of a closed set goes in:
//! ids, numbers, codes, and a model's name once there is an offer of it. Nothing of a message does.
//!
//! | module | holds |
//! |---|---|
//! | `facts` | what is known of a call |
//! | `spans` | the same as spans |
//! | `line` | the same as a line |

mod facts;
mod line;
mod spans;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use comity_proto::error::Detail;
use comity_proto::metadata;
use comity_types::{Clock, DecisionId, ModelName, OfferName, SpiffeId, Timestamp};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request};
use tokio::time::Instant;
use tonic::{Code, Status};

use self::facts::{Ending, Facts};
use crate::accept::PeerInfo;
use crate::access_log::AccessLog;
use crate::traces::Traces;
use crate::traces::context::{Context, SpanId, TRACEPARENT};

/// Longest reason of a failure that is told, in bytes: what `google.rpc.ErrorInfo` allows. A node's reasons pass here, too.
const MAX_REASON_BYTES: usize = 63;
/// What is told in place of a reason that is none.
const NO_REASON: &str = "MALFORMED_REASON";
/// Longest id of a request that is told, in bytes: the broker's own have 16.
const MAX_REQUEST_ID_BYTES: usize = 32;

/// Who is told of calls that have ended. Clones are the same; that of [`Default`] tells nobody.
#[derive(Debug, Clone, Default)]
pub struct Observer(Option<Arc<Told>>);

struct Told {
    traces: Option<Traces>,
    log: Option<AccessLog>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Told").field("traces", &self.traces).field("log", &self.log).finish_non_exhaustive()
    }
}

impl Observer {
    /// Tells these, where there are any.
    #[must_use]
    pub fn new(traces: Option<Traces>, log: Option<AccessLog>, clock: Arc<dyn Clock>) -> Self {
        let is_anybody = traces.is_some() || log.is_some();
        Self(is_anybody.then(|| Arc::new(Told { traces, log, clock })))
    }

    /// Opens the account of a call, and puts it where the program finds it.
    pub(crate) fn begin<Q>(&self, method: &'static str, request: &mut Request<Q>) -> Account {
        let Some(told) = &self.0 else { return Account::default() };
        let peer = request.extensions().get::<PeerInfo>().and_then(|info| info.peer.as_ref());
        let facts = Facts { caller: peer.map(|peer| peer.id().clone()), ..Facts::default() };
        let trace = told.trace(method, request.headers());
        let is_told = told.log.is_some() || trace.as_ref().is_some_and(|trace| trace.own.sampled);
        let account = Account(Some(Arc::new(Open {
            told: Arc::clone(told),
            method,
            at: told.clock.now(),
            begun: Instant::now(),
            trace,
            facts: is_told.then(|| Mutex::new(facts)),
        })));
        request.extensions_mut().insert(account.clone());
        account
    }
}

impl Told {
    /// The place of a request's span; of other calls there are none.
    fn trace(&self, method: &str, headers: &HeaderMap) -> Option<Trace> {
        let traces = self.traces.as_ref().filter(|_| spans::operation(method).is_some())?;
        let parent = Context::of(headers);
        Some(Trace { own: traces.context(parent.as_ref())?, parent: parent.map(|parent| parent.span) })
    }
}

/// The place of a span in its trace.
#[derive(Debug, Clone, Copy)]
struct Trace {
    own: Context,
    parent: Option<SpanId>,
}

/// The account of one call. Clones are handles to the same; that of [`Default`] keeps nothing.
#[derive(Debug, Clone, Default)]
pub struct Account(Option<Arc<Open>>);

#[derive(Debug)]
struct Open {
    told: Arc<Told>,
    /// Its path, where it is one of ours.
    method: &'static str,
    at: Timestamp,
    begun: Instant,
    trace: Option<Trace>,
    /// Nothing where nobody is to be told.
    facts: Option<Mutex<Facts>>,
}

impl Account {
    /// That of a request.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get().cloned().unwrap_or_default()
    }

    fn facts(&self) -> Option<MutexGuard<'_, Facts>> {
        let facts = self.0.as_ref()?.facts.as_ref()?;
        Some(facts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whoever asks, where that is not the peer itself.
    pub fn caller(&self, caller: &SpiffeId) {
        if let Some(mut facts) = self.facts() {
            facts.caller = Some(caller.clone());
        }
    }

    /// The request's message has so many bytes.
    pub fn read(&self, bytes: usize) {
        if let Some(mut facts) = self.facts() {
            facts.bytes_in = Some(bytes as u64);
        }
    }

    /// It was decided on, at this epoch; there are offers of this model.
    pub fn decided(&self, decision: DecisionId, epoch: u64, model: &ModelName) {
        if let Some(mut facts) = self.facts() {
            facts.decided = Some((decision, epoch));
            facts.model = Some(model.clone());
        }
    }

    /// It is for this offer, at the node that makes it.
    pub fn offer(&self, offer: &OfferName) {
        if let Some(mut facts) = self.facts() {
            facts.offer = Some(offer.clone());
        }
    }

    /// A try of an offer begins.
    pub fn trying(&self, attempt: u32, offer: &OfferName) {
        if let Some(mut facts) = self.facts() {
            facts.trying(attempt, offer.clone());
        }
    }

    /// The try of this number has failed, by one of the program's own words for why.
    pub fn failed(&self, attempt: u32, why: &str) {
        if let Some(mut facts) = self.facts() {
            facts.failed(attempt, why);
        }
    }

    /// The call is that of this try, whichever began last.
    pub fn stands(&self, attempt: u32, offer: &OfferName) {
        if let Some(mut facts) = self.facts() {
            facts.stands(attempt, offer.clone());
        }
    }

    /// An answer used so many tokens.
    pub fn used(&self, input: u64, output: u64) {
        if let Some(mut facts) = self.facts() {
            facts.tokens = Some((input, output));
        }
    }

    /// What the request to whoever does the work says of its trace: nothing where none is made here.
    #[must_use]
    pub fn traceparent(&self) -> Option<(HeaderName, HeaderValue)> {
        let own = self.0.as_ref()?.trace?.own;
        let span = match self.facts().filter(|_| own.sampled) {
            Some(mut facts) => facts.next_span()?,
            // Nobody records the try: what is below it hangs on the request, and is not recorded either.
            None => own.span,
        };
        Some((TRACEPARENT, Context { span, ..own }.header()?))
    }

    /// The head of the answer.
    pub(crate) fn head(&self, headers: &HeaderMap) {
        if let Some(mut facts) = self.facts() {
            let id = headers.get(metadata::REQUEST_ID).and_then(|id| id.to_str().ok());
            facts.request = id.filter(|id| id.len() <= MAX_REQUEST_ID_BYTES).map(str::to_owned);
        }
    }

    /// So many bytes of the answer go out.
    pub(crate) fn passed(&self, bytes: usize) {
        if let Some(mut facts) = self.facts() {
            facts.passed(bytes);
        }
    }

    /// The call has ended; `headers` have its status, where it has one. Tells whoever is to be told.
    pub(crate) fn end(&self, code: Code, headers: Option<&HeaderMap>) {
        let Some((open, facts)) = self.0.as_ref().zip(self.facts()) else { return };
        let reason = headers.filter(|_| code != Code::Ok).and_then(reason);
        let ending = Ending { code, reason, after: open.begun.elapsed() };
        if let Some(log) = &open.told.log {
            log.tell(|format| line::written(open, &facts, &ending, format));
        }
        if let Some((trace, traces)) = open.trace.filter(|trace| trace.own.sampled).zip(open.told.traces.as_ref()) {
            traces.tell(spans::of(open, trace, &facts, &ending));
        }
    }
}

/// Why a call failed, as its status says in a word; what a node sends as one is held against what a word is.
fn reason(headers: &HeaderMap) -> Option<String> {
    let reason = Detail::of(&Status::from_header_map(headers)?)?.reason;
    let is_word = reason.len() <= MAX_REASON_BYTES
        && reason.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    Some(if is_word { reason } else { NO_REASON.to_owned() }).filter(|reason| !reason.is_empty())
}
