//! What may be used is used once: a budget without room refuses and says so, whoever comes at once, also after the broker was
//! killed; and what was used is stated the same by who asked, by who answered, and by the receipts that they hold.

use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::{Caller, comity};
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, Node, OrganisationSpec};
use comity_tests::node::NodeSpec;
use comity_tests::program::{run, said};
use comity_tests::wait;
use serde_json::Value;

/// A question, as JSON.
const CHAT: [&str; 8] = ["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "-o", "json", "hello"];
/// How many apps ask at once.
const AT_ONCE: usize = 12;

/// Nodes end before the federation does, whose folder they live in.
struct Scene {
    app: Caller,
    _node: Node,
    backend: Backend,
    federation: Federation,
}

impl Scene {
    /// A federation whose broker has these budgets.
    fn new(behaviour: Behaviour, budgets: &str) -> Self {
        let backend = Backend::start(behaviour);
        let mut federation = Federation::found();
        let config = federation.broker_config();
        let text = std::fs::read_to_string(&config).unwrap();
        // Above the first table: it is a line of the file itself.
        std::fs::write(&config, format!("budgets = \"budgets.toml\"\n{text}")).unwrap();
        std::fs::write(config.with_file_name("budgets.toml"), budgets).unwrap();
        federation.start_broker();
        let node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
        let app = federation.app(EU_OWNED, "assistant");
        Self { app, _node: node, backend, federation }
    }

    fn ask(&self) -> Output {
        self.federation.ask(&self.app, &CHAT)
    }

    /// Asks for an answer, and gets it.
    fn answered(&self) -> Value {
        let answer = self.ask();
        assert!(answer.status.success(), "{}", said(&answer));
        serde_json::from_slice(&answer.stdout).unwrap()
    }

    /// The identity of an operator of an organisation that takes part.
    fn operator_of(&self, organisation: OrganisationSpec) -> PathBuf {
        let identity = self.federation.folder().join(organisation.domain).join("ops");
        let invite = self.federation.invite(organisation, "operator", "ops");
        self.federation.join(|| {
            let mut join = comity();
            join.args(["join", &invite, "--dir"]).arg(&identity);
            join
        });
        identity
    }

    fn asking(&self) -> Child {
        let mut command = comity();
        command.arg("--identity").arg(&self.app.identity).args(CHAT);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

fn refused(answer: &Output) -> String {
    assert_eq!(answer.status.code(), Some(1), "{}", said(answer));
    let said = said(answer);
    assert!(said.contains("BUDGET_EXCEEDED"), "{said}");
    said
}

/// A budget of every organisation.
fn budget(limits: &str) -> String {
    format!("[[budget]]\nname = \"share\"\neach = [\"organisation\"]\n{limits}\n")
}

#[test]
fn a_budget_without_room_refuses_says_which_and_its_state_and_has_room_again_when_it_is_renewed() {
    let scene = Scene::new(Behaviour::Answer, &budget("per = \"minute\"\nrequests = 1"));
    // Of two in a row, one may be the last of its minute and the other the first of the next.
    let refusal = wait::until("a second request of one minute is refused", || {
        let answer = scene.ask();
        (!answer.status.success()).then_some(answer)
    });
    let refusal = refused(&refusal);
    for part in ["budget share has no room", "of 1 in a minute, 1 are used", "it is renewed at 20"] {
        assert!(refusal.contains(part), "{part:?} is missing in: {refusal}");
    }
    // Another organisation has an account of its own.
    let other = scene.federation.app(EU_BODY, "assistant");
    let answer = scene.federation.ask(&other, &CHAT);
    assert!(answer.status.success(), "{}", said(&answer));
    let asked = scene.backend.asked().len();
    let again = wait::until("the budget is renewed", || Some(scene.ask()).filter(|answer| answer.status.success()));
    assert!(said(&again).contains("Paris"), "{}", said(&again));
    assert_eq!(scene.backend.asked().len(), asked + 1);
}

#[test]
fn callers_at_once_never_overspend() {
    let scene = Scene::new(Behaviour::Answer, &budget("per = \"month\"\nrequests = 5"));
    let asking: Vec<_> = (0..AT_ONCE).map(|_| scene.asking()).collect();
    let answers: Vec<_> = asking.into_iter().map(|one| one.wait_with_output().unwrap()).collect();
    let (answered, others): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status.success());
    assert_eq!((answered.len(), scene.backend.asked().len()), (5, 5));
    others.into_iter().for_each(|answer| drop(refused(answer)));
}

#[test]
fn what_was_spent_stays_so_when_the_broker_is_killed_to_the_token() {
    let tokens =
        |limit: &str| budget(&format!("per = \"month\"\nrequests = 3\n{limit}\noutput_tokens_reserved = 1000"));
    let mut scene = Scene::new(Behaviour::Answer, &tokens("tokens = 100000"));
    let budgets = scene.federation.broker_config().with_file_name("budgets.toml");
    let (_first, _second) = (scene.answered(), scene.answered());
    // What a budget grants may change: what was used of it stays, and is told where nothing has room any more.
    std::fs::write(&budgets, tokens("tokens = 1000")).unwrap();
    scene.federation.cut_broker_and_restart();
    let refusal = refused(&scene.ask());
    assert!(refusal.contains("of 1000 in a month, 26 are used and 0 are reserved"), "{refusal}");
    std::fs::write(&budgets, tokens("tokens = 100000")).unwrap();
    scene.federation.cut_broker_and_restart();
    scene.answered();
    let refusal = refused(&scene.ask());
    assert!(refusal.contains("of 3 in a month, 3 are used and 0 are reserved"), "{refusal}");
}

#[test]
fn a_request_that_ran_when_the_broker_was_killed_counts_in_full() {
    let mut scene = Scene::new(Behaviour::Silent, &budget("per = \"month\"\nrequests = 2"));
    let run_and_kill = |scene: &mut Scene, asked: usize, before: &dyn Fn(&Scene)| {
        let mut running = scene.asking();
        wait::until("the request runs", || (scene.backend.asked().len() == asked).then_some(()));
        before(scene);
        scene.federation.cut_broker_and_restart();
        scene.federation.expect_log("the broker ended before this request did");
        let _ended = running.wait().unwrap();
    };
    let is_refused = |scene: &Scene, state: &str| {
        let refusal = refused(&scene.ask());
        assert!(refusal.contains(&format!("of 2 in a month, {state}")), "{refusal}");
    };
    run_and_kill(&mut scene, 1, &|_| {});
    run_and_kill(&mut scene, 2, &|scene| is_refused(scene, "1 are used and 1 are reserved"));
    is_refused(&scene, "2 are used and 0 are reserved");
}

#[test]
fn a_statement_is_what_callers_hold_receipts_of_and_what_nodes_signed_to_who_asked_and_to_who_answered() {
    let scene = Scene::new(Behaviour::Answer, &budget("per = \"month\"\nrequests = 100"));
    let decisions: Vec<_> = (0..3).map(|_| scene.answered()["decisionId"].as_str().unwrap().to_owned()).collect();
    let usage = |identity: &Path, more: &[&str]| {
        let output = run(comity().arg("--identity").arg(identity).args(["usage"]).args(more));
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let json = |identity: &Path| -> Value { serde_json::from_str(&usage(identity, &["-o", "json"])).unwrap() };
    let operators = scene.federation.operator().identity;
    let [asked, answered] = [EU_OWNED, EU_BODY].map(|organisation| scene.operator_of(organisation));
    let whole = json(&operators);
    let line = &whole["lines"][0];
    assert_eq!(whole["lines"].as_array().unwrap().len(), 1);
    assert_eq!((&line["organisation"], &line["basis"]), (&EU_OWNED.domain.into(), &"signed".into()));
    assert_eq!((&line["offer"], &line["requests"]), (&"eu-body.example/n1/chat".into(), &3.into()));
    // 9 at 0.1 and 4 at 0.3 EUR a million, each request rounded up: 2.1 millionths are 3.
    assert_eq!((&line["inputTokens"], &line["outputTokens"], &line["micros"]), (&27.into(), &12.into(), &9.into()));
    // Both sides are told the same.
    for identity in [&asked, &answered] {
        assert_eq!(json(identity)["lines"], whole["lines"]);
    }
    // Every request of the line is a receipt that the caller can fetch, of these leaves, with a node's word of just that.
    let stated: Vec<_> =
        line["leaves"].as_array().unwrap().iter().map(|leaves| leaves["id"].as_str().unwrap()).collect();
    assert_eq!(stated, decisions);
    for leaves in line["leaves"].as_array().unwrap() {
        let file = scene.federation.folder().join("one.tlog-proof");
        let show = ["receipt", "show", leaves["id"].as_str().unwrap(), "-o", "json", "--save", file.to_str().unwrap()];
        let shown: Value = serde_json::from_str(&scene.federation.say_as(&asked, &show)).unwrap();
        let decision = leaves["decision"].to_string();
        assert_eq!((&shown["leaf"], &shown["outcomeLeaf"]), (&decision.into(), &leaves["outcome"]), "{shown}");
    }
    // And what is left is told to whoever asks for it: to others it is not.
    let budgets = |identity| -> Value {
        serde_json::from_str(&scene.federation.say_as(identity, &["budget", "list", "-o", "json"])).unwrap()
    };
    let account = &budgets(&asked)["accounts"][0];
    assert_eq!((&account["budget"], &account["organisation"]), (&"share".into(), &EU_OWNED.domain.into()));
    assert_eq!(
        (&account["states"][0]["used"], &account["states"][0]["limit"]),
        (&"3".into(), &"100".into()),
        "{account}"
    );
    assert_eq!(budgets(&operators)["accounts"].as_array().unwrap().len(), 1);
    assert_eq!(budgets(&answered)["accounts"][0]["organisation"], EU_BODY.domain);
    let csv = usage(&asked, &["--format", "csv", "--lines"]);
    let ends = format!("signed,3,27,12,EUR,9,0.000009,{}", line["leaves"][0]["decision"]);
    assert!(csv.lines().nth(1).unwrap().contains(&ends), "{csv}");
}
