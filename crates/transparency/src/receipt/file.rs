//! A receipt as a file: a proof verbatim (c2sp.org/tlog-proof) of the outcome's leaf, or of the decision's where there is no
//! outcome, so that every reader of such proofs verifies it. What else belongs to it stands in `extra`, as JSON:
//! ```text
//! { "leaf": base64,                      the leaf that the proof is of
//!   "record": [ 16 places ],             what is shown of its record: null, {"hash": base64} or {"salt": base64, "value": base64}
//!   "decision": { "index": 7, "path": [base64…], "leaf": base64, "record": […] } }      beside an outcome
//! ```
//! `extra` proves nothing by itself: [`Receipt::verify`] holds it against the leaf, and the leaf against the log.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_types::Digest;
use serde::{Deserialize, Serialize};

use super::{Proven, Receipt};
use crate::checkpoint::{CheckpointError, CheckpointNote};
use crate::leaf::{Kind, Leaf};
use crate::record::{Disclosure, FIELDS, Place, RecordKind};
use crate::tlog_proof::{TlogProof, TlogProofError};

/// Why a text is no receipt, or a receipt has no text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// Not a proof of a log.
    #[error(transparent)]
    Proof(#[from] TlogProofError),
    /// The checkpoint is none.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// What stands beside the proof cannot be read.
    #[error("its extra line is not that of a receipt")]
    Extra(#[source] serde_json::Error),
    /// There is nothing beside the proof.
    #[error("its extra line is missing: it proves a leaf, and does not say which")]
    NoExtra,
    /// A field beside the proof is not what it should be.
    #[error("{0} of its extra line is not what it should be")]
    Field(&'static str),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Extra {
    leaf: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    record: Option<Vec<Option<Shown>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decision: Option<Beside>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Beside {
    index: u64,
    path: Vec<String>,
    leaf: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    record: Option<Vec<Option<Shown>>>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Shown {
    Hidden { hash: String },
    Value { salt: String, value: String },
}

impl Receipt {
    /// Its file.
    ///
    /// # Errors
    /// Its checkpoint is none, or it is too long.
    pub fn to_file(&self) -> Result<String, FileError> {
        let proven = self.outcome.as_ref().unwrap_or(&self.decision);
        let beside = self.outcome.as_ref().map(|_| Beside {
            index: self.decision.index,
            path: self.decision.path.iter().map(|hash| STANDARD.encode(hash.as_bytes())).collect(),
            leaf: STANDARD.encode(&self.decision.leaf),
            record: self.decision.record.as_ref().map(shown),
        });
        let extra =
            Extra { leaf: STANDARD.encode(&proven.leaf), record: proven.record.as_ref().map(shown), decision: beside };
        let extra = serde_json::to_vec(&extra).map_err(FileError::Extra)?;
        let checkpoint = CheckpointNote::parse(&self.checkpoint)?;
        Ok(TlogProof::new(Some(extra), proven.index, proven.path.clone(), checkpoint)?.to_string())
    }

    /// Reads a file. Nothing of it is verified yet.
    ///
    /// # Errors
    /// It is none.
    pub fn from_file(text: &str) -> Result<Self, FileError> {
        let proof: TlogProof = text.parse()?;
        let extra = proof.extra().ok_or(FileError::NoExtra)?;
        let Extra { leaf, record, decision } = serde_json::from_slice(extra).map_err(FileError::Extra)?;
        let of_proof = proven(proof.index(), proof.path().to_vec(), &leaf, record)?;
        let checkpoint = proof.checkpoint().to_string();
        let Some(Beside { index, path, leaf, record }) = decision else {
            return Ok(Self { checkpoint, decision: of_proof, outcome: None });
        };
        let path = path.iter().map(|hash| digest(hash).ok_or(FileError::Field("path")));
        let decision = proven(index, path.collect::<Result<_, _>>()?, &leaf, record)?;
        Ok(Self { checkpoint, decision, outcome: Some(of_proof) })
    }
}

fn shown(disclosure: &Disclosure) -> Vec<Option<Shown>> {
    let one = |place: &Place| match place {
        Place::Absent => None,
        Place::Hidden(hash) => Some(Shown::Hidden { hash: STANDARD.encode(hash.as_bytes()) }),
        Place::Shown { salt, value } => {
            Some(Shown::Value { salt: STANDARD.encode(salt), value: STANDARD.encode(value) })
        }
    };
    disclosure.places().iter().map(one).collect()
}

fn proven(index: u64, path: Vec<Digest>, leaf: &str, record: Option<Vec<Option<Shown>>>) -> Result<Proven, FileError> {
    let leaf = STANDARD.decode(leaf).map_err(|_| FileError::Field("leaf"))?;
    // A leaf that cannot be read is refused when the receipt is verified.
    let kind = match Leaf::from_bytes(&leaf).map(|leaf| leaf.kind) {
        Ok(Kind::Outcome { .. } | Kind::Abort { .. }) => RecordKind::Outcome,
        Ok(Kind::Decision) | Err(_) => RecordKind::Decision,
    };
    let record = record.map(|places| disclosure(kind, &places).ok_or(FileError::Field("record"))).transpose()?;
    Ok(Proven { index, leaf, path, record })
}

fn disclosure(kind: RecordKind, places: &[Option<Shown>]) -> Option<Disclosure> {
    let mut read = [const { Place::Absent }; FIELDS];
    if places.len() != FIELDS {
        return None;
    }
    for (place, shown) in read.iter_mut().zip(places) {
        *place = match shown {
            None => Place::Absent,
            Some(Shown::Hidden { hash }) => Place::Hidden(digest(hash)?),
            Some(Shown::Value { salt, value }) => {
                let salt = STANDARD.decode(salt).ok()?.try_into().ok()?;
                Place::Shown { salt, value: STANDARD.decode(value).ok()? }
            }
        };
    }
    Some(Disclosure::new(kind, read))
}

fn digest(text: &str) -> Option<Digest> {
    Some(Digest::from_bytes(STANDARD.decode(text).ok()?.try_into().ok()?))
}
