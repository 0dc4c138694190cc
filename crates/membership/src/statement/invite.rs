//! What an invite is known by.

use std::fmt;
use std::str::FromStr;

use comity_types::Invalid;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// What an invite is known by: 32 hexadecimal digits, no secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InviteId(String);

impl InviteId {
    /// Digits of an id.
    const DIGITS: usize = 32;

    /// The id of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl fmt::Display for InviteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for InviteId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let digits = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if text.len() == Self::DIGITS && digits {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(text, "the id of an invite: 32 hexadecimal digits"))
    }
}

impl Serialize for InviteId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for InviteId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_an_invite_has_one_spelling() {
        let id = InviteId::from_bytes([0xa5; 16]);
        assert_eq!(id.to_string().parse::<InviteId>().as_ref(), Ok(&id));
        for text in ["", &"a5".repeat(15), &"a5".repeat(17), &"A5".repeat(16), &"g5".repeat(16)] {
            assert!(text.parse::<InviteId>().is_err(), "{text}");
        }
    }
}
