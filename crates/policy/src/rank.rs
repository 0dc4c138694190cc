//! The order among offers that are eligible. Preferences never decide whether an offer is (VOCABULARY L4).
//!
//! Each preference scores an offer from 0 to 1,000, its weight multiplies the score, what is unknown scores worst, and
//! ties go by price and then by the offer's name: same inputs, same order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use comity_types::{Digest, OfferName, PlaceOrBloc, Timestamp};
use serde::{Deserialize, Serialize};

use crate::offer::Objective;
use crate::tables::blocs::{Membership, Reach};
use crate::{Offer, Tables};

/// The score of the best.
const BEST: u64 = 1_000;
/// The highest sovereignty rating.
const HIGHEST_SEAL: u64 = 4;

/// What is better, each with a weight; 0 does not count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Preferences {
    /// Offers that process only in these places, by their weight.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub locations: BTreeMap<PlaceOrBloc, u8>,
    /// Higher sovereignty ratings, by objective.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub seal: BTreeMap<Objective, u8>,
    /// Lower price.
    pub price: u8,
    /// Shorter wait for the first byte, as the broker has seen it.
    pub latency: u8,
    /// Less carbon.
    pub carbon: u8,
    /// The same offer for each request of this session, among those that are equal otherwise: a digest of what the app calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Digest>,
    /// One more offer where the first is slow to begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hedge: Option<Hedge>,
}

/// When another offer is asked beside the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hedge {
    /// After so many milliseconds without an answer; what is long for that offer, where this is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_ms: Option<u32>,
}

impl Hedge {
    /// How long may be waited, in milliseconds: sooner, every request would go to two nodes; later, nobody waits.
    pub const AFTER_MS: std::ops::RangeInclusive<u32> = 10..=600_000;
}

impl Preferences {
    /// True if nothing is preferred.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// True if no offer scores more than another by them.
    fn weighs_nothing(&self) -> bool {
        let Self { locations, seal, price, latency, carbon, session: _, hedge: _ } = self;
        locations.is_empty() && seal.is_empty() && (*price, *latency, *carbon) == (0, 0, 0)
    }

    /// These, or the others where these say nothing: the weights together, since they say something beside each other alone.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let (session, hedge) = (self.session.or(other.session), self.hedge.or(other.hedge));
        let weights = if self.weighs_nothing() { other } else { self };
        Self { session, hedge, ..weights }
    }
}

/// An offer to be ranked.
#[derive(Debug, Clone, Copy)]
pub struct Ranked<'a> {
    /// The offer.
    pub offer: &'a Offer,
    /// Milliseconds to its first byte, as the broker has seen it.
    pub latency_ms: Option<u64>,
}

/// The names of `offers`, best first.
#[must_use]
pub fn rank(offers: &[Ranked<'_>], prefer: &Preferences, tables: &Tables, as_of: Timestamp) -> Vec<OfferName> {
    let scores = scores(offers, prefer, tables, as_of);
    let prices = prices(offers);
    let mut ranked: Vec<_> = offers
        .iter()
        .zip(scores)
        .zip(prices)
        .map(|((one, score), price)| (Reverse(score), price.is_none(), price, one.offer.name()))
        .collect();
    ranked.sort();
    ranked.into_iter().map(|(.., name)| name).collect()
}

/// The score of each of `offers`, in their order; higher is better, and all are 0 where nothing is preferred.
#[must_use]
pub fn scores(offers: &[Ranked<'_>], prefer: &Preferences, tables: &Tables, as_of: Timestamp) -> Vec<u64> {
    if prefer.weighs_nothing() {
        return vec![0; offers.len()];
    }
    let latencies: Vec<_> = offers.iter().map(|one| one.latency_ms).collect();
    let carbon: Vec<_> = offers.iter().map(|one| one.offer.carbon_grams_per_million_tokens).collect();
    let measured = [(prefer.price, prices(offers)), (prefer.latency, latencies), (prefer.carbon, carbon)];
    let score = |(index, one): (usize, &Ranked<'_>)| {
        let of_measured =
            |(weight, values): &(u8, Vec<_>)| u64::from(*weight).saturating_mul(lower_is_better(values, index));
        let measured = measured.iter().map(of_measured).fold(0, u64::saturating_add);
        of_offer(one.offer, prefer, tables, as_of).saturating_add(measured)
    };
    offers.iter().enumerate().map(score).collect()
}

/// What a call of as many input as output tokens costs; amounts of different currencies cannot be compared, so that
/// none is then known.
fn prices(offers: &[Ranked<'_>]) -> Vec<Option<u64>> {
    let mut currencies = offers.iter().filter_map(|one| one.offer.price.as_ref()).map(|price| &price.currency);
    let first = currencies.next();
    let comparable = currencies.all(|currency| Some(currency) == first);
    offers.iter().map(|one| price(one.offer).filter(|_| comparable)).collect()
}

/// What an offer's own facts score.
fn of_offer(offer: &Offer, prefer: &Preferences, tables: &Tables, as_of: Timestamp) -> u64 {
    let mut score = 0_u64;
    let places = offer.processing_locations.as_ref().and_then(|claim| claim.resolve(as_of).ok());
    for (set, weight) in &prefer.locations {
        let within = places.as_ref().is_some_and(|places| {
            let one = BTreeSet::from([set]);
            let inside = |place| one.iter().all(|set| is_within(place, set, tables, as_of));
            !places.is_empty() && places.iter().all(inside)
        });
        score = score.saturating_add(if within { u64::from(*weight).saturating_mul(BEST) } else { 0 });
    }
    let ratings = offer.seal.as_ref().and_then(|claim| claim.resolve(as_of).ok());
    for (objective, weight) in &prefer.seal {
        let rating = ratings.as_ref().and_then(|ratings| ratings.get(objective)).copied().unwrap_or(0);
        let of_rating = u64::from(rating).min(HIGHEST_SEAL).saturating_mul(BEST) / HIGHEST_SEAL;
        score = score.saturating_add(u64::from(*weight).saturating_mul(of_rating));
    }
    score
}

fn is_within(place: &comity_types::Place, set: &PlaceOrBloc, tables: &Tables, as_of: Timestamp) -> bool {
    let answer = tables.blocs.membership(&tables.places, place, set, Reach::Within, as_of);
    matches!(answer.membership, Membership::Yes(_))
}

/// What a million tokens of each kind cost together.
fn price(offer: &Offer) -> Option<u64> {
    let price = offer.price.as_ref()?;
    Some(price.input_micros_per_million_tokens.saturating_add(price.output_micros_per_million_tokens))
}

/// The best of the known ones scores most, the worst and the unknown ones nothing.
fn lower_is_better(values: &[Option<u64>], index: usize) -> u64 {
    let Some(own) = values.get(index).copied().flatten() else { return 0 };
    let known = || values.iter().flatten().copied();
    let (Some(least), Some(most)) = (known().min(), known().max()) else { return 0 };
    if most == least {
        return BEST;
    }
    most.saturating_sub(own).saturating_mul(BEST) / most.saturating_sub(least)
}

#[cfg(test)]
mod tests;
