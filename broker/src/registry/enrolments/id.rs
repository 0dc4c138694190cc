//! The name of an invite.

use std::fmt;
use std::str::FromStr;

use comity_types::Invalid;
use serde::{Deserialize, Serialize};

/// The id of an invite and of the enrolment that it becomes: 128 random bits, 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InviteId(String);

impl InviteId {
    /// Takes the 128 bits from whoever has randomness.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(bytes)))
    }

    /// The 32 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InviteId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let valid = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid::new(text, "an enrolment id: 32 hexadecimal digits, lower case"))
        }
    }
}

impl TryFrom<String> for InviteId {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<InviteId> for String {
    fn from(id: InviteId) -> Self {
        id.0
    }
}

impl fmt::Display for InviteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
