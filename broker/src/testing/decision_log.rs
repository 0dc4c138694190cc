//! What a decision log on disk says.

use std::path::Path;

use comity_transparency::leaf::{Kind, Leaf};
use comity_transparency::record::{Field, Record};
use comity_types::DecisionId;
use serde_json::Value;

/// A decision.
#[derive(Debug, Clone)]
pub(crate) struct Decided {
    pub(crate) id: DecisionId,
    pub(crate) considered: usize,
    pub(crate) eligible: Vec<String>,
    /// As JSON.
    pub(crate) refused: String,
}

/// An outcome.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) id: DecisionId,
    pub(crate) attempt: u32,
    pub(crate) grpc_code: i32,
    pub(crate) bytes_out: u64,
    pub(crate) cancelled: bool,
    pub(crate) input_tokens: Option<u64>,
    pub(crate) output_tokens: Option<u64>,
    /// As JSON.
    pub(crate) jurisdiction: String,
    /// As JSON.
    pub(crate) tries: String,
}

/// Everything that the log in `dir` has published, in order; aborts are left out.
pub(crate) fn read(dir: &Path) -> (Vec<Decided>, Vec<Ended>) {
    let (mut decisions, mut outcomes) = (Vec::new(), Vec::new());
    for (leaf, record) in crate::ledger::log::everything(dir) {
        let Some(record) = record else { continue };
        assert_eq!(record.commitment(), leaf.record);
        match leaf.kind {
            Kind::Decision => decisions.push(decided(&leaf, &record)),
            Kind::Outcome { .. } => outcomes.push(ended(&leaf, &record)),
            Kind::Abort { .. } => {}
        }
    }
    (decisions, outcomes)
}

fn decided(leaf: &Leaf, record: &Record) -> Decided {
    Decided {
        id: leaf.decision,
        considered: text(record, Field::CONSIDERED).parse().unwrap(),
        eligible: serde_json::from_str(&text(record, Field::ELIGIBLE)).unwrap(),
        refused: text(record, Field::REFUSED),
    }
}

fn ended(leaf: &Leaf, record: &Record) -> Ended {
    let usage: Option<Value> = serde_json::from_str(&text(record, Field::USAGE)).ok();
    let tokens = |name: &str| usage.as_ref().and_then(|usage| usage[name].as_u64());
    Ended {
        id: leaf.decision,
        attempt: text(record, Field::ATTEMPT).parse().unwrap(),
        grpc_code: text(record, Field::STATUS).parse().unwrap(),
        bytes_out: text(record, Field::BYTES_OUT).parse().unwrap(),
        cancelled: text(record, Field::CANCELLED).parse().unwrap(),
        input_tokens: tokens("input_tokens"),
        output_tokens: tokens("output_tokens"),
        jurisdiction: text(record, Field::JURISDICTION),
        tries: text(record, Field::TRIES),
    }
}

fn text(record: &Record, field: Field) -> String {
    String::from_utf8(record.get(field).unwrap_or_default().to_vec()).unwrap()
}
