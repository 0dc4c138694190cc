//! P6: whoever takes part follows the broker's decision log by themselves, and keeps what convicts a broker that takes back
//! what it decided.

use std::path::{Path, PathBuf};
use std::process::Output;

use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::{Caller, comity};
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, Node, OrganisationSpec, US_VENDOR};
use comity_tests::folder::copy;
use comity_tests::node::NodeSpec;
use comity_tests::program::{Program, run, said};
use comity_tests::wait;
use serde_json::Value;

/// A request that the node answers.
const WORDS: [&str; 6] = ["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "hello"];

/// Nodes end before the federation does, whose folder they live in.
struct Scene {
    node: Node,
    _backend: Backend,
    app: Caller,
    federation: Federation,
}

impl Scene {
    fn new() -> Self {
        let backend = Backend::start(Behaviour::Answer);
        let federation = Federation::start();
        let node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
        let app = federation.app(EU_OWNED, "assistant");
        Self { node, _backend: backend, app, federation }
    }

    /// Asks until it is answered; gives the decision, which is published then with its outcome.
    fn ask(&self, app: &Caller) -> String {
        let words = ["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "-o", "json", "Where?"];
        let answer = wait::until("a request is answered", || {
            let answer = self.federation.ask(app, &words);
            answer.status.success().then_some(answer)
        });
        let decision = json(&answer)["decisionId"].as_str().unwrap().to_owned();
        let shown = self.federation.ask(app, &["receipt", "show", &decision]);
        assert!(shown.status.success(), "{}", said(&shown));
        decision
    }

    /// An operator of an organisation that has an app already.
    fn operator_of(&self, organisation: OrganisationSpec) -> Caller {
        let identity = self.federation.folder().join(organisation.domain).join("ops");
        let invite = self.federation.invite(organisation, "operator", "ops");
        self.federation.join(|| {
            let mut join = comity();
            join.args(["join", &invite, "--dir"]).arg(&identity);
            join
        });
        Caller { address: self.federation.address().to_owned(), identity }
    }

    fn monitor(&self) -> Output {
        run(comity().arg("--identity").arg(&self.app.identity).args(["log", "monitor", "--once", "-o", "json"]))
    }

    fn verify(&self, file: &Path) -> Output {
        let mut command = comity();
        command.args(["log", "verify", "-o", "json"]).arg(file).arg("--root").arg(self.app.identity.join("root.json"));
        run(&mut command)
    }

    /// Has `who` run a command that stays.
    fn watch(&self, who: &Caller, words: &[&str]) -> Program {
        let name = format!("{}-{}", words[1], who.identity.file_name().unwrap().to_str().unwrap());
        let mut command = comity();
        Program::start(&name, command.arg("--identity").arg(&who.identity).args(words), self.federation.folder())
    }

    fn data(&self) -> PathBuf {
        self.federation.folder().join("broker/data")
    }

    fn kept(&self, name: &str) -> PathBuf {
        self.app.identity.join(name)
    }
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", said(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_node_that_is_shown_trees_of_ever_other_sizes_finds_that_they_are_not_the_log_that_it_saw_before() {
    let mut scene = Scene::new();
    for text in ["broker", "not believed", "cannot be reached", "two histories"] {
        scene.node.program.expect_log(text);
    }
    let (data, older) = (scene.data(), scene.federation.folder().join("older"));
    let _first = scene.ask(&scene.app);
    scene.federation.stop_broker();
    copy(&data, &older);
    scene.federation.start_broker();
    let _taken_back = scene.ask(&scene.app);
    // Permits came with trees of 1 and 3 leaves, and the node has seen the published one of that or the next size.
    let memory = scene.node.folder.join("data/decision-log.json");
    wait::until("the node has seen what is published", || {
        let kept: Value = serde_json::from_slice(&std::fs::read(&memory).ok()?).ok()?;
        let size: u64 = kept["published"].as_str()?.lines().nth(1)?.parse().ok()?;
        (size >= 3 && kept["waiting"] == Value::Array(Vec::new())).then_some(())
    });
    scene.federation.stop_broker();
    std::fs::remove_dir_all(&data).unwrap();
    copy(&older, &data);
    scene.federation.start_broker();
    scene.federation.expect_log("a try failed");
    // Decisions that no node gets let it pass the sizes that this node was shown.
    for _ in 0..3 {
        let refused = scene.federation.ask(&scene.app, &[&WORDS[..], &["--processing", "US"]].concat());
        assert!(!refused.status.success(), "{}", said(&refused));
    }
    let refused = wait::until("the node has compared", || {
        let answer = scene.federation.ask(&scene.app, &WORDS);
        (!answer.status.success()).then_some(answer)
    });
    assert!(said(&refused).contains("LOG_CONTRADICTED"), "{}", said(&refused));
    let stranger = json(&scene.verify(&scene.node.folder.join("data/decision-log.evidence")));
    assert_eq!(stranger["verified"], "fork", "{stranger}");
}

#[test]
fn a_broker_that_was_restored_from_a_copy_and_decided_something_else_is_convicted_by_whoever_watched_it() {
    let mut scene = Scene::new();
    for text in ["broker", "not believed", "cannot be reached", "two histories"] {
        scene.node.program.expect_log(text);
    }
    let (data, older) = (scene.data(), scene.federation.folder().join("older"));
    let _first = scene.ask(&scene.app);
    let seen = json(&scene.monitor());
    assert_eq!((&seen["leaves"], &seen["new"]), (&2.into(), &2.into()));
    scene.federation.stop_broker();
    copy(&data, &older);
    scene.federation.start_broker();
    let taken_back = scene.ask(&scene.app);
    let seen = json(&scene.monitor());
    assert_eq!((&seen["leaves"], &seen["new"]), (&4.into(), &2.into()));
    let _audited = scene.federation.govern(&["audit", "--from", "2026-01-01"]);
    scene.federation.stop_broker();
    std::fs::remove_dir_all(&data).unwrap();
    copy(&older, &data);
    scene.federation.start_broker();
    scene.federation.expect_log("a try failed");

    // It shows what was true once: that is refused, and proves nothing by itself.
    let refused = scene.monitor();
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("had 4 before") && said(&refused).contains("old copy"), "{}", said(&refused));
    let audit = scene.federation.ask(&scene.federation.operator(), &["audit", "--from", "2026-01-01"]);
    assert_eq!(audit.status.code(), Some(1), "{}", said(&audit));
    assert!(said(&audit).contains("had 4 before"), "no report is made of less than was seen: {}", said(&audit));
    let doubt = scene.verify(&scene.kept("decisions.doubt"));
    assert!(doubt.status.code() == Some(1) && said(&doubt).contains("true once"), "{}", said(&doubt));

    // It goes on, and signs another past. The node that was asked before runs nothing of it, and what was decided stands in the
    // log all the same.
    for _ in 0..2 {
        let refused = scene.federation.ask(&scene.app, &WORDS);
        assert!(said(&refused).contains("LOG_CONTRADICTED"), "{}", said(&refused));
    }
    // As soon as it is published, which is later than a refusal is told.
    let convicted = wait::until("the other past is published", || {
        let convicted = scene.monitor();
        said(&convicted).contains("do not go together").then_some(convicted)
    });
    assert_eq!(convicted.status.code(), Some(1), "{}", said(&convicted));
    let evidence = scene.kept("decisions.evidence");
    let stranger = json(&scene.verify(&evidence));
    assert_eq!((&stranger["verified"], &stranger["before"]["size"]), (&"fork".into(), &4.into()));
    // It stays convicted, and what was seen before is not forgotten.
    let again = scene.monitor();
    assert!(again.status.code() == Some(1) && said(&again).contains("convicted before"), "{}", said(&again));
    let kept: Value =
        serde_json::from_str(&std::fs::read_to_string(scene.kept("decisions.checkpoint.json")).unwrap()).unwrap();
    assert!(kept["checkpoint"].as_str().unwrap().contains("\n4\n"), "{kept}");
    // Whoever changes the evidence has none.
    let text = std::fs::read_to_string(&evidence).unwrap();
    std::fs::write(&evidence, text.replacen("\n4\n", "\n5\n", 1)).unwrap();
    assert_eq!(scene.verify(&evidence).status.code(), Some(1));
    let gone = run(comity().arg("--identity").arg(&scene.app.identity).args(["receipt", "show", &taken_back]));
    assert!(!gone.status.success(), "it was taken back: {}", said(&gone));
}

#[test]
fn a_monitor_that_stays_outlives_an_outage_and_ends_with_what_shows_a_rollback_or_a_fork() {
    let mut scene = Scene::new();
    for text in ["broker", "not believed", "cannot be reached", "two histories"] {
        scene.node.program.expect_log(text);
    }
    let (data, older) = (scene.data(), scene.federation.folder().join("older"));
    let _first = scene.ask(&scene.app);
    let others = [scene.federation.operator(), scene.federation.app(EU_OWNED, "watcher")];
    let mut monitors = others.each_ref().map(|who| scene.watch(who, &["log", "monitor", "--every", "250ms"]));
    for monitor in &monitors {
        wait::until("it has looked", || monitor.log().contains("2 leaves, 2 of them new").then_some(()));
    }
    scene.federation.stop_broker();
    for monitor in &monitors {
        wait::until("it says that it will look again", || monitor.log().contains("(looked at again)").then_some(()));
    }
    copy(&data, &older);
    scene.federation.start_broker();
    let _taken_back = scene.ask(&scene.app);
    for monitor in &monitors {
        wait::until("it has looked again", || monitor.log().contains("4 leaves, 2 of them new").then_some(()));
    }
    scene.federation.stop_broker();
    // The second one sees nothing of what comes until there is another past.
    wait::until("it has lost the broker", || monitors[1].log().ends_with("(looked at again)\n").then_some(()));
    monitors[1].signal("-STOP");
    std::fs::remove_dir_all(&data).unwrap();
    copy(&older, &data);
    scene.federation.start_broker();
    scene.federation.expect_log("a try failed");

    let ended = |monitor: &mut Program| wait::until("the monitor has ended", || monitor.ended()).code();
    let kept = |who: usize, name: &str| others[who].identity.join(name);
    assert_eq!(ended(&mut monitors[0]), Some(1), "{}", monitors[0].log());
    let said_last = monitors[0].log();
    assert!(said_last.contains("had 4 before") && said_last.contains("hint: "), "{said_last}");
    let doubt = scene.verify(&kept(0, "decisions.doubt"));
    assert!(doubt.status.code() == Some(1) && said(&doubt).contains("true once"), "{}", said(&doubt));

    for _ in 0..2 {
        let refused = scene.federation.ask(&scene.app, &WORDS);
        assert!(said(&refused).contains("LOG_CONTRADICTED"), "{}", said(&refused));
    }
    // Somebody new to the log takes it: as many leaves as were seen before, and more.
    let folder = scene.federation.folder().join("other-past");
    wait::until("the other past is published", || {
        let words = ["log", "export", "--decisions", folder.to_str().unwrap()];
        (scene.federation.govern_json(&words)["leaves"].as_u64()? > 4).then_some(())
    });
    monitors[1].signal("-CONT");
    assert_eq!(ended(&mut monitors[1]), Some(1), "{}", monitors[1].log());
    assert!(monitors[1].log().contains("do not go together"), "{}", monitors[1].log());
    let stranger = json(&scene.verify(&kept(1, "decisions.evidence")));
    assert_eq!((&stranger["verified"], &stranger["before"]["size"]), (&"fork".into(), &4.into()));
}

#[test]
fn tail_prints_each_statement_once_it_is_in_force_and_goes_on_after_an_outage() {
    let mut scene = Scene::new();
    let watcher = scene.federation.app(EU_OWNED, "watcher");
    let tail = scene.watch(&watcher, &["log", "tail", "--every", "250ms", "-o", "json"]);
    let lines = || -> Vec<Value> { tail.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect() };
    let about = |name: &str| {
        let member = format!("spiffe://{}/app/{name}", EU_BODY.domain);
        let said = |lines: &[Value]| lines.iter().filter(|line| line["about"] == member.as_str()).count();
        wait::until("the new member is printed", || (said(&lines()) > 0).then_some(()));
        assert_eq!(said(&lines()), 1, "{}", tail.log());
    };
    // What it has read at its first look is kept, and what comes after is printed.
    let _looked = wait::for_file(&watcher.identity.join("federation.log"));
    let _app = scene.federation.app(EU_BODY, "first");
    about("first");
    scene.federation.stop_broker();
    wait::until("it says that it will look again", || tail.log().contains("(looked at again)").then_some(()));
    scene.federation.start_broker();
    let _app = scene.federation.app(EU_BODY, "second");
    about("second");
    let lines = lines();
    let epochs: Vec<_> = lines.iter().map(|line| line["epoch"].as_u64().unwrap()).collect();
    let following: Vec<_> = (epochs[0]..).take(epochs.len()).collect();
    assert_eq!(epochs, following, "every statement since, in order: {}", tail.log());
    assert!(lines.iter().all(|line| line["signedBy"].as_array().is_some_and(|by| !by.is_empty())), "{}", tail.log());
}

#[test]
fn the_whole_decision_log_is_verified_from_the_broker_or_from_a_copy_of_its_folder() {
    let scene = Scene::new();
    let decision = scene.ask(&scene.app);
    let online =
        run(comity().arg("--identity").arg(&scene.app.identity).args(["log", "verify", "--decisions", "-o", "json"]));
    let folder = scene.federation.folder().join("copied");
    copy(&scene.data().join("decisions"), &folder);
    let (online, offline) = (json(&online), json(&scene.verify(&folder)));
    assert_eq!(online, offline);
    assert_eq!((&online["leaves"], &online["decisions"], &online["outcomes"]), (&2.into(), &1.into(), &1.into()));
    let listed = scene.federation.govern_json(&["log", "show", "--decisions"]);
    assert_eq!(listed[0]["decision"], decision.as_str());
    let behind = scene.federation.govern_json(&["log", "show", "--decisions", "--after", "1"]);
    assert_eq!(behind, listed, "its outcome counts as it does");
    assert_eq!(scene.federation.govern_json(&["log", "show", "--decisions", "--after", "2"]), Value::Array(vec![]));
    // A leaf that is another than the one that was signed.
    let bundle = folder.join("tile/entries/000.p/2");
    let mut bytes = std::fs::read(&bundle).unwrap();
    bytes[60] ^= 1;
    std::fs::write(&bundle, bytes).unwrap();
    let refused = scene.verify(&folder);
    assert!(
        refused.status.code() == Some(1) && said(&refused).contains("do not lead to the root"),
        "{}",
        said(&refused)
    );
}

#[test]
fn tail_prints_each_decision_once_when_it_has_ended_to_those_who_may_see_it() {
    let scene = Scene::new();
    let other = scene.federation.app(US_VENDOR, "assistant");
    let tail = |name: &str, who: &Caller| {
        let mut command = comity();
        command.arg("--identity").arg(&who.identity).args([
            "log",
            "tail",
            "--decisions",
            "--every",
            "250ms",
            "-o",
            "json",
        ]);
        Program::start(name, &mut command, scene.federation.folder())
    };
    let own = scene.operator_of(EU_OWNED);
    let all = scene.federation.operator();
    let watchers = [own.identity.clone(), all.identity.clone()];
    let (own, all) = (tail("own", &own), tail("all", &all));
    // Once its first look is kept, it prints what comes after.
    for who in watchers {
        let _looked = wait::for_file(&who.join("decisions.checkpoint.json"));
    }
    let decisions = [scene.ask(&scene.app), scene.ask(&other), scene.ask(&scene.app)];
    let lines = |program: &Program| -> Vec<(String, String)> {
        let rows = program.log().lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>();
        let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
        rows.iter().map(|row| (text(row, "decision"), text(row, "result"))).collect()
    };
    let expected =
        |which: &[usize]| which.iter().map(|at| (decisions[*at].clone(), "answered".to_owned())).collect::<Vec<_>>();
    wait::until("whoever governs sees all", || (lines(&all) == expected(&[0, 1, 2])).then_some(()));
    wait::until("who asked sees its own", || (lines(&own) == expected(&[0, 2])).then_some(()));
    // An app may not list decisions: it is told so and it ends, since another look would do no better.
    let mut refused = tail("app", &scene.app);
    refused.expect_log("METHOD_NOT_PERMITTED");
    // It looks at the list when there is something new.
    let status = wait::until("the app's tail has ended", || {
        let _decision = scene.ask(&scene.app);
        refused.ended()
    });
    assert!(!status.success() && refused.log().contains("METHOD_NOT_PERMITTED"), "{}", refused.log());
}

#[test]
fn an_organisations_operator_audits_its_own_and_is_told_that_completeness_is_the_brokers_word() {
    let scene = Scene::new();
    let other = scene.federation.app(US_VENDOR, "assistant");
    let own = scene.operator_of(EU_OWNED);
    let (asked, others) = (scene.ask(&scene.app), scene.ask(&other));
    let audit = |who: &Caller| scene.federation.ask(who, &["audit", "--from", "2026-01-01"]);
    for (who, rows, completeness, word) in [
        (&own, vec![&asked], "broker", "is the broker's word"),
        (&scene.federation.operator(), vec![&asked, &others], "log", "every decision that the log has"),
    ] {
        let audit = audit(who);
        let report = String::from_utf8_lossy(&audit.stdout).into_owned();
        assert!(audit.status.success() && said(&audit).contains(word), "{}", said(&audit));
        let listed: Vec<_> = report.lines().skip(1).map(|row| row.split(',').next().unwrap().to_owned()).collect();
        assert_eq!(listed.iter().collect::<Vec<_>>(), rows, "{report}");
        assert!(report.lines().skip(1).all(|row| row.ends_with(&format!(",yes,{completeness},"))), "{report}");
    }
}
