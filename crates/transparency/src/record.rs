//! What a leaf commits to: the fields of a record, each hidden by a salt of its own, so that any of them can be shown and
//! proven alone, and none can be guessed once the record is erased.
//!
//! A record has [`FIELDS`] places. The commitment is the root (RFC 6962, section 2.1) of one leaf per place:
//! ```text
//! salt  = HKDF-Expand(record's salt, "comity/record/v1\n" || kind || place, 32)     // RFC 5869, SHA-256
//! leaf  = salt || value          // a place without a value: no bytes at all
//! ```
//! A field is known by its place and by nothing else: no record can hold two callers, and show each to somebody else.

use std::fmt;

use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key};
use comity_types::{Digest, Secret};

use crate::tree::{Tree, leaf_hash, leaf_hash_of};

pub mod fields;
#[cfg(test)]
mod tests;

pub use fields::{CANDIDATES, Field, MAX_TRIES, RecordKind};

/// Places of a record.
pub const FIELDS: usize = 16;
/// Bytes of a salt.
pub const SALT_BYTES: usize = 32;
/// Longest value, in bytes: far above what a field holds, and a whole record fits a frame of the log's file.
pub const MAX_VALUE_BYTES: usize = 48 * 1024;
/// What goes into a field's salt beside its place.
const SALT_CONTEXT: &[u8] = b"comity/record/v1\n";

/// All that is known of a decision, or of its outcome.
#[derive(Clone)]
pub struct Record {
    kind: RecordKind,
    salt: Secret<[u8; SALT_BYTES]>,
    values: [Option<Vec<u8>>; FIELDS],
}

/// A record with the salt and the hash of each of its values, made once: what was decided is shown to a node, and then to
/// whoever asked.
#[derive(Debug, Clone)]
pub struct Hashed {
    record: Record,
    hidden: Box<[Option<Hidden>; FIELDS]>,
}

/// What a place with a value is hidden by, and hashed to.
#[derive(Clone)]
struct Hidden {
    salt: [u8; SALT_BYTES],
    hash: Digest,
}

/// Why bytes are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A value is longer than [`MAX_VALUE_BYTES`].
    #[error("the field {field} has {bytes} bytes where at most {MAX_VALUE_BYTES} are allowed")]
    TooLong {
        /// Which.
        field: &'static str,
        /// How long it is.
        bytes: usize,
    },
    /// Not the form of a record.
    #[error("not a record")]
    Malformed,
}

impl Record {
    /// A record without fields, hidden by this salt: 32 random bytes that no other record has.
    #[must_use]
    pub const fn new(kind: RecordKind, salt: [u8; SALT_BYTES]) -> Self {
        Self { kind, salt: Secret::new(salt), values: [const { None }; FIELDS] }
    }

    /// The same with a field; one that does not belong to its kind is left out.
    ///
    /// # Errors
    /// The value is too long.
    pub fn with(mut self, field: Field, value: impl Into<Vec<u8>>) -> Result<Self, RecordError> {
        let value = value.into();
        if value.len() > MAX_VALUE_BYTES {
            return Err(RecordError::TooLong { field: field.name(), bytes: value.len() });
        }
        if field.kind() == self.kind
            && let Some(place) = self.values.get_mut(field.place())
        {
            *place = Some(value);
        }
        Ok(self)
    }

    /// What kind of record it is.
    #[must_use]
    pub const fn kind(&self) -> RecordKind {
        self.kind
    }

    /// A field's value, if it has one.
    #[must_use]
    pub fn get(&self, field: Field) -> Option<&[u8]> {
        if field.kind() == self.kind { self.values.get(field.place())?.as_deref() } else { None }
    }

    /// What a leaf holds of it.
    #[must_use]
    pub fn commitment(&self) -> Digest {
        self.disclose(|_| false).commitment()
    }

    /// The fields that `shown` picks, with what proves them.
    #[must_use]
    pub fn disclose(&self, shown: impl Fn(Field) -> bool) -> Disclosure {
        self.disclosing(&self.hidden(), shown)
    }

    /// With its hashes, to be shown more than once.
    #[must_use]
    pub fn hashed(self) -> Hashed {
        Hashed { hidden: Box::new(self.hidden()), record: self }
    }

    fn hidden(&self) -> [Option<Hidden>; FIELDS] {
        let key = Key::new(HMAC_SHA256, self.salt.reveal());
        std::array::from_fn(|place| {
            let value = self.values.get(place)?.as_ref()?;
            let salt = salt(&key, self.kind, place);
            Some(Hidden { hash: hash(&salt, value), salt })
        })
    }

    fn disclosing(&self, hidden: &[Option<Hidden>; FIELDS], shown: impl Fn(Field) -> bool) -> Disclosure {
        let place = |place: usize| {
            let (value, hidden) = (self.values.get(place).and_then(Option::as_ref), hidden.get(place));
            let Some((value, Hidden { salt, hash })) = value.zip(hidden.and_then(Option::as_ref)) else {
                return Place::Absent;
            };
            match Field::at(self.kind, place).filter(|field| shown(*field)) {
                Some(_) => Place::Shown { salt: *salt, value: value.clone() },
                None => Place::Hidden(*hash),
            }
        };
        Disclosure { kind: self.kind, places: std::array::from_fn(place) }
    }

    /// Its form where it is kept: kind, salt, and each place with its length before it, 0xffffffff where there is no value.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let values: usize = self.values.iter().flatten().map(Vec::len).sum();
        let mut bytes = Vec::with_capacity(1 + SALT_BYTES + FIELDS * size_of::<u32>() + values);
        bytes.push(self.kind.byte());
        bytes.extend_from_slice(self.salt.reveal());
        for value in &self.values {
            let length = value.as_ref().map_or(u32::MAX, |value| u32::try_from(value.len()).unwrap_or(u32::MAX));
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(value.as_deref().unwrap_or_default());
        }
        bytes
    }

    /// Reads that form.
    ///
    /// # Errors
    /// It is another.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let read = || {
            let ([kind], rest) = bytes.split_first_chunk()?;
            let (salt, mut rest) = rest.split_first_chunk()?;
            let mut record = Self::new(RecordKind::from_byte(*kind)?, *salt);
            for place in &mut record.values {
                let (length, after) = rest.split_first_chunk()?;
                rest = after;
                let length = u32::from_be_bytes(*length);
                if length == u32::MAX {
                    continue;
                }
                let length = usize::try_from(length).ok().filter(|length| *length <= MAX_VALUE_BYTES)?;
                let (value, after) = rest.split_at_checked(length)?;
                (*place, rest) = (Some(value.to_vec()), after);
            }
            rest.is_empty().then_some(record)
        };
        read().ok_or(RecordError::Malformed)
    }
}

impl Hashed {
    /// The record.
    #[must_use]
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// What a leaf holds of it.
    #[must_use]
    pub fn commitment(&self) -> Digest {
        commitment(self.hidden.iter().map(|hidden| hidden.as_ref().map(|hidden| hidden.hash)))
    }

    /// The fields that `shown` picks, with what proves them.
    #[must_use]
    pub fn disclose(&self, shown: impl Fn(Field) -> bool) -> Disclosure {
        self.record.disclosing(&self.hidden, shown)
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden")
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.values.iter().enumerate().filter(|(_, value)| value.is_some());
        let names = named.filter_map(|(place, _)| Field::at(self.kind, place)).map(Field::name);
        f.debug_list().entries(names).finish()
    }
}

/// Some fields of a record, with what it takes to see that they are the record's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disclosure {
    kind: RecordKind,
    places: [Place; FIELDS],
}

/// A place of a record that is shown in part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// It has no value.
    Absent,
    /// Its hash, and nothing else.
    Hidden(Digest),
    /// Its value, and the salt that it is hidden by elsewhere.
    Shown {
        /// The field's own salt.
        salt: [u8; SALT_BYTES],
        /// The value.
        value: Vec<u8>,
    },
}

impl Disclosure {
    /// Puts one together from its places.
    #[must_use]
    pub const fn new(kind: RecordKind, places: [Place; FIELDS]) -> Self {
        Self { kind, places }
    }

    /// Of what kind the record is.
    #[must_use]
    pub const fn kind(&self) -> RecordKind {
        self.kind
    }

    /// Its places, in order.
    #[must_use]
    pub const fn places(&self) -> &[Place; FIELDS] {
        &self.places
    }

    /// The commitment that a leaf has to hold, if this is of its record.
    #[must_use]
    pub fn commitment(&self) -> Digest {
        commitment(self.places.iter().map(|place| match place {
            Place::Absent => None,
            Place::Hidden(hash) => Some(*hash),
            Place::Shown { salt, value } => Some(hash(salt, value)),
        }))
    }

    /// A field's value, if it is shown. It says something only if the [`commitment`](Self::commitment) is a leaf's.
    #[must_use]
    pub fn get(&self, field: Field) -> Option<&[u8]> {
        match self.places.get(field.place()).filter(|_| field.kind() == self.kind) {
            Some(Place::Shown { value, .. }) => Some(value),
            _ => None,
        }
    }

    /// True if a field has a value that is not shown.
    #[must_use]
    pub fn hides(&self, field: Field) -> bool {
        let place = self.places.get(field.place()).filter(|_| field.kind() == self.kind);
        matches!(place, Some(Place::Hidden(hash)) if *hash != leaf_hash(b""))
    }

    /// True if no place has a value, shown or hidden.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.iter().all(|place| *place == Place::Absent || *place == Place::Hidden(leaf_hash(b"")))
    }

    /// The same with fewer fields shown.
    #[must_use]
    pub fn narrowed(&self, shown: impl Fn(Field) -> bool) -> Self {
        let place = |(place, known): (usize, &Place)| match known {
            Place::Shown { salt, value } if !Field::at(self.kind, place).is_some_and(&shown) => {
                Place::Hidden(hash(salt, value))
            }
            Place::Absent | Place::Hidden(_) | Place::Shown { .. } => known.clone(),
        };
        let mut places = self.places.iter().enumerate().map(place);
        Self { kind: self.kind, places: std::array::from_fn(|_| places.next().unwrap_or(Place::Absent)) }
    }
}

/// The root over the places, by their hashes.
fn commitment(places: impl Iterator<Item = Option<Digest>>) -> Digest {
    let (mut tree, absent) = (Tree::default(), leaf_hash(b""));
    places.for_each(|hash| tree.push_hash(hash.unwrap_or(absent)));
    tree.root()
}

/// What a place with a value is hashed to.
fn hash(salt: &[u8; SALT_BYTES], value: &[u8]) -> Digest {
    leaf_hash_of(&[salt, value])
}

/// The salt of one field: HKDF-Expand (RFC 5869, section 2.3) of one block, which is HMAC over the info and the byte 1. Places
/// are few, and the record's salt is random, so that nothing has to be extracted from it (section 3.3).
fn salt(record: &Key, kind: RecordKind, place: usize) -> [u8; SALT_BYTES] {
    let mut context = Context::with_key(record);
    let place = u8::try_from(place).unwrap_or(u8::MAX);
    context.update(SALT_CONTEXT);
    context.update(&[kind.byte(), place, 1]);
    let mut salt = [0; SALT_BYTES];
    salt.copy_from_slice(context.sign().as_ref());
    salt
}
