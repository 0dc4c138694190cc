//! Answers that were given before, by the part of the request that they read.
//!
//! Requests are many and what they demand is little varied: an organisation's rules, a few presets, a handful of
//! purposes. So a part is held against all offers when it is first seen, and then until an instant comes from which
//! the answer may be another one. Two generations, each bounded in bytes: what nobody asked for again goes. What was
//! asked counts like what was answered, since callers choose how large it is.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock};

use comity_types::{ModelName, Place, TrustDomain};

use super::part::PartAnswer;
use crate::evaluate::facet::PartName;
use crate::{Capability, Declared, Request, Requirements};

/// Most bytes of a generation over few offers: some hundreds of answers over 10,000 of them.
const GENERATION_BYTES: usize = 16 << 20;
/// Most bytes of a generation for each offer, where there are more: an answer takes some bytes an offer.
const BYTES_PER_OFFER: usize = 1 << 10;
/// Bytes that an answer takes beside what it and its key hold: pointers, buckets, empty fields. Rather too many.
const ENTRY_BYTES: usize = 2 << 10;
/// Bytes that a key takes for each byte that it feeds to a hasher, which short texts in trees do. Rather too many.
const BYTES_PER_HASHED: usize = 4;

/// Answers that were given before.
#[derive(Debug)]
pub(super) struct Memo {
    generations: RwLock<Generations>,
    /// Most bytes of a generation.
    most_bytes: usize,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<u64, Vec<Remembered>>,
    young_bytes: usize,
    old: HashMap<u64, Vec<Remembered>>,
}

/// An answer, and what it was given to.
#[derive(Debug, Clone)]
struct Remembered {
    to: Arc<Key>,
    answer: Arc<PartAnswer>,
    /// What both take.
    bytes: usize,
}

/// A part of a request, kept.
#[derive(Debug)]
enum Key {
    Instant,
    Model(Option<ModelName>),
    Use(TrustDomain, Box<Declared>),
    Demand(TrustDomain, Capability, Box<Requirements>, Option<BTreeSet<Place>>),
}

impl Key {
    /// `None` of what is never kept.
    fn of(part: PartName, request: &Request<'_>) -> Option<Self> {
        let caller = || request.caller.trust_domain.clone();
        Some(match part {
            PartName::Instant => Self::Instant,
            PartName::Model => Self::Model(request.model.cloned()),
            PartName::Use => Self::Use(caller(), Box::new(request.declared.clone())),
            PartName::Demand => {
                let places = request.broker_places.cloned();
                Self::Demand(caller(), request.capability, Box::new(request.requirements.clone()), places)
            }
            PartName::Usage => return None,
        })
    }

    const fn part(&self) -> PartName {
        match self {
            Self::Instant => PartName::Instant,
            Self::Model(_) => PartName::Model,
            Self::Use(..) => PartName::Use,
            Self::Demand(..) => PartName::Demand,
        }
    }

    fn is(&self, part: PartName, request: &Request<'_>) -> bool {
        match (self, part) {
            (Self::Instant, PartName::Instant) => true,
            (Self::Model(model), PartName::Model) => model.as_ref() == request.model,
            (Self::Use(caller, declared), PartName::Use) => {
                *caller == request.caller.trust_domain && **declared == *request.declared
            }
            (Self::Demand(caller, capability, requirements, places), PartName::Demand) => {
                *caller == request.caller.trust_domain
                    && *capability == request.capability
                    && **requirements == *request.requirements
                    && places.as_ref() == request.broker_places
            }
            _ => false,
        }
    }
}

impl Memo {
    /// For answers over so many offers.
    pub(super) fn over(offers: usize) -> Self {
        let most_bytes = offers.saturating_mul(BYTES_PER_OFFER).max(GENERATION_BYTES);
        Self { generations: RwLock::default(), most_bytes, hasher: RandomState::new() }
    }

    /// The answer to a part of a request: one that still stands, or what `ask` says now.
    pub(super) fn get(
        &self,
        part: PartName,
        request: &Request<'_>,
        ask: impl FnOnce() -> PartAnswer,
    ) -> Arc<PartAnswer> {
        let hash = self.hash(part, request);
        let is = |one: &Remembered| one.answer.stands_at(request.as_of) && one.to.is(part, request);
        let young = |all: &Generations| all.young.get(&hash)?.iter().find(|one| is(one)).cloned();
        let found = young(&self.generations.read().unwrap_or_else(PoisonError::into_inner));
        if let Some(found) = found {
            return found.answer;
        }
        let old = |all: &Generations| all.old.get(&hash)?.iter().find(|one| is(one)).cloned();
        let found = old(&self.generations.read().unwrap_or_else(PoisonError::into_inner));
        // Asked without a lock: whoever asks the same meanwhile asks twice, and nobody waits.
        let remembered = match found {
            Some(found) => found,
            None => {
                let answer = Arc::new(ask());
                let bytes = answer.bytes().saturating_add(key_bytes(part, request));
                let Some(key) = Key::of(part, request) else { return answer };
                Remembered { to: Arc::new(key), answer, bytes }
            }
        };
        let answer = Arc::clone(&remembered.answer);
        let mut generations = self.generations.write().unwrap_or_else(PoisonError::into_inner);
        generations.remember(hash, remembered, self.most_bytes, |one| one.to.is(part, request));
        answer
    }

    /// Forgets the answers to some parts of requests.
    pub(super) fn forget(&self, which: impl Fn(PartName) -> bool) {
        let mut generations = self.generations.write().unwrap_or_else(PoisonError::into_inner);
        let Generations { young, old, .. } = &mut *generations;
        for alike in young.values_mut().chain(old.values_mut()) {
            alike.retain(|one| !which(one.to.part()));
        }
    }

    fn hash(&self, part: PartName, request: &Request<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        feed(part, request, &mut hasher);
        hasher.finish()
    }
}

/// Feeds a part of a request to a hasher: all that its key is compared by.
fn feed(part: PartName, request: &Request<'_>, hasher: &mut impl Hasher) {
    let Request { caller, model, capability, declared, requirements, broker_places, .. } = request;
    let caller = &caller.trust_domain;
    match part {
        PartName::Instant => 0.hash(hasher),
        PartName::Model => (1, model).hash(hasher),
        PartName::Use => (2, caller, declared).hash(hasher),
        PartName::Demand => (3, caller, capability, requirements, broker_places).hash(hasher),
        PartName::Usage => 4.hash(hasher),
    }
}

/// Bytes that a key takes, and its place in the memory.
fn key_bytes(part: PartName, request: &Request<'_>) -> usize {
    let mut fed = Fed(0);
    feed(part, request, &mut fed);
    fed.0.saturating_mul(BYTES_PER_HASHED).saturating_add(ENTRY_BYTES)
}

/// Counts what it is fed.
struct Fed(usize);

impl Hasher for Fed {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = self.0.saturating_add(bytes.len());
    }

    fn finish(&self) -> u64 {
        0
    }
}

impl Generations {
    /// Keeps an answer, in the place of an older one to the same. A generation that is full becomes the old one.
    fn remember(&mut self, hash: u64, remembered: Remembered, most_bytes: usize, same: impl Fn(&Remembered) -> bool) {
        let bytes = remembered.bytes;
        if self.young_bytes.saturating_add(bytes) > most_bytes {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        let alike = self.young.entry(hash).or_default();
        alike.retain(|one| !same(one));
        alike.push(remembered);
        self.young_bytes = self.young_bytes.saturating_add(bytes);
    }
}

#[cfg(test)]
mod tests;
