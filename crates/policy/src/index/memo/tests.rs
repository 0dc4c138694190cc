use super::*;
use crate::index::bits::Bits;
use crate::{Organisation, Usage};

/// Bits of which 8 MiB are made: two such answers fill a generation to the last byte.
const HALF: usize = GENERATION_BYTES / 2 * 8;

fn answer(offers: usize) -> Remembered {
    let answer = Arc::new(PartAnswer::of_nothing("2026-11-22".parse().unwrap(), Bits::none(offers)));
    Remembered { to: Arc::new(Key::Instant), bytes: answer.bytes(), answer }
}

/// The answers that are in the young generation and in the old one, by their hashes.
fn kept(generations: &Generations) -> (Vec<u64>, Vec<u64>) {
    let hashes = |of: &HashMap<u64, Vec<Remembered>>| {
        let mut hashes: Vec<_> = of.iter().filter(|(_, all)| !all.is_empty()).map(|(hash, _)| *hash).collect();
        hashes.sort_unstable();
        hashes
    };
    (hashes(&generations.young), hashes(&generations.old))
}

#[test]
fn a_generation_that_is_full_becomes_the_old_one_and_the_old_one_goes() {
    let mut generations = Generations::default();
    let mut remember = |hash, offers| {
        generations.remember(hash, answer(offers), GENERATION_BYTES, |_| false);
        kept(&generations)
    };
    assert_eq!(remember(1, HALF), (vec![1], vec![]));
    assert_eq!(remember(2, HALF), (vec![1, 2], vec![]), "as much as there is room for");
    assert_eq!(remember(3, 1), (vec![3], vec![1, 2]));
    assert_eq!(remember(4, HALF), (vec![3, 4], vec![1, 2]));
    assert_eq!(remember(5, HALF), (vec![5], vec![3, 4]));
}

#[test]
fn a_generation_has_room_for_as_many_answers_over_more_offers() {
    assert_eq!(Memo::over(10_000).most_bytes, GENERATION_BYTES);
    assert_eq!(Memo::over(1_000_000).most_bytes, 1_000_000 * BYTES_PER_OFFER);
}

#[test]
fn an_answer_takes_the_place_of_the_one_before_to_the_same() {
    let mut generations = Generations::default();
    generations.remember(1, answer(1), GENERATION_BYTES, |_| true);
    generations.remember(1, answer(2), GENERATION_BYTES, |_| true);
    assert_eq!(generations.young[&1].len(), 1);
    // Another question that happens to have the same hash.
    generations.remember(1, answer(3), GENERATION_BYTES, |_| false);
    assert_eq!(generations.young[&1].len(), 2);
}

#[test]
fn a_key_is_for_the_part_and_the_request_that_it_was_made_of_and_for_no_other() {
    let caller = |name: &str| toml::from_str(&format!("trust_domain = '{name}'\nname = 'CA'")).unwrap();
    let (ca, cb): (Organisation, Organisation) = (caller("ca.example"), caller("cb.example"));
    let (a, b): (ModelName, ModelName) = ("a".parse().unwrap(), "b".parse().unwrap());
    let (nothing, purposes) =
        (Declared::default(), Declared { purposes: BTreeSet::from(["dpv:Purpose".to_owned()]), ..Declared::default() });
    let (loose, tight) = (Requirements::default(), Requirements { no_training: true, ..Requirements::default() });
    let places = BTreeSet::from(["DE".parse().unwrap()]);
    let request = Request {
        caller: &ca,
        model: Some(&a),
        capability: Capability::Chat,
        declared: &nothing,
        requirements: &loose,
        broker_places: None,
        used: Usage::none(),
        as_of: "2026-11-22".parse().unwrap(),
    };
    // Each with the parts that it differs in: of the instant, the model, the use, the demand.
    let requests = [
        (request.clone(), [false; 4]),
        (Request { as_of: "2027-01-01".parse().unwrap(), ..request.clone() }, [false; 4]),
        (Request { model: Some(&b), ..request.clone() }, [false, true, false, false]),
        (Request { model: None, ..request.clone() }, [false, true, false, false]),
        (Request { caller: &cb, ..request.clone() }, [false, false, true, true]),
        (Request { declared: &purposes, ..request.clone() }, [false, false, true, false]),
        (Request { capability: Capability::Embed, ..request.clone() }, [false, false, false, true]),
        (Request { requirements: &tight, ..request.clone() }, [false, false, false, true]),
        (Request { broker_places: Some(&places), ..request.clone() }, [false, false, false, true]),
    ];
    const PARTS: [PartName; 4] = [PartName::Instant, PartName::Model, PartName::Use, PartName::Demand];
    let memo = Memo::over(1);
    assert!(key_bytes(PartName::Instant, &request) > 1_000, "what holds nothing takes its place in the memory");
    for (other, differs) in &requests {
        for (part, differs) in PARTS.into_iter().zip(differs) {
            let key = Key::of(part, &request).unwrap();
            assert_eq!(key.is(part, other), !differs, "{key:?} {other:?}");
            assert_eq!(memo.hash(part, &request) == memo.hash(part, other), !differs, "{key:?} {other:?}");
            for another in PARTS.into_iter().filter(|another| *another != part) {
                assert!(!key.is(another, other), "{key:?}");
                assert_ne!(memo.hash(part, &request), memo.hash(another, other));
            }
        }
    }
}

#[test]
fn no_caller_fills_the_memory_with_demands_however_large_and_many_and_few_the_offers() {
    let caller: Organisation = toml::from_str("trust_domain = 'ca.example'\nname = 'CA'").unwrap();
    let (memo, nothing, text) = (Memo::over(0), Declared::default(), "x".repeat(250));
    let mut texts = 0;
    for demand in 0..2_000 {
        let forbidden_sub_processors = (0..200).map(|entry| format!("{demand}-{entry}-{text}")).collect();
        let requirements = Requirements { forbidden_sub_processors, ..Requirements::default() };
        texts = requirements.forbidden_sub_processors.iter().map(String::len).sum::<usize>();
        let request = Request {
            caller: &caller,
            model: None,
            capability: Capability::Chat,
            declared: &nothing,
            requirements: &requirements,
            broker_places: None,
            used: Usage::none(),
            as_of: "2026-11-22".parse().unwrap(),
        };
        let nobody = || PartAnswer::of_nothing("2026-11-22".parse().unwrap(), Bits::none(0));
        memo.get(PartName::Demand, &request, nobody);
    }
    let generations = memo.generations.read().unwrap();
    let kept: usize = generations.young.values().chain(generations.old.values()).map(Vec::len).sum();
    assert!(kept > 0 && kept * texts <= 2 * GENERATION_BYTES, "{kept} demands of {texts} bytes are kept");
}
