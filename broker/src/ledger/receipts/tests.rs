//! Who may see what of a decision.

use comity_transparency::record::{RecordKind, SALT_BYTES};

use super::*;

mod parts;

fn decision() -> Record {
    let candidate = |offer: &str| format!(r#"{{"offer":"{offer}","offer_sha256":"","expires_at":1}}"#);
    Record::new(RecordKind::Decision, [1; SALT_BYTES])
        .with(Field::CALLER, "spiffe://asks.example/app/a1")
        .and_then(|record| record.with(Field::REFUSED, "[]"))
        .and_then(|record| record.with(Field::ELIGIBLE, "[]"))
        .and_then(|record| record.with(Field::candidate(0).unwrap(), candidate("other.example/n1/o1")))
        .and_then(|record| record.with(Field::candidate(1).unwrap(), candidate("answers.example/n1/o1")))
        .unwrap()
}

fn outcome() -> Record {
    let record = Record::new(RecordKind::Outcome, [2; SALT_BYTES]);
    let record = record.with(Field::OPERATOR, "answers.example").unwrap();
    record.with(Field::TRIES, "[]").unwrap().with(Field::STATUS, "0").unwrap()
}

fn shown(domain: &str) -> Option<Vec<&'static str>> {
    let domain: TrustDomain = domain.parse().unwrap();
    let (decision, outcome) = (decision(), outcome());
    let viewer = Viewer::Member(&domain);
    let share = share(viewer, Some(&decision), Some(&outcome))?;
    let fields = |record: &Record| {
        record.kind().fields().filter(|field| record.get(*field).is_some()).collect::<Vec<_>>().into_iter()
    };
    let of_decision = fields(&decision).filter(|field| shows(share, viewer, &decision, *field));
    let of_outcome = fields(&outcome).filter(|field| shows(share, viewer, &outcome, *field));
    Some(of_decision.chain(of_outcome).map(Field::name).collect())
}

#[test]
fn who_asked_sees_all_but_the_others_rules() {
    let expected = ["caller", "eligible", "candidate_1", "candidate_2", "operator", "tries", "status"];
    assert_eq!(shown("asks.example"), Some(expected.to_vec()));
}

#[test]
fn who_answered_sees_what_its_node_was_shown() {
    assert_eq!(shown("answers.example"), Some(vec!["caller", "candidate_2", "operator", "status"]));
}

#[test]
fn whoever_was_merely_eligible_sees_nothing_and_of_an_erased_record_nobody_does_but_who_governs() {
    assert_eq!(shown("other.example"), None);
    let domain: TrustDomain = "asks.example".parse().unwrap();
    assert_eq!(share(Viewer::Member(&domain), None, None), None);
    assert_eq!(share(Viewer::Governor, None, None), Some(Share::All));
}
