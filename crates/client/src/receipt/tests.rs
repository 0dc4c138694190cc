//! A receipt that is contradicted proves nothing; what nothing can be held against is said not to be proven.

use comity_membership::testing::{TestFederation, read};
use comity_membership::{Body, Entry, Statement};
use comity_policy::Offer;
use comity_proto::convert::wire_receipt;
use comity_proto::metadata::{OUTCOME_CONTEXT, RECEIPT};
use comity_proto::{inference, permit};
use comity_transparency::leaf::{Epoch, Leaf};
use comity_transparency::proof::{inclusion, root};
use comity_transparency::receipt::Proven;
use comity_transparency::record::{Record, RecordKind, SALT_BYTES};
use comity_transparency::tile::Tiles;
use comity_transparency::{Checkpoint, LogKey, Signer as _};
use comity_types::{DecisionId, Digest};
use prost::Message as _;
use tonic::metadata::{MetadataMap, MetadataValue};

use super::*;
use crate::founding::found;
use crate::testing::plan;

mod forged;

const CALLER: &str = "spiffe://org-a.example/app/chat";
const NODE: &str = "spiffe://org-b.example/node/n1";
const ANOTHER: &str = "spiffe://org-a.example/app/other";
const OFFER: &str = "org-b.example/n1/chat";

/// A federation in which an app of `org-a.example` may ask a node of `org-b.example`, and the broker's decision log.
struct Scene {
    root: Root,
    key: LogKey,
    federation: TestFederation,
    log: Log,
    entries: Vec<Vec<u8>>,
    tables: Arc<Tables>,
}

/// What a broker logs of a request that was answered.
struct Logged {
    caller: String,
    method: &'static str,
    envelope: Vec<u8>,
    envelope_sha256: Digest,
    candidate: String,
    offer: String,
    offer_sha256: String,
    status: &'static str,
    usage: String,
    /// What the node says of it, if it says anything.
    said: Option<permit::Outcome>,
    /// More of the decision, and of the outcome.
    decision: Vec<(Field, String)>,
    outcome: Vec<(Field, String)>,
    /// Who signs that.
    signer: &'static str,
    epoch: Epoch,
    engine: u32,
    at: Timestamp,
    kind: Kind,
}

impl Scene {
    fn new() -> Self {
        let (dir, federation) = (tempfile::tempdir().unwrap(), TestFederation::founded(&["alice"], 1));
        let mut root = found(&plan(dir.path(), "broker.example:7443"), federation.now.unwrap()).unwrap().root;
        let key = LogKey::generate(&root.decision_log_origin()).unwrap();
        root.decision_log = key.verifiers().clone();
        let genesis = federation.genesis.clone().unwrap();
        let mut log = Log::new(genesis.clone());
        let founded = Entry { epoch: 1, at: federation.now.unwrap(), body: Body::Founded(genesis) };
        let entries = vec![founded.to_json().unwrap()];
        log.take(&entries[0]).unwrap();
        let mut scene =
            Self { root, key, federation, log, entries, tables: Arc::new(Tables::builtin().unwrap().clone()) };
        for (domain, member) in [("org-a.example", CALLER), ("org-b.example", NODE)] {
            let application = scene.federation.application(domain, member);
            scene.say(Statement::OrganisationAdmitted { application }, "alice");
        }
        scene.publish("");
        scene
    }

    fn say(&mut self, statement: Statement, signer: &str) {
        let envelope = self.federation.signed(statement, &[signer]);
        let entry = self.federation.entry(Body::Signed(envelope));
        self.federation.apply(&entry).unwrap();
        self.entries.push(entry.to_json().unwrap());
        self.log.take(self.entries.last().unwrap()).unwrap();
    }

    /// The node's offer, with more lines of TOML.
    fn publish(&mut self, more: &str) {
        let terms = "{ allowed_purposes = ['dpv:CustomerCare'], caller_rules = { served = 'everyone' } }";
        let model = "model = 'tiny'\ncapabilities = ['chat']\nlicence = 'Apache-2.0'";
        let offer = format!("id = 'chat'\nnode = '{NODE}'\n{model}\nterms = {terms}\n{more}");
        let offers = vec![toml::from_str::<Offer>(&offer).unwrap()];
        self.say(Statement::OffersPublished { node: read(NODE), address: "127.0.0.1:1".into(), offers }, NODE);
    }

    /// All that there is, and that the federation has come no further.
    fn against(&self) -> Against<'_> {
        let now = self.federation.now.unwrap();
        let state = AsOf { log: &self.log, until: Some(now) };
        Against { root: &self.root, log: Some(state), policy: None, tables: &self.tables, now }
    }

    fn without_log(&self) -> Against<'_> {
        Against { log: None, ..self.against() }
    }

    /// What an honest broker and an honest node log.
    fn logged(&self) -> Logged {
        let envelope = envelope().encode_to_vec();
        let offer = offer_digest(self.log.federation().offer(&read(OFFER)).unwrap()).to_string();
        let candidate =
            serde_json::json!({ "offer": OFFER, "offer_sha256": offer, "expires_at": 1_795_000_000_000_i64 });
        let said = permit::Outcome {
            decision_id: DecisionId::from_bytes([7; 16]).as_bytes().to_vec().into(),
            decision_index: 1,
            attempt: 1,
            offer: OFFER.into(),
            input_tokens: Some(3),
            output_tokens: Some(5),
            ..permit::Outcome::default()
        };
        Logged {
            caller: CALLER.into(),
            method: "Chat",
            envelope_sha256: Digest::of(&envelope),
            envelope,
            candidate: candidate.to_string(),
            offer: OFFER.into(),
            offer_sha256: offer,
            status: "0",
            usage: r#"{"input_tokens":3,"output_tokens":5}"#.into(),
            said: Some(said),
            decision: vec![],
            outcome: vec![],
            signer: NODE,
            epoch: Epoch { size: self.log.tree().size(), root: self.log.tree().root() },
            engine: comity_policy::ENGINE_VERSION,
            at: self.federation.now.unwrap(),
            kind: Kind::Outcome { decision: 1 },
        }
    }

    /// The receipt of what is logged, after `change`.
    fn receipt(&self, change: impl FnOnce(&mut Logged)) -> Receipt {
        let mut logged = self.logged();
        change(&mut logged);
        let decision = Record::new(RecordKind::Decision, [1; SALT_BYTES])
            .with(Field::CALLER, logged.caller.as_str())
            .and_then(|record| record.with(Field::METHOD, logged.method))
            .and_then(|record| record.with(Field::ENVELOPE, logged.envelope.as_slice()))
            .and_then(|record| record.with(Field::ENVELOPE_SHA256, logged.envelope_sha256.as_bytes()))
            .and_then(|record| match logged.candidate.as_str() {
                "" => Ok(record),
                candidate => record.with(Field::candidate(0).unwrap(), candidate),
            });
        let more = |record: Result<Record, _>, fields: &[(Field, String)]| {
            fields
                .iter()
                .fold(record, |record, (field, value)| record.and_then(|record| record.with(*field, value.as_str())))
        };
        let decision = more(decision, &logged.decision);
        let outcome = Record::new(RecordKind::Outcome, [2; SALT_BYTES])
            .with(Field::OFFER, logged.offer.as_str())
            .and_then(|record| record.with(Field::OFFER_SHA256, logged.offer_sha256.as_str()))
            .and_then(|record| record.with(Field::STATUS, logged.status))
            .and_then(|record| record.with(Field::USAGE, logged.usage.as_str()));
        let outcome = match logged.said.as_ref().map(|said| self.signed(said, logged.signer)) {
            Some(signed) => outcome.and_then(|record| record.with(Field::NODE_OUTCOME, signed)),
            None => outcome,
        };
        let outcome = more(outcome, &logged.outcome);
        let kinds = [Kind::Decision, logged.kind];
        let mut tiles = Tiles::default();
        tiles.push(Digest::of(b"another leaf"));
        let leaves = [decision.unwrap(), outcome.unwrap()].into_iter().zip(kinds).map(|(record, kind)| {
            let leaf = Leaf {
                kind,
                at: logged.at,
                decision: DecisionId::from_bytes([7; 16]),
                epoch: logged.epoch,
                engine: logged.engine,
                record: record.commitment(),
            };
            tiles.push(leaf.hash());
            (leaf.to_bytes(), record.disclose(|_| true))
        });
        let [decision, outcome] = <[_; 2]>::try_from(leaves.collect::<Vec<_>>()).unwrap();
        let proven = |index, (leaf, record)| {
            let path = inclusion(&tiles, index, 3).unwrap().unwrap();
            Proven { index, leaf, path, record: Some(record) }
        };
        let checkpoint = Checkpoint { origin: self.key.origin().into(), size: 3, root: root(&tiles, 3).unwrap() };
        Receipt {
            checkpoint: self.key.sign(&checkpoint, Some(1_795_000_000)).unwrap(),
            decision: proven(1, decision),
            outcome: Some(proven(2, outcome)),
        }
    }

    fn signed(&self, said: &permit::Outcome, signer: &str) -> Vec<u8> {
        let outcome = said.encode_to_vec();
        let signature = self.federation.keys[signer].sign(&[OUTCOME_CONTEXT, &outcome].concat()).unwrap();
        permit::NodeOutcome { outcome: outcome.into(), signature: signature.into() }.encode_to_vec()
    }

    /// What is proven of what is logged, and what not.
    fn account(&self, against: Against<'_>, change: impl FnOnce(&mut Logged)) -> (Vec<String>, Vec<String>) {
        let findings = check(&self.receipt(change), &against).unwrap().findings;
        let (proven, unproven): (Vec<_>, Vec<_>) = findings.into_iter().partition(|finding| finding.proven);
        let what = |findings: Vec<Finding>| findings.into_iter().map(|finding| finding.what).collect();
        (what(proven), what(unproven))
    }

    /// Why what is logged is not to be believed.
    fn contradiction(&self, change: impl FnOnce(&mut Logged)) -> String {
        match check(&self.receipt(change), &self.against()) {
            Err(CheckError::Contradiction(what)) => what,
            other => panic!("{other:?}"),
        }
    }

    /// The answer's trailers, held against what was asked.
    fn trailers(&self, receipt: &Receipt) -> Result<(Receipt, Verified), Unproven> {
        let mut trailers = MetadataMap::new();
        trailers.insert_bin(RECEIPT, MetadataValue::from_bytes(&wire_receipt(receipt).encode_to_vec()));
        of_trailers(&trailers, &self.root, Asked { caller: &read(CALLER), envelope: &envelope() })
    }
}

fn envelope() -> inference::Envelope {
    envelope_for("tiny")
}

fn envelope_for(model: &str) -> inference::Envelope {
    let purposes = vec!["dpv:CustomerCare".into()];
    let nonce = vec![7; 16].into();
    inference::Envelope { model: model.into(), purposes, nonce, ..inference::Envelope::default() }
}

fn another_envelope() -> Vec<u8> {
    envelope_for("large").encode_to_vec()
}

fn has(findings: &[String], what: &str) -> bool {
    findings.iter().any(|finding| finding.contains(what))
}

#[test]
fn an_answers_receipt_is_of_what_was_asked() {
    let scene = Scene::new();
    let receipt = scene.receipt(|_| {});
    let (same, verified) = scene.trailers(&receipt).unwrap();
    assert_eq!((same, verified.text(Field::OFFER)), (receipt, Some(OFFER)));
    let none = of_trailers(&MetadataMap::new(), &scene.root, Asked { caller: &read(CALLER), envelope: &envelope() });
    assert!(matches!(none, Err(Unproven::Missing)));
}

#[test]
fn a_receipt_that_is_true_of_something_else_proves_no_answer() {
    let scene = Scene::new();
    let refused = |change: fn(&mut Logged)| scene.trailers(&scene.receipt(change)).unwrap_err();
    assert!(matches!(refused(|logged| logged.caller = ANOTHER.into()), Unproven::OfAnother));
    let other_envelope: fn(&mut Logged) = |logged| logged.envelope_sha256 = Digest::of(&another_envelope());
    assert!(matches!(refused(other_envelope), Unproven::OfAnother));
    assert!(matches!(refused(|logged| logged.status = "7"), Unproven::NotAnswered));
    let refusal = Receipt { outcome: None, ..scene.receipt(|_| {}) };
    assert!(matches!(scene.trailers(&refusal), Err(Unproven::NotAnswered)));
    let without_nonce = inference::Envelope { nonce: vec![].into(), ..envelope() };
    let replayable = scene.receipt(|logged| logged.envelope_sha256 = Digest::of(&without_nonce.encode_to_vec()));
    let mut trailers = MetadataMap::new();
    trailers.insert_bin(RECEIPT, MetadataValue::from_bytes(&wire_receipt(&replayable).encode_to_vec()));
    let asked = Asked { caller: &read(CALLER), envelope: &without_nonce };
    assert!(matches!(of_trailers(&trailers, &scene.root, asked), Err(Unproven::OfAnother)), "it may be of one before");
    let narrowed = scene.receipt(|_| {}).narrowed(|field| field != Field::CALLER);
    assert!(matches!(scene.trailers(&narrowed), Err(Unproven::OfAnother)), "whose it is has to be shown");
}

#[test]
fn a_receipt_by_which_another_offer_or_operator_answered_than_was_decided_proves_no_answer() {
    let scene = Scene::new();
    let refused = |change: fn(&mut Logged)| scene.trailers(&scene.receipt(change)).unwrap_err();
    for change in [
        |logged: &mut Logged| logged.candidate.clear(),
        |logged: &mut Logged| logged.candidate = logged.candidate.replace("/chat", "/other"),
        |logged: &mut Logged| logged.candidate = logged.candidate.replace(&logged.offer_sha256, "ab12"),
        |logged: &mut Logged| logged.outcome = vec![(Field::OPERATOR, "org-a.example".into())],
    ] {
        let error = refused(change);
        assert!(matches!(error, Unproven::Contradicts(_)), "{error:?}");
    }
    for hidden in [Field::candidate(0).unwrap(), Field::OFFER, Field::OFFER_SHA256] {
        let narrowed = scene.receipt(|_| {}).narrowed(|field| field != hidden);
        let error = scene.trailers(&narrowed).unwrap_err();
        assert!(matches!(error, Unproven::NotEligible), "{}: {error:?}", hidden.name());
    }
}

#[test]
fn what_another_log_signed_or_what_is_no_receipt_proves_no_answer() {
    let scene = Scene::new();
    assert!(matches!(scene.trailers(&Scene::new().receipt(|_| {})), Err(Unproven::Refused(_))));
    let mut trailers = MetadataMap::new();
    for bytes in [&b"\xff"[..], b""] {
        trailers.insert_bin(RECEIPT, MetadataValue::from_bytes(bytes));
        let read = of_trailers(&trailers, &scene.root, Asked { caller: &read(CALLER), envelope: &envelope() });
        assert!(matches!(read, Err(Unproven::Malformed)), "{read:?}");
    }
}

#[test]
fn with_the_federations_log_everything_is_proven_but_that_others_saw_it_and_who_asked_for_what() {
    let scene = Scene::new();
    let (proven, unproven) = scene.account(scene.against(), |_| {});
    for what in ["is leaf 1 of the log", "its outcome of", "ML-DSA-44", "every signature of which holds"] {
        assert!(has(&proven, what), "{what}: {proven:#?}");
    }
    let said = "3 tokens in, 5 out, judged by a state 0 s old, signed by its key of the federation's log";
    let before = "the decision, made before anything was sent, names org-b.example/n1/chat as eligible";
    for what in [said, "answered under terms", before, "evaluated again at epoch", "took part in the federation at"] {
        assert!(has(&proven, what), "{what}: {proven:#?}");
    }
    let seen = "that others saw the same log: no policy says whose cosignatures count";
    let asked = "who asked for what, which is the broker's word to all but whoever asked: caller, method, envelope_sha256, envelope";
    assert_eq!(unproven, [seen, asked]);
}

#[test]
fn how_old_the_state_was_that_a_node_judged_by_is_told_in_whole_seconds_as_it_signed_it() {
    let scene = Scene::new();
    for (millis, told) in [(42_000, "42 s"), (42_999, "42 s"), (999, "0 s")] {
        let old = |logged: &mut Logged| logged.said.as_mut().unwrap().state_age_ms = millis;
        for against in [scene.against(), scene.without_log()] {
            let (proven, unproven) = scene.account(against, old);
            let said = format!("judged by a state {told} old");
            assert!(has(&[proven, unproven].concat(), &said), "no {said:?}");
        }
    }
}

#[test]
fn without_the_federations_log_nothing_is_said_of_terms_keys_or_eligibility_evaluated_again() {
    let scene = Scene::new();
    let (proven, unproven) = scene.account(scene.without_log(), |_| {});
    assert!(!has(&proven, "signed by its key") && !has(&proven, "under terms") && !has(&proven, "evaluated again"));
    for what in ["is the federation's", "its signature was not checked", "under which terms", "eligibility, evaluated"]
    {
        assert!(has(&unproven, what), "{what}: {unproven:#?}");
    }
}

#[test]
fn a_node_that_signed_something_else_contradicts() {
    let scene = Scene::new();
    let said = |change: fn(&mut permit::Outcome)| scene.contradiction(|logged| change(logged.said.as_mut().unwrap()));
    assert!(said(|said| said.decision_id = vec![8; 16].into()).contains("of another decision"));
    assert!(said(|said| said.decision_index = 0).contains("of another decision"));
    assert!(said(|said| said.offer = "org-b.example/n1/other".into()).contains("of another offer"));
    assert!(said(|said| said.output_tokens = Some(6)).contains("another usage"));
    assert!(said(|said| said.input_tokens = None).contains("another usage"));
    assert!(scene.contradiction(|logged| logged.signer = CALLER).contains("signature is not over"));
}

#[test]
fn what_a_record_repeats_of_the_offer_the_request_and_the_nodes_word_is_held_against_them() {
    let mut scene = Scene::new();
    scene.publish("processing_locations = ['DE', 'FR']");
    let outcome = |field, value: &str| scene.contradiction(|logged| logged.outcome = vec![(field, value.to_owned())]);
    for (field, lie, what) in [
        (Field::OPERATOR, "nobody.example", "operator"),
        (Field::JURISDICTION, r#"["CH"]"#, "jurisdiction"),
        (Field::JURISDICTION, r#"["DE"]"#, "jurisdiction"),
        (Field::JURISDICTION, "nowhere", "jurisdiction"),
        (Field::GOVERNING_LAW, "CH", "governing law"),
        (Field::STATUS, "14", "status"),
        (Field::ATTEMPT, "2", "attempt"),
    ] {
        let said = outcome(field, lie);
        assert!(said.contains(what), "{lie}: {said}");
    }
    let decision = |field, value: &str| scene.contradiction(|logged| logged.decision = vec![(field, value.to_owned())]);
    assert!(decision(Field::MODEL, "large").contains("model"));
    assert!(decision(Field::ELIGIBLE, r#"["org-z.example/n1/chat"]"#).contains("list of those"));
    assert!(decision(Field::ELIGIBLE, "all").contains("cannot be read"));
    let (proven, unproven) = scene.account(scene.against(), |logged| {
        logged.decision = vec![(Field::MODEL, "tiny".into()), (Field::ELIGIBLE, format!(r#"["{OFFER}"]"#))];
        logged.outcome = [
            (Field::OPERATOR, "org-b.example"),
            (Field::JURISDICTION, r#"["DE","FR"]"#),
            (Field::ATTEMPT, "1"),
            (Field::DURATION_MS, "5"),
        ]
        .map(|(field, value)| (field, value.to_owned()))
        .into();
    });
    assert!(has(&proven, "the jurisdiction and the governing law on record are as the offer says"), "{proven:#?}");
    assert!(has(&unproven, "its word alone: eligible, duration_ms"), "{unproven:#?}");
    let place = |logged: &mut Logged| logged.outcome = vec![(Field::JURISDICTION, r#"["CH"]"#.into())];
    let (_, unproven) = scene.account(scene.without_log(), place);
    assert!(has(&unproven, "the broker's word, for want of the federation's log"), "{unproven:#?}");
}

#[test]
fn a_policy_that_asks_for_nobody_or_is_about_another_log_proves_nothing_of_others() {
    let scene = Scene::new();
    let nobody = Policy::parse(b"quorum none\n").unwrap();
    let (proven, unproven) = scene.account(Against { policy: Some(&nobody), ..scene.against() }, |_| {});
    assert!(!has(&proven, "saw the same log"), "{proven:#?}");
    assert!(has(&unproven, "the policy asks for nobody, and nobody cosigned"), "{unproven:#?}");
    let another = format!("log {}\nquorum none\n", Scene::new().key.verifiers()[0]);
    let another = Policy::parse(another.as_bytes()).unwrap();
    let refused = check(&scene.receipt(|_| {}), &Against { policy: Some(&another), ..scene.against() });
    assert!(matches!(refused, Err(CheckError::Policy(_))), "{refused:?}");
    for own in ["fed.example/w1", "w.Fed.Example", "fed.example:9/w", "fed.example./w"] {
        let key = comity_transparency::CosigningKey::generate(own, comity_transparency::CosignatureKind::Ed25519);
        let policy = format!("witness w {}\nquorum none\n", key.unwrap().verifier());
        let policy = Policy::parse(policy.as_bytes()).unwrap();
        let refused = check(&scene.receipt(|_| {}), &Against { policy: Some(&policy), ..scene.against() });
        assert!(matches!(refused, Err(CheckError::Policy(_))), "{own}: {refused:?}");
    }
}

#[test]
fn a_node_that_signed_nothing_leaves_its_word_unproven_and_nobody_is_said_to_have_answered() {
    let scene = Scene::new();
    let (proven, unproven) = scene.account(scene.against(), |logged| logged.said = None);
    assert!(
        has(&unproven, "the node's own word") && has(&unproven, "that it was org-b.example/n1/chat"),
        "{unproven:?}"
    );
    assert!(
        has(&proven, "org-b.example/n1/chat is recorded as answering under terms that org-b.example"),
        "{proven:?}"
    );
    assert!(!has(&proven, "answered") && !has(&proven, "before anything was sent"), "{proven:#?}");
    assert!(has(&unproven, "node_outcome is shown, and the federation's log is given, besides: status, usage"));
}

#[test]
fn what_cannot_be_read_contradicts_instead_of_being_passed_over() {
    let scene = Scene::new();
    let unreadable = |change: fn(&mut Logged)| scene.contradiction(change);
    assert!(unreadable(|logged| logged.usage = "many".into()).contains("usage"));
    assert!(unreadable(|logged| logged.candidate = "{}".into()).contains("let try cannot be read"));
    let nameless: fn(&mut Logged) = |logged| (logged.offer, logged.said) = ("nobody".into(), None);
    assert!(unreadable(nameless).contains("name of the offer that answered"));
    assert!(unreadable(|logged| logged.method = "Paint").contains("method"));
    assert!(unreadable(|logged| logged.caller = "me".into()).contains("caller"));
    let envelope: fn(&mut Logged) =
        |logged| (logged.envelope, logged.envelope_sha256) = (vec![0xff], Digest::of(&[0xff]));
    assert!(unreadable(envelope).contains("envelope"));
}

#[test]
fn another_envelope_than_the_decided_one_contradicts() {
    let what = Scene::new().contradiction(|logged| logged.envelope = another_envelope());
    assert!(what.contains("the envelope is another"), "{what}");
}

#[test]
fn an_offer_that_was_not_among_the_candidates_or_was_published_otherwise_contradicts() {
    let mut scene = Scene::new();
    let candidate = |scene: &Scene| {
        let candidate = scene.logged().candidate.replace("n1/chat", "n1/other");
        scene.contradiction(|logged| logged.candidate = candidate)
    };
    assert!(candidate(&scene).contains("not among those"));
    assert!(scene.contradiction(|logged| logged.candidate.clear()).contains("not among those"));
    let before = scene.logged();
    scene.publish(
        "price = { currency = 'EUR', input_micros_per_million_tokens = 1, output_micros_per_million_tokens = 1 }",
    );
    let as_before = |logged: &mut Logged| {
        (logged.offer_sha256, logged.candidate) = (before.offer_sha256, before.candidate);
    };
    assert!(scene.contradiction(as_before).contains("in another form"));
    let unpublished = |logged: &mut Logged| {
        let other = OFFER.replace("/chat", "/other");
        logged.said.as_mut().unwrap().offer.clone_from(&other);
        logged.offer = other;
    };
    assert!(scene.contradiction(unpublished).contains("was not published"));
}

#[test]
fn an_offer_that_could_not_do_what_was_asked_contradicts() {
    let scene = Scene::new();
    let what = scene.contradiction(|logged| logged.method = "Embed");
    assert!(what.contains("evaluated again, org-b.example/n1/chat was not eligible"), "{what}");
}

#[test]
fn a_decision_of_another_epoch_or_of_another_log_of_the_federation_is_not_believed() {
    let scene = Scene::new();
    let longer = scene.receipt(|logged| logged.epoch.size += 1);
    assert!(matches!(check(&longer, &scene.against()), Err(CheckError::OtherEpoch { .. })));
    let forked = scene.contradiction(|logged| logged.epoch.root = Digest::of(b"fork"));
    assert!(forked.contains("another log of the federation"), "{forked}");
}

#[test]
fn another_version_of_the_rules_leaves_eligibility_unproven() {
    let scene = Scene::new();
    let (_, unproven) = scene.account(scene.against(), |logged| logged.engine += 1);
    assert!(has(&unproven, "version"), "{unproven:?}");
}

#[test]
fn an_erased_record_proves_its_leaf_and_nothing_that_was_in_it() {
    let scene = Scene::new();
    let mut receipt = scene.receipt(|_| {});
    receipt.decision.record = None;
    receipt.outcome.as_mut().unwrap().record = None;
    let findings = check(&receipt, &scene.against()).unwrap().findings;
    let unproven: Vec<_> =
        findings.iter().filter(|finding| !finding.proven).map(|finding| finding.what.clone()).collect();
    assert!(has(&unproven, "the record has been erased") && has(&unproven, "the node's own word"), "{unproven:?}");
    assert!(!findings.iter().any(|finding| finding.proven && finding.what.contains("eligible")));
}

#[test]
fn receipts_of_many_epochs_are_each_held_against_the_state_of_their_own() {
    let mut scene = Scene::new();
    let in_germany = |logged: &mut Logged| logged.outcome = vec![(Field::JURISDICTION, r#"["DE"]"#.to_owned())];
    scene.publish("processing_locations = ['DE']");
    let before = scene.receipt(in_germany);
    scene.publish("processing_locations = ['FR']");
    let (after, lie) = (scene.receipt(|_| {}), scene.receipt(in_germany));
    let empty = Log::new(scene.federation.genesis.clone().unwrap());
    let history = History::of(empty, scene.entries.iter().map(Vec::as_slice)).unwrap();
    let held = |receipt: &Receipt, epoch| {
        let log = history.at(epoch).unwrap();
        check(receipt, &Against { log: Some(log), ..scene.against() }).map(drop)
    };
    let now = scene.log.tree().size();
    assert_eq!((history.epochs() as u64, history.at(0).is_some(), history.at(now + 1).is_some()), (now, false, false));
    held(&before, now - 1).unwrap();
    held(&after, now).unwrap();
    assert!(matches!(held(&before, now), Err(CheckError::OtherEpoch { .. })));
    let contradiction = held(&lie, now).unwrap_err().to_string();
    assert!(contradiction.contains("the jurisdiction that the broker recorded"), "{contradiction}");
}

/// An answer's receipt, held against the state that it was decided by.
fn by_state(scene: &Scene, code: tonic::Code, change: impl FnOnce(&mut Logged)) -> Result<(), String> {
    let [plain, _] = &scene.root.decision_log;
    let receipt = scene.receipt(change);
    let verified = receipt.verify(&scene.root.decision_log_origin(), &NoteVerifier::of(plain)).unwrap();
    by_state::held(verified, &scene.log, code).map_err(|unproven| comity_runtime::chain::text(&unproven))
}

#[test]
fn whoever_has_the_federations_state_takes_no_answer_that_its_node_did_not_sign_as_the_broker_recorded_it() {
    let scene = Scene::new();
    let ok = tonic::Code::Ok;
    by_state(&scene, ok, |_| {}).unwrap();
    type Swap = fn(&mut Logged);
    let swapped: [(Swap, &str); 7] = [
        (|logged| logged.said = None, "no node signed"),
        (|logged| logged.usage = r#"{"input_tokens":3,"output_tokens":6}"#.into(), "another usage"),
        (|logged| logged.said.as_mut().unwrap().decision_index = 0, "of another decision"),
        (|logged| logged.said.as_mut().unwrap().offer = "org-b.example/n1/other".into(), "of another offer"),
        (|logged| logged.said.as_mut().unwrap().status = 14, "status"),
        (|logged| logged.signer = CALLER, "signature is not over its outcome"),
        (|logged| logged.offer_sha256 = Digest::of(b"other terms").to_string(), "in another form"),
    ];
    for (change, why) in swapped {
        let said = by_state(&scene, ok, change).unwrap_err();
        assert!(said.contains(why), "{why}: {said}");
    }
    let other_log = |logged: &mut Logged| logged.epoch.root = Digest::of(b"another log");
    assert!(by_state(&scene, ok, other_log).unwrap_err().contains("another log of the federation"));
    let stranger = |logged: &mut Logged| logged.caller = ANOTHER.into();
    assert!(by_state(&scene, ok, stranger).unwrap_err().contains("took no part"));
    // What failed may have failed before a node could sign; what it signed has to be so all the same.
    by_state(&scene, tonic::Code::Unavailable, |logged| logged.said = None).unwrap();
    let forged = |logged: &mut Logged| logged.signer = CALLER;
    assert!(by_state(&scene, tonic::Code::Unavailable, forged).is_err());
}
