//! Terms, audits and tables at a whole broker: who may say what, and that the index is another one only where it has to be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use comity_membership::{Audit, Statement};
use comity_policy::Claim;
use comity_policy::claim::{Assurance, value_digest};
use comity_policy::tables::TableName;
use comity_proto::membership::Kind;
use comity_types::{Digest, Place};
use tonic::Code;

use crate::registry::proposals::{MAX_TABLES_OF_ONE, MAX_TABLES_PROPOSAL_BYTES};
use crate::testing::{Scene, assert_refused, organisation, updated};

const ORG: &str = "org-a.example";
const AUDITOR: &str = "org-b.example";

async fn stage() -> Scene {
    let scene = Scene::new().await;
    scene.admit(ORG, Kind::Node, "n1").await;
    scene.admit(AUDITOR, Kind::Node, "n1").await;
    let mut facts = organisation(ORG);
    facts.seat = Some(Claim::always("DE".parse().unwrap()));
    scene.update(facts, Default::default()).await.unwrap();
    scene
}

fn recognised() -> Statement {
    Statement::AuditorRecognised {
        auditor: AUDITOR.parse().unwrap(),
        paths: ["operator.seat".parse().unwrap()].into(),
        up_to: Assurance::Audited,
        until: "2099-01-01".parse().unwrap(),
    }
}

fn audited(seat: &str) -> Statement {
    let audit = Audit {
        about: ORG.parse().unwrap(),
        path: "operator.seat".parse().unwrap(),
        value: value_digest(&seat.parse::<Place>().unwrap()),
        level: Assurance::Audited,
        evidence: Digest::of(b"a report"),
        from: "2020-01-01".parse().unwrap(),
        until: "2098-01-01".parse().unwrap(),
    };
    Statement::ClaimAudited { auditor: AUDITOR.parse().unwrap(), audit }
}

fn tables(more: &str) -> Statement {
    let text = |table: &TableName| (*table, format!("{}{more}", table.builtin()));
    Statement::TablesAdopted { tables: TableName::ALL.iter().map(text).collect::<BTreeMap<_, _>>() }
}

#[tokio::test]
async fn facts_that_accept_terms_are_refused_before_any_operator_looks_at_them() {
    let scene = stage().await;
    let mut facts = organisation(ORG);
    facts.accepted_terms.insert(AUDITOR.parse().unwrap(), 3);
    let refused = scene.say(updated(facts, Default::default()), &[&*scene.key_of(ORG)]).await;
    assert_refused(refused, Code::InvalidArgument, "INVALID_FIELD");
}

#[tokio::test]
async fn whoever_is_no_auditor_audits_nothing_and_an_operator_alone_makes_none_of_its_own() {
    let scene = stage().await;
    assert_refused(scene.say_of(AUDITOR, audited("DE")).await, Code::FailedPrecondition, "STATEMENT_REFUSED");
    let by_itself = scene.say(recognised(), &[&*scene.key_of(AUDITOR)]).await;
    assert_refused(by_itself, Code::PermissionDenied, "SIGNATURE_REFUSED");
    scene.govern(recognised()).await.unwrap();
    assert_refused(scene.say_of(ORG, audited("DE")).await, Code::PermissionDenied, "SIGNATURE_REFUSED");
    assert_refused(scene.say_of(AUDITOR, audited("FR")).await, Code::FailedPrecondition, "STATEMENT_REFUSED");
    scene.say_of(AUDITOR, audited("DE")).await.unwrap();
}

#[tokio::test]
async fn the_index_is_made_anew_where_what_counts_has_changed_and_nowhere_else() {
    let scene = stage().await;
    let first = scene.index();
    scene.govern(recognised()).await.unwrap();
    assert!(Arc::ptr_eq(&first, &scene.index()), "an auditor who has signed nothing changes nothing");
    scene.say_of(AUDITOR, audited("DE")).await.unwrap();
    let second = scene.index();
    assert!(!Arc::ptr_eq(&first, &second));
    scene.suspend("spiffe://org-b.example/node/n1").await;
    assert!(Arc::ptr_eq(&second, &scene.index()), "a suspension of a member is no change of facts");
    scene.suspend(AUDITOR).await;
    let third = scene.index();
    assert!(!Arc::ptr_eq(&second, &third), "but that of an auditor is");
    scene.govern(tables("")).await.unwrap();
    assert!(!Arc::ptr_eq(&third, &scene.index()));
}

#[tokio::test]
async fn tables_of_any_size_that_may_be_adopted_may_wait_and_one_operator_leaves_room_for_those_of_others() {
    let scene = Scene::governed_by(&["ada", "bob", "eve"], 2).await;
    let submit = async |statement: Statement| {
        scene.submit(&scene.operator, &scene.signed(statement, &[&scene.operator.key])).await
    };
    let shipped: usize = TableName::ALL.iter().map(|table| table.builtin().len()).sum();
    let room = comity_membership::federation::MAX_TABLES_BYTES - shipped;
    let filled = |n: usize| {
        let Statement::TablesAdopted { mut tables } = tables("") else { panic!("tables") };
        tables.get_mut(&TableName::Blocs).unwrap().push_str(&"#".repeat(n));
        Statement::TablesAdopted { tables }
    };
    assert!(room < MAX_TABLES_PROPOSAL_BYTES);
    assert_refused(submit(filled(room + 1)).await, Code::InvalidArgument, "INVALID_FIELD");
    for n in 0..MAX_TABLES_OF_ONE {
        submit(filled(room - n)).await.unwrap();
    }
    assert_refused(submit(filled(1)).await, Code::ResourceExhausted, "TOO_MANY_PROPOSALS");
    let others = scene.signed(filled(2), &[&scene.co_operators[1].key]);
    scene.submit(&scene.operator, &others).await.unwrap();
    let second = scene.signed(filled(room), &[&scene.co_operators[0].key]);
    scene.submit(&scene.operator, &second).await.unwrap();
    assert!(scene.federation().adopted().is_some());
    let unread: BTreeSet<_> = scene.federation().adopted().unwrap().texts.keys().copied().collect();
    assert_eq!(unread.len(), TableName::ALL.len());
}
