//! A node that listens nowhere dials the broker, and is called over the connections that it made: by the same rules,
//! with nothing lost that the network does not lose.

use std::time::Duration;

use comity_client::Identity;
use comity_identity::tls;
use comity_runtime::dial;
use comity_tests::backend::{Backend, Behaviour, PIECES};
use comity_tests::clients::Caller;
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, Node};
use comity_tests::node::NodeSpec;
use comity_tests::program::said;
use comity_tests::wait;
use serde_json::Value;
use tokio::time::Instant;

/// What a node says when a tunnel stands.
const STANDS: &str = "a tunnel to the broker stands";

/// How soon a silence is noticed on both sides: a ping after 10 s, 5 s for its answer, and a new handshake; twice that
/// on a machine that is shared.
const NOTICED: Duration = Duration::from_secs(45);

/// How long somebody is suspended for the pauses of a node that asks ever less often to be far longer than [`SOON`].
const FOR_LONG: Duration = Duration::from_secs(15);

/// How soon a node notices that it is lifted, or evicted, however long it was suspended: its longest pause is 3 s; twice
/// that on a machine that is shared.
const SOON: Duration = Duration::from_secs(6);

fn dialling_out(federation: &Federation, backend: &Backend) -> Node {
    federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE").dialling_out())
}

/// What the broker says of its only node.
fn listed(federation: &Federation) -> Value {
    federation.govern_json(&["node", "list"])["nodes"][0].clone()
}

fn wait_for_tunnels(node: &Node, count: usize) {
    wait::until("the tunnels stand", || (node.program.log().matches(STANDS).count() >= count).then_some(()));
}

#[test]
fn a_node_that_listens_nowhere_serves_any_client_and_the_broker_says_how_it_is_reached() {
    let backend = Backend::start(Behaviour::Answer);
    let federation = Federation::start();
    let node = dialling_out(&federation, &backend);
    assert!(!node.program.listens() && !node.folder.join("data/address").exists());
    assert!(federation.broker.as_ref().unwrap().listens(), "what listens is found");
    let app = federation.app(EU_BODY, "assistant");
    for case in ["unary", "streaming"] {
        assert_eq!(app.python(case, "test-model")["text"], PIECES.concat(), "{case}");
    }
    let chat = federation.ask(&app, &["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "Where?"]);
    assert!(chat.status.success() && said(&chat).contains("Paris"), "{}", said(&chat));
    let entry = listed(&federation);
    assert_eq!((&entry["address"], &entry["link"]), (&"tunnel".into(), &"connected".into()), "{entry}");
    let shown = federation.govern(&["node", "show", &node.id]);
    assert!(shown.contains("tunnel") && shown.contains("connected"), "{shown}");
}

/// How often tunnels are refused before a scenario believes that there are none: a node that keeps two has then tried each
/// again after it had long read the federation's log.
const REFUSALS: usize = 6;

#[test]
fn a_node_that_dials_out_publishes_its_offers_when_its_first_tunnel_stands_and_not_before() {
    let backend = Backend::start(Behaviour::Answer);
    let (federation, firewall) = Federation::start_behind_proxy();
    firewall.close_tunnels(true);
    let node = federation.start_node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE").dialling_out());
    wait::until("the node knows the federation", || node.program.log().contains("this node serves").then_some(()));
    wait::until("it has no tunnel", || (firewall.closed_tunnels() >= REFUSALS).then_some(()));
    // All else that it asks of the broker it gets, so that it is the tunnel that it waits for.
    assert!(!node.folder.join("data/ready").exists() && !node.program.log().contains(STANDS));
    let listed = federation.govern_json(&["offer", "list"]);
    assert!(listed["offers"].as_array().is_none_or(Vec::is_empty), "{listed}");
    let app = federation.app(EU_BODY, "assistant");
    let seen = app.python("unary", "test-model");
    assert!(seen["text"].is_null() && seen["code"].is_string(), "{seen}");
    assert!(backend.asked().is_empty());

    firewall.close_tunnels(false);
    node.wait_until_ready();
    let log = node.program.log();
    assert!(log.find(STANDS) < log.find("published"), "{log}");
    assert_eq!(app.python("unary", "test-model")["text"], PIECES.concat());
}

#[test]
fn a_node_whose_file_says_where_to_listen_listens_nowhere_and_serves_when_run_is_told_to_dial_out() {
    let backend = Backend::start(Behaviour::Answer);
    let federation = Federation::start();
    let mut node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
    assert!(node.program.listens());
    assert!(node.program.stop().success());
    let _gone = std::fs::remove_file(node.folder.join("data/address"));
    let node = federation.run_node_with(&node, &["--dial-out"]);
    assert!(!node.program.listens() && !node.folder.join("data/address").exists());
    let app = federation.app(EU_OWNED, "assistant");
    assert_eq!(app.python("streaming", "test-model")["text"], PIECES.concat());
    let entry = listed(&federation);
    assert_eq!((&entry["address"], &entry["link"]), (&"tunnel".into(), &"connected".into()), "{entry}");
}

/// A call that stalls in the middle of its stream, while `meanwhile` happens.
fn stalled_call(app: &Caller, backend: &Backend, meanwhile: impl FnOnce()) -> Value {
    std::thread::scope(|scope| {
        let call = scope.spawn(|| app.python("streaming", "test-model"));
        wait::until("the backend is asked", || (!backend.asked().is_empty()).then_some(()));
        meanwhile();
        call.join().unwrap()
    })
}

#[test]
fn a_suspended_nodes_tunnels_are_cut_its_streams_end_and_it_comes_back_when_that_is_lifted() {
    let backend = Backend::start(Behaviour::Stall);
    let mut federation = Federation::start();
    for text in ["a try failed", "an answer broke off"] {
        federation.expect_log(text);
    }
    let mut node = dialling_out(&federation, &backend);
    for text in ["the broker takes no tunnel", "SUSPENDED"] {
        node.program.expect_log(text);
    }
    wait_for_tunnels(&node, 2);
    let app = federation.app(EU_BODY, "assistant");
    let seen = stalled_call(&app, &backend, || {
        let _done = federation.govern(&["suspend", &node.id, "--reason", "a test"]);
    });
    assert_ne!(seen["code"], "OK", "{seen}");
    backend.wait_until_left();
    assert_eq!(listed(&federation)["link"], "unreachable");
    wait::until("the node is told", || node.program.log().contains("takes no tunnel").then_some(()));
    backend.behave(Behaviour::Answer);
    let refused = federation.ask(&app, &["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "Where?"]);
    assert!(!refused.status.success(), "{}", said(&refused));
    let _done = federation.govern(&["lift", &node.id]);
    wait::until("it is called again", || app.python("unary", "test-model")["text"].is_string().then_some(()));
}

#[test]
fn a_node_that_was_suspended_for_long_notices_within_seconds_that_it_is_lifted_and_that_it_is_evicted() {
    let backend = Backend::start(Behaviour::Answer);
    let mut federation = Federation::start();
    // Whoever is evicted does not even shake hands any more.
    federation.expect_log("is not a member in good standing");
    let mut nodes =
        [dialling_out(&federation, &backend), federation.node(EU_OWNED, &NodeSpec::openai("n1", &backend.url(), "DE"))];
    for text in ["the broker takes no tunnel", "SUSPENDED", "EVICTED"] {
        nodes.iter_mut().for_each(|node| node.program.expect_log(text));
    }
    wait_for_tunnels(&nodes[0], 2);
    let suspend_for_long = || {
        for organisation in [EU_BODY, EU_OWNED] {
            let _done = federation.govern(&["suspend", organisation.domain, "--reason", "a test"]);
        }
        let begun = Instant::now();
        wait::until("they are suspended for long", || (begun.elapsed() > FOR_LONG).then_some(()));
    };
    let soon = |what: &str, node: &Node, text: &str, times: usize| {
        let has_come = || (node.program.log().matches(text).count() >= times).then_some(());
        assert!(wait::within(SOON, has_come).is_some(), "{what} of {} is not noticed: {}", node.id, node.program.log());
    };
    suspend_for_long();
    for (organisation, node) in [EU_BODY, EU_OWNED].into_iter().zip(&nodes) {
        let _done = federation.govern(&["lift", organisation.domain]);
        soon("the lift", node, "following the broker again", 1);
    }
    soon("the lift", &nodes[0], STANDS, 3);
    suspend_for_long();
    for (organisation, node) in [EU_BODY, EU_OWNED].into_iter().zip(&nodes) {
        let _done = federation.govern(&["evict", organisation.domain, "--reason", "a test"]);
        soon("the eviction", node, "EVICTED", 1);
    }
}

#[test]
fn a_tunnel_that_falls_silent_is_missed_and_requests_go_over_another() {
    let backend = Backend::start(Behaviour::Answer);
    let (mut federation, proxy) = Federation::start_with_proxy();
    federation.expect_log("a try failed");
    let node = dialling_out(&federation, &backend);
    wait_for_tunnels(&node, 2);
    assert!(proxy.connections() > 0, "one of the tunnels goes through the proxy");
    let app = federation.app(EU_BODY, "assistant");
    proxy.fall_silent();
    let silent = Instant::now();
    // Some of these are sent into the silence: they are told so when it is noticed, and go over the other tunnel.
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..4).map(|_| scope.spawn(|| app.python("unary", "test-model"))).collect();
        for call in calls {
            let seen = call.join().unwrap();
            assert_eq!(seen["text"], PIECES.concat(), "{seen}");
        }
    });
    wait_for_tunnels(&node, 3);
    assert!(silent.elapsed() < NOTICED, "{:?}", silent.elapsed());
}

#[test]
fn a_node_finds_its_broker_again_after_it_was_cut_and_after_it_was_stopped() {
    let backend = Backend::start(Behaviour::Answer);
    let mut federation = Federation::start();
    let mut node = dialling_out(&federation, &backend);
    node.program.expect_log("broker");
    let app = federation.app(EU_BODY, "assistant");
    let answers = || app.python("unary", "test-model")["text"].is_string().then_some(());
    federation.cut_broker_and_restart();
    // Until the node is back.
    federation.expect_log("a try failed");
    wait::until("it is called again after a cut", answers);
    let ended = federation.broker.take().unwrap().stop();
    assert!(ended.success());
    federation.start_broker();
    federation.expect_log("a try failed");
    wait::until("it is called again after a stop", answers);
    assert!(!node.program.listens());
}

#[test]
fn calls_that_run_when_the_broker_or_the_node_is_asked_to_stop_go_on_to_their_end() {
    let backend = Backend::start(Behaviour::Slow);
    let mut federation = Federation::start();
    let mut node = dialling_out(&federation, &backend);
    node.program.expect_log("broker");
    let app = federation.app(EU_BODY, "assistant");
    let seen = stalled_call(&app, &backend, || assert!(node.program.stop().success()));
    assert_eq!(seen["text"], PIECES.concat(), "{seen}");
    let mut node = federation.run_node(&node);
    node.program.expect_log("broker");
    wait::until("it is called again", || (listed(&federation)["link"] == "connected").then_some(()));
    let asked = backend.asked().len();
    let seen = std::thread::scope(|scope| {
        let call = scope.spawn(|| app.python("streaming", "test-model"));
        wait::until("the backend is asked again", || (backend.asked().len() > asked).then_some(()));
        assert!(federation.broker.take().unwrap().stop().success());
        call.join().unwrap()
    });
    assert_eq!(seen["text"], PIECES.concat(), "{seen}");
}

#[test]
fn an_apps_certificate_opens_no_tunnel() {
    let mut federation = Federation::start();
    federation.expect_log("a tunnel was refused");
    let identity = Identity::open(federation.app(EU_BODY, "assistant").identity).unwrap();
    let (root, clock) = (identity.root(), identity.clock().clone());
    let anchors = root.organisation_anchors().unwrap().into();
    let tls = tls::tunnel_client_config(identity.credentials().clone(), root.broker.clone(), anchors, clock).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let refused = runtime.block_on(dial::tunnel(federation.address(), tls, identity.clock().as_ref())).unwrap_err();
    assert!(refused.to_string().contains("hung up after the handshake"), "{refused}");
    let broker = federation.broker.as_ref().unwrap();
    wait::until("the broker says why", || {
        broker.log().contains("spiffe://eu-body.example/app/assistant is no node").then_some(())
    });
}

#[test]
fn a_node_that_is_reached_by_tunnel_is_held_to_its_rules_like_any_other() {
    let backend = Backend::start(Behaviour::Answer);
    let federation = Federation::start();
    let spec = NodeSpec::openai("n1", &backend.url(), "DE").serving(r#"["FR"]"#).dialling_out();
    let _node = federation.node(EU_BODY, &spec);
    let app = federation.app(EU_OWNED, "assistant");
    let seen = app.python("unary", "test-model");
    assert_eq!(seen["code"], "FAILED_PRECONDITION", "{seen}");
    assert!(backend.asked().is_empty());
}
