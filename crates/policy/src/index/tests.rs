//! Law L7: the index answers as the full scan does, for any federation, any request and any day, and again.

mod alike;
mod plain;

use std::sync::Arc;

use comity_types::Timestamp;
use proptest::prelude::*;
use proptest::sample::{Index as Pick, select};

use super::Index;
use crate::evaluate::laws::world::{DAYS, Read, World, tables, world};
use crate::reason::ReasonCodes;
use crate::{Request, Usage, Verdict, evaluate};

/// Worlds whose offers and organisations stand in one federation, each under names of its own.
fn federation(worlds: &[World]) -> (Index, Vec<Read>) {
    let named = |(index, world): (usize, &World)| {
        let mut read = world.read();
        // Two worlds to an operator, so that classes have several members; the operator's facts are the first one's.
        // The first keeps its name: callers state choices by it.
        let operator = if index < 2 { "op.example".to_owned() } else { format!("op{}.example", index / 2) };
        read.operator.trust_domain = operator.parse().unwrap();
        read.caller.trust_domain = format!("ca{index}.example").parse().unwrap();
        read.offer.node = format!("spiffe://{operator}/node/n{index}").parse().unwrap();
        read
    };
    let reads: Vec<_> = worlds.iter().enumerate().map(named).collect();
    let operators = reads.iter().step_by(2).map(|read| read.operator.clone());
    let callers = reads.iter().map(|read| read.caller.clone());
    let offers = reads.iter().map(|read| read.offer.clone());
    (Index::new(operators.chain(callers), offers, Arc::new(tables().clone())), reads)
}

/// Holds every verdict of the index against the function's.
fn agrees(index: &Index, request: &Request<'_>) -> Result<(), TestCaseError> {
    let answer = index.ask(request);
    let all = answer.all_codes();
    for place in 0..index.len() {
        let (offer, operator) = (index.offer(place).unwrap(), index.operator(place).unwrap());
        let expected = evaluate(offer, operator, request, tables());
        let codes: ReasonCodes = expected.reasons().iter().map(|reason| reason.code).collect();
        // What is said without a word, and then what is said in words.
        prop_assert_eq!(answer.is_eligible(place), matches!(expected, Verdict::Eligible { .. }));
        if let Verdict::Eligible { expires_at } = expected {
            prop_assert_eq!(answer.expires_at(place), expires_at);
        }
        prop_assert_eq!(answer.codes(place), codes);
        prop_assert_eq!(all.get(place).copied(), Some(codes));
        prop_assert_eq!(answer.verdict(place, request), expected);
    }
    prop_assert_eq!(answer.eligible().count(), answer.eligible_count());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn l7_the_index_answers_as_the_full_scan_does(
        worlds in proptest::collection::vec(world(), 1..7),
        asks in proptest::collection::vec((any::<Pick>(), any::<Pick>(), select(DAYS.to_vec()), -1..2_i64), 1..8),
    ) {
        let (index, reads) = federation(&worlds);
        // One index for all of them, in any order of days, so that what it remembers is held to the law as well.
        for (who, what, day, step) in asks {
            let (who, what) = (who.get(&reads), what.get(&reads));
            let day: Timestamp = day.parse().unwrap();
            let as_of = Timestamp::from_millis(day.as_millis() + step).unwrap();
            let caller = index.organisation(&who.caller.trust_domain).unwrap();
            let request = Request { caller, as_of, ..what.request(&what.file.requirements) };
            agrees(&index, &request)?;
            agrees(&index, &request)?;
        }
    }

    #[test]
    fn l7_holds_for_callers_whose_facts_the_index_does_not_have(
        worlds in proptest::collection::vec(world(), 1..5), stranger in world()
    ) {
        let (index, reads) = federation(&worlds);
        let (known, mut stranger) = (reads.first().unwrap(), stranger.read());
        let request = known.request(&known.file.requirements);
        let caller = index.organisation(&known.caller.trust_domain).unwrap();
        agrees(&index, &Request { caller, ..request.clone() })?;
        // Other facts under the same name.
        stranger.caller.trust_domain = known.caller.trust_domain.clone();
        agrees(&index, &Request { caller: &stranger.caller, ..request.clone() })?;
        agrees(&index, &Request { caller, ..request })?;
    }

    #[test]
    fn an_answer_stands_until_the_instant_that_it_names_and_no_claim_is_late(world in world(), part in 0..1_000_i64) {
        // The same world a moment before its answer may change: the verdict has to be the same one, to the letter.
        let (index, reads) = federation(std::slice::from_ref(&world));
        let read = reads.first().unwrap();
        let caller = index.organisation(&read.caller.trust_domain).unwrap();
        let request = Request { caller, ..read.request(&read.file.requirements) };
        let changes = index.ask(&request).changes_at().map_or(i64::MAX, Timestamp::as_millis);
        let from = request.as_of.as_millis();
        let end = changes.min(from + 6_000_000_000_000);
        for instant in [from + (end - from) / 1_000 * part, end - 1] {
            let later = Request { as_of: Timestamp::from_millis(instant).unwrap(), ..request.clone() };
            let at = |request: &Request<'_>| evaluate(&read.offer, index.operator(0).unwrap(), request, tables());
            prop_assert_eq!(at(&later), at(&request), "{} of {}", instant, end);
        }
    }

    #[test]
    fn what_lasts_of_an_answer_is_what_the_full_scan_says_later_whatever_was_used_by_then(
        worlds in proptest::collection::vec(world(), 1..7),
        asks in proptest::collection::vec((any::<Pick>(), any::<Pick>(), 0..1_000_i64), 1..4),
        used in proptest::collection::vec(select(vec![0, 1, 5, 9]), 7),
    ) {
        let (index, reads) = federation(&worlds);
        let places: Vec<_> = (0..index.len()).collect();
        let used = places.iter().zip(used).filter(|(_, used)| *used > 0);
        let used: Usage = used.map(|(place, used)| (index.name(*place).unwrap().clone(), used)).collect();
        for (who, what, part) in asks {
            let (who, what) = (who.get(&reads), what.get(&reads));
            let caller = index.organisation(&who.caller.trust_domain).unwrap();
            let request = Request { caller, used: Usage::none(), ..what.request(&what.file.requirements) };
            // Whatever is used when it is made: that is not to last.
            let lasting = index.lasting(&Request { used: &used, ..request.clone() }, &places, Some);
            let changes_at = index.ask(&request).changes_at();
            let from = request.as_of.as_millis();
            let end = changes_at.map_or(i64::MAX, Timestamp::as_millis).min(from + 6_000_000_000_000);
            let at = |millis| Timestamp::from_millis(millis).unwrap();
            for (instant, used) in [(from, Usage::none()), (from + (end - from) / 1_000 * part, &used), (end - 1, &used)] {
                let later = Request { as_of: at(instant), used, ..request.clone() };
                let full = |place: &usize| {
                    let (offer, operator) = (index.offer(*place).unwrap(), index.operator(*place).unwrap());
                    match evaluate(offer, operator, &later, tables()) {
                        Verdict::Eligible { expires_at } => Some((*place, expires_at)),
                        Verdict::Rejected { .. } => None,
                    }
                };
                let expected: Vec<_> = places.iter().filter_map(full).collect();
                let said = lasting.eligible(&index, used, later.as_of).map(|(place, expires_at)| (*place, expires_at));
                prop_assert!(lasting.stands_at(later.as_of));
                prop_assert_eq!(said.collect::<Vec<_>>(), expected);
            }
            prop_assert!(!lasting.stands_at(at(from - 1)) && changes_at.is_none_or(|changes| !lasting.stands_at(changes)));
        }
    }
}
