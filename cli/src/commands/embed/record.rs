//! The lines of the two files.

use comity_types::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A text to embed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    /// Whatever the input calls it.
    pub(super) id: Option<Value>,
    /// The text.
    pub(super) text: String,
}

impl Text {
    /// Reads a line: a string, or an object with `text` and perhaps an `id`. Other keys are not read.
    pub(super) fn parse(line: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Object {
            text: String,
            #[serde(default)]
            id: Option<Value>,
        }
        if line.trim_start().starts_with('"') {
            return Ok(Self { text: serde_json::from_str(line)?, id: None });
        }
        let Object { text, id } = serde_json::from_str(line)?;
        Ok(Self { id, text })
    }

    /// What tells the text from another one.
    pub(super) fn digest(&self) -> String {
        Digest::of(self.text.as_bytes()).to_string()
    }
}

/// A line of the output.
#[derive(Debug, Serialize)]
pub(super) struct Embedded<'a> {
    /// The input's line, from 1.
    pub(super) line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'a Value>,
    pub(super) model: &'a str,
    pub(super) text_sha256: String,
    pub(super) embedding: &'a [f32],
}

/// What is read of a line of the output before going on after it.
#[derive(Debug, Deserialize)]
pub(super) struct Done {
    pub(super) line: u64,
    pub(super) model: String,
    pub(super) text_sha256: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_string_or_an_object_with_a_text() {
        assert_eq!(Text::parse(r#""a""#).unwrap(), Text { id: None, text: "a".into() });
        let object = Text::parse(r#"{"id": 7, "text": "a", "more": true}"#).unwrap();
        assert_eq!(object, Text { id: Some(7.into()), text: "a".into() });
        for wrong in ["", "7", "{}", r#"{"text": 7}"#, "a"] {
            assert!(Text::parse(wrong).is_err(), "{wrong}");
        }
    }
}
