//! The node's own word on a request that the broker let through, and what of it leaves the node.

use std::collections::BTreeMap;

use comity_policy::tables::TableName;

use super::*;

#[tokio::test]
async fn the_nodes_own_terms_hold_whatever_the_broker_signed() {
    let world = world().knowing(statements("US"));
    let status = world.server.chat(world.chat_request()).await.unwrap_err();
    let detail = Detail::of(&status).unwrap();
    assert_eq!((status.code(), detail.reason.as_str()), (Code::PermissionDenied, "NODE_VETO"));
    let reasons: Vec<_> =
        detail.refusal.unwrap().verdicts.remove(0).reasons.into_iter().map(|reason| reason.code).collect();
    assert_eq!(reasons, ["CALLER_PLACE_NOT_SERVED"]);
    assert!(world.fake.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_veto_by_private_terms_leaves_the_node_as_codes_alone() {
    let private = NODE_TOML.replace("[terms.standard]", "[terms.standard]\ndisclosure = \"code-only\"");
    let world = world_of(&private).knowing(statements("US"));
    let status = world.server.chat(world.chat_request()).await.unwrap_err();
    let detail = Detail::of(&status).unwrap();
    let reasons = detail.refusal.unwrap().verdicts.remove(0).reasons;
    let [reason] = &reasons[..] else { panic!("{reasons:?}") };
    assert_eq!((detail.reason.as_str(), reason.code.as_str()), ("NODE_VETO", "CALLER_PLACE_NOT_SERVED"));
    let rest = [&reason.subject, &reason.path, &reason.expected, &reason.actual, &reason.rule];
    assert!(rest.iter().all(|text| text.is_empty()), "{reason:?}");
}

/// The codes by which the node refuses a request; none if it serves it.
async fn refused_by(world: &World) -> Vec<String> {
    let Err(status) = world.server.chat(world.chat_request()).await else { return Vec::new() };
    let reasons = Detail::of(&status).unwrap().refusal.unwrap().verdicts.remove(0).reasons;
    reasons.into_iter().map(|reason| reason.code).collect()
}

#[tokio::test]
async fn a_node_decides_by_the_tables_that_its_own_copy_has_adopted_whatever_it_was_started_with() {
    const SERVES_THE_UNION: &str = "served = [\"EU\"]";
    let config = NODE_TOML.replace("served = [\"DE\"]", SERVES_THE_UNION);
    let world = world_of(&config).knowing(statements("DE"));
    assert_eq!(refused_by(&world).await, [""; 0]);
    // A union without Germany.
    let member = "bloc = \"EU\"\nmember = \"DE\"";
    let text = |table: &TableName| table.builtin().replace(member, "bloc = \"EU\"\nmember = \"CH\"");
    let tables: BTreeMap<_, _> = TableName::ALL.iter().map(|table| (*table, text(table))).collect();
    let adopted = Said::Signed(Box::new(Statement::TablesAdopted { tables }), "alice");
    let world = world_of(&config).knowing([statements("DE"), vec![adopted]].concat());
    assert_eq!(refused_by(&world).await, ["CALLER_PLACE_NOT_SERVED"]);
    assert!(world.fake.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_node_serves_who_has_accepted_its_terms_and_nobody_any_more_who_took_that_back() {
    let versioned = NODE_TOML.replace("[terms.standard]", "[terms.standard]\nversion = 3");
    let config = versioned.replace("served = [\"DE\"]", "served = [\"DE\"], min_terms_version = 3");
    let of_caller = |statement| Said::Signed(Box::new(statement), "org-b.example");
    let (organisation, of): (TrustDomain, TrustDomain) =
        ("org-b.example".parse().unwrap(), "org-a.example".parse().unwrap());
    let published = |world: &World| Statement::OffersPublished {
        node: NODE.parse().unwrap(),
        address: "127.0.0.1:1".into(),
        offers: vec![world.offer.clone()],
    };
    let accepted = Statement::TermsAccepted {
        organisation: organisation.clone(),
        of: of.clone(),
        version: 3,
        terms: BTreeSet::default(),
    };
    let withdrawn = Statement::TermsWithdrawn { organisation, of };
    let mut said = statements("DE");
    said.push(Said::Signed(Box::new(published(&world_of(&config))), NODE));
    let not_accepted = ["CALLER_TERMS_NOT_ACCEPTED"];
    assert_eq!(refused_by(&world_of(&config).knowing(said.clone())).await, not_accepted);
    said.push(of_caller(accepted));
    assert_eq!(refused_by(&world_of(&config).knowing(said.clone())).await, [""; 0]);
    said.push(of_caller(withdrawn));
    assert_eq!(refused_by(&world_of(&config).knowing(said)).await, not_accepted);
}
