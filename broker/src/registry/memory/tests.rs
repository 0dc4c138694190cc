use std::time::Duration;

use comity_policy::{Declared, Index, Offer, Organisation, Request, Requirements, Tables, Usage};
use comity_types::Interval;

use super::*;
use crate::access::tests::world;

/// For how long what is found here stands.
const HOUR: Duration = Duration::from_secs(3600);

fn organisation(name: &str) -> Organisation {
    toml::from_str(&format!("trust_domain = '{name}'\nname = 'ORG'\nseat = 'FR'")).unwrap()
}

fn noon() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

/// So many offers that were found eligible at noon, until one.
fn found(offers: usize) -> Arc<Eligible> {
    let node = "spiffe://op.example/node/n".parse().unwrap();
    let until = Some(noon().plus(HOUR));
    let offer = |place: usize| {
        let id = format!("o{place}").parse().unwrap();
        Offer { id, in_force: Interval { from: None, until }, ..world::offer(&node, "DE", 1) }
    };
    let organisations = ["op.example", "ca.example"].map(organisation);
    let tables = Arc::new(Tables::builtin().unwrap().clone());
    let index = Index::new(organisations, (0..offers).map(offer), tables);
    let declared = Declared { purposes: [world::PURPOSE.to_owned()].into(), ..Declared::default() };
    let request = Request {
        caller: index.organisation(&"ca.example".parse().unwrap()).unwrap(),
        model: None,
        capability: Capability::Chat,
        declared: &declared,
        requirements: &Requirements::default(),
        broker_places: None,
        used: Usage::none(),
        as_of: noon(),
    };
    let listed = |place| {
        let name = index.name(place)?.clone();
        let sha256 = Digest::of(name.as_str().as_bytes());
        Some(Arc::new(Listed { name, place, sha256, price: None }))
    };
    let found = index.lasting(&request, &(0..offers).collect::<Vec<_>>(), listed);
    assert_eq!(found.len(), offers);
    Arc::new(found)
}

fn question(number: usize, bytes: usize) -> Question {
    let mut envelope = number.to_be_bytes().to_vec();
    envelope.resize(bytes, 0);
    let caller = "spiffe://ca.example/app/a".parse().unwrap();
    Question { caller, capability: Capability::Chat, envelope: envelope.into() }
}

#[test]
fn what_was_found_is_remembered_for_the_same_question_of_the_same_caller_until_it_may_be_otherwise() {
    let (memory, asked, found) = (Memory::default(), question(1, 8), found(1));
    memory.keep(asked.clone(), &found);
    let just_before = noon().plus(HOUR).minus(Duration::from_millis(1));
    for at in [noon(), just_before] {
        assert!(Arc::ptr_eq(&memory.get(&asked, at).unwrap(), &found));
    }
    for at in [noon().minus(Duration::from_millis(1)), noon().plus(HOUR)] {
        assert!(memory.get(&asked, at).is_none(), "{at}");
    }
    let others = [
        question(2, 8),
        Question { caller: "spiffe://ca.example/app/b".parse().unwrap(), ..asked.clone() },
        Question { capability: Capability::Embed, ..asked },
    ];
    assert!(others.iter().all(|other| memory.get(other, noon()).is_none()));
}

#[test]
fn nothing_is_remembered_of_a_question_to_which_nothing_is_eligible_or_which_is_longer_than_all_others() {
    let memory = Memory::default();
    memory.keep(question(1, 8), &found(0));
    assert!(memory.get(&question(1, 8), noon()).is_none());
    let large = question(2, GENERATION_BYTES / 2);
    memory.keep(large.clone(), &found(1));
    assert!(memory.get(&large, noon()).is_none());
}
