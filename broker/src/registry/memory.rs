//! Which offers were found eligible before, in one state of the federation.
//!
//! Callers ask the same again and again. What is remembered holds for a question of the same bytes, by the same caller,
//! until the first instant from which it may be otherwise; what a caller has used is held against it each time
//! ([`Lasting`]). It lives in the [`Snapshot`](super::Snapshot) and goes with it, so that nothing of one epoch is ever
//! read at another.

use std::sync::Arc;

use bytes::Bytes;
use comity_policy::Capability;
use comity_policy::index::Lasting;
use comity_types::{Digest, OfferName, Price, SpiffeId, Timestamp};

use crate::memory;

/// Most bytes of a generation: a thousand questions with a dozen offers each, which is every question of a busy hour.
const GENERATION_BYTES: usize = 8 << 20;
/// Bytes that an eligible offer takes, its name and digest included. Rather too many.
const OFFER_BYTES: usize = 512;
/// Bytes that an entry takes beside its question and its offers. Rather too many.
const ENTRY_BYTES: usize = 512;

/// What is asked, as far as it makes a difference to what is eligible in one state, for a broker in one place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    /// The app that calls: its organisation may demand more of it than of others.
    pub caller: SpiffeId,
    /// What its method needs.
    pub capability: Capability,
    /// The envelope in canonical encoding, without what is another with every request.
    pub envelope: Bytes,
}

/// An offer as a decision names it.
#[derive(Debug)]
pub struct Listed {
    /// Its name.
    pub name: OfferName,
    /// Its place in the index.
    pub place: usize,
    /// What it is known by in records.
    pub sha256: Digest,
    /// What it costs, where that is known.
    pub price: Option<Price>,
}

/// The offers that were found eligible.
pub type Eligible = Lasting<Arc<Listed>>;

/// What was found before.
#[derive(Debug)]
pub struct Memory(memory::Memory<Question, Eligible>);

impl Default for Memory {
    fn default() -> Self {
        Self(memory::Memory::of(GENERATION_BYTES))
    }
}

impl Memory {
    /// What was found, if it still stands at `as_of`.
    #[must_use]
    pub fn get(&self, question: &Question, as_of: Timestamp) -> Option<Arc<Eligible>> {
        self.0.get(question, |found| found.stands_at(as_of))
    }

    /// Keeps what was found, unless nothing was, since a refusal says more than that.
    pub fn keep(&self, question: Question, found: &Arc<Eligible>) {
        if !found.is_empty() {
            let bytes = bytes(&question, found);
            self.0.keep(question, found, bytes);
        }
    }
}

/// What an entry takes.
fn bytes(question: &Question, found: &Eligible) -> usize {
    let offers = found.len().saturating_mul(OFFER_BYTES);
    question.envelope.len().saturating_add(offers).saturating_add(ENTRY_BYTES)
}

#[cfg(test)]
mod tests;
