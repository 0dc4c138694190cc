//! Two different statements at one position (a scope and a version in it): who sees them stops, or, where a member brings the
//! second, refuses it; and whoever has the root document is shown who signed both.

use std::path::Path;
use std::process::Output;

use comity_client::Identity;
use comity_client::connection::Connection;
use comity_client::say;
use comity_identity::Root;
use comity_identity::store::read_key;
use comity_membership::equivocation::{Evidence, Shown};
use comity_membership::{Body, By, Entry, Payload, Statement, log, sign};
use comity_runtime::clock::SystemClock;
use comity_runtime::genesis;
use comity_tests::clients::comity;
use comity_tests::federation::{EU_BODY, FEDERATION, Federation};
use comity_tests::program::{run, said};
use comity_tests::wait;
use comity_transparency::{Checkpoint, Envelope, NoteKey, Signer, Tree};
use comity_types::{Clock as _, Secret};
use serde_json::Value;

fn verify(file: &Path, root: &Path) -> Output {
    run(comity().args(["log", "verify"]).arg(file).arg("--root").arg(root).args(["-o", "json"]))
}

/// Another statement at the position of this one, signed by the same key.
fn second(first: &Envelope, statement: Statement, key: &dyn Signer) -> Envelope {
    let payload = Payload { at: SystemClock.now(), statement, ..Payload::peek(first).unwrap() };
    sign(&payload, &[key]).unwrap()
}

fn signed(entry: &str) -> Envelope {
    let Body::Signed(envelope) = Entry::from_json(entry.as_bytes()).unwrap().body else { panic!("nobody signed it") };
    envelope
}

#[test]
fn a_log_with_a_second_statement_at_one_position_is_not_believed_and_says_by_digest_and_name_who_signed_both() {
    let federation = Federation::start();
    let _app = federation.app(EU_BODY, "assistant");
    let _said = federation.govern(&["suspend", EU_BODY.domain, "--reason", "a test"]);
    let _said = federation.govern(&["lift", EU_BODY.domain]);
    let operator = federation.operator().identity;
    let (root, file) = (operator.join("root.json"), federation.folder().join("changed.log"));
    let _exported = federation.govern(&["log", "export", file.to_str().unwrap()]);
    let log = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    let suspended = lines.iter().find(|line| signed_kind(line) == "suspended").unwrap();
    let (first, key) = (signed(suspended), read_key(&operator.join("key.pem")).unwrap());
    let evicted = Statement::Evicted { organisation: EU_BODY.domain.parse().unwrap(), reason: "instead".into() };
    let other = second(&first, evicted, &key);
    // As a broker that lies would show it: one more entry, and the last.
    let last = Entry::from_json(lines.last().unwrap().as_bytes()).unwrap();
    let entry = Entry { epoch: last.epoch + 1, at: last.at, body: Body::Signed(other.clone()) }.to_json().unwrap();
    std::fs::write(&file, format!("{log}{}\n", String::from_utf8(entry).unwrap())).unwrap();
    let refused = verify(&file, &root);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    let id = format!("spiffe://{FEDERATION}/operator/alice");
    for part in
        ["equivocation: two statements", &first.payload_digest().to_string(), &other.payload_digest().to_string(), &id]
    {
        assert!(said(&refused).contains(part), "{part}: {}", said(&refused));
    }
    // What a node or an operator keeps of it is checked by anybody who has the root document.
    let evidence = Evidence::new(lines.iter().map(|line| (*line).to_owned()).collect(), other);
    std::fs::write(&file, serde_json::to_vec(&evidence).unwrap()).unwrap();
    let proven: Value = serde_json::from_slice(&verify(&file, &root).stdout).unwrap();
    assert_eq!(proven["verified"], "equivocation", "{proven}");
    assert_eq!(proven["first"]["signers"][0]["who"], id, "{proven}");
    assert_eq!(proven["second"]["signers"], proven["first"]["signers"], "{proven}");
    assert!(proven["brokerSigned"].is_null(), "nothing of the broker's is in it: {proven}");
    a_stranger_convicts_the_broker(&federation, (&evidence, lines.as_slice()), &root);
    // And proves nothing where its second statement was signed by somebody who has no say.
    let evicted = Statement::Evicted { organisation: EU_BODY.domain.parse().unwrap(), reason: "instead".into() };
    let forged = second(&first, evicted, &comity_identity::KeyPair::generate().unwrap());
    std::fs::write(&file, serde_json::to_vec(&Evidence::new(evidence.entries, forged)).unwrap()).unwrap();
    let refused = verify(&file, &root);
    assert!(!refused.status.success() && said(&refused).contains("not signed by those"), "{}", said(&refused));
}

/// With the broker's own key, which it could use so: it signs the log as it was, and then one that has the second statement.
fn a_stranger_convicts_the_broker(federation: &Federation, (evidence, lines): (&Evidence, &[&str]), root: &Path) {
    let document = std::fs::read(root).unwrap();
    let pinned = Root::from_json(&document).unwrap();
    let genesis = genesis::genesis(&pinned, Root::digest(&document));
    let der = Secret::new(std::fs::read(federation.folder().join("broker/data/log.key")).unwrap());
    let key = NoteKey::from_pkcs8(log::origin(&pinned.federation), &der).unwrap();
    let (entries, last) =
        (evidence.check(&genesis).unwrap().epoch, Entry::from_json(lines.last().unwrap().as_bytes()).unwrap());
    let second = Entry { epoch: last.epoch + 1, at: last.at, body: Body::Signed(evidence.second.clone()) };
    let second = String::from_utf8(second.to_json().unwrap()).unwrap();
    let (until_first, between) = lines.split_at(usize::try_from(entries).unwrap());
    let signed = |lines: &[&str]| {
        let mut tree = Tree::default();
        lines.iter().for_each(|line| tree.push(line.as_bytes()));
        Checkpoint::of(key.name(), &tree).sign(&key).unwrap()
    };
    let (before, after) = (signed(lines), signed(&[lines, &[second.as_str()]].concat()));
    let entries = between.iter().copied().chain([second.as_str()]).map(str::to_owned).collect();
    let bare = Evidence::new(until_first.iter().map(|line| (*line).to_owned()).collect(), evidence.second.clone());
    let shown = Shown { entries, before: Some(before), after };
    let whole = serde_json::to_vec(&bare.with(shown, &genesis, &genesis::log_verifier(&pinned))).unwrap();
    // All that a stranger has: the root document, and the file.
    let elsewhere = tempfile::tempdir().unwrap();
    let [file, copy] = ["equivocation.json", "root.json"].map(|name| elsewhere.path().join(name));
    std::fs::write(&file, &whole).unwrap();
    std::fs::write(&copy, &document).unwrap();
    let proven: Value = serde_json::from_slice(&verify(&file, &copy).stdout).unwrap();
    let size = lines.len() as u64;
    assert_eq!(
        (&proven["brokerSigned"]["before"]["size"], &proven["brokerSigned"]["after"]["size"]),
        (&size.into(), &(size + 1).into()),
        "{proven}"
    );
    let said_to_people = said(&run(comity().args(["log", "verify"]).arg(&file).arg("--root").arg(&copy)));
    for part in ["convicted of signing both", "operator/alice", "the log's key signed a log of"] {
        assert!(said_to_people.contains(part), "{part}: {said_to_people}");
    }
    // A checkpoint of something else is no proof of it, and the file is not believed.
    let mut changed: Value = serde_json::from_slice(&whole).unwrap();
    changed["shown"]["after"] = changed["shown"]["before"].clone();
    std::fs::write(&file, changed.to_string()).unwrap();
    let refused = verify(&file, &copy);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("not of the entries in it"), "{}", said(&refused));
}

fn signed_kind(line: &str) -> &'static str {
    let payload = Entry::from_json(line.as_bytes()).unwrap().payload().unwrap();
    payload.map_or("none", |payload| payload.statement.kind())
}

#[test]
fn a_member_that_signs_two_statements_at_one_position_is_refused_and_told_of_and_stops_nobody() {
    let mut federation = Federation::start();
    federation.expect_log("a second statement was signed at a position that is taken");
    let app = federation.app(EU_BODY, "assistant");
    let identity = Identity::open(&app.identity).unwrap();
    let key = identity.dir().organisation_key().unwrap().unwrap();
    let suspended = |reason: &str| Statement::Suspended {
        subject: format!("spiffe://{}/app/other", EU_BODY.domain).parse().unwrap(),
        reason: reason.into(),
        by: By::Organisation,
    };
    let _invited = federation.app(EU_BODY, "other");
    let _said =
        federation.say_as(&app.identity, &["suspend", "spiffe://eu-body.example/app/other", "--reason", "a test"]);
    let file = federation.folder().join("exported.log");
    let _exported = federation.govern(&["log", "export", file.to_str().unwrap()]);
    let log = std::fs::read_to_string(&file).unwrap();
    let first = signed(log.lines().find(|line| signed_kind(line) == "suspended").unwrap());
    let other = second(&first, suspended("another reason"), &key);
    let submit = async {
        let connection = Connection::open(&identity).unwrap();
        say::submit(&connection, &other).await
    };
    let refused = tokio::runtime::Runtime::new().unwrap().block_on(submit).unwrap_err();
    let say::SayError::Call(status) = refused else { panic!("{refused:?}") };
    assert!(
        format!("{status:?}").contains("EQUIVOCATION") || status.message().contains("another statement stands"),
        "{status}"
    );
    // The broker keeps what proves it, and goes on.
    let folder = federation.folder().join("broker/data/equivocations");
    let kept = wait::until("the evidence is kept", || {
        let found = std::fs::read_dir(&folder).ok()?.next()?.ok()?.path().join("equivocation.json");
        found.exists().then_some(found)
    });
    let proven: Value = serde_json::from_slice(&verify(&kept, &app.identity.join("root.json")).stdout).unwrap();
    assert_eq!(proven["verified"], "equivocation", "{proven}");
    assert_eq!(proven["signedBoth"].as_array().map(Vec::len), Some(1), "{proven}");
    let _said = federation.say_as(&app.identity, &["lift", "spiffe://eu-body.example/app/other"]);
    assert!(federation.govern(&["log", "verify"]).contains("epoch"));
}
