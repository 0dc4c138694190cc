use std::collections::BTreeMap;

use super::standing::CONTROL;
use super::*;
use crate::ownership::{Share, Stake};

mod graphs;
mod reference;

/// `subject < holder percent [of an interest]`, one a line, `..` between the bounds of a range: a graph as people draw
/// it. `@name` is free float, and `?` is a share that nobody knows.
pub(super) fn graph(text: &str) -> Ownership {
    let mut parties = BTreeMap::new();
    let mut stakes = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<_> = line.split_whitespace().collect();
        let [subject, "<", holder, share, rest @ ..] = words.as_slice() else { panic!("{line}") };
        let of = |text: &str| graphs::of_whole(text.parse::<f64>().unwrap() / 100.0);
        let (least, most) = match share.split_once("..") {
            Some((least, most)) => (of(least), of(most)),
            None if *share == "?" => (0, WHOLE),
            None => (of(share), of(share)),
        };
        let interest = match rest {
            [] => Interest::Shareholding,
            ["votes"] => Interest::VotingRights,
            ["golden"] => Interest::GoldenShare,
            other => panic!("{other:?}"),
        };
        for name in [subject, holder].into_iter().filter(|name| **name != SELF) {
            let kind = if name.starts_with('@') { PartyKind::Dispersed } else { PartyKind::Organisation };
            parties.insert((*name).to_owned(), Party { kind, ..Party::default() });
        }
        let (subject, holder, share) = ((*subject).into(), (*holder).into(), Share::new(least, most).unwrap());
        stakes.push(Stake { subject, holder, interest, share, directness: Default::default() });
    }
    Ownership::new(parties, stakes).unwrap()
}

/// More than half, added up, cascading.
const MORE_THAN_HALF: Measure<'static> = Measure { decisive: false, ..CONTROL };
const HALF: Measure<'static> = Measure { comparison: Comparison::AtLeast, ..MORE_THAN_HALF };
const THROUGH: Measure<'static> = Measure { indirect: Indirect::LookThrough, ..MORE_THAN_HALF };

fn judged_by(graph: &Ownership, measure: &Measure<'_>, by: impl FnMut(&str, &Party) -> Taint) -> Taint {
    judge(graph, measure, &taints(graph, by))
}

/// Who controls it, by name, and whether somebody may of whom nothing is said.
fn controllers(graph: &Ownership) -> (Vec<(&str, Taint)>, bool) {
    let Controllers { holders, is_open } = &graph.standing().controllers;
    (holders.iter().map(|holder| (holder.name.as_str(), holder.control)).collect(), *is_open)
}

/// Parties whose name begins with `x` are tainted, with `m` may be.
fn judged(text: &str, measure: &Measure<'_>) -> Taint {
    judged_by(&graph(text), measure, |name, _| match name.trim_start_matches('@').as_bytes().first() {
        Some(b'x') => Taint::Yes,
        Some(b'm') => Taint::Maybe,
        _ => Taint::No,
    })
}

#[test]
fn the_threshold_itself_is_reached_and_not_exceeded() {
    let half = "self < x 50\nself < a 50";
    assert_eq!((judged(half, &MORE_THAN_HALF), judged(half, &HALF)), (Taint::No, Taint::Yes));
    let more = "self < x 50.0001\nself < a 49.9999";
    assert_eq!((judged(more, &MORE_THAN_HALF), judged(more, &HALF)), (Taint::Yes, Taint::Yes));
    let less = "self < x 49.9999\nself < a 50.0001";
    assert_eq!((judged(less, &MORE_THAN_HALF), judged(less, &HALF)), (Taint::No, Taint::No));
}

#[test]
fn holders_count_together_or_each_alone() {
    let three = "self < x1 20\nself < x2 20\nself < x3 20\nself < a 40";
    let alone = Measure { aggregate: false, ..MORE_THAN_HALF };
    let alone_through = Measure { aggregate: false, ..THROUGH };
    assert_eq!((judged(three, &MORE_THAN_HALF), judged(three, &alone)), (Taint::Yes, Taint::No));
    assert_eq!((judged(three, &THROUGH), judged(three, &alone_through)), (Taint::Yes, Taint::No));
    let low = Measure { threshold_bp: 1_999, ..alone };
    assert_eq!(judged(three, &low), Taint::Yes);
}

#[test]
fn a_cascade_counts_a_tainted_holder_with_all_that_it_has_and_any_other_with_nothing() {
    // OFAC, question 401, examples 1 and 2.
    let one = "a < x 50\na < c 50\nself < a 50\nself < d 50";
    let two = "a < x 50\na < c 50\nb < x 50\nb < c 50\nself < a 25\nself < b 25\nself < d 50";
    assert_eq!((judged(one, &HALF), judged(two, &HALF)), (Taint::Yes, Taint::Yes));
    let below = "a < x 49.9\na < c 50.1\nself < a 100";
    assert_eq!(judged(below, &HALF), Taint::No);
    // Below the threshold it counts with nothing, even beside a tainted holder.
    assert_eq!(judged("a < x 49\na < c 51\nself < a 60\nself < x 40", &HALF), Taint::No);
}

#[test]
fn looking_through_multiplies_what_is_held_through_others() {
    let quarter = "a < x 50\na < c 50\nself < a 50\nself < d 50";
    let of = |threshold_bp| judged(quarter, &Measure { threshold_bp, ..THROUGH });
    assert_eq!((of(2_499), of(2_500)), (Taint::Yes, Taint::No));
    let two_ways = "a < x 60\na < c 40\nb < x 60\nb < c 40\nself < a 50\nself < b 50";
    assert_eq!((judged(two_ways, &THROUGH), judged(two_ways, &MORE_THAN_HALF)), (Taint::Yes, Taint::Yes));
    let thinned = "a < x 51\na < c 49\nself < a 51\nself < d 49";
    assert_eq!((judged(thinned, &THROUGH), judged(thinned, &MORE_THAN_HALF)), (Taint::No, Taint::Yes));
}

#[test]
fn looking_through_asks_who_votes_for_a_holder_that_states_only_its_votes() {
    let other_kind = "a < x 100 votes\nself < a 100";
    assert_eq!((judged(other_kind, &MORE_THAN_HALF), judged(other_kind, &THROUGH)), (Taint::Yes, Taint::Maybe));
}

#[test]
fn decisive_influence_counts_where_a_rule_names_it_and_passes_through_holders() {
    let (golden, none) = (BTreeSet::from([Interest::GoldenShare]), BTreeSet::new());
    let both = BTreeSet::from([Interest::GoldenShare, Interest::Shareholding]);
    let direct = "self < x 1 golden\nself < a 100";
    let through = "h < x 100\nself < h 1 golden\nself < a 100";
    let harmless = "self < b 1 golden\nself < a 100";
    for indirect in [Indirect::Cascade, Indirect::LookThrough] {
        let asks = |interests| Measure { interests, indirect, ..MORE_THAN_HALF };
        assert_eq!(judged(direct, &asks(&none)), Taint::No, "{indirect:?}");
        assert_eq!(judged(direct, &asks(&golden)), Taint::Yes, "{indirect:?}");
        assert_eq!(judged(harmless, &asks(&golden)), Taint::No, "{indirect:?}");

        assert_eq!(judged(through, &asks(&both)), Taint::Yes, "{indirect:?}");
    }
    assert_eq!(judged(direct, &CONTROL), Taint::Yes);
}

#[test]
fn each_kind_of_holding_counts_for_itself() {
    let split = "self < x 30\nself < a 70\nself < x 30 votes\nself < a 70 votes";
    assert_eq!(judged(split, &MORE_THAN_HALF), Taint::No, "30 and 30 are not 60");
    let votes = "self < a 100\nself < x 60 votes\nself < a 40 votes";
    assert_eq!((judged(votes, &MORE_THAN_HALF), judged(votes, &THROUGH)), (Taint::Yes, Taint::Yes));
    let only = BTreeSet::from([Interest::Shareholding]);
    assert_eq!(judged(votes, &Measure { interests: &only, ..MORE_THAN_HALF }), Taint::No);
    let unstated = "self < a 100 votes";
    let capital = Measure { interests: &only, ..MORE_THAN_HALF };
    assert_eq!(judged(unstated, &capital), Taint::Maybe, "whose the capital is, nobody says");
    assert_eq!(judged(unstated, &Measure { indirect: Indirect::LookThrough, ..capital }), Taint::Maybe);
}

#[test]
fn what_is_not_disclosed_may_be_anybodys() {
    for measure in [MORE_THAN_HALF, THROUGH] {
        assert_eq!(judged("self < a 49", &measure), Taint::Maybe);
        assert_eq!(judged("self < a 50", &measure), Taint::No, "half is left, and half is not more than half");
        assert_eq!(judged("self < a 30\nself < x 30", &measure), Taint::Maybe);
        assert_eq!(judged("self < a 30\nself < x 51", &measure), Taint::Yes);
        assert_eq!(judged("self < m 60\nself < a 40", &measure), Taint::Maybe);
        assert_eq!(judged("h < a 40\nself < h 100", &measure), Taint::Maybe, "so may what is left of a holder");
        assert_eq!(judged("self < h 100", &measure), Taint::No, "a holder of whom nothing is said is what it is");
    }
    let alone = Measure { aggregate: false, ..MORE_THAN_HALF };
    assert_eq!(judged("self < x 30\nself < a 30", &alone), Taint::Maybe, "the 40 that are left may be x's");
    assert_eq!(judged("self < x 30\nself < a 50", &alone), Taint::No, "at most 50 are x's");
}

#[test]
fn a_range_settles_only_what_all_of_it_says() {
    for measure in [MORE_THAN_HALF, THROUGH] {
        assert_eq!(judged("self < x 51..60\nself < a 40..49", &measure), Taint::Yes);
        assert_eq!(judged("self < x 40..60\nself < a 40..60", &measure), Taint::Maybe);
        assert_eq!(judged("self < x 10..50\nself < a 50..90", &measure), Taint::No);
        assert_eq!(judged("self < x ?", &measure), Taint::Maybe);
    }
}

#[test]
fn free_float_is_nobodys() {
    let float = "self < @x 80\nself < a 20";
    assert_eq!((judged(float, &MORE_THAN_HALF), judged(float, &THROUGH)), (Taint::No, Taint::No));
    let (found, unknown) = (graph(float), false);
    assert_eq!(controllers(&found), (vec![], unknown));
}

#[test]
fn nothing_held_is_a_public_body_and_holdings_of_others_say_nothing() {
    assert_eq!(judged_by(&Ownership::default(), &HALF, |_, _| Taint::Yes), Taint::No);
    assert_eq!(judged("a < x 100", &HALF), Taint::Maybe);
}

#[test]
fn circles_end() {
    let circle = "a < b 60\na < x 40\nb < a 60\nb < c 40\nself < a 100";
    assert_eq!(judged(circle, &MORE_THAN_HALF), Taint::Maybe, "no cascade reaches A, and most of A ends with x");
    let wide = "a < b 60\na < x 20\na < d 20\nb < a 60\nb < c 40\nself < a 100";
    assert_eq!(judged(wide, &MORE_THAN_HALF), Taint::No, "31.25 % of A end with x");
    let straight = "a < x 40\na < c 60\nself < a 60\nself < x 40";
    assert_eq!(judged(straight, &MORE_THAN_HALF), Taint::No, "64 % by multiplication, and nobody holds itself");
    // Of A, x has 40 % and 36 % of what it has through B: 0.4 / (1 - 0.36) = 62.5 %.
    assert_eq!(judged(circle, &THROUGH), Taint::Yes);
    let of = |threshold_bp| judged(circle, &Measure { threshold_bp, ..THROUGH });
    assert_eq!((of(6_249), of(6_251)), (Taint::Yes, Taint::No));
    let closed = "a < b 100\nb < a 100\nself < a 100";
    assert_eq!(judged(closed, &MORE_THAN_HALF), Taint::No);
    assert_eq!(judged(closed, &THROUGH), Taint::Maybe, "nobody stands behind it, so that it may be anybody's");
}

#[test]
fn control_is_more_than_half_or_a_decisive_holding_by_any_way() {
    let control = |text: &str| {
        let graph = graph(text);
        let (found, unknown) = controllers(&graph);
        let names: Vec<_> = found.iter().map(|(name, taint)| format!("{name} {taint:?}")).collect();
        (names.join(", "), unknown)
    };
    assert_eq!(control("self < a 51\nself < b 49"), ("a Yes".into(), false));
    assert_eq!(control("self < a 50\nself < b 50"), (String::new(), false));
    assert_eq!(control("h < t 60\nh < c 40\nself < h 60\nself < d 40"), ("h Yes, t Yes".into(), false));
    assert_eq!(control("self < a 100\nself < b 1 golden"), ("a Yes, b Yes".into(), false));
    let (names, unknown) = control("self < a 30");
    assert!(unknown && names.contains("Maybe"), "{names}");
}

#[test]
fn a_graph_as_large_as_it_may_be_is_judged() {
    let name = |index: usize| format!("p{:02}", index % 64);
    let mut text = String::new();
    for index in 0..64 {
        for step in [1, 7, 23] {
            text += &format!("{} < {} 30\n", name(index), name(index + step));
        }
        text += &format!("self < {} 1.5\n", name(index));
    }
    let graph = graph(&text);
    assert_eq!((graph.parties.len(), graph.stakes.len()), (64, 256));
    for indirect in [Indirect::Cascade, Indirect::LookThrough] {
        for aggregate in [true, false] {
            let measure = Measure { indirect, aggregate, ..MORE_THAN_HALF };
            let verdict = judged_by(&graph, &measure, |name, _| if name == "p00" { Taint::Yes } else { Taint::No });
            assert_ne!(verdict, Taint::Yes, "{indirect:?} {aggregate}");
        }
    }
    assert!(!controllers(&graph).1, "a tenth of each is not disclosed: too little to control it");
}
