//! SPIFFE trust bundles: other makers' clients fetch them, and verify members by them.

use std::process::Command;

use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::python;
use comity_tests::federation::{EU_BODY, EU_OWNED, FEDERATION, Federation, free_address};
use comity_tests::node::NodeSpec;
use comity_tests::program::{run, said, workspace};
use serde_json::{Value, json};

/// A federation that serves bundles, and where.
fn serving() -> (Federation, String) {
    let (mut federation, address) = (Federation::found(), free_address());
    let config = federation.broker_config();
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}\n[bundles]\nlisten = \"{address}\"\n")).unwrap();
    federation.start_broker();
    (federation, address)
}

/// What Python saw of an organisation's bundle, and of a server that it held against it.
fn fetched(federation: &Federation, endpoint: &str, domain: &str, server: &str) -> Value {
    let mut command = Command::new(python());
    command.arg(workspace().join("tests/clients/python/bundle.py")).args([endpoint, domain]);
    command.arg(federation.operator().identity.join("federation-ca.pem")).arg(server);
    let output = run(&mut command);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)))
}

#[test]
fn a_node_is_verified_by_the_bundle_of_its_own_organisation_and_by_no_other() {
    let backend = Backend::start(Behaviour::Answer);
    let (federation, endpoint) = serving();
    let mut node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
    let _other = federation.app(EU_OWNED, "assistant");
    // Python shows no certificate: what is tested is whom it believes.
    node.program.expect_log("peer refused");
    let address = node.address();
    let own = fetched(&federation, &endpoint, EU_BODY.domain, &address);
    assert_eq!(
        (&own["authorities"], &own["refresh"], &own["server"]),
        (&1.into(), &300.into(), &"verified".into()),
        "{own}"
    );
    for domain in [EU_OWNED.domain, FEDERATION] {
        let other = fetched(&federation, &endpoint, domain, &address);
        assert_eq!((&other["status"], other["server"] == "verified"), (&200.into(), false), "{other}");
    }
    assert_eq!(fetched(&federation, &endpoint, "stranger.example", &address), json!({ "status": 404 }));
    node.program.expect_log("the broker does not let this node follow");
    let _done = federation.govern(&["suspend", EU_BODY.domain, "--reason", "a test"]);
    let suspended = fetched(&federation, &endpoint, EU_BODY.domain, &address);
    assert_eq!(suspended["server"], "nobody is believed", "{suspended}");
    assert!(suspended["sequence"].as_u64() > own["sequence"].as_u64(), "{suspended}");
}
