//! A federation's own tables: its broker and its nodes decide by rows that no program ships with.

use std::path::PathBuf;

use comity_policy::tables::TableName;
use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::Caller;
use comity_tests::federation::{EU_BODY, Federation, Node, OrganisationSpec, US_VENDOR};
use comity_tests::node::NodeSpec;
use comity_tests::program::said;

/// A set of places that no table that ships has.
const ZONE: &str = "\n[[bloc]]\nbloc = \"OUR-ZONE\"\nmember = \"DE\"\ninstrument = \"a treaty\"\nsource = \"the board\"\n\
                    recorded_at = 2026-01-01\nverified = true\n";

/// A federation whose broker decides by a folder of tables, and that folder.
fn federation() -> (Federation, PathBuf) {
    let mut federation = Federation::found();
    let tables = federation.folder().join("tables");
    std::fs::create_dir(&tables).unwrap();
    std::fs::write(tables.join("blocs.toml"), format!("{}{ZONE}", TableName::Blocs.builtin())).unwrap();
    let config = federation.broker_config();
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("tables = \"../tables\"\n{text}")).unwrap();
    federation.start_broker();
    (federation, tables)
}

/// A node with the federation's tables.
fn node(federation: &Federation, organisation: OrganisationSpec, spec: &NodeSpec) -> Node {
    let folder = federation.folder().join(organisation.domain).join(&spec.name);
    std::fs::create_dir_all(&folder).unwrap();
    let text = spec.toml().replace("data_dir = \"data\"\n", "data_dir = \"data\"\ntables = \"../../tables\"\n");
    std::fs::write(folder.join("node.toml"), text).unwrap();
    let node = federation.start_node_in(organisation, &spec.name, folder);
    node.wait_until_ready();
    node
}

fn ask(federation: &Federation, app: &Caller, more: &[&str]) -> (Option<i32>, String) {
    let question = ["--model", "test-model", "--purpose", "dpv:CustomerCare", "--processing", "OUR-ZONE"];
    let answer = federation.ask(app, &[more, &question].concat());
    (answer.status.code(), said(&answer))
}

#[test]
fn a_broker_and_a_node_decide_by_a_row_that_only_their_folder_has() {
    let [inside, outside] = [Behaviour::Answer, Behaviour::Answer].map(Backend::start);
    let (federation, tables) = federation();
    let tables = tables.to_str().unwrap();
    // The node's own terms name the zone as well, so that its word on the caller rests on the same row.
    let served = NodeSpec::openai("n1", &inside.url(), "DE").serving(r#"["OUR-ZONE"]"#);
    let _inside = node(&federation, EU_BODY, &served);
    let _outside = node(&federation, US_VENDOR, &NodeSpec::openai("n1", &outside.url(), "US"));
    let app = federation.app(EU_BODY, "assistant");

    let (status, text) = ask(&federation, &app, &["chat", "hello", "--tables", tables]);
    assert!(status == Some(0) && text.contains("Paris"), "{text}");
    assert!(outside.asked().is_empty(), "a node outside the zone was asked");
    let (_, text) = ask(&federation, &app, &["explain", "--tables", tables]);
    assert!(text.contains("PROCESSING_LOCATION_NOT_ALLOWED(US)") && text.contains("OUR-ZONE"), "{text}");
    let (status, text) = ask(&federation, &app, &["chat", "hello"]);
    assert!(status == Some(2) && text.contains("OUR-ZONE"), "{text}");

    let stranger = federation.app(US_VENDOR, "assistant");
    let (status, text) = ask(&federation, &stranger, &["chat", "hello", "--tables", tables]);
    assert!(status == Some(1) && text.contains("CALLER_") && text.contains("OUR-ZONE"), "{text}");
}
