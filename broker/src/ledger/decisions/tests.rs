//! What the ledger promises: records survive, stay within their fields, and are proven by receipts that say no more than
//! their reader may know.

use comity_policy::disclosure::Viewer;
use comity_runtime::clock::SystemClock;
use comity_transparency::NoteVerifier;
use comity_transparency::receipt::Verified;
use comity_types::{Digest, OfferName};
use prost::Message as _;

use super::super::receipts::Receipts;
use super::*;

const LOG: &str = "fed.example/decisions/b1";

fn decision(offers: usize) -> DecisionRecord {
    let offer: OfferName = "org-a.example/n1/chat".parse().unwrap();
    let reasons = vec!["PROCESSING_LOCATION_NOT_ALLOWED(US)".to_owned(); 64];
    DecisionRecord {
        id: DecisionId::from_bytes([7; 16]),
        at: "2026-11-23T10:00:00Z".parse().unwrap(),
        epoch: Epoch { size: 5, root: Digest::of(b"epoch") },
        caller: "spiffe://org-b.example/app/a1".parse().unwrap(),
        method: "Chat",
        model: "m".parse().unwrap(),
        envelope_sha256: Digest::of(b"envelope"),
        envelope: bytes::Bytes::from_static(b"envelope"),
        considered: offers,
        eligible: Vec::new(),
        candidates: Vec::new(),
        refused: vec![RefusedOffer { offer, reasons }; offers],
    }
}

fn eligible(offers: usize) -> DecisionRecord {
    let offer = |number| format!("org-a.example/n1/o{number}").parse::<OfferName>().unwrap();
    let candidate = |number| CandidateRecord {
        offer: offer(number),
        offer_sha256: Digest::of(b"o"),
        expires_at: 9,
        reserved: None,
    };
    let (eligible, candidates) = ((0..offers).map(offer).collect(), (0..offers).map(candidate).collect());
    DecisionRecord { eligible, candidates, refused: Vec::new(), ..decision(offers) }
}

fn outcome() -> OutcomeRecord {
    OutcomeRecord {
        at: "2026-11-23T10:00:01Z".parse().unwrap(),
        offer: Some(OfferRecord {
            rank: 0,
            name: "org-a.example/n1/o0".parse().unwrap(),
            sha256: Digest::of(b"o"),
            jurisdiction: Some(vec!["FR".parse().unwrap()]),
            governing_law: None,
        }),
        attempt: 1,
        tries: Vec::new(),
        grpc_code: 0,
        usage: Some(UsageRecord { input_tokens: 3, output_tokens: 4 }),
        node_outcome: None,
        bytes_out: 9,
        duration_ms: 1000,
        cancelled: false,
    }
}

struct Scene {
    dir: tempfile::TempDir,
    keys: [comity_types::Secret<Vec<u8>>; 2],
}

impl Scene {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), keys: LogKey::generate(LOG).unwrap().to_pkcs8().unwrap() }
    }

    fn key(&self) -> LogKey {
        LogKey::from_pkcs8(LOG, &self.keys[0], &self.keys[1]).unwrap()
    }

    async fn open(&self) -> Ledger {
        Ledger::open(self.dir.path(), self.key(), Arc::new(SystemClock), None).await.unwrap().0
    }

    fn verify(&self, receipt: transparency::Receipt) -> Verified {
        let receipt = Receipt::try_from(receipt).unwrap();
        receipt.verify(LOG, &NoteVerifier::of(&self.key().verifiers()[0])).unwrap()
    }
}

#[tokio::test]
async fn a_receipt_proves_the_decision_and_its_outcome_in_one_tree() {
    let scene = Scene::new();
    let ledger = scene.open().await;
    let committed = ledger.commit(eligible(20)).await.unwrap();
    // Others come in between.
    for _ in 0..300 {
        ledger.commit(decision(1)).await.unwrap();
    }
    let settled = ledger.settle(&committed, outcome()).await.unwrap();
    let verified = scene.verify(settled.receipt());
    assert_eq!((verified.decision().index(), verified.outcome().unwrap().index()), (0, 301));
    assert!(settled.receipt().encoded_len() < 3 * 1024, "trailers hold it, with a status beside it");
    assert_eq!(verified.text(Field::CALLER), Some("spiffe://org-b.example/app/a1"));
    assert_eq!(verified.text(Field::JURISDICTION), Some(r#"["FR"]"#));
    assert_eq!(verified.text(Field::USAGE), Some(r#"{"input_tokens":3,"output_tokens":4}"#));
    assert_eq!(verified.decision().leaf().engine, ENGINE_VERSION);
    // Long, or not the caller's to know.
    assert!(NOT_IN_TRAILERS.into_iter().all(|field| verified.get(field).is_none()));
    let candidates: Vec<_> =
        (0..CANDIDATES).map(|rank| verified.get(Field::candidate(rank).unwrap()).is_some()).collect();
    assert_eq!(candidates, [true, false, false, false, false, false, false, false]);
}

/// The program that relaying alone is measured by must not pass for a broker.
#[tokio::test]
async fn a_ledger_that_keeps_nothing_gives_out_nothing_that_proves_anything() {
    let scene = Scene::new();
    let ledger = scene.open().await.keeping_nothing();
    let committed = ledger.commit(eligible(2)).await.unwrap();
    let settled = ledger.settle(&committed, outcome()).await.unwrap();
    assert_eq!(committed.permit(0, 1).unwrap().checkpoint, "");
    let verifier = NoteVerifier::of(&scene.key().verifiers()[0]);
    for receipt in [committed.receipt(), settled.receipt()] {
        assert!(Receipt::try_from(receipt).unwrap().verify(LOG, &verifier).is_err());
    }
}

#[tokio::test]
async fn a_refusal_is_proven_alone_and_tells_no_others_rules() {
    let scene = Scene::new();
    let committed = scene.open().await.commit(decision(1)).await.unwrap();
    let verified = scene.verify(committed.receipt());
    assert_eq!((verified.outcome(), verified.get(Field::REFUSED)), (None, None));
    assert_eq!(verified.text(Field::CONSIDERED), Some("1"));
    assert!(committed.permit(0, 1).is_some_and(|permit| permit.decision.unwrap().record[8].value.is_empty()));
}

#[tokio::test]
async fn a_permit_shows_one_offer_and_there_is_none_beyond_those_with_a_place() {
    let committed = Scene::new().open().await.commit(eligible(20)).await.unwrap();
    let shown = |rank| {
        let record = committed.permit(rank, 1)?.decision.unwrap().record;
        Some((0..16).filter(|place| !record[*place].value.is_empty()).collect::<Vec<_>>())
    };
    assert_eq!((shown(0), shown(7), shown(8)), (Some(vec![0, 1, 3, 8]), Some(vec![0, 1, 3, 15]), None));
}

#[tokio::test]
async fn a_refusal_by_ten_thousand_offers_fits_and_still_says_how_many_there_were() {
    let scene = Scene::new();
    let committed = scene.open().await.commit(decision(10_000)).await.unwrap();
    assert_eq!(scene.verify(committed.receipt()).text(Field::CONSIDERED), Some("10000"));
}

#[tokio::test]
async fn what_was_not_settled_is_closed_by_the_next_start_once() {
    let scene = Scene::new();
    let ledger = scene.open().await;
    let settled = ledger.commit(eligible(1)).await.unwrap();
    ledger.settle(&settled, outcome()).await.unwrap();
    ledger.commit(eligible(1)).await.unwrap();
    ledger.commit(decision(1)).await.unwrap();
    drop(ledger);
    for _ in 0..2 {
        drop(scene.open().await);
    }
    let kinds = |leaf: &Leaf| leaf.kind;
    let all: Vec<_> = super::super::log::everything(scene.dir.path()).iter().map(|(leaf, _)| kinds(leaf)).collect();
    let outcome = Kind::Outcome { decision: 0 };
    let abort = Kind::Abort { decision: 2 };
    assert_eq!(all, [Kind::Decision, outcome, Kind::Decision, Kind::Decision, abort]);
}

#[tokio::test]
async fn an_outcome_is_no_older_than_its_decision_though_the_clock_is_set_back() {
    let scene = Scene::new();
    let ledger = scene.open().await;
    let ended = |at: &str| OutcomeRecord { at: at.parse().unwrap(), ..outcome() };
    for (at, said) in
        [("2026-11-23T09:00:00Z", "2026-11-23T10:00:00Z"), ("2026-11-23T10:00:01Z", "2026-11-23T10:00:01Z")]
    {
        let committed = ledger.commit(eligible(1)).await.unwrap();
        let verified = scene.verify(ledger.settle(&committed, ended(at)).await.unwrap().receipt());
        assert_eq!(verified.outcome().unwrap().leaf().at, said.parse().unwrap());
    }
    // What the next start closes was decided on a clock that was ahead.
    let ahead = Timestamp::from_millis(4_000_000_000_000).unwrap();
    ledger.commit(DecisionRecord { at: ahead, ..eligible(1) }).await.unwrap();
    drop(ledger);
    drop(scene.open().await);
    let last = super::super::log::everything(scene.dir.path()).last().map(|(leaf, _)| leaf.at);
    assert_eq!(last, Some(ahead));
}

/// The files in which records are.
fn record_files(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { record_files(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn a_record_that_is_damaged_or_missing_is_told_from_one_that_was_erased_and_its_leaf_is_proven_still() {
    let scene = Scene::new();
    let ledger = scene.open().await;
    let committed = ledger.commit(eligible(1)).await.unwrap();
    ledger.settle(&committed, outcome()).await.unwrap();
    ledger.log().flush().await.unwrap();
    let receipts = Receipts::new(ledger.log().reader());
    let shown = || receipts.of(committed.id(), Viewer::Governor).unwrap();
    assert_eq!((shown().damaged, shown().receipt.decision.record.is_some()), (vec![], true));
    let [file] = <[_; 1]>::try_from(record_files(&scene.dir.path().join("records"))).unwrap();
    let whole = std::fs::read(&file).unwrap();
    let flipped = |place: usize| {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        shown()
    };
    // The first record's kind, a byte of what it says, and the length before it.
    let value = whole.windows(13).position(|window| window == b"org-b.example").unwrap();
    for (place, damaged) in [(4, vec![0]), (value, vec![0]), (0, vec![0, 1])] {
        let shown = flipped(place);
        assert_eq!(shown.damaged, damaged, "byte {place}");
        let verified = scene.verify(wire_receipt(&shown.receipt));
        assert!(verified.decision().is_without_record() && verified.outcome().is_some());
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(shown().damaged, [0, 1]);
    std::fs::write(&file, &whole).unwrap();
    ledger.log().erase(vec![0, 1]).await.unwrap();
    assert_eq!((shown().damaged, shown().receipt.decision.record), (vec![], None));
}
