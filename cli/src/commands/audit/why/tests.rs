use comity_transparency::NoteVerifier;
use prost::Message as _;
use serde_json::json;

use super::*;
use crate::commands::receipt::testing::TestLog;
use crate::view::demanded::UNREADABLE;

/// An envelope that demands Germany and prefers what `preferences` says.
fn envelope(preferences: Option<policy::Preferences>) -> String {
    let lists = vec![policy::PlaceSet { places: vec!["DE".to_owned()] }];
    let requirements =
        policy::Requirements { allowed_processing_locations: lists, no_training: true, ..Default::default() };
    let envelope =
        inference::Envelope { requirements: Some(requirements), preferences, ..inference::Envelope::default() };
    String::from_utf8(envelope.encode_to_vec()).unwrap()
}

/// What is told of a decision with these fields, and of an outcome.
fn why(decision: &[(Field, &str)], outcome: &[(Field, &str)]) -> Why {
    let mut log = TestLog::new();
    let decision = log.decision(1, decision);
    let outcome = (!outcome.is_empty()).then(|| log.outcome(1, decision, outcome));
    let key = NoteVerifier::of(&log.root.decision_log[0]);
    Why::of(&log.receipt(decision, outcome).verify(&log.root.decision_log_origin(), &key).unwrap())
}

const TWO: &str = r#"["b.example/n1/o","c.example/n1/o"]"#;

fn of_two(preferences: Option<policy::Preferences>, answered: &str) -> Why {
    let envelope = envelope(preferences);
    let decision = [(Field::ENVELOPE, &*envelope), (Field::ELIGIBLE, TWO), (Field::CONSIDERED, "5")];
    why(&decision, &[(Field::OFFER, answered), (Field::STATUS, "0")])
}

#[test]
fn it_says_what_was_demanded_who_was_eligible_and_how_many_were_refused() {
    let why = of_two(None, "b.example/n1/o");
    assert_eq!(
        why.requirements,
        Some(json!({ "allowedProcessingLocations": [{ "places": ["DE"] }], "noTraining": true }))
    );
    assert_eq!(why.preferences, Some(json!({})));
    assert_eq!(why.eligible, "b.example/n1/o c.example/n1/o");
    assert_eq!((&*why.eligible_count, &*why.refused_count, &*why.rank), ("2", "3", "1"));
    let cells = why.cells();
    assert!(cells[0].contains(r#""noTraining":true"#) && cells[2].starts_with("b.example/n1/o "), "{cells:?}");
}

#[test]
fn what_put_the_one_first_that_answered_is_named() {
    let prefers = |preferences| of_two(Some(preferences), "b.example/n1/o").chosen_by;
    let nothing = policy::Preferences::default;
    assert_eq!(prefers(nothing()), "price, then a draw");
    assert_eq!(prefers(policy::Preferences { session: vec![1; 32].into(), ..nothing() }), "price, then the session");
    assert_eq!(prefers(policy::Preferences { carbon: 2, price: 1, ..nothing() }), "preferred: price, carbon");
    let second = of_two(None, "c.example/n1/o");
    assert_eq!((&*second.rank, &*second.chosen_by), ("2", "those before it failed, or were slower"));
    let envelope = envelope(None);
    let alone = [(Field::ENVELOPE, &*envelope), (Field::ELIGIBLE, r#"["b.example/n1/o"]"#)];
    assert_eq!(why(&alone, &[(Field::OFFER, "b.example/n1/o")]).chosen_by, "it was the only one");
    assert_eq!(why(&alone, &[(Field::OFFER, "d.example/n1/o")]).chosen_by, "", "it is none of them");
}

#[test]
fn every_try_says_what_became_of_it() {
    let tries = r#"[{"offer":"b.example/n1/o","attempt":1,"failed":"unavailable","used_nothing":"not sent"},{"offer":"c.example/n1/o","attempt":2,"unsigned":"missing"}]"#;
    let why = why(&[(Field::ELIGIBLE, TWO)], &[(Field::TRIES, tries)]);
    assert_eq!(why.tries, "b.example/n1/o: unavailable, not sent; c.example/n1/o: missing");
}

#[test]
fn a_list_that_the_record_may_have_been_too_short_for_is_not_counted_as_if_it_were_whole() {
    let names = |count: usize| {
        let names: Vec<_> = (0..count).map(|number| format!("b.example/n{number}/o")).collect();
        why(&[(Field::ELIGIBLE, &serde_json::to_string(&names).unwrap()), (Field::CONSIDERED, "900")], &[])
    };
    let (whole, cut) = (names(100), names(512));
    assert_eq!((&*whole.eligible_count, &*whole.refused_count), ("100", "800"));
    assert_eq!((&*cut.eligible_count, &*cut.refused_count), ("512+", ""));
}

#[test]
fn nothing_is_told_of_an_envelope_of_which_a_part_is_not_known() {
    // Field 15, the number 1: a constraint of a later version, for all that is known.
    let later = envelope(None) + "x\u{1}";
    let why = why(&[(Field::ENVELOPE, &later)], &[]);
    assert_eq!((why.requirements, why.preferences), (Some(json!(UNREADABLE)), Some(json!(UNREADABLE))));
}

#[test]
fn of_an_erased_record_nothing_is_told() {
    let mut log = TestLog::new();
    let envelope = envelope(None);
    let decision = log.decision(1, &[(Field::ENVELOPE, &envelope), (Field::ELIGIBLE, TWO)]);
    let mut receipt = log.receipt(decision, None);
    receipt.decision.record = None;
    let key = NoteVerifier::of(&log.root.decision_log[0]);
    assert_eq!(Why::of(&receipt.verify(&log.root.decision_log_origin(), &key).unwrap()), Why::default());
}
