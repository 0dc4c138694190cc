//! A decision log that says whatever a test wants, and receipts of it.

use comity_client::founding::{FoundingPlan, found};
use comity_identity::Root;
use comity_runtime::clock::SystemClock;
use comity_transparency::leaf::{Epoch, Kind, Leaf};
use comity_transparency::proof::{inclusion, root};
use comity_transparency::receipt::{Proven, Receipt};
use comity_transparency::record::{Field, Record, RecordKind, SALT_BYTES};
use comity_transparency::tile::Tiles;
use comity_transparency::{Checkpoint, LogKey};
use comity_types::{Clock as _, DecisionId, Digest, Timestamp};

/// The log, its key, and the root document that names it.
pub(crate) struct TestLog {
    pub(crate) root: Root,
    /// What everything is decided by.
    pub(crate) epoch: Epoch,
    /// When everything is decided.
    pub(crate) decided: Timestamp,
    key: LogKey,
    leaves: Vec<(Leaf, Record)>,
}

impl TestLog {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let plan = FoundingPlan {
            federation: "fed.example".parse().unwrap(),
            dir: dir.path().to_owned(),
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
        let epoch = Epoch { size: 3, root: Digest::of(b"epoch") };
        Self { root, epoch, decided: Self::at(), key, leaves: Vec::new() }
    }

    /// When everything is decided, where a test does not say.
    pub(crate) fn at() -> Timestamp {
        Timestamp::from_millis(1_795_000_000_000).unwrap()
    }

    /// The decision of this number; gives its leaf.
    pub(crate) fn decision(&mut self, number: u8, fields: &[(Field, &str)]) -> u64 {
        self.push(Kind::Decision, number, RecordKind::Decision, fields)
    }

    /// What became of the decision at this leaf; gives its own.
    pub(crate) fn outcome(&mut self, number: u8, decision: u64, fields: &[(Field, &str)]) -> u64 {
        self.push(Kind::Outcome { decision }, number, RecordKind::Outcome, fields)
    }

    fn push(&mut self, kind: Kind, number: u8, of: RecordKind, fields: &[(Field, &str)]) -> u64 {
        let place = u8::try_from(self.leaves.len()).unwrap();
        let record = fields
            .iter()
            .fold(Record::new(of, [place; SALT_BYTES]), |record, (field, value)| record.with(*field, *value).unwrap());
        let leaf = Leaf {
            kind,
            at: self.decided,
            decision: DecisionId::from_bytes([number; 16]),
            epoch: self.epoch,
            engine: 1,
            record: record.commitment(),
        };
        self.leaves.push((leaf, record));
        u64::from(place)
    }

    /// The leaves, in order.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = (u64, Leaf)> {
        (0..).zip(&self.leaves).map(|(index, (leaf, _))| (index, *leaf))
    }

    /// The checkpoint of it all.
    pub(crate) fn checkpoint(&self) -> Checkpoint {
        let (tiles, size) = (self.tiles(), self.leaves.len() as u64);
        Checkpoint { origin: self.key.origin().into(), size, root: root(&tiles, size).unwrap() }
    }

    fn tiles(&self) -> Tiles {
        let mut tiles = Tiles::default();
        self.leaves.iter().for_each(|(leaf, _)| tiles.push(leaf.hash()));
        tiles
    }

    /// The receipt of a decision, with everything shown.
    pub(crate) fn receipt(&self, decision: u64, outcome: Option<u64>) -> Receipt {
        self.receipt_hiding(&[], decision, outcome)
    }

    /// The same without these fields.
    pub(crate) fn receipt_hiding(&self, hidden: &[Field], decision: u64, outcome: Option<u64>) -> Receipt {
        let (tiles, checkpoint) = (self.tiles(), self.checkpoint());
        let proven = |index: u64| {
            let (leaf, record) = &self.leaves[usize::try_from(index).unwrap()];
            let path = inclusion(&tiles, index, checkpoint.size).unwrap().unwrap();
            Proven {
                index,
                leaf: leaf.to_bytes(),
                path,
                record: Some(record.disclose(|field| !hidden.contains(&field))),
            }
        };
        Receipt {
            checkpoint: self.key.sign(&checkpoint, None).unwrap(),
            decision: proven(decision),
            outcome: outcome.map(proven),
        }
    }
}
