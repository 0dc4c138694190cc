use super::*;

fn tables() -> &'static Tables {
    Tables::builtin().unwrap()
}

/// An offer of node `n`, with more of its facts.
fn offer(node: &str, more: &str) -> Offer {
    let text =
        format!("id = 'o'\nnode = 'spiffe://op.example/node/{node}'\nmodel = 'm'\ncapabilities = ['chat']\n{more}");
    toml::from_str(&text).unwrap()
}

fn priced(node: &str, currency: &str, input: u64, output: u64) -> Offer {
    let price = "input_micros_per_million_tokens";
    let other = "output_micros_per_million_tokens";
    offer(node, &format!("price = {{ currency = '{currency}', {price} = {input}, {other} = {output} }}"))
}

fn ranked(offers: &[Offer]) -> Vec<Ranked<'_>> {
    offers.iter().map(|offer| Ranked { offer, latency_ms: None }).collect()
}

fn scores_of(offers: &[Offer], prefer: &Preferences) -> Vec<u64> {
    scores(&ranked(offers), prefer, tables(), "2026-11-22".parse().unwrap())
}

/// The nodes, best first.
fn order(offers: &[Offer], prefer: &Preferences) -> Vec<String> {
    let names = rank(&ranked(offers), prefer, tables(), "2026-11-22".parse().unwrap());
    names.iter().map(|name| name.to_string()).collect()
}

#[test]
fn the_cheapest_scores_most_and_the_dearest_nothing() {
    let prefer = Preferences { price: 2, ..Preferences::default() };
    let offers = [priced("a", "EUR", 1, 1), priced("b", "EUR", 1, 2), priced("c", "EUR", 2, 4), offer("d", "")];
    assert_eq!(scores_of(&offers, &prefer), [2_000, 1_500, 0, 0]);
    let same = [priced("a", "EUR", 3, 1), priced("b", "EUR", 2, 2)];
    assert_eq!(scores_of(&same, &prefer), [2_000, 2_000], "one price is the best there is");
}

#[test]
fn prices_in_different_currencies_score_nothing() {
    let prefer = Preferences { price: 1, ..Preferences::default() };
    let offers = [priced("a", "EUR", 1, 1), priced("b", "USD", 9, 9)];
    assert_eq!(scores_of(&offers, &prefer), [0, 0]);
}

#[test]
fn every_place_has_to_be_within_the_set_that_is_preferred() {
    let prefer = Preferences { locations: [("EU".parse().unwrap(), 3)].into(), ..Preferences::default() };
    let offers = ["['DE', 'FR']", "['DE', 'US']", "[]"].map(|all| offer("a", &format!("processing_locations = {all}")));
    assert_eq!(scores_of(&offers, &prefer), [3_000, 0, 0]);
    assert_eq!(scores_of(&[offer("a", "")], &prefer), [0], "what is unknown scores worst");
}

#[test]
fn a_rating_scores_as_the_part_of_the_highest_that_it_is() {
    let prefer = Preferences { seal: [(Objective::Sov1, 1), (Objective::Sov2, 2)].into(), ..Preferences::default() };
    let offers = ["{ SOV-1 = 4 }", "{ SOV-1 = 1, SOV-2 = 3 }", "{}"].map(|seal| offer("a", &format!("seal = {seal}")));
    assert_eq!(scores_of(&offers, &prefer), [1_000, 250 + 1_500, 0]);
}

#[test]
fn latency_and_carbon_score_as_a_price_does() {
    let prefer = Preferences { latency: 1, carbon: 3, ..Preferences::default() };
    let offers = [40, 10].map(|grams| offer("a", &format!("carbon_grams_per_million_tokens = {grams}")));
    let waits = [Some(100), Some(200)];
    let ranked: Vec<_> = offers.iter().zip(waits).map(|(offer, latency_ms)| Ranked { offer, latency_ms }).collect();
    assert_eq!(scores(&ranked, &prefer, tables(), "2026-11-22".parse().unwrap()), [1_000, 3_000]);
}

#[test]
fn a_higher_score_comes_first_and_then_the_lower_price_and_then_the_name() {
    let offers = [offer("d", ""), priced("c", "EUR", 1, 1), priced("b", "EUR", 1, 1), priced("a", "EUR", 1, 2)];
    let by =
        |prefer: &Preferences| order(&offers, prefer).iter().map(|name| name.chars().rev().nth(2)).collect::<Vec<_>>();
    assert_eq!(by(&Preferences::default()), ["b", "c", "a", "d"].map(|name| name.chars().next()));
}

#[test]
fn preferences_are_those_of_the_first_that_has_some() {
    let (session, hedge) = (Some(Digest::of(b"talk")), Some(Hedge::default()));
    let beside = Preferences { session, hedge, ..Preferences::default() };
    let price = Preferences { price: 1, ..Preferences::default() };
    let both = Preferences { session, hedge, ..price.clone() };
    assert_eq!((beside.clone().or(price.clone()), price.or(beside)), (both.clone(), both));
    let (none, price) = (Preferences::default(), Preferences { price: 1, ..Preferences::default() });
    let latency = Preferences { latency: 1, ..Preferences::default() };
    assert!(none.is_default() && !price.is_default());
    assert_eq!(price.clone().or(latency), price);
    assert_eq!(none.or(price.clone()), price);
}
