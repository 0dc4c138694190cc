//! What was acknowledged survives, a suspended member is refused, and a cut is an error.

use comity_tests::backend::{Backend, Behaviour};
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation};
use comity_tests::node::NodeSpec;
use comity_tests::program::said;
use comity_tests::wait;

#[test]
fn members_are_still_members_after_the_broker_was_cut_off() {
    let backend = Backend::start(Behaviour::Answer);
    let mut federation = Federation::start();
    let mut node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
    node.program.expect_log("broker");
    let app = federation.app(EU_BODY, "assistant");
    let before = federation.govern_json(&["organisation", "list"]);
    federation.cut_broker_and_restart();
    assert_eq!(federation.govern_json(&["organisation", "list"]), before);
    wait::until("the node serves again", || app.python("unary", "test-model")["text"].is_string().then_some(()));
}

#[test]
fn a_suspended_organisation_is_refused_and_the_next_call_goes_around_it() {
    let [first, second] = [Behaviour::Answer, Behaviour::Answer].map(Backend::start);
    let federation = Federation::start();
    let _suspended = federation.node(EU_OWNED, &NodeSpec::openai("n1", &first.url(), "DE"));
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
    let federation = Federation::start();
    let mut node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
    let app = federation.app(EU_BODY, "assistant");
    let _status = node.program.stop();
    let answer = federation.ask(&app, &["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "hello"]);
    assert!(!answer.status.success() && said(&answer).contains("NODES_UNAVAILABLE"), "{}", said(&answer));
}
