//! `comity doctor` finds what is wrong, each thing by itself, and `comity-node health` tells supervisors.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use comity_identity::{Authority, pem};
use comity_runtime::clock::SystemClock;
use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::comity;
use comity_tests::federation::{EU_BODY, Federation, Node};
use comity_tests::node::NodeSpec;
use comity_tests::program::{built, run, said};
use comity_tests::wait;
use comity_types::Clock as _;
use serde_json::Value;

/// What the doctor said.
struct Report {
    status: Option<i32>,
    findings: Vec<Value>,
}

impl Report {
    fn of(output: &Output) -> Self {
        let findings = serde_json::from_slice(&output.stdout);
        Self { status: output.status.code(), findings: findings.unwrap_or_else(|_| panic!("{}", said(output))) }
    }

    fn on(identity: &Path) -> Self {
        Self::of(&run(comity().arg("--identity").arg(identity).args(["doctor", "-o", "json"])))
    }

    /// The results of every check that begins so, each once.
    fn results(&self, check: &str) -> Vec<&str> {
        let checks = self.findings.iter().filter(|one| one["check"].as_str().unwrap().starts_with(check));
        let mut results: Vec<_> = checks.map(|one| one["result"].as_str().unwrap()).collect();
        results.dedup();
        results
    }

    fn text(&self, check: &str, field: &str) -> &str {
        let found = self.findings.iter().find(|one| one["check"].as_str().unwrap().starts_with(check));
        found.unwrap_or_else(|| panic!("no {check} in {:?}", self.findings))[field].as_str().unwrap_or_default()
    }

    #[track_caller]
    fn is_well(&self, checks: &[&str]) {
        for check in checks {
            assert_eq!(self.results(check), ["ok"], "{check}: {:#?}", self.findings);
        }
        let odd: Vec<_> =
            self.findings.iter().filter(|one| one["result"] == "fail" || one["result"] == "warn").collect();
        assert!(odd.is_empty() && self.status == Some(0), "{:?}: {odd:#?}", self.status);
    }

    #[track_caller]
    fn fails(&self, check: &str, found: &str, mend: &str) {
        assert_eq!((self.results(check), self.status), (vec!["fail"], Some(1)), "{check}: {:#?}", self.findings);
        assert!(self.text(check, "found").contains(found), "{check}: {:#?}", self.findings);
        assert!(self.text(check, "mend").contains(mend), "{check}: {:#?}", self.findings);
    }
}

fn health(node: &Node) -> Output {
    run(Command::new(built("comity-node")).args(["health", "--config"]).arg(node.folder.join("node.toml")))
}

fn wait_until_well(node: &Node) {
    wait::until("the node serves", || health(node).status.success().then_some(()));
}

#[test]
fn all_is_well_for_an_app_a_node_that_listens_one_that_dials_and_an_operator() {
    let backend = Backend::start(Behaviour::Answer);
    let federation = Federation::start();
    let way = ["identity", "root", "key", "certificate", "name", "tcp", "tls h2", "tls comity-enrol/1", "clock"];
    let listening = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
    let dialling = federation.node(EU_BODY, &NodeSpec::openai("n2", &backend.url(), "DE").dialling_out());
    for node in [&listening, &dialling] {
        wait_until_well(node);
        let asked = comity().args(["doctor", "-o", "json", "--config"]).arg(node.folder.join("node.toml")).output();
        let report = Report::of(&asked.unwrap());
        report.is_well(&way);
        report.is_well(&[
            "tls rh2",
            "standing",
            "chain",
            "log",
            "node: health",
            "node: age",
            "node: log",
            "node: link",
        ]);
        Report::on(&node.folder.join("data/identity")).is_well(&["node: age", "node: one past"]);
    }
    Report::on(&federation.app(EU_BODY, "assistant").identity).is_well(&[&way[..], &["standing", "chain"]].concat());
    Report::on(&federation.operator().identity).is_well(&[&way[..], &["standing", "chain", "log"]].concat());
    let table = federation.govern(&["doctor"]);
    assert!(table.contains("X25519MLKEM768") && table.contains("how to mend it"), "{table}");
    let log = federation.broker.as_ref().unwrap().log();
    assert_eq!(log.matches("a tunnel was opened").count(), 2, "the doctor opens none: {log}");
}

#[test]
fn who_waits_to_be_let_in_learns_whether_the_way_to_the_broker_is_open() {
    let mut federation = Federation::start();
    let _join = federation.waiting_app(EU_BODY, "assistant");
    let identity = federation.folder().join(EU_BODY.domain).join("assistant");
    let report = Report::on(&identity);
    assert_eq!((report.results("enrolment"), report.status), (vec!["warn"], Some(0)), "{:#?}", report.findings);
    for check in ["key", "name", "tcp", "root", "tls comity-enrol/1", "clock"] {
        assert_eq!(report.results(check), ["ok"], "{check}: {:#?}", report.findings);
    }
    assert!(federation.broker.take().unwrap().stop().success());
    Report::on(&identity).fails("tcp", "refused", "the broker runs there");
}

#[test]
fn a_broker_that_is_down_is_found_and_nothing_else_is_blamed() {
    let mut federation = Federation::start();
    let app = federation.app(EU_BODY, "assistant");
    assert!(federation.broker.take().unwrap().stop().success());
    let report = Report::on(&app.identity);
    report.fails("tcp", "refused", "the broker runs there");
    for check in ["identity", "root", "key", "certificate", "name"] {
        assert_eq!(report.results(check), ["ok"], "{check}");
    }
    for check in ["clock", "standing"] {
        assert_eq!(report.results(check), ["skipped"], "{check}");
    }
}

#[test]
fn whoever_is_suspended_learns_why_and_its_clock_is_compared_all_the_same() {
    let backend = Backend::start(Behaviour::Answer);
    let federation = Federation::start();
    let mut node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
    node.program.expect_log("SUSPENDED");
    wait_until_well(&node);
    let _done = federation.govern(&["suspend", &node.id, "--reason", "under audit"]);
    let report = Report::on(&node.folder.join("data/identity"));
    report.fails("standing", "under audit [MEMBER_SUSPENDED]", "ask an operator");
    assert_eq!(report.results("clock"), ["ok"]);
    let unwell = wait::until("health is red", || Some(health(&node)).filter(|health| !health.status.success()));
    assert!(unwell.status.code() == Some(1) && said(&unwell).contains("under audit"), "{}", said(&unwell));
    let _done = federation.govern(&["lift", &node.id]);
    wait_until_well(&node);
}

#[test]
fn a_node_whose_organisation_is_evicted_after_it_was_suspended_says_so_and_not_why_it_was_suspended() {
    let backend = Backend::start(Behaviour::Answer);
    let mut federation = Federation::start();
    federation.expect_log("peer refused");
    let mut node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
    let app = federation.app(EU_BODY, "assistant");
    for expected in ["SUSPENDED", "EVICTED", "CertificateRefused"] {
        node.program.expect_log(expected);
    }
    wait_until_well(&node);
    let says = |node: &Node, word: &str| {
        wait::until("its health says why", || Some(said(&health(node))).filter(|text| text.contains(word)))
    };
    let _done = federation.govern(&["suspend", EU_BODY.domain, "--reason", "under audit"]);
    let _suspended = says(&node, "under audit");
    let _done = federation.govern(&["evict", EU_BODY.domain, "--reason", "it lied"]);
    // The connection that it has is told the reason.
    let told = says(&node, "it lied");
    assert!(!told.contains("under audit"), "{told}");
    // A new one ends in the handshake.
    assert!(node.program.stop().success());
    let mut node = federation.run_node(&node);
    for expected in ["SUSPENDED", "EVICTED", "CertificateRefused"] {
        node.program.expect_log(expected);
    }
    let told = says(&node, "no longer, one of the federation's");
    assert!(!told.contains("under audit") && told.contains("evicted"), "{told}");
    // Whoever has the key asks, and is told.
    Report::on(&node.folder.join("data/identity")).fails("standing", "it lied [EVICTED]", "operator of the federation");
    let asked = federation.ask(&app, &["model", "list"]);
    assert!(said(&asked).contains("was evicted at epoch") && said(&asked).contains("it lied"), "{}", said(&asked));
    assert!(said(&asked).contains("hint: ") && !said(&asked).contains("fatal alert"), "{}", said(&asked));
}

#[test]
fn a_broker_whose_chain_is_of_another_authority_is_found_and_not_asked_anything() {
    let (mut federation, mut another) = (Federation::start(), Federation::found());
    let app = federation.app(EU_BODY, "assistant");
    federation.stop_broker();
    // Of the same name, at the same address, and founded by somebody else.
    let config = another.broker_config();
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace(another.address(), federation.address())).unwrap();
    another.start_broker();
    another.expect_log("peer refused");
    let report = Report::on(&app.identity);
    assert_eq!(report.results("tcp"), ["ok"], "{:#?}", report.findings);
    for protocol in ["tls h2", "tls comity-enrol/1"] {
        report.fails(protocol, "UnknownIssuer", "nothing in between that ends TLS");
    }
    report.fails("standing", "certificate", "");
    for check in ["chain", "log"] {
        assert_eq!(report.results(check), Vec::<&str>::new(), "{check}: {:#?}", report.findings);
    }
    // Whom it expects there is what its invite pinned: it is not the name that counts.
    let asked = federation.ask(&app, &["model", "list"]);
    assert!(!asked.status.success(), "{}", said(&asked));
}

#[test]
fn a_member_whose_authority_its_organisation_states_no_more_is_found() {
    let mut federation = Federation::start();
    federation.expect_log("peer refused");
    let app = federation.app(EU_BODY, "assistant");
    let other = Authority::generate(EU_BODY.domain.parse().unwrap(), SystemClock.now()).unwrap();
    let file = federation.folder().join("other.pem");
    std::fs::write(&file, pem::encode(&[other.anchor()])).unwrap();
    let set = ["organisation", "anchors", "set", file.to_str().unwrap()];
    let kept = federation.ask(&app, &set);
    assert!(kept.status.code() == Some(2) && said(&kept).contains("--force signs"), "{}", said(&kept));
    let _forced = federation.say_as(&app.identity, &[&set[..], &["--force"]].concat());
    let report = Report::on(&app.identity);
    report.fails("standing", "certificate", "");
    assert_eq!(report.results("tls comity-enrol/1"), ["ok"], "{:#?}", report.findings);
}

#[test]
fn a_key_that_others_may_read_is_found_with_what_mends_it() {
    let federation = Federation::start();
    let app = federation.app(EU_BODY, "assistant");
    let key = app.identity.join("key.pem");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let report = Report::on(&app.identity);
    report.fails("key", "0644", "chmod 600");
    assert_eq!(report.results("tls comity-enrol/1"), ["ok"], "what needs no key is checked all the same");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    Report::on(&app.identity).is_well(&["key", "standing"]);
}

#[test]
fn a_certificate_that_has_ended_is_found() {
    let mut federation = Federation::found();
    let config = federation.broker_config();
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}\n[leaf]\ndanger_short = true\napp = \"6s\"\n")).unwrap();
    federation.start_broker();
    federation.expect_log("peer refused");
    let app = federation.app(EU_BODY, "assistant");
    let report = wait::until("the certificate has ended", || {
        Some(Report::on(&app.identity)).filter(|report| report.results("certificate") == ["fail"])
    });
    report.fails("certificate", "ended at", "comity identity renew");
    assert_eq!((report.results("tcp"), report.results("clock")), (vec!["ok"], vec!["ok"]));
}

#[test]
fn a_node_that_has_heard_nothing_for_too_long_is_found_on_disk_and_by_its_supervisor() {
    let backend = Backend::start(Behaviour::Answer);
    let mut federation = Federation::start();
    let mut node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
    node.program.expect_log("broker");
    wait_until_well(&node);
    assert!(node.program.stop().success());
    let stopped = health(&node);
    assert!(stopped.status.code() == Some(1) && said(&stopped).contains("no node runs"), "{}", said(&stopped));
    assert!(federation.broker.take().unwrap().stop().success());
    // As if that had been long ago.
    let file = node.folder.join("data/federation.checkpoint.json");
    let mut heard: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    heard["at"] = "2026-01-01T00:00:00Z".into();
    std::fs::write(&file, heard.to_string()).unwrap();
    let mut node = federation.run_node(&node);
    for text in ["broker", "does not serve"] {
        node.program.expect_log(text);
    }
    let unwell = || Some(health(&node)).filter(|health| said(health).contains("last heard of the federation's state"));
    assert_eq!(wait::until("it says that it is stale", unwell).status.code(), Some(1));
    let report = Report::on(&node.folder.join("data/identity"));
    // By the budgets that the node itself has written down.
    assert_eq!(report.results("node: age"), ["fail", "warn"], "{:#?}", report.findings);
    assert!(report.text("node: age", "found").contains("15m may be"), "{:#?}", report.findings);
    assert!(report.text("node: age by class", "found").contains("new_callers"), "{:#?}", report.findings);
    report.fails("node: health", "last heard", "connection to the broker");
    assert_eq!(report.results("node: log"), ["ok"]);
    std::fs::write(node.folder.join("data/equivocation.json"), "{}").unwrap();
    Report::on(&node.folder.join("data/identity")).fails("node: one past", "two pasts", "runbook");
    federation.start_broker();
    wait_until_well(&node);
}

#[test]
fn no_state_of_the_directory_stops_the_doctor() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["identity.json", "root.json", "key.pem", "cert.pem", "federation-ca.pem", "organisation.key.pem"];
    let missing = Report::on(&folder.path().join("nothing"));
    assert_eq!((missing.status, missing.results("identity")), (Some(1), vec!["fail"]));
    for text in ["", "{}", "\u{0}\u{0}", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        names.iter().for_each(|name| std::fs::write(folder.path().join(name), text).unwrap());
        let report = Report::on(folder.path());
        assert_eq!((report.status, report.results("identity")), (Some(1), vec!["fail"]), "{text:?}");
    }
    for name in names {
        std::fs::remove_file(folder.path().join(name)).unwrap();
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    assert_eq!(Report::on(folder.path()).status, Some(1));
    let config = folder.path().join("node.toml");
    for text in ["", "[node]\ndata_dir = 7\n", "[node]\ndata_dir = \"data\"\nmax_staleness = \"soon\"\n"] {
        std::fs::write(&config, text).unwrap();
        let asked = comity().args(["doctor", "-o", "json", "--config"]).arg(&config).output().unwrap();
        let report = Report::of(&asked);
        assert_eq!((report.status, report.results("node.toml")), (Some(1), vec!["fail"]), "{text:?}");
    }
}
