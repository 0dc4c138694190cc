//! Clients and servers that we did not write.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::{Caller, LLAMA_KEY, LlamaServer};
use comity_tests::federation::{EU_BODY, Federation, Node};
use comity_tests::node::NodeSpec;
use comity_tests::program::said;
use serde_json::Value;

/// A call with one maker's client: the case and the model.
type Call = fn(&Caller, &str, &str) -> Value;
/// Both makers.
const MAKERS: [(&str, Call); 2] = [("grpcio", Caller::python), ("grpc-js", Caller::node)];

/// A federation with one node, and an app of the same organisation.
fn federation(backend: &Backend) -> (Federation, Node, Caller) {
    let federation = Federation::start();
    let node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
    let app = federation.app(EU_BODY, "assistant");
    (federation, node, app)
}

#[test]
fn python_and_node_js_get_answers_at_once_and_as_they_are_made() {
    let backend = Backend::start(Behaviour::Answer);
    let (_federation, _node, app) = federation(&backend);
    for (maker, call) in MAKERS {
        let unary = call(&app, "unary", "test-model");
        assert_eq!(unary["text"], "The capital of France is Paris.", "{maker}: {unary}");
        assert_eq!(unary["offer"], "eu-body.example/n1/chat", "{maker}: {unary}");
        assert_eq!(unary["decision"].as_str().map(str::len), Some(32), "{maker}: {unary}");
        let stream = call(&app, "streaming", "test-model");
        assert_eq!(stream["text"], "The capital of France is Paris.", "{maker}: {stream}");
        assert!(stream["pieces"].as_u64() >= Some(4), "{maker}: the stream came in one piece: {stream}");
    }
}

#[test]
fn python_and_node_js_can_read_why_they_were_refused() {
    let backend = Backend::start(Behaviour::Answer);
    let (_federation, _node, app) = federation(&backend);
    for (maker, call) in MAKERS {
        let seen = call(&app, "refused", "test-model");
        assert_eq!(seen["code"], "FAILED_PRECONDITION", "{maker}: {seen}");
        let codes = seen["refusal"]["verdicts"][0]["reasons"].to_string();
        assert!(codes.contains("PROCESSING_LOCATION_NOT_ALLOWED"), "{maker}: {seen}");
    }
    assert!(backend.asked().is_empty());
}

#[test]
fn python_and_node_js_are_told_when_their_deadline_is_over() {
    let backend = Backend::start(Behaviour::Silent);
    let (_federation, _node, app) = federation(&backend);
    for (maker, call) in MAKERS {
        assert_eq!(call(&app, "deadline", "test-model")["code"], "DEADLINE_EXCEEDED", "{maker}");
    }
}

#[test]
fn python_and_node_js_can_leave() {
    let backend = Backend::start(Behaviour::Stall);
    let (_federation, _node, app) = federation(&backend);
    for (maker, call) in MAKERS {
        assert_eq!(call(&app, "cancelled", "test-model")["code"], "CANCELLED", "{maker}");
    }
    backend.wait_until_left();
}

#[test]
fn reflection_and_health_are_served_to_python_and_to_buf() {
    let backend = Backend::start(Behaviour::Answer);
    let (_federation, _node, app) = federation(&backend);
    let seen = app.python("reflection", "");
    assert!(seen["services"].to_string().contains("comity.inference.v1.Inference"), "{seen}");
    assert!(seen["methods"].to_string().contains("ChatStream"), "{seen}");
    assert_eq!(app.python("health", "")["status"], "SERVING");
    let listed = app.buf_curl(&["--list-methods"]);
    assert!(said(&listed).contains("comity.catalog.v1.Catalog/Explain"), "{}", said(&listed));
}

#[test]
fn llama_cpp_behind_a_node_answers_with_smollm2() {
    let server = LlamaServer::start("smollm2");
    let federation = Federation::start();
    let mut spec =
        NodeSpec::openai("n1", &server.url(), "DE").model("smollm2").with_backend("api_key_file = \"api-key\"");
    spec.capabilities = r#"["chat"]"#.to_owned();
    let folder = federation.folder().join(EU_BODY.domain).join("n1");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("api-key"), LLAMA_KEY).unwrap();
    std::fs::set_permissions(folder.join("api-key"), Permissions::from_mode(0o600)).unwrap();
    let _node = federation.node(EU_BODY, &spec);
    let app = federation.app(EU_BODY, "assistant");
    for (maker, call) in MAKERS {
        let seen = call(&app, "streaming", "smollm2");
        assert!(seen["text"].as_str().is_some_and(|text| text.contains("Paris")), "{maker}: {seen}");
    }
}
