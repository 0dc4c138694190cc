//! Which offers were found eligible before, in one state of the federation.
//!
//! Callers ask the same again and again. What is remembered holds for a question of the same bytes, by the same caller,
//! until the first instant from which it may be otherwise; what a caller has used is held against it each time
//! ([`Lasting`]). It lives in the [`Snapshot`](super::Snapshot) and goes with it, so that nothing of one epoch is ever
//! read at another. Two generations, each bounded: what nobody asked for again goes.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use comity_policy::Capability;
use comity_policy::index::Lasting;
use comity_types::{Digest, OfferName, Price, SpiffeId, Timestamp};

/// Most bytes of a generation: a thousand questions with a dozen offers each, which is every question of a busy hour.
const GENERATION_BYTES: usize = 8 << 20;
/// Most bytes that are remembered of one question: so that none drives out all the others.
const MAX_ENTRY_BYTES: usize = GENERATION_BYTES / 8;
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
#[derive(Debug, Default)]
pub struct Memory(RwLock<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Question, Arc<Eligible>>,
    young_bytes: usize,
    old: HashMap<Question, Arc<Eligible>>,
}

impl Memory {
    /// What was found, if it still stands at `as_of`.
    #[must_use]
    pub fn get(&self, question: &Question, as_of: Timestamp) -> Option<Arc<Eligible>> {
        let stands = |found: &&Arc<Eligible>| found.stands_at(as_of);
        let (found, is_old) = {
            let generations = self.0.read().unwrap_or_else(PoisonError::into_inner);
            match generations.young.get(question).filter(stands) {
                Some(found) => (Arc::clone(found), false),
                None => (Arc::clone(generations.old.get(question).filter(stands)?), true),
            }
        };
        if is_old {
            self.keep(question.clone(), &found);
        }
        Some(found)
    }

    /// Keeps what was found, unless nothing was, since a refusal says more than that.
    pub fn keep(&self, question: Question, found: &Arc<Eligible>) {
        let bytes = bytes(&question, found);
        if found.is_empty() || bytes > MAX_ENTRY_BYTES {
            return;
        }
        self.0.write().unwrap_or_else(PoisonError::into_inner).keep(question, Arc::clone(found), bytes);
    }
}

impl Generations {
    /// A generation that is full becomes the old one.
    fn keep(&mut self, question: Question, found: Arc<Eligible>, bytes: usize) {
        if self.young_bytes.saturating_add(bytes) > GENERATION_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes = self.young_bytes.saturating_add(bytes);
        self.young.insert(question, found);
    }
}

/// What an entry takes.
fn bytes(question: &Question, found: &Eligible) -> usize {
    let offers = found.len().saturating_mul(OFFER_BYTES);
    question.envelope.len().saturating_add(offers).saturating_add(ENTRY_BYTES)
}

#[cfg(test)]
mod tests;
