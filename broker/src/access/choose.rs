//! In which order eligible offers are tried: what the caller prefers first, then the cheapest. Among those that are equal
//! by that, two are drawn, and the one where a request would wait less comes first.
//!
//! Whoever should not be asked now comes behind, whatever they cost, and never goes missing: whom policy let in stays in,
//! and nobody else comes in (decision 30).

mod draws;

use std::cmp::Reverse;

use comity_policy::Index;
use comity_policy::rank::{Preferences, Ranked, scores};
use comity_transparency::record::CANDIDATES;
use comity_types::{Digest, OfferName, Price, Timestamp};

pub use self::draws::Draws;
use super::decide::Candidate;
use crate::links::{FULL_SHARE, Readiness};

/// Gives each of the candidates its score by `prefer`.
pub fn score(candidates: &mut [Candidate], index: &Index, prefer: &Preferences, as_of: Timestamp) {
    let ranked = candidates.iter().filter_map(|Candidate { offer, load, .. }| {
        Some(Ranked { offer: index.offer(offer.place)?, latency_ms: load.latency_ms })
    });
    let scored = scores(&ranked.collect::<Vec<_>>(), prefer, &index.tables(), as_of);
    candidates.iter_mut().zip(scored).for_each(|(candidate, score)| candidate.score = score);
}

/// Puts the candidates in the order in which they are tried.
///
/// Of a session there is nothing to be drawn: each offer has a weight in it, by which the same one comes first each time, and
/// where that should not be asked, the same next one. Nobody keeps a table, and who comes or goes moves no other's sessions.
pub fn order(candidates: &mut [Candidate], session: Option<&Digest>, draws: &mut Draws) {
    for Candidate { load, offer, .. } in &mut *candidates {
        if let Readiness::Returning { share } = load.readiness
            && share_drawn(session, &offer.name, draws) < share as usize
        {
            load.readiness = Readiness::Ready;
        }
    }
    sort(candidates);
    let comparable = one_currency(candidates);
    // Nobody further back is ever tried.
    let mut places = CANDIDATES;
    for equal in candidates.chunk_by_mut(|one, other| preference(one, comparable) == preference(other, comparable)) {
        match session {
            Some(session) => equal.sort_by_cached_key(|one| Reverse(weight(session, &one.offer.name))),
            None => spread(equal, places, draws),
        }
        places = places.saturating_sub(equal.len());
        if places == 0 {
            break;
        }
    }
}

/// Puts the candidates in the order of preference, and those that are equal by that in the order of their names.
pub fn sort(candidates: &mut [Candidate]) {
    let comparable = one_currency(candidates);
    candidates.sort_by(|one, other| {
        let preferred = preference(one, comparable).cmp(&preference(other, comparable));
        preferred.then_with(|| one.offer.name.cmp(&other.offer.name))
    });
}

/// What of [`FULL_SHARE`] somebody who returns has to have for this request. A session comes back once, and stays.
fn share_drawn(session: Option<&Digest>, offer: &OfferName, draws: &mut Draws) -> usize {
    let whole = u64::from(FULL_SHARE);
    let of_session = |session| usize::try_from(weight(session, offer) % whole).unwrap_or_default();
    session.map_or_else(|| draws.below(FULL_SHARE as usize), of_session)
}

/// An offer's weight in a session (rendezvous hashing: Thaler and Ravishankar, 1998). Nobody can choose the name of an offer so
/// that it comes first in sessions that it does not know.
fn weight(session: &Digest, offer: &OfferName) -> u64 {
    let both = [session.as_bytes(), offer.as_str().as_bytes()].concat();
    Digest::of(&both).as_bytes().first_chunk().map_or(0, |half| u64::from_be_bytes(*half))
}

/// Of two that are drawn the one that costs less comes first, then of two of the others, and so on: no more than that has
/// to be known to leave the slow and the busy alone, and not everybody runs to the same one.
fn spread(mut equal: &mut [Candidate], places: usize, draws: &mut Draws) {
    for _ in 0..places {
        if equal.len() < 2 {
            return;
        }
        let one = draws.below(equal.len());
        // Another one, as likely as any.
        let other = (one + 1 + draws.below(equal.len() - 1)) % equal.len();
        let cost = |place: usize| equal.get(place).map(|candidate| candidate.load.cost);
        let first = if cost(other) < cost(one) { other } else { one };
        equal.swap(0, first);
        equal = equal.get_mut(1..).unwrap_or_default();
    }
}

/// What goes before whatever an offer costs to ask, least first.
fn preference(candidate: &Candidate, comparable: bool) -> (u8, Reverse<u64>, u128) {
    let price = if comparable { cost(candidate.offer.price.as_ref()) } else { 0 };
    (turn(candidate.load.readiness), Reverse(candidate.score), price)
}

/// When somebody's turn comes.
const fn turn(readiness: Readiness) -> u8 {
    match readiness {
        Readiness::Ready => 0,
        Readiness::Returning { .. } => 1,
        Readiness::Busy => 2,
        Readiness::Ejected => 3,
        Readiness::Unreachable => 4,
    }
}

/// Whether prices can be compared: amounts of different currencies cannot, so that they then do not count.
fn one_currency(candidates: &[Candidate]) -> bool {
    let mut currencies =
        candidates.iter().filter_map(|candidate| candidate.offer.price.as_ref().map(|price| &price.currency));
    let first = currencies.next();
    currencies.all(|currency| Some(currency) == first)
}

/// What a million tokens of each kind cost. An unknown price is not a low one.
fn cost(price: Option<&Price>) -> u128 {
    price.map_or(u128::MAX, |price| {
        u128::from(price.input_micros_per_million_tokens) + u128::from(price.output_micros_per_million_tokens)
    })
}

#[cfg(test)]
mod tests;
