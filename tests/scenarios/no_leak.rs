//! P1: not one byte of a request reaches a node outside its eligible set. P2: both sides consent.

use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::Caller;
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, US_VENDOR};
use comity_tests::node::NodeSpec;
use comity_tests::program::said;
use comity_tests::wait;

/// What only the request contains.
const SECRET: &str = "the-patient-is-seventeen";

fn chat<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare"], arguments, &[SECRET]].concat()
}

#[test]
fn a_request_that_must_stay_in_germany_reaches_no_other_node_even_when_the_only_eligible_one_fails() {
    let [inside, outside] = [Behaviour::Status(500), Behaviour::Answer].map(Backend::start);
    let mut federation = Federation::start();
    federation.expect_log("a try failed");
    let mut eligible = federation.node(EU_BODY, &NodeSpec::openai("n1", &inside.url(), "DE"));
    let _other = federation.node(US_VENDOR, &NodeSpec::openai("n1", &outside.url(), "US"));
    let app = federation.app(EU_BODY, "assistant");
    eligible.program.expect_log("backend");
    let answer = federation.ask(&app, &chat(&["--processing", "DE"]));
    assert!(!answer.status.success(), "{}", said(&answer));
    assert!(!inside.asked().is_empty(), "the eligible node was not tried");
    assert!(outside.asked().is_empty(), "the ineligible node's backend was asked");
}

#[test]
fn a_failed_try_goes_on_to_another_eligible_node_and_to_no_other() {
    let [failing, eligible, outside] =
        [Behaviour::Status(500), Behaviour::Answer, Behaviour::Answer].map(Backend::start);
    let mut federation = Federation::start();
    federation.expect_log("a try failed");
    let mut first = federation.node(EU_BODY, &NodeSpec::openai("n1", &failing.url(), "DE"));
    let _second = federation.node(EU_OWNED, &NodeSpec::openai("n1", &eligible.url(), "DE"));
    let _third = federation.node(US_VENDOR, &NodeSpec::openai("n1", &outside.url(), "US"));
    first.program.expect_log("backend");
    let app = federation.app(EU_BODY, "assistant");
    for _ in 0..4 {
        let answer = federation.ask(&app, &chat(&["--processing", "DE"]));
        assert!(said(&answer).contains("Paris"), "{}", said(&answer));
    }
    assert!(outside.asked().is_empty(), "the ineligible node's backend was asked");
}

#[test]
fn a_vendor_that_does_not_serve_the_callers_seat_is_not_asked_and_the_refusal_says_so() {
    let backend = Backend::start(Behaviour::Answer);
    let federation = Federation::start();
    let vendor = NodeSpec::openai("n1", &backend.url(), "US").serving(r#"["US"]"#);
    let _node = federation.node(US_VENDOR, &vendor);
    let app = federation.app(EU_BODY, "assistant");
    let answer = federation.ask(&app, &chat(&[]));
    assert_eq!(answer.status.code(), Some(1), "{}", said(&answer));
    assert!(said(&answer).contains("CALLER_"), "{}", said(&answer));
    assert!(backend.asked().is_empty());
}

#[test]
fn a_node_serves_nobody_but_the_broker_not_even_an_app_of_its_own_organisation() {
    let backend = Backend::start(Behaviour::Answer);
    let federation = Federation::start();
    let mut node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
    node.program.expect_log("peer refused");
    let app = federation.app(EU_BODY, "assistant");
    let past_the_broker = |caller: Caller| Caller { address: node.address(), ..caller }.buf_chat("test-model");
    // An app fails at the handshake; an operator, whose authority the node knows as the broker's, at the call.
    let refusal = past_the_broker(app.clone());
    assert!(!refusal.status.success(), "{}", said(&refusal));
    wait::until("the node has refused the app", || node.program.log().contains("peer refused").then_some(()));
    let refusal = past_the_broker(federation.operator());
    assert!(said(&refusal).contains("a node serves only"), "{}", said(&refusal));
    assert!(backend.asked().is_empty());
    assert!(said(&app.buf_chat("test-model")).contains("Paris"), "the same call to the broker is answered");
}
