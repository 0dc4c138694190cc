//! What the order promises: that of preference, of the same offers, and of equals the ones that can take more.

use std::sync::Arc;

use comity_types::{DecisionId, Digest};
use proptest::prelude::*;

use super::*;
use crate::links::Load;
use crate::registry::memory::Listed;

const IDLE: Load = Load { readiness: Readiness::Ready, cost: 0, latency_ms: None };

fn candidate(name: &str, price: Option<(&str, u64)>) -> Candidate {
    let price = price.map(|(currency, micros)| Price {
        currency: currency.parse().unwrap(),
        input_micros_per_million_tokens: micros,
        output_micros_per_million_tokens: micros,
    });
    let sha256 = Digest::of(name.as_bytes());
    let offer = Arc::new(Listed { name: name.parse().unwrap(), place: 0, sha256, price });
    Candidate { offer, score: 0, load: IDLE, expires_at: None }
}

fn ready(candidate: Candidate, readiness: Readiness) -> Candidate {
    Candidate { load: Load { readiness, ..candidate.load }, ..candidate }
}

fn costing(candidate: Candidate, cost: u64) -> Candidate {
    Candidate { load: Load { cost, ..candidate.load }, ..candidate }
}

fn draws(seed: u8) -> Draws {
    Draws::of(DecisionId::from_bytes([seed; 16]))
}

fn names(candidates: &[Candidate]) -> Vec<String> {
    candidates.iter().map(|candidate| candidate.offer.name.to_string()).collect()
}

fn sorted(mut candidates: Vec<Candidate>) -> Vec<String> {
    sort(&mut candidates);
    names(&candidates)
}

/// Who came first how often, of 256 decisions.
fn firsts(candidates: &[Candidate]) -> impl Fn(&str) -> usize + use<> {
    let first = |seed| {
        let mut candidates = candidates.to_vec();
        order(&mut candidates, None, &mut draws(seed));
        names(&candidates).swap_remove(0)
    };
    let firsts: Vec<_> = (0..=u8::MAX).map(first).collect();
    move |name| firsts.iter().filter(|first| *first == name).count()
}

#[test]
fn the_cheapest_comes_first_the_unpriced_last_and_names_break_ties() {
    let (one, two) = (Some(("EUR", 1)), Some(("EUR", 2)));
    let offers = ["d.example/n/o", "c.example/n/o", "b.example/n/o", "a.example/n/o"];
    let offers = offers.into_iter().zip([None, one, two, two]).map(|(name, price)| candidate(name, price)).collect();
    assert_eq!(sorted(offers), ["c.example/n/o", "a.example/n/o", "b.example/n/o", "d.example/n/o"]);
}

#[test]
fn what_the_caller_prefers_comes_before_what_is_cheap() {
    let dear = Candidate { score: 1, ..candidate("b.example/n/o", Some(("EUR", 9))) };
    assert_eq!(sorted(vec![candidate("a.example/n/o", Some(("EUR", 1))), dear]), ["b.example/n/o", "a.example/n/o"]);
}

#[test]
fn amounts_of_different_currencies_are_not_compared() {
    let offers = vec![candidate("b.example/n/o", Some(("JPY", 1))), candidate("a.example/n/o", Some(("EUR", 2)))];
    assert_eq!(sorted(offers), ["a.example/n/o", "b.example/n/o"]);
}

#[test]
fn whoever_should_not_be_asked_now_comes_behind_whatever_they_cost() {
    let turns = [
        Readiness::Unreachable,
        Readiness::Ejected,
        Readiness::Busy,
        Readiness::Returning { share: 0 },
        Readiness::Ready,
    ];
    let named = ["a.example/n/o", "b.example/n/o", "c.example/n/o", "d.example/n/o", "e.example/n/o"];
    let price = |place| Some(("EUR", place));
    let offer = |((name, readiness), place)| ready(candidate(name, price(place)), readiness);
    let mut offers: Vec<_> = named.into_iter().zip(turns).zip(1..).map(offer).collect();
    order(&mut offers, None, &mut draws(0));
    let behind: Vec<_> = named.into_iter().rev().collect();
    assert_eq!(names(&offers), behind);
}

#[test]
fn of_two_equal_ones_the_less_busy_comes_first_and_of_idle_ones_each_as_often() {
    let [a, b] = ["a.example/n/o", "b.example/n/o"].map(|name| candidate(name, Some(("EUR", 1))));
    let busy = firsts(&[costing(a.clone(), 2), costing(b.clone(), 1)]);
    assert_eq!(busy("b.example/n/o"), 256);
    let idle = firsts(&[a.clone(), b]);
    assert!((96..160).contains(&idle("a.example/n/o")), "{}", idle("a.example/n/o"));
    // A price is a preference, and no load outweighs it.
    let dear = candidate("b.example/n/o", Some(("EUR", 2)));
    assert_eq!(firsts(&[costing(a, 1_000), dear])("a.example/n/o"), 256);
}

#[test]
fn the_busiest_of_many_is_never_first_and_the_others_share() {
    let offers: Vec<_> = (1..=5).map(|cost| costing(candidate(&format!("n{cost}.example/n/o"), None), cost)).collect();
    let first = firsts(&offers);
    let times: Vec<_> = (1..=5).map(|cost| first(&format!("n{cost}.example/n/o"))).collect();
    // Of ten pairs four have the first, three the second, and so on.
    assert!(times.is_sorted_by(|one, other| one > other) && times[4] == 0, "{times:?}");
}

#[test]
fn one_that_returns_gets_its_share_though_it_is_the_cheapest() {
    let returning = |share| ready(candidate("a.example/n/o", Some(("EUR", 1))), Readiness::Returning { share });
    let times = |share| firsts(&[returning(share), candidate("b.example/n/o", Some(("EUR", 9)))])("a.example/n/o");
    assert_eq!((times(0), times(FULL_SHARE)), (0, 256));
    assert!((40..90).contains(&times(FULL_SHARE / 4)), "{}", times(FULL_SHARE / 4));
}

fn session(number: u8) -> Digest {
    Digest::of(&[number])
}

/// Who comes first, in each of 256 sessions.
fn firsts_of_sessions(candidates: &[Candidate]) -> Vec<String> {
    let first = |number| {
        let mut candidates = candidates.to_vec();
        order(&mut candidates, Some(&session(number)), &mut draws(number));
        names(&candidates).swap_remove(0)
    };
    (0..=u8::MAX).map(first).collect()
}

#[test]
fn a_session_has_the_same_offer_first_however_busy_and_whatever_is_drawn_and_sessions_are_spread() {
    let offers = ["a.example/n/o", "b.example/n/o", "c.example/n/o"].map(|name| candidate(name, None));
    let firsts = firsts_of_sessions(&offers);
    for number in 0..=u8::MAX {
        let mut busy: Vec<_> = offers.iter().cloned().zip([9, 5, 7]).map(|(one, cost)| costing(one, cost)).collect();
        order(&mut busy, Some(&session(number)), &mut draws(number.wrapping_add(1)));
        assert_eq!(names(&busy)[0], firsts[usize::from(number)]);
    }
    for offer in &offers {
        let times = firsts.iter().filter(|first| **first == offer.offer.name.to_string()).count();
        assert!((60..112).contains(&times), "{times}");
    }
}

#[test]
fn whoever_leaves_moves_no_sessions_but_its_own_and_those_come_back() {
    let offers = ["a.example/n/o", "b.example/n/o", "c.example/n/o", "d.example/n/o"].map(|name| candidate(name, None));
    let before = firsts_of_sessions(&offers);
    let mut gone = offers.clone();
    gone[0] = ready(gone[0].clone(), Readiness::Ejected);
    for (before, after) in before.iter().zip(firsts_of_sessions(&gone)) {
        assert!(after != "a.example/n/o" && (before == "a.example/n/o" || *before == after), "{before} {after}");
    }
    // On its way back it gets more of its own again, and none of another's.
    let returning = |share| {
        let mut offers = offers.clone();
        offers[0] = ready(offers[0].clone(), Readiness::Returning { share });
        firsts_of_sessions(&offers)
    };
    let (some, more) = (returning(FULL_SHARE / 4), returning(FULL_SHARE / 2));
    let back = |firsts: &[String]| firsts.iter().filter(|first| *first == "a.example/n/o").count();
    assert!(0 < back(&some) && back(&some) < back(&more) && back(&more) < back(&before));
    for ((some, more), before) in some.iter().zip(&more).zip(&before) {
        assert!(some != "a.example/n/o" || more == some, "who is back stays");
        assert!(more != "a.example/n/o" || before == more, "nobody else's");
    }
}

#[test]
fn a_session_changes_nothing_of_what_is_preferred() {
    let [cheap, dear] = [1, 2].map(|price| candidate(&format!("n{price}.example/n/o"), Some(("EUR", price))));
    assert!(firsts_of_sessions(&[dear, cheap]).iter().all(|first| first == "n1.example/n/o"));
}

fn any_candidate() -> impl Strategy<Value = Candidate> {
    let readiness = prop_oneof![
        Just(Readiness::Ready),
        (0..FULL_SHARE).prop_map(|share| Readiness::Returning { share }),
        Just(Readiness::Busy),
        Just(Readiness::Ejected),
        Just(Readiness::Unreachable),
    ];
    let price = prop::option::of((prop::sample::select(vec!["EUR", "JPY"]), 0..3_u64));
    ((0..1_000_u32, price), 0..3_u64, readiness, 0..5_u64).prop_map(|((name, price), score, readiness, cost)| {
        let candidate = costing(ready(candidate(&format!("n{name}.example/n/o"), price), readiness), cost);
        Candidate { score, ..candidate }
    })
}

proptest! {
    #[test]
    fn no_candidate_is_lost_or_added_and_what_is_preferred_comes_first(
        offers in prop::collection::vec(any_candidate(), 0..40),
        seed: u8,
        session in prop::option::of(any::<[u8; 32]>().prop_map(Digest::from_bytes)),
    ) {
        let mut ordered = offers.clone();
        order(&mut ordered, session.as_ref(), &mut draws(seed));
        let of = |candidates: &[Candidate]| {
            let mut names = names(candidates);
            names.sort();
            names
        };
        prop_assert_eq!(of(&ordered), of(&offers));
        let comparable = one_currency(&ordered);
        prop_assert!(ordered.is_sorted_by_key(|candidate| preference(candidate, comparable)));
        let mut again = offers;
        order(&mut again, session.as_ref(), &mut draws(seed));
        prop_assert_eq!(names(&again), names(&ordered), "the same draws give the same order");
    }
}
