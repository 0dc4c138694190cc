//! What the fold promises.

use super::*;

fn entry(epoch: u64, statement: Statement) -> Entry {
    Entry { epoch, at: "2026-11-22".parse().unwrap(), by: None, statement }
}

fn id(text: &str) -> SpiffeId {
    text.parse().unwrap()
}

fn founded() -> Statement {
    Statement::Founded {
        federation: "fed.example".parse().unwrap(),
        root_sha256: Digest::of(b"root"),
        operators: BTreeSet::from([id("spiffe://fed.example/operator/alice")]),
    }
}

fn organisation(domain: &str) -> Statement {
    let json = format!(r#"{{"trust_domain":"{domain}","name":"{domain}","seat":"DE"}}"#);
    let organisation = serde_json::from_str(&json).unwrap();
    Statement::OrganisationAdmitted { organisation, layers: Layers::default(), anchors: vec!["anchor".into()] }
}

/// The organisation is seated elsewhere now, and demands that nothing is trained on.
fn updated(domain: &str) -> Statement {
    let json = format!(
        r#"{{"organisation":{{"trust_domain":"{domain}","name":"{domain}","seat":"FR"}},
            "layers":{{"organisation":{{"no_training":true}},"apps":{{"a1":{{"no_human_review":true}}}}}}}}"#
    );
    serde_json::from_str(&format!(r#"{{"organisation_updated":{json}}}"#)).unwrap()
}

fn member(text: &str) -> Statement {
    Statement::MemberAdmitted { id: id(text), key_sha256: Digest::of(text.as_bytes()) }
}

fn suspended(subject: &str) -> Statement {
    Statement::Suspended { subject: subject.parse().unwrap(), reason: "audit".into() }
}

fn lifted(subject: &str) -> Statement {
    Statement::Lifted { subject: subject.parse().unwrap() }
}

fn offer(node: &str, name: &str) -> Offer {
    let json = format!(r#"{{"id":"{name}","node":"{node}","model":"m","capabilities":[]}}"#);
    serde_json::from_str(&json).unwrap()
}

const NODE: &str = "spiffe://org-a.example/node/n1";

fn federation(statements: Vec<Statement>) -> Federation {
    let mut federation = Federation::default();
    for (epoch, statement) in (1..).zip(statements) {
        federation.apply(&entry(epoch, statement)).unwrap();
    }
    federation
}

fn refusal(statements: Vec<Statement>, last: Statement) -> Refused {
    let mut federation = federation(statements);
    let before = format!("{federation:?}");
    let refused = federation.apply(&entry(federation.epoch() + 1, last)).unwrap_err();
    assert_eq!(format!("{federation:?}"), before, "a refused statement changed the state");
    refused
}

#[test]
fn nothing_comes_before_the_founding_and_nothing_founds_twice() {
    assert_eq!(refusal(vec![], organisation("org-a.example")), Refused::Founding);
    assert_eq!(refusal(vec![founded()], founded()), Refused::Founding);
}

#[test]
fn statements_follow_one_another_without_a_gap() {
    let mut federation = federation(vec![founded()]);
    let gap = federation.apply(&entry(3, organisation("org-a.example")));
    assert_eq!(gap, Err(Refused::OutOfOrder { current: 1, found: 3 }));
    let again = federation.apply(&entry(1, founded()));
    assert_eq!(again, Err(Refused::OutOfOrder { current: 1, found: 1 }));
}

#[test]
fn a_member_needs_its_organisation_and_each_name_counts_once() {
    assert!(matches!(refusal(vec![founded()], member(NODE)), Refused::NotAMember(_)));
    let joined = vec![founded(), organisation("org-a.example"), member(NODE)];
    assert!(matches!(refusal(joined.clone(), member(NODE)), Refused::AlreadyAMember(_)));
    assert!(matches!(refusal(joined, organisation("org-a.example")), Refused::AlreadyAMember(_)));
}

#[test]
fn an_organisation_cannot_take_the_federations_name_nor_seat_operators() {
    assert!(matches!(refusal(vec![founded()], organisation("fed.example")), Refused::AlreadyAMember(_)));
    let joined = vec![founded(), organisation("org-a.example")];
    let operator = member("spiffe://org-a.example/operator/mallory");
    assert!(matches!(refusal(joined.clone(), operator), Refused::WrongDomain { .. }));
    assert!(matches!(refusal(joined.clone(), member("spiffe://fed.example/node/n1")), Refused::WrongDomain { .. }));
    assert!(matches!(refusal(joined, member("spiffe://fed.example/broker/b2")), Refused::WrongDomain { .. }));
}

#[test]
fn a_suspended_organisation_takes_its_members_with_it_until_it_is_lifted() {
    let mut statements = vec![founded(), organisation("org-a.example"), member(NODE)];
    assert_eq!(federation(statements.clone()).standing(&id(NODE)), Standing::Active);
    statements.push(suspended("org-a.example"));
    let expected = Standing::Suspended { subject: "org-a.example".parse().unwrap(), reason: "audit".into(), epoch: 4 };
    assert_eq!(federation(statements.clone()).standing(&id(NODE)), expected);
    statements.push(lifted("org-a.example"));
    assert_eq!(federation(statements.clone()).standing(&id(NODE)), Standing::Active);
    statements.push(suspended(NODE));
    assert!(matches!(federation(statements).standing(&id(NODE)), Standing::Suspended { epoch: 6, .. }));
}

#[test]
fn an_update_replaces_facts_and_layers_and_leaves_anchors_and_standing() {
    let joined = vec![founded(), organisation("org-a.example"), member(NODE), suspended("org-a.example")];
    let federation = federation([joined, vec![updated("org-a.example")]].concat());
    let state = federation.organisation(&"org-a.example".parse().unwrap()).unwrap();
    let Statement::OrganisationUpdated { organisation, layers } = updated("org-a.example") else { panic!() };
    assert_eq!((&state.organisation, &state.layers), (&organisation, &layers));
    assert!(layers.organisation.no_training && layers.apps.len() == 1);
    assert_eq!((state.anchors.as_slice(), state.suspension.is_some()), (&["anchor".to_owned()][..], true));
    assert!(federation.member(&id(NODE)).is_some());
}

#[test]
fn nobody_is_made_a_member_by_an_update() {
    let joined = vec![founded(), organisation("org-a.example")];
    assert!(matches!(refusal(joined.clone(), updated("org-b.example")), Refused::NotAMember(_)));
    assert!(matches!(refusal(joined, updated("fed.example")), Refused::NotAMember(_)));
}

#[test]
fn a_list_of_before_there_were_layers_is_read() {
    let text = r#"{"organisation_admitted":{"organisation":{"trust_domain":"a.example","name":"A"},"anchors":[]}}"#;
    let statement: Statement = serde_json::from_str(text).unwrap();
    assert!(matches!(&statement, Statement::OrganisationAdmitted { layers, .. } if layers.is_empty()));
    assert_eq!(serde_json::to_string(&statement).unwrap(), text, "an organisation without layers is stored as before");
}

#[test]
fn a_stranger_has_no_standing() {
    assert_eq!(federation(vec![founded()]).standing(&id(NODE)), Standing::Unknown);
}

#[test]
fn suspending_twice_and_lifting_nothing_are_refused() {
    let joined = vec![founded(), organisation("org-a.example")];
    assert!(matches!(refusal(joined.clone(), lifted("org-a.example")), Refused::NotSuspended(_)));
    assert!(matches!(refusal(joined.clone(), suspended("org-b.example")), Refused::NotAMember(_)));
    let twice = [joined, vec![suspended("org-a.example")]].concat();
    assert!(matches!(refusal(twice, suspended("org-a.example")), Refused::AlreadySuspended(_)));
}

#[test]
fn the_last_operator_cannot_be_suspended() {
    let alice = "spiffe://fed.example/operator/alice";
    assert!(matches!(refusal(vec![founded()], suspended(alice)), Refused::LastOperator(_)));
    let bob = member("spiffe://fed.example/operator/bob");
    let with_bob = federation(vec![founded(), bob, suspended(alice)]);
    assert!(matches!(with_bob.standing(&id(alice)), Standing::Suspended { .. }));
}

#[test]
fn a_node_publishes_its_own_offers_each_once() {
    let joined = vec![founded(), organisation("org-a.example"), member(NODE)];
    let publish = |offers| Statement::OffersPublished { node: id(NODE), address: "127.0.0.1:1".into(), offers };
    let state = federation([joined.clone(), vec![publish(vec![offer(NODE, "chat")])]].concat());
    assert!(state.offer(&"org-a.example/n1/chat".parse().unwrap()).is_some());
    let other = publish(vec![offer("spiffe://org-a.example/node/n2", "chat")]);
    assert!(matches!(refusal(joined.clone(), other), Refused::Offer { .. }));
    let twice = publish(vec![offer(NODE, "chat"), offer(NODE, "chat")]);
    assert!(matches!(refusal(joined, twice), Refused::Offer { .. }));
}

#[test]
fn an_entry_survives_its_bytes_and_unknown_fields_are_refused() {
    let entry =
        entry(2, Statement::OffersPublished { node: id(NODE), address: "h:1".into(), offers: vec![offer(NODE, "a")] });
    let bytes = entry.to_json().unwrap();
    assert_eq!(Entry::from_json(&bytes).unwrap(), entry);
    let text = String::from_utf8(bytes).unwrap();
    assert!(Entry::from_json(text.replace("\"address\"", "\"adress\"").as_bytes()).is_err());
    assert!(Entry::from_json(text.replace("offers_published", "offers_blessed").as_bytes()).is_err());
}
