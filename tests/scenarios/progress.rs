//! P6, for people: a long verification says how far it is, to whoever sits at a terminal and to nobody else.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use comity_client::founding::{FoundingPlan, found};
use comity_client::say::{Draft, Said, SayError, next_version, submit};
use comity_client::{Connection, Identity};
use comity_membership::{By, Statement};
use comity_proto::inference::inference_client::InferenceClient;
use comity_proto::inference::{ChatRequest, Envelope};
use comity_runtime::clock::SystemClock;
use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::{Caller, comity};
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation};
use comity_tests::node::NodeSpec;
use comity_tests::program::{run, said};
use comity_tests::terminal::run_on_a_terminal;
use comity_tests::wait;
use comity_transparency::leaf::{Epoch, Kind, Leaf};
use comity_transparency::tile::{Resource, Tiles, WIDTH, bundle};
use comity_transparency::{Checkpoint, LogKey, Tree};
use comity_types::{Clock as _, DecisionId, Digest, Timestamp};
use futures::{StreamExt as _, stream};
use serde_json::Value;

/// Leaves of the log: enough that it takes a while.
const LEAVES: u64 = 2_100;

/// Writes a decision log of [`LEAVES`] into a folder, as `comity log export --decisions` does, and the root document that names its
/// key beside it.
fn long_log(folder: &Path) {
    let plan = FoundingPlan {
        federation: "fed.example".parse().unwrap(),
        dir: folder.join("founded"),
        operator: "ada".parse().unwrap(),
        co_operators: vec![],
        root_threshold: 1,
        membership_threshold: 1,
        listen: "127.0.0.1:0".parse().unwrap(),
        addresses: vec!["127.0.0.1:1".to_owned()],
        places: ["DE".parse().unwrap()].into(),
    };
    let mut root = found(&plan, SystemClock.now()).unwrap().root;
    let key = LogKey::generate(&root.decision_log_origin()).unwrap();
    root.decision_log = key.verifiers().clone();
    std::fs::write(folder.join("root.json"), serde_json::to_vec(&root).unwrap()).unwrap();
    let write = |resource: Resource, bytes: &[u8]| {
        let path = folder.join("log").join(resource.to_string());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    let leaves: Vec<Vec<u8>> = (0..LEAVES).map(|number| decision(number).to_bytes()).collect();
    let (mut tree, mut tiles) = (Tree::default(), Tiles::default());
    for (index, part) in (0..).zip(leaves.chunks(usize::try_from(WIDTH).unwrap())) {
        for leaf in part {
            tree.push(leaf);
            tiles.push(comity_transparency::tree::leaf_hash(leaf));
        }
        let width = u16::try_from(part.len()).unwrap();
        write(Resource::Entries { index, width }, &bundle(part.iter().map(Vec::as_slice)).unwrap());
        tiles.ending(tree.size(), LEAVES).for_each(|(tile, bytes)| write(tile, &bytes));
    }
    let checkpoint = Checkpoint { origin: root.decision_log_origin(), size: LEAVES, root: tree.root() };
    write(Resource::Checkpoint, key.sign(&checkpoint, Some(1_796_000_000)).unwrap().as_bytes());
}

fn decision(number: u64) -> Leaf {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    Leaf {
        kind: Kind::Decision,
        at: Timestamp::from_millis(1_796_000_000_000).unwrap(),
        decision: DecisionId::from_bytes(id),
        epoch: Epoch { size: 1, root: Digest::of(b"epoch") },
        engine: 1,
        record: Digest::of(&id),
    }
}

fn verify(folder: &Path, more: &[&str]) -> Command {
    let mut command = comity();
    command.args(["log", "verify"]).arg(folder.join("log")).arg("--root").arg(folder.join("root.json")).args(more);
    command
}

/// Whether a bar of these was shown, and got on: the number before it is not always the same.
fn moves(shown: &str, of_these: &str) -> bool {
    let before: Vec<_> = shown.split(of_these).collect();
    let numbers =
        before.iter().rev().skip(1).filter_map(|text| text.rsplit(|letter: char| !letter.is_ascii_digit()).next());
    numbers.filter(|number| !number.is_empty()).collect::<BTreeSet<_>>().len() > 1
}

#[test]
fn a_long_verification_shows_on_a_terminal_how_far_it_is_and_leaves_data_and_pipes_alone() {
    let folder = tempfile::tempdir().unwrap();
    long_log(folder.path());
    let seen = run_on_a_terminal(&verify(folder.path(), &["-o", "json"]));
    assert_eq!(seen.status, 0, "{seen:?}");
    for pass in ["/2100 leaves, ", "/2100 leaves held against the tiles, "] {
        assert!(moves(&seen.shown, pass), "{pass}: {seen:?}");
    }
    let data: Value = serde_json::from_str(&seen.stdout).expect("stdout is data, and nothing else");
    assert_eq!(data["leaves"], LEAVES);
    let piped = run(&mut verify(folder.path(), &[]));
    assert!(
        piped.status.success() && said(&piped).contains("every tile is what the leaves make of it"),
        "{}",
        said(&piped)
    );
    assert!(!said(&piped).contains("/2100") && !said(&piped).contains('\u{1b}'), "{}", said(&piped));
}

/// Asks so often for what nobody may answer: each is a decision, and a leaf.
fn refused(app: &Caller, times: u64) {
    const AT_ONCE: usize = 8;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = InferenceClient::new(Connection::open(&Identity::open(&app.identity).unwrap()).unwrap().channel());
        let ask = |_| {
            let mut client = client.clone();
            async move {
                let envelope = Some(Envelope { model: "test-model".into(), ..Envelope::default() });
                let refused = client.chat(ChatRequest { envelope, payload: None }).await.unwrap_err();
                assert_eq!(refused.code(), tonic::Code::FailedPrecondition, "{refused:?}");
            }
        };
        stream::iter(0..times).map(ask).buffer_unordered(AT_ONCE).collect::<()>().await;
    });
}

#[test]
fn a_long_log_that_the_broker_shows_is_verified_and_exported_with_a_bar_on_a_terminal() {
    let backend = Backend::start(Behaviour::Answer);
    let federation = Federation::start();
    let _node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
    let app = federation.app(EU_OWNED, "assistant");
    refused(&app, LEAVES);
    let folder = federation.folder().join("exported");
    let operator = federation.operator();
    let command = |words: &[&str]| {
        let mut command = comity();
        command.arg("--identity").arg(&operator.identity).args(["-o", "json", "log"]).args(words);
        command
    };
    let verify = ["verify", "--decisions"];
    wait::until("all of it is published", || {
        let seen = run(&mut command(&verify));
        (serde_json::from_slice::<Value>(&seen.stdout).ok()?["leaves"] == LEAVES).then_some(())
    });
    for words in [&verify[..], &["export", "--decisions", folder.to_str().unwrap()]] {
        let seen = run_on_a_terminal(&command(words));
        assert!(seen.status == 0 && moves(&seen.shown, "/2100 leaves, "), "{words:?}: {seen:?}");
        let data: Value = serde_json::from_str(&seen.stdout).expect("stdout is data, and nothing else");
        assert_eq!(data["leaves"], LEAVES);
        let piped = run(&mut command(words));
        assert!(piped.status.success() && !said(&piped).contains("/2100"), "{words:?}: {}", said(&piped));
    }
}

/// Has an operator suspend somebody and lift it again, as often as it takes for so many statements.
fn stated(operator: &Caller, subject: &str, statements: u64) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let identity = Identity::open(&operator.identity).unwrap();
        let (key, federation) = (identity.dir().key().unwrap(), identity.dir().identity().unwrap().federation_root);
        // No position has the version 0: what is signed so asks which is next, and is no second word on one that is taken.
        let (connection, mut version) = (Connection::open(&identity).unwrap(), 0);
        for number in 0..statements {
            let (subject, by) = (subject.parse().unwrap(), By::Federation);
            let statement = match number % 2 {
                0 => Statement::Suspended { subject, reason: "again".into(), by },
                _ => Statement::Lifted { subject, by },
            };
            loop {
                let draft = Draft { federation, statement: statement.clone(), at: identity.clock().now() };
                match submit(&connection, &draft.sign_as(version, &[&key]).unwrap()).await {
                    Ok(Said::InForce(_)) => break version += 1,
                    Err(SayError::Call(status)) => {
                        version = next_version(&status).unwrap_or_else(|| panic!("{status:?}"));
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    });
}

#[test]
fn a_long_log_of_statements_is_verified_with_a_bar_whoever_asks_and_a_receipt_held_against_it_too() {
    let federation = Federation::start();
    let [app, other] = ["assistant", "other"].map(|name| federation.app(EU_OWNED, name));
    stated(&federation.operator(), &format!("spiffe://{}/app/other", EU_OWNED.domain), LEAVES);
    drop(other);
    let backend = Backend::start(Behaviour::Answer);
    let _node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
    let answer = federation
        .ask(&app, &["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "-o", "json", "Where?"]);
    assert!(answer.status.success(), "{}", said(&answer));
    let answer: Value = serde_json::from_slice(&answer.stdout).unwrap();
    let file = |name: &str| federation.folder().join(name).to_str().unwrap().to_owned();
    let (log, receipt, root) = (file("federation.log"), file("receipt"), app.identity.join("root.json"));
    let epochs = federation.govern_json(&["log", "export", &log])["epoch"].as_u64().unwrap();
    let _shown = federation.govern(&["receipt", "show", answer["decisionId"].as_str().unwrap(), "--save", &receipt]);
    // How many there are the broker does not say: they are counted from where there are many, which is soon the end here.
    let of = |total: u64| format!("/{total} statements, ");
    let is_shown = |shown: &str, bar: &str| if bar.contains('/') { moves(shown, bar) } else { shown.contains(bar) };
    for (words, bar) in [
        (&["log", "verify"][..], " statements, "),
        (&["log", "export", &file("again.log")], " statements, "),
        (&["log", "verify", &log], &of(epochs)),
        // The decision's epoch is the last one; the entry behind it would count too.
        (&["receipt", "verify", &receipt, "--log", &log, "--root", root.to_str().unwrap()], &of(epochs + 1)),
    ] {
        let mut command = comity();
        command.arg("--identity").arg(&federation.operator().identity).args(["-o", "json"]).args(words);
        let seen = run_on_a_terminal(&command);
        assert!(seen.status == 0 && is_shown(&seen.shown, bar), "{words:?}: {seen:?}");
        let _data: Value = serde_json::from_str(&seen.stdout).expect("stdout is data, and nothing else");
        let piped = run(&mut command);
        let talk = String::from_utf8_lossy(&piped.stderr);
        assert!(piped.status.success() && !talk.contains(" statements, "), "{words:?}: {talk}");
    }
}
