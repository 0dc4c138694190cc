//! What is committed: the record of a decision and of its outcome, as the broker makes them of a chat that three offers may
//! answer.

use std::sync::LazyLock;

use comity_broker::ledger::decisions::{
    CandidateRecord, DecisionRecord, NodeSigned, OfferRecord, OutcomeRecord, Relayed, TryRecord, UsageRecord,
};
use comity_identity::KeyPair;
use comity_proto::convert::wire_instant;
use comity_proto::metadata::OUTCOME_CONTEXT;
use comity_proto::permit::{NodeOutcome, Outcome};
use comity_runtime::clock::SystemClock;
use comity_transparency::Signer as _;
use comity_transparency::leaf::Epoch;
use comity_types::{Clock as _, DecisionId, Digest, OfferName};
use prost::Message as _;

/// Bytes of a request's envelope: a model, purposes, and some demands.
const ENVELOPE_BYTES: usize = 160;
/// How many offers may answer.
const ELIGIBLE: usize = 3;

/// A decision; `number` is its own. What it holds is made once: a broker has it from its snapshot and from the request.
pub(crate) fn decision(number: u64) -> DecisionRecord {
    static MADE: LazyLock<DecisionRecord> = LazyLock::new(made);
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    DecisionRecord { id: DecisionId::from_bytes(id), at: SystemClock.now(), ..MADE.clone() }
}

fn made() -> DecisionRecord {
    let envelope = bytes::Bytes::from(vec![b'e'; ENVELOPE_BYTES]);
    let now = SystemClock.now();
    let candidate = |offer: OfferName| CandidateRecord {
        offer_sha256: Digest::of(offer.as_str().as_bytes()),
        offer,
        expires_at: now.as_millis() + 60_000,
        reserved: None,
    };
    DecisionRecord {
        id: DecisionId::from_bytes([0; 16]),
        at: now,
        epoch: Epoch { size: 40, root: Digest::of(b"epoch") },
        caller: "spiffe://hospital.example/app/triage".parse().unwrap(),
        method: "Chat",
        model: "llama-3.1-8b-instruct".parse().unwrap(),
        envelope_sha256: Digest::of(&envelope),
        envelope,
        considered: 10,
        eligible: (0..ELIGIBLE).map(offer).collect(),
        candidates: (0..ELIGIBLE).map(offer).map(candidate).collect(),
        refused: Vec::new(),
    }
}

/// What became of it.
pub(crate) fn outcome() -> OutcomeRecord {
    static MADE: LazyLock<OutcomeRecord> = LazyLock::new(made_outcome);
    OutcomeRecord { at: SystemClock.now(), ..MADE.clone() }
}

fn made_outcome() -> OutcomeRecord {
    OutcomeRecord {
        at: SystemClock.now(),
        offer: Some(OfferRecord {
            rank: 0,
            name: offer(0),
            sha256: Digest::of(b"offer"),
            jurisdiction: Some(vec!["DE".parse().unwrap(), "FR".parse().unwrap()]),
            governing_law: Some("DE".parse().unwrap()),
        }),
        attempt: 1,
        tries: vec![TryRecord::begun(offer(0), 1)],
        grpc_code: 0,
        usage: Some(UsageRecord { input_tokens: 412, output_tokens: 180 }),
        node_outcome: Some(node_signed()),
        bytes_out: 2_211,
        duration_ms: 1_402,
        cancelled: false,
    }
}

/// What its node signs: by P-256, as nodes do.
fn node_signed() -> NodeSigned {
    let word = Word::new();
    word.verify()
}

/// A node's word on an answer, as it comes.
pub(crate) struct Word {
    key: KeyPair,
    sent: Vec<u8>,
    offer: OfferName,
}

impl Word {
    pub(crate) fn new() -> Self {
        let (key, offer) = (KeyPair::generate().unwrap(), offer(0));
        let outcome = Outcome {
            decision_id: vec![0; 16].into(),
            decision_index: 7,
            attempt: 1,
            offer: offer.to_string(),
            status: 0,
            input_tokens: Some(412),
            output_tokens: Some(180),
            ended_at: Some(wire_instant(SystemClock.now())),
            epoch: 40,
            state_age_ms: 900,
        };
        let outcome = outcome.encode_to_vec();
        let signature = key.sign(&[OUTCOME_CONTEXT, &outcome].concat()).unwrap();
        let sent = NodeOutcome { outcome: outcome.into(), signature: signature.into() }.encode_to_vec();
        Self { key, sent, offer }
    }

    /// What a broker does with it before it keeps it.
    pub(crate) fn verify(&self) -> NodeSigned {
        let now = SystemClock.now();
        let relayed = Relayed {
            decision: DecisionId::from_bytes([0; 16]),
            index: 7,
            decided_at: now,
            epochs: (40, 40),
            offer: &self.offer,
            attempt: 1,
            grpc_code: 0,
            usage: Some(UsageRecord { input_tokens: 412, output_tokens: 180 }),
            ended_at: now,
        };
        NodeSigned::verify(&self.sent, &self.key.public_key().unwrap(), &relayed).unwrap()
    }
}

fn offer(number: usize) -> OfferName {
    format!("university{number}.example/cluster/chat").parse().unwrap()
}
