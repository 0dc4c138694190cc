//! What is known of a call, as the program learns it.

use std::time::Duration;

use comity_types::{DecisionId, ModelName, OfferName, SpiffeId};
use tokio::time::Instant;
use tonic::Code;

use crate::traces::context::{SpanId, new_span};

/// Most tries that are told: all that a request has, in a few decisions.
const MAX_TRIES: usize = 16;

/// What is known.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) caller: Option<SpiffeId>,
    pub(super) model: Option<ModelName>,
    /// The decision and its epoch.
    pub(super) decided: Option<(DecisionId, u64)>,
    /// The offer that answers or was tried last, or that the request is for.
    pub(super) offer: Option<OfferName>,
    pub(super) tries: Vec<Try>,
    /// How many there were.
    pub(super) tried: u64,
    /// Of input and of output.
    pub(super) tokens: Option<(u64, u64)>,
    pub(super) bytes_in: Option<u64>,
    pub(super) bytes_out: u64,
    /// When the first bytes of the answer went out.
    pub(super) answered: Option<Instant>,
    pub(super) request: Option<String>,
    /// Of a request that was sent before its try began: it travels ahead of its decision.
    pub(super) ahead: Option<SpanId>,
}

/// One try of an offer.
#[derive(Debug)]
pub(super) struct Try {
    pub(super) attempt: u32,
    pub(super) offer: OfferName,
    pub(super) span: Option<SpanId>,
    pub(super) begun: Instant,
    /// When it failed and why, if it did: otherwise it is the one that answers, and ends with the call.
    pub(super) failed: Option<(Instant, String)>,
}

/// How a call ended.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) code: Code,
    pub(super) reason: Option<String>,
    pub(super) after: Duration,
}

impl Facts {
    pub(super) fn trying(&mut self, attempt: u32, offer: OfferName) {
        self.tried += 1;
        self.offer = Some(offer.clone());
        let span = self.ahead.take().or_else(new_span);
        if self.tries.len() < MAX_TRIES {
            self.tries.push(Try { attempt, offer, span, begun: Instant::now(), failed: None });
        }
    }

    pub(super) fn failed(&mut self, attempt: u32, why: &str) {
        if let Some(one) = self.numbered(attempt) {
            one.failed = Some((Instant::now(), why.to_owned()));
        }
    }

    pub(super) fn stands(&mut self, attempt: u32, offer: OfferName) {
        self.offer = Some(offer);
        if let Some(place) = self.tries.iter().rposition(|one| one.attempt == attempt) {
            // The one that stands is told last, as it ends.
            let one = self.tries.remove(place);
            self.tries.push(one);
        }
    }

    pub(super) fn passed(&mut self, bytes: usize) {
        self.bytes_out = self.bytes_out.saturating_add(bytes as u64);
        if bytes > 0 {
            self.answered.get_or_insert_with(Instant::now);
        }
    }

    /// The span of the try that runs, or of the one that comes next.
    pub(super) fn next_span(&mut self) -> Option<SpanId> {
        if let Some(running) = self.running() {
            return running.span;
        }
        self.ahead = self.ahead.or_else(new_span);
        self.ahead
    }

    /// The try of this number that runs: of those of an earlier decision, none does.
    fn numbered(&mut self, attempt: u32) -> Option<&mut Try> {
        self.tries.iter_mut().rfind(|one| one.attempt == attempt && one.failed.is_none())
    }

    fn running(&mut self) -> Option<&mut Try> {
        self.tries.last_mut().filter(|last| last.failed.is_none())
    }
}
