//! A decision log that holds what a test wants it to hold.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use comity_proto::convert::wire_proven;
use comity_proto::permit::Permit;
use comity_transparency::leaf::{Epoch, Kind, Leaf};
use comity_transparency::proof::{inclusion, root};
use comity_transparency::receipt::Proven;
use comity_transparency::record::{Field, Record, RecordKind, SALT_BYTES};
use comity_transparency::tile::Tiles;
use comity_transparency::{Checkpoint, NoteKey, NoteVerifier, Verifier};
use comity_types::{DecisionId, Digest, Timestamp};
use comity_witness::Silent;
use tokio::sync::watch;

use crate::guard::{DecisionLog, LogHistory};

const ORIGIN: &str = "fed.example/decisions/b1";

/// What a decision says, and when.
#[derive(Debug, Clone)]
pub(crate) struct Decided {
    pub(crate) kind: Kind,
    pub(crate) id: u8,
    pub(crate) at: Timestamp,
    pub(crate) epoch: Epoch,
    pub(crate) caller: String,
    pub(crate) method: String,
    pub(crate) envelope: Digest,
    pub(crate) offer: String,
    pub(crate) offer_sha256: Digest,
    pub(crate) life: Duration,
    pub(crate) attempt: u32,
    /// What stands in the candidate besides, if anything does.
    pub(crate) besides: Option<(&'static str, serde_json::Value)>,
}

impl Decided {
    /// Some decision at this time.
    pub(crate) fn at(at: Timestamp) -> Self {
        Self {
            kind: Kind::Decision,
            id: 7,
            at,
            epoch: Epoch { size: 7, root: Digest::of(b"epoch") },
            caller: "spiffe://org-b.example/app/a1".into(),
            method: "Chat".into(),
            envelope: Digest::of(b"envelope"),
            offer: "org-a.example/n1/chat".into(),
            offer_sha256: Digest::of(b"offer"),
            life: Duration::from_secs(60),
            attempt: 1,
            besides: None,
        }
    }
}

/// A broker's log, that grows with every permit.
pub(crate) struct Permits {
    key: NoteKey,
    origin: &'static str,
    tiles: Mutex<Tiles>,
}

impl Permits {
    pub(crate) fn new() -> Self {
        Self::of_log(ORIGIN)
    }

    pub(crate) fn of_log(origin: &'static str) -> Self {
        Self { key: NoteKey::generate(origin.into()).unwrap(), origin, tiles: Mutex::default() }
    }

    /// The same log's name, with another key.
    pub(crate) fn log(&self) -> DecisionLog {
        let key = NoteVerifier::new(self.origin.into(), self.key.public().unwrap());
        DecisionLog { origin: self.origin.into(), key }
    }

    /// What a node that starts remembers of it.
    pub(crate) fn history(&self, evidence: PathBuf, silent: Option<watch::Receiver<Vec<Silent>>>) -> LogHistory {
        let key: Verifier = self.log().key.vkey().parse().unwrap();
        LogHistory::new(self.origin, &[key], evidence, silent).unwrap()
    }

    /// Forgets what is in it: what is signed from here on is another history.
    pub(crate) fn fork(&self) {
        *self.tiles.lock().unwrap() = Tiles::default();
    }

    /// The permit of a decision that is in the log, between others.
    pub(crate) fn permit(&self, decided: &Decided) -> Permit {
        let mut candidate = serde_json::json!({
            "offer": decided.offer,
            "offer_sha256": decided.offer_sha256.to_string(),
            "expires_at": decided.at.plus(decided.life).as_millis(),
        });
        if let Some((key, value)) = &decided.besides {
            candidate[*key] = value.clone();
        }
        let record = Record::new(RecordKind::Decision, [decided.id; SALT_BYTES])
            .with(Field::CALLER, decided.caller.as_str())
            .and_then(|record| record.with(Field::METHOD, decided.method.as_str()))
            .and_then(|record| record.with(Field::ENVELOPE_SHA256, decided.envelope.as_bytes()))
            .and_then(|record| record.with(Field::candidate(1).unwrap(), candidate.to_string()))
            .unwrap();
        let leaf = Leaf {
            kind: decided.kind,
            at: decided.at,
            decision: DecisionId::from_bytes([decided.id; 16]),
            epoch: decided.epoch,
            engine: 1,
            record: record.commitment(),
        };
        let mut tiles = self.tiles.lock().unwrap();
        let before = tiles.size();
        for other in 0..5 {
            tiles.push(if other == 2 { leaf.hash() } else { Digest::of(&[other]) });
        }
        let (index, size) = (before + 2, before + 5);
        let checkpoint = Checkpoint { origin: self.origin.into(), size, root: root(&*tiles, size).unwrap() };
        let decision = Proven {
            index,
            leaf: leaf.to_bytes(),
            path: inclusion(&*tiles, index, size).unwrap().unwrap(),
            record: Some(record.disclose(|_| true)),
        };
        let checkpoint = checkpoint.sign(&self.key).unwrap();
        Permit { checkpoint, decision: Some(wire_proven(&decision)), attempt: decided.attempt }
    }
}
