//! Refuses fields that this version does not know.
//!
//! A parser that skips unknown fields would drop a constraint that a newer caller
//! states, and route the request as if it had not been stated. So a request's bytes
//! are walked against the descriptors first: a field without an entry is an error
//! that names the message and the field. Every generated server does so, by [`Codec`];
//! whoever reads requests by hand calls [`decode`].

mod codec;

use std::collections::HashMap;
use std::sync::LazyLock;

use bytes::Bytes;
use prost::{Message, Name};
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorSet};
use tonic::Code;

pub use self::codec::{Codec, Requests};
use crate::DESCRIPTORS;
use crate::error::Failure;

/// Bytes that are not a message of this version of the contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StrictError {
    /// A field that this version does not have.
    #[error(
        "{message} has no field {number} in this version of the contract (hint: the caller's contract is newer; \
         leave the field out, or have the other side upgraded)"
    )]
    UnknownField {
        /// The message's full name.
        message: String,
        /// The field's number.
        number: u32,
    },
    /// Not protobuf, or cut.
    #[error("{message} is not well-formed protobuf")]
    Malformed {
        /// The message's full name.
        message: String,
    },
}

impl From<StrictError> for Failure {
    fn from(error: StrictError) -> Self {
        Self::new(Code::InvalidArgument, "INVALID_FIELD", error.to_string())
    }
}

/// Reads a request's message, all of whose fields this version knows, all the way down.
///
/// # Errors
/// Names the first field that is unknown, or says that the bytes are malformed.
pub fn decode<M: Message + Name + Default>(bytes: Bytes) -> Result<M, StrictError> {
    let message = M::full_name();
    check(&message, &bytes)?;
    M::decode(bytes).map_err(|_| StrictError::Malformed { message })
}

/// Checks the bytes of a `message` such as `comity.inference.v1.Envelope`.
fn check(message: &str, bytes: &[u8]) -> Result<(), StrictError> {
    walk(message, bytes)
}

/// What is known of each field: its wire type, and the message inside it if it holds one.
struct Field {
    kind: Type,
    message: Option<String>,
}

static FIELDS: LazyLock<HashMap<String, HashMap<u32, Field>>> = LazyLock::new(|| {
    let mut fields = HashMap::new();
    // The descriptors are compiled in; a set that does not decode leaves the map empty, and every message is refused.
    let set = FileDescriptorSet::decode(DESCRIPTORS).unwrap_or_default();
    for file in &set.file {
        for message in &file.message_type {
            index(file.package(), message, &mut fields);
        }
    }
    fields
});

fn index(prefix: &str, message: &DescriptorProto, fields: &mut HashMap<String, HashMap<u32, Field>>) {
    let name = format!("{prefix}.{}", message.name());
    let of = |field: &prost_types::FieldDescriptorProto| {
        let inner = (field.r#type() == Type::Message).then(|| field.type_name().trim_start_matches('.').to_owned());
        (u32::try_from(field.number()).unwrap_or(0), Field { kind: field.r#type(), message: inner })
    };
    fields.insert(name.clone(), message.field.iter().map(of).collect());
    for nested in &message.nested_type {
        index(&name, nested, fields);
    }
}

/// No message of the contract holds itself, which a test sees to, so that this goes no deeper than the contract does.
fn walk(message: &str, mut bytes: &[u8]) -> Result<(), StrictError> {
    let malformed = || StrictError::Malformed { message: message.to_owned() };
    let known = FIELDS.get(message).ok_or_else(malformed)?;
    while !bytes.is_empty() {
        let key = varint(&mut bytes).ok_or_else(malformed)?;
        let number = u32::try_from(key >> 3).map_err(|_| malformed())?;
        let unknown = || StrictError::UnknownField { message: message.to_owned(), number };
        let field = known.get(&number).ok_or_else(unknown)?;
        let value = value(key & 7, &mut bytes).ok_or_else(malformed)?;
        if let Some(inner) = &field.message {
            walk(inner, value.ok_or_else(malformed)?)?;
        } else if matches!(field.kind, Type::String | Type::Bytes) && value.is_none() {
            return Err(malformed());
        }
    }
    Ok(())
}

/// Takes one value of wire type `wire` off `bytes`; `Some(Some(..))` is a length-delimited one.
#[expect(clippy::option_option, reason = "outer: was it well-formed; inner: was it length-delimited")]
fn value<'a>(wire: u64, bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    match wire {
        0 => varint(bytes).map(|_| None),
        1 => take(bytes, 8).map(|_| None),
        2 => {
            let length = usize::try_from(varint(bytes)?).ok()?;
            take(bytes, length).map(Some)
        }
        5 => take(bytes, 4).map(|_| None),
        _ => None,
    }
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::inference::Envelope;
    use crate::policy::{PlaceSet, Requirements};

    const ENVELOPE: &str = "comity.inference.v1.Envelope";

    fn envelope() -> Envelope {
        let places = PlaceSet { places: vec!["EU".into()] };
        let requirements =
            Requirements { allowed_processing_locations: vec![places], no_training: true, ..Default::default() };
        Envelope {
            model: "m".into(),
            requirements: Some(requirements),
            purposes: vec!["dpv:CustomerCare".into()],
            ..Default::default()
        }
    }

    #[test]
    fn no_message_of_the_contract_holds_itself() {
        fn depth(message: &str, above: &[&str]) -> usize {
            assert!(!above.contains(&message), "{message} holds itself: {above:?}");
            let above = [above, &[message]].concat();
            let inner =
                FIELDS.get(message).into_iter().flat_map(HashMap::values).filter_map(|field| field.message.as_deref());
            inner.map(|inner| 1 + depth(inner, &above)).max().unwrap_or(0)
        }
        let deepest = FIELDS.keys().map(|message| depth(message, &[])).max();
        assert!(deepest > Some(3), "{deepest:?}");
    }

    #[test]
    fn what_this_version_writes_is_accepted() {
        assert_eq!(check(ENVELOPE, &envelope().encode_to_vec()), Ok(()));
        assert_eq!(check(ENVELOPE, &[]), Ok(()));
    }

    #[test]
    fn a_constraint_of_a_newer_version_is_refused_and_not_skipped() {
        let mut bytes = envelope().encode_to_vec();
        // Field 2 (requirements) with an inner field 57 = 1.
        bytes.extend([0x12, 0x03, 0xc8, 0x03, 0x01]);
        let error = check(ENVELOPE, &bytes).unwrap_err();
        let unknown = StrictError::UnknownField { message: "comity.policy.v1.Requirements".into(), number: 57 };
        assert_eq!(error, unknown);
        let said = error.to_string();
        assert!(said.starts_with("comity.policy.v1.Requirements has no field 57 in this version of"), "{said}");
    }

    #[test]
    fn what_is_no_message_at_all_is_malformed() {
        // Field 1 (the model) with a byte that is not UTF-8.
        let error = decode::<Envelope>(Bytes::from_static(&[0x0a, 0x01, 0xff])).unwrap_err();
        assert_eq!(error, StrictError::Malformed { message: ENVELOPE.into() });
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_what_it_accepts_decodes(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            drop(check(ENVELOPE, &bytes));
        }

        #[test]
        fn a_cut_message_is_never_longer_than_it_was(cut in 0_usize..40) {
            let bytes = envelope().encode_to_vec();
            let cut = cut.min(bytes.len());
            // Either the cut falls between fields and the rest decodes, or the check says malformed.
            if check(ENVELOPE, &bytes[..cut]).is_ok() {
                prop_assert!(Envelope::decode(&bytes[..cut]).is_ok());
            }
        }
    }
}
