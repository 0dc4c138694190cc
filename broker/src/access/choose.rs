//! In which order eligible offers are tried: the cheapest first, then the least busy node, then by name; those
//! whose nodes could not be reached lately come last, whatever they cost.

use comity_types::Price;

use super::decide::Candidate;
use crate::links::{LinkState, Links};

/// Puts the candidates in order.
pub fn order(candidates: &mut [Candidate], links: &Links) {
    let comparable = one_currency(candidates);
    candidates.sort_by_cached_key(|candidate| {
        let node = candidate.name.node();
        let unreachable = links.state(node) == LinkState::Unreachable;
        let price = if comparable { cost(candidate.price.as_ref()) } else { 0 };
        (unreachable, price, links.in_flight(node), candidate.name.clone())
    });
}

/// Whether prices can be compared: amounts of different currencies cannot, so that they then do not count.
fn one_currency(candidates: &[Candidate]) -> bool {
    let mut currencies = candidates.iter().filter_map(|candidate| candidate.price.as_ref().map(|price| &price.currency));
    let first = currencies.next();
    currencies.all(|currency| Some(currency) == first)
}

/// What a million tokens of each kind cost. An unknown price is not a low one.
fn cost(price: Option<&Price>) -> u128 {
    price.map_or(u128::MAX, |price| u128::from(price.input_micros_per_million_tokens) + u128::from(price.output_micros_per_million_tokens))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(name: &str, price: Option<(&str, u64)>) -> Candidate {
        let price = price.map(|(currency, micros)| Price {
            currency: currency.parse().unwrap(),
            input_micros_per_million_tokens: micros,
            output_micros_per_million_tokens: micros,
        });
        Candidate { name: name.parse().unwrap(), price, expires_at: None }
    }

    fn ordered(mut candidates: Vec<Candidate>) -> Vec<String> {
        order(&mut candidates, &Links::unconnected());
        candidates.iter().map(|candidate| candidate.name.to_string()).collect()
    }

    #[test]
    fn the_cheapest_comes_first_the_unpriced_last_and_names_break_ties() {
        let offers = vec![candidate("d.example/n/o", None), candidate("c.example/n/o", Some(("EUR", 1))), candidate("b.example/n/o", Some(("EUR", 2))), candidate("a.example/n/o", Some(("EUR", 2)))];
        assert_eq!(ordered(offers), ["c.example/n/o", "a.example/n/o", "b.example/n/o", "d.example/n/o"]);
    }

    #[test]
    fn amounts_of_different_currencies_are_not_compared() {
        let offers = vec![candidate("b.example/n/o", Some(("JPY", 1))), candidate("a.example/n/o", Some(("EUR", 2)))];
        assert_eq!(ordered(offers), ["a.example/n/o", "b.example/n/o"]);
    }

    #[test]
    fn a_node_with_fewer_calls_in_flight_comes_first_at_the_same_price() {
        let links = Links::unconnected();
        let _busy = links.begin(&"spiffe://a.example/node/n".parse().unwrap());
        let mut candidates = vec![candidate("a.example/n/o", None), candidate("b.example/n/o", None)];
        order(&mut candidates, &links);
        assert_eq!(candidates.first().unwrap().name.as_str(), "b.example/n/o");
    }
}
