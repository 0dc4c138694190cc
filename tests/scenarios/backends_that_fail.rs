//! A backend that is down, slow, stalls, lies or refuses is a typed error, never an answer.

use comity_tests::backend::{Backend, Behaviour, NOBODY, PIECES, SLOW_LIMIT_SECONDS};
use comity_tests::federation::{EU_BODY, Federation};
use comity_tests::node::NodeSpec;
use serde_json::Value;

/// What an app sees of a call to a node with this backend.
fn seen_of(spec: &NodeSpec, case: &str) -> Value {
    let mut federation = Federation::start();
    federation.expect_log("a try failed");
    let mut node = federation.node(EU_BODY, spec);
    node.program.expect_log("backend");
    federation.app(EU_BODY, "assistant").python(case, "test-model")
}

/// The same, of a backend that behaves like this.
fn seen(behaviour: Behaviour, case: &str) -> Value {
    seen_of(&NodeSpec::openai("n1", &Backend::start(behaviour).url(), "DE"), case)
}

/// What a call is told: the code, and the reason.
fn told(seen: &Value) -> (&str, &str) {
    assert!(seen["text"].is_null(), "a failure was told as an answer: {seen}");
    (seen["code"].as_str().unwrap_or_default(), seen["reason"].as_str().unwrap_or_default())
}

#[test]
fn garbage_is_an_error() {
    assert_eq!(told(&seen(Behaviour::Garbage, "unary")), ("INTERNAL", "BACKEND_MALFORMED"));
}

#[test]
fn a_stream_that_is_cut_is_an_error() {
    assert_eq!(told(&seen(Behaviour::Cut, "streaming")), ("UNAVAILABLE", "BACKEND_STREAM_TRUNCATED"));
}

#[test]
fn too_many_requests_is_resource_exhausted() {
    assert_eq!(told(&seen(Behaviour::Status(429), "unary")), ("RESOURCE_EXHAUSTED", "BACKEND_RATE_LIMITED"));
}

#[test]
fn an_internal_error_of_a_backend_is_unavailable() {
    assert_eq!(told(&seen(Behaviour::Status(500), "unary")), ("UNAVAILABLE", "BACKEND_FAILED"));
}

#[test]
fn a_backend_that_is_down_when_it_is_asked_is_unavailable() {
    for case in ["unary", "streaming"] {
        let seen = seen_of(&NodeSpec::openai("n1", NOBODY, "DE"), case);
        assert_eq!(told(&seen), ("UNAVAILABLE", "BACKEND_UNREACHABLE"), "{case}: {seen}");
    }
}

#[test]
fn a_stream_that_stalls_ends_at_the_nodes_idle_limit_and_the_backend_is_left() {
    let backend = Backend::start(Behaviour::Stall);
    let spec = NodeSpec::openai("n1", &backend.url(), "DE").with_backend("idle_seconds = 1");
    assert_eq!(told(&seen_of(&spec, "streaming")), ("UNAVAILABLE", "BACKEND_STALLED"));
    backend.wait_until_left();
}

#[test]
fn an_answer_that_does_not_begin_ends_at_the_nodes_first_byte_limit_and_the_backend_is_left() {
    for case in ["unary", "streaming"] {
        let backend = Backend::start(Behaviour::Silent);
        let spec = NodeSpec::openai("n1", &backend.url(), "DE").with_backend("first_byte_seconds = 1");
        let seen = seen_of(&spec, case);
        assert_eq!(told(&seen), ("UNAVAILABLE", "BACKEND_STALLED"), "{case}: {seen}");
        backend.wait_until_left();
    }
}

#[test]
fn a_backend_that_is_slow_and_right_is_waited_for_piece_by_piece() {
    let backend = Backend::start(Behaviour::Slow);
    let limit = format!("idle_seconds = {SLOW_LIMIT_SECONDS}");
    let spec = NodeSpec::openai("n1", &backend.url(), "DE").with_backend(&limit);
    let seen = seen_of(&spec, "streaming");
    assert_eq!(seen["text"], PIECES.concat(), "{seen}");
}
