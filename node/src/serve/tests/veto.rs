//! The node's own word on a request that the broker let through, and what of it leaves the node.

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
