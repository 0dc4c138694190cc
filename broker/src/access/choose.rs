//! In which order eligible offers are tried: what the caller prefers first, then the cheapest, then the least busy
//! node, then by name; those whose nodes could not be reached lately come last, whatever they cost.

use std::cmp::Reverse;

use comity_policy::Index;
use comity_policy::rank::{Preferences, Ranked, scores};
use comity_types::{Price, SpiffeId, Timestamp};

use super::decide::Candidate;
use crate::links::{LinkState, Load};

/// Gives each of the candidates its score by `prefer`. Latency is not measured yet, so that it scores nothing.
pub fn score(candidates: &mut [Candidate], index: &Index, prefer: &Preferences, as_of: Timestamp) {
    let offers = candidates.iter().filter_map(|candidate| index.offer(candidate.offer.place));
    let ranked: Vec<_> = offers.map(|offer| Ranked { offer, latency_ms: None }).collect();
    let scored = scores(&ranked, prefer, &index.tables(), as_of);
    candidates.iter_mut().zip(scored).for_each(|(candidate, score)| candidate.score = score);
}

/// Puts the candidates in order. `load` tells how a node's link is.
pub fn order(candidates: &mut [Candidate], load: impl Fn(&SpiffeId) -> Load) {
    let comparable = one_currency(candidates);
    candidates.sort_by_cached_key(|candidate| {
        let load = load(candidate.offer.name.node());
        let unreachable = load.state == LinkState::Unreachable;
        let price = if comparable { cost(candidate.offer.price.as_ref()) } else { 0 };
        (unreachable, Reverse(candidate.score), price, load.in_flight, candidate.offer.name.clone())
    });
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
mod tests {
    use std::sync::Arc;

    use comity_types::Digest;

    use super::*;
    use crate::registry::memory::Listed;

    fn candidate(name: &str, price: Option<(&str, u64)>) -> Candidate {
        let price = price.map(|(currency, micros)| Price {
            currency: currency.parse().unwrap(),
            input_micros_per_million_tokens: micros,
            output_micros_per_million_tokens: micros,
        });
        let sha256 = Digest::of(name.as_bytes());
        let offer = Arc::new(Listed { name: name.parse().unwrap(), place: 0, sha256, price });
        Candidate { offer, score: 0, expires_at: None }
    }

    fn load(state: LinkState, in_flight: usize) -> Load {
        Load { state, in_flight }
    }

    fn ordered(mut candidates: Vec<Candidate>, load: impl Fn(&SpiffeId) -> Load) -> Vec<String> {
        order(&mut candidates, load);
        candidates.iter().map(|candidate| candidate.offer.name.to_string()).collect()
    }

    fn idle(_: &SpiffeId) -> Load {
        load(LinkState::Idle, 0)
    }

    #[test]
    fn the_cheapest_comes_first_the_unpriced_last_and_names_break_ties() {
        let (one, two) = (Some(("EUR", 1)), Some(("EUR", 2)));
        let names = ["d.example/n/o", "c.example/n/o", "b.example/n/o", "a.example/n/o"];
        let offers = names.into_iter().zip([None, one, two, two]).map(|(name, price)| candidate(name, price)).collect();
        assert_eq!(ordered(offers, idle), ["c.example/n/o", "a.example/n/o", "b.example/n/o", "d.example/n/o"]);
    }

    #[test]
    fn what_the_caller_prefers_comes_before_what_is_cheap() {
        let dear = Candidate { score: 1, ..candidate("b.example/n/o", Some(("EUR", 9))) };
        assert_eq!(
            ordered(vec![candidate("a.example/n/o", Some(("EUR", 1))), dear], idle),
            ["b.example/n/o", "a.example/n/o"]
        );
    }

    #[test]
    fn amounts_of_different_currencies_are_not_compared() {
        let offers = vec![candidate("b.example/n/o", Some(("JPY", 1))), candidate("a.example/n/o", Some(("EUR", 2)))];
        assert_eq!(ordered(offers, idle), ["a.example/n/o", "b.example/n/o"]);
    }

    #[test]
    fn the_less_busy_node_comes_first_at_the_same_price_and_an_unreachable_one_last() {
        let offers = || vec![candidate("a.example/n/o", None), candidate("b.example/n/o", None)];
        let of_a = |state, in_flight| {
            move |node: &SpiffeId| {
                if node.trust_domain().as_str() == "a.example" { load(state, in_flight) } else { idle(node) }
            }
        };
        assert_eq!(ordered(offers(), of_a(LinkState::Connected, 1)), ["b.example/n/o", "a.example/n/o"]);
        let cheap = vec![candidate("a.example/n/o", Some(("EUR", 1))), candidate("b.example/n/o", Some(("EUR", 9)))];
        assert_eq!(ordered(cheap, of_a(LinkState::Unreachable, 0)), ["b.example/n/o", "a.example/n/o"]);
    }
}
