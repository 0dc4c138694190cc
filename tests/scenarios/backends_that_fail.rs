//! A backend that is down, slow, stalls, lies or refuses is a typed error, never an answer.

use comity_tests::backend::{Backend, Behaviour};
use comity_tests::federation::{EU_BODY, Federation};
use comity_tests::node::NodeSpec;
use serde_json::Value;

/// What an app sees of a call to a node whose backend behaves like this.
fn seen(behaviour: Behaviour, case: &str) -> Value {
    let backend = Backend::start(behaviour);
    let federation = Federation::start();
    let mut node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
    node.program.expect_log("backend");
    federation.app(EU_BODY, "assistant").python(case, "test-model")
}

#[test]
fn garbage_is_an_error() {
    let seen = seen(Behaviour::Garbage, "unary");
    assert!(seen["text"].is_null(), "{seen}");
    assert_eq!(seen["reason"], "BACKEND_MALFORMED", "{seen}");
}

#[test]
fn a_stream_that_is_cut_is_an_error() {
    let seen = seen(Behaviour::Cut, "streaming");
    assert!(seen["text"].is_null(), "{seen}");
    assert_eq!(seen["reason"], "BACKEND_STREAM_TRUNCATED", "{seen}");
}

#[test]
fn too_many_requests_is_resource_exhausted() {
    assert_eq!(seen(Behaviour::Status(429), "unary")["code"], "RESOURCE_EXHAUSTED");
}

#[test]
fn an_internal_error_of_a_backend_is_unavailable() {
    assert_eq!(seen(Behaviour::Status(500), "unary")["code"], "UNAVAILABLE");
}
