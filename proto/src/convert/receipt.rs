//! Receipts, and the leaves in them.

use bytes::Bytes;
use comity_transparency::proof::MAX_PROOF_HASHES;
use comity_transparency::receipt::{Proven, Receipt};
use comity_transparency::record::{Disclosure, FIELDS, MAX_VALUE_BYTES, Place, RecordKind, SALT_BYTES};
use comity_types::Digest;

use super::WireError;
use crate::transparency as wire;

/// Longest checkpoint, in bytes: with the cosignatures of many witnesses.
const MAX_CHECKPOINT_BYTES: usize = comity_transparency::note::MAX_NOTE_BYTES;
/// Longest leaf, in bytes.
const MAX_LEAF_BYTES: usize = comity_transparency::leaf::OUTCOME_BYTES;

/// A receipt on its way.
#[must_use]
pub fn wire_receipt(receipt: &Receipt) -> wire::Receipt {
    wire::Receipt {
        checkpoint: receipt.checkpoint.clone(),
        decision: Some(wire_proven(&receipt.decision)),
        outcome: receipt.outcome.as_ref().map(wire_proven),
    }
}

/// A leaf with its proof on its way.
#[must_use]
pub fn wire_proven(proven: &Proven) -> wire::Proven {
    let place = |place: &Place| match place {
        Place::Absent => wire::Place::default(),
        Place::Hidden(hash) => wire::Place { hidden: bytes(hash.as_bytes()), ..wire::Place::default() },
        Place::Shown { salt, value } => wire::Place { hidden: Bytes::new(), salt: bytes(salt), value: bytes(value) },
    };
    wire::Proven {
        index: proven.index,
        leaf: bytes(&proven.leaf),
        path: proven.path.iter().flat_map(|hash| *hash.as_bytes()).collect(),
        record: proven.record.iter().flat_map(Disclosure::places).map(place).collect(),
    }
}

impl TryFrom<wire::Receipt> for Receipt {
    type Error = WireError;

    fn try_from(wire: wire::Receipt) -> Result<Self, WireError> {
        if wire.checkpoint.len() > MAX_CHECKPOINT_BYTES {
            return Err(WireError::new("checkpoint", format!("at most {MAX_CHECKPOINT_BYTES} bytes are allowed")));
        }
        let decision = wire.decision.ok_or_else(|| WireError::new("decision", "is missing"))?;
        let outcome = wire.outcome.map(|outcome| proven(&outcome, RecordKind::Outcome, "outcome"));
        let decision = proven(&decision, RecordKind::Decision, "decision")?;
        Ok(Self { checkpoint: wire.checkpoint, decision, outcome: outcome.transpose()? })
    }
}

/// Reads a leaf with its proof; what is shown of it is of a record of this kind.
///
/// # Errors
/// Not the form, in the field that is named.
pub fn proven(wire: &wire::Proven, kind: RecordKind, field: &str) -> Result<Proven, WireError> {
    let wrong = |name: &str, problem: String| WireError::new(format!("{field}.{name}"), problem);
    if wire.leaf.len() > MAX_LEAF_BYTES {
        return Err(wrong("leaf", format!("at most {MAX_LEAF_BYTES} bytes are allowed")));
    }
    let (path, rest) = wire.path.as_chunks::<32>();
    if !rest.is_empty() || path.len() > MAX_PROOF_HASHES {
        return Err(wrong("path", format!("at most {MAX_PROOF_HASHES} hashes of 32 bytes are allowed")));
    }
    let path = path.iter().map(|hash| Digest::from_bytes(*hash)).collect();
    let record = match wire.record.len() {
        0 => None,
        FIELDS => Some(disclosure(&wire.record, kind).map_err(|problem| wrong("record", problem.into()))?),
        found => return Err(wrong("record", format!("{found} places where {FIELDS} are expected"))),
    };
    Ok(Proven { index: wire.index, leaf: wire.leaf.to_vec(), path, record })
}

fn disclosure(places: &[wire::Place], kind: RecordKind) -> Result<Disclosure, &'static str> {
    let hash = |bytes: &Bytes| <[u8; 32]>::try_from(bytes.as_ref()).ok().map(Digest::from_bytes);
    let mut read = [const { Place::Absent }; FIELDS];
    for (place, wire) in read.iter_mut().zip(places) {
        *place = match (wire.hidden.is_empty(), wire.salt.is_empty()) {
            (true, true) if wire.value.is_empty() => Place::Absent,
            (false, true) if wire.value.is_empty() => {
                Place::Hidden(hash(&wire.hidden).ok_or("a hidden place is a hash of 32 bytes")?)
            }
            (true, false) if wire.value.len() <= MAX_VALUE_BYTES => {
                let salt = <[u8; SALT_BYTES]>::try_from(wire.salt.as_ref()).map_err(|_| "a salt has 32 bytes")?;
                Place::Shown { salt, value: wire.value.to_vec() }
            }
            _ => return Err("a place is empty, or hidden, or a salt with a value of at most 49152 bytes"),
        };
    }
    Ok(Disclosure::new(kind, read))
}

fn bytes(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

#[cfg(test)]
mod tests {
    use comity_transparency::record::{Field, Record};

    use super::*;

    fn receipt() -> Receipt {
        let record = Record::new(RecordKind::Decision, [7; SALT_BYTES]);
        let record = record.with(Field::CALLER, "a").unwrap().with(Field::MODEL, "").unwrap();
        let decision = Proven {
            index: 5,
            leaf: vec![1; 116],
            path: vec![Digest::of(b"x"); 3],
            record: Some(record.disclose(|field| field != Field::CALLER)),
        };
        let outcome = Proven { record: None, ..decision.clone() };
        Receipt { checkpoint: "c".into(), decision, outcome: Some(outcome) }
    }

    #[test]
    fn a_receipt_survives_the_wire() {
        assert_eq!(Receipt::try_from(wire_receipt(&receipt())), Ok(receipt()));
    }

    #[test]
    fn what_is_no_receipt_is_refused_by_its_field() {
        let refused = |change: fn(&mut wire::Receipt)| {
            let mut wire = wire_receipt(&receipt());
            change(&mut wire);
            Receipt::try_from(wire).unwrap_err().path
        };
        let long = |wire: &mut wire::Receipt| wire.checkpoint = "x".repeat(MAX_CHECKPOINT_BYTES + 1);
        assert_eq!(refused(long), "checkpoint");
        assert_eq!(refused(|wire| wire.decision = None), "decision");
        let change = |wire: &mut wire::Receipt| wire.decision.as_mut().unwrap().leaf = vec![0; 125].into();
        assert_eq!(refused(change), "decision.leaf");
        let change = |wire: &mut wire::Receipt| wire.decision.as_mut().unwrap().path = vec![0; 95].into();
        assert_eq!(refused(change), "decision.path");
        let change = |wire: &mut wire::Receipt| wire.outcome.as_mut().unwrap().path = vec![0; 64 * 32].into();
        assert_eq!(refused(change), "outcome.path");
        let change = |wire: &mut wire::Receipt| drop(wire.decision.as_mut().unwrap().record.pop());
        assert_eq!(refused(change), "decision.record");
        let change = |wire: &mut wire::Receipt| wire.decision.as_mut().unwrap().record[9].value = vec![0].into();
        assert_eq!(refused(change), "decision.record");
        let change = |wire: &mut wire::Receipt| wire.decision.as_mut().unwrap().record[9].hidden = vec![0].into();
        assert_eq!(refused(change), "decision.record");
        let change = |wire: &mut wire::Receipt| wire.decision.as_mut().unwrap().record[9].salt = vec![0].into();
        assert_eq!(refused(change), "decision.record");
    }
}
