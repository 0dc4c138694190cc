//! What the ledger promises: records survive, and stay within a frame.

use super::*;

fn decision(offers: usize) -> DecisionRecord {
    let offer: OfferName = "org-a.example/n1/chat".parse().unwrap();
    let reasons = vec!["PROCESSING_LOCATION_NOT_ALLOWED(US)".to_owned(); 64];
    DecisionRecord {
        id: DecisionId::from_bytes([7; 16]),
        at: "2026-11-23T10:00:00Z".parse().unwrap(),
        caller: "spiffe://org-b.example/app/a1".parse().unwrap(),
        method: "Chat".into(),
        epoch: 5,
        engine: "0.1.0".into(),
        envelope_sha256: Digest::of(b"envelope"),
        model: "m".parse().unwrap(),
        requirements: "no_training".into(),
        considered: offers,
        rejected: offers,
        eligible: Vec::new(),
        refused: vec![RefusedOffer { offer, reasons }; offers],
    }
}

fn outcome() -> OutcomeRecord {
    OutcomeRecord {
        id: DecisionId::from_bytes([7; 16]),
        at: "2026-11-23T10:00:01Z".parse().unwrap(),
        offer: None,
        attempt: 0,
        grpc_code: 0,
        usage: Some(UsageRecord { input_tokens: 3, output_tokens: 4 }),
        bytes_out: 9,
        duration_ms: 1000,
        cancelled: false,
    }
}

#[tokio::test]
async fn what_was_committed_and_settled_is_read_back_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("decisions.journal");
    let ledger = Ledger::open(&path).unwrap();
    assert_eq!(ledger.commit(decision(1)).await.unwrap().position(), 0);
    assert_eq!(ledger.settle(outcome()).await.unwrap(), 1);
    drop(ledger);
    let (_journal, frames) = Journal::open(&path).unwrap();
    let records: Vec<Record> = frames.iter().map(|frame| serde_json::from_slice(frame).unwrap()).collect();
    assert_eq!(records, [Record::Decision(decision(1).bounded()), Record::Outcome(outcome())]);
}

#[tokio::test]
async fn a_refusal_by_ten_thousand_offers_fits_and_still_says_how_many_there_were() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&dir.path().join("decisions.journal")).unwrap();
    ledger.commit(decision(10_000)).await.unwrap();
    assert_eq!(decision(10_000).bounded().considered, 10_000);
}
