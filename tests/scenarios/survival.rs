//! What was acknowledged survives, a suspended member is refused, and a cut is an error.

use comity_tests::backend::{Backend, Behaviour};
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, US_VENDOR};
use comity_tests::node::NodeSpec;
use comity_tests::program::said;
use comity_tests::wait;
use serde_json::Value;

/// All that was acknowledged, as operators and members can read it.
fn acknowledged(federation: &Federation) -> Vec<Value> {
    let lists = ["organisation", "node", "app", "offer", "enrolment"].map(|noun| {
        let mut list = federation.govern_json(&[noun, "list"]);
        // How the broker is connected is no fact that it acknowledged: it begins anew with each start. So is how
        // many statements there are: a node that comes back says what it offers.
        list.as_object_mut().unwrap().remove("epoch");
        for node in list.get_mut("nodes").and_then(Value::as_array_mut).into_iter().flatten() {
            node.as_object_mut().unwrap().remove("link").unwrap();
        }
        list
    });
    lists.into()
}

#[test]
fn nothing_that_was_acknowledged_is_lost_when_the_broker_is_cut_off() {
    let [first, second] = [(); 2].map(|()| Backend::start(Behaviour::Answer));
    let mut federation = Federation::start();
    let mut node = federation.node(EU_BODY, &NodeSpec::openai("n1", &first.url(), "DE"));
    let mut other = federation.node(EU_OWNED, &NodeSpec::openai("n1", &second.url(), "IE"));
    for node in [&mut node, &mut other] {
        node.program.expect_log("broker");
    }
    let app = federation.app(EU_BODY, "assistant");
    let suspended = federation.app(EU_BODY, "suspended");
    let waiting = federation.waiting_app(US_VENDOR, "waiting");
    let _done = federation.govern(&["suspend", "spiffe://eu-body.example/app/suspended", "--reason", "a test"]);
    let _done = federation.govern(&["suspend", EU_OWNED.domain, "--reason", "another test"]);
    let before = acknowledged(&federation);
    assert_eq!(before[4]["enrolments"].as_array().map(Vec::len), Some(1), "{before:?}");
    assert_eq!(before.iter().map(|list| list.to_string().matches("test\"").count()).sum::<usize>(), 3, "{before:?}");
    federation.cut_broker_and_restart();
    assert_eq!(acknowledged(&federation), before);
    wait::until("the node serves again", || app.python("unary", "test-model")["text"].is_string().then_some(()));
    assert!(second.asked().is_empty(), "a suspended organisation's node was used");
    assert_eq!(suspended.python("unary", "test-model")["reason"], "MEMBER_SUSPENDED");
    federation.join(waiting);
}

#[test]
fn a_suspended_organisation_is_refused_and_the_next_call_goes_around_it() {
    let [first, second] = [Behaviour::Answer, Behaviour::Answer].map(Backend::start);
    let federation = Federation::start();
    let mut suspended = federation.node(EU_OWNED, &NodeSpec::openai("n1", &first.url(), "DE"));
    suspended.program.expect_log("ORGANISATION_SUSPENDED");
    let _other = federation.node(EU_BODY, &NodeSpec::openai("n1", &second.url(), "DE"));
    let (app, its_app) = (federation.app(EU_BODY, "assistant"), federation.app(EU_OWNED, "assistant"));
    let _done = federation.govern(&["suspend", EU_OWNED.domain, "--reason", "a test"]);
    for _ in 0..4 {
        assert_eq!(app.python("unary", "test-model")["text"], "The capital of France is Paris.");
    }
    assert!(first.asked().is_empty(), "a suspended organisation's node was used");
    assert_eq!(its_app.python("unary", "test-model")["reason"], "ORGANISATION_SUSPENDED");
}

#[test]
fn a_broker_that_dies_in_mid_stream_is_an_error_and_never_an_answer() {
    let backend = Backend::start(Behaviour::Stall);
    let mut federation = Federation::start();
    let mut node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
    node.program.expect_log("broker");
    let app = federation.app(EU_BODY, "assistant");
    let seen = std::thread::scope(|scope| {
        let call = scope.spawn(|| app.python("streaming", "test-model"));
        wait::until("the backend is asked", || (!backend.asked().is_empty()).then_some(()));
        federation.cut_broker_and_restart();
        // It says of what nobody knows what became of it; an answer would be one that is on record.
        federation.expect_log("the broker ended before this request did");
        call.join().unwrap()
    });
    assert_eq!(seen["code"], "UNAVAILABLE", "{seen}");
    backend.wait_until_left();
}

#[test]
fn a_caller_that_leaves_ends_the_work_of_the_backend() {
    let backend = Backend::start(Behaviour::Stall);
    let federation = Federation::start();
    let _node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
    let app = federation.app(EU_BODY, "assistant");
    assert_eq!(app.python("cancelled", "test-model")["code"], "CANCELLED");
    backend.wait_until_left();
}

#[test]
fn a_deadline_reaches_the_backend() {
    let backend = Backend::start(Behaviour::Silent);
    let federation = Federation::start();
    let _node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
    let app = federation.app(EU_BODY, "assistant");
    assert_eq!(app.python("deadline", "test-model")["code"], "DEADLINE_EXCEEDED");
    backend.wait_until_left();
}

#[test]
fn a_node_that_cannot_be_reached_is_an_error_that_says_so() {
    let backend = Backend::start(Behaviour::Answer);
    let mut federation = Federation::start();
    federation.expect_log("a try failed");
    let mut node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
    let app = federation.app(EU_BODY, "assistant");
    let _status = node.program.stop();
    let answer = federation.ask(&app, &["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "hello"]);
    assert!(!answer.status.success() && said(&answer).contains("NODES_UNAVAILABLE"), "{}", said(&answer));
}
