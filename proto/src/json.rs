//! The JSON form of messages: the canonical protobuf JSON mapping, by the descriptors of the contract.
//!
//! Written: names in lowerCamelCase, enums by name, instants as RFC 3339, 64-bit numbers as texts, bytes as base64; a
//! field that has its default is left out. Read: the same, and the names of the `.proto` as well. A field, a name of
//! an enum or a form that is not of this version is refused with its path: a constraint that was misspelt must not be
//! dropped in silence. So is a field that is given twice, under one name or under both.

mod unique;

use std::sync::LazyLock;

use comity_types::Distinct;
use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde::{Serialize, Serializer, ser};
use serde_json::Value;
use serde_json::error::Category;

use self::unique::Unique;
use crate::DESCRIPTORS;

/// Text that is not the JSON form of a message.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// No JSON at all.
    #[error("it is no JSON")]
    Malformed(#[source] serde_json::Error),
    /// JSON that is not of the message.
    #[error(
        "{}{problem} in {message} (hint: JSON has the form that protobuf gives it, such as \"processingLocations\" and \
         \"CAPABILITY_CHAT\": see \"The JSON form\" in docs/policy.md)",
        prefix(path)
    )]
    Form {
        /// The message's full name.
        message: String,
        /// The path of what is wrong, by the names that the text has, such as `offers[0].offer.inForce`; empty is the
        /// whole.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
}

fn prefix(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}: ") }
}

/// A message that serde writes in its JSON form, alone or within something else.
#[derive(Debug, Clone, Copy)]
pub struct Canonical<'a, M>(pub &'a M);

impl<M: Message + Name> Serialize for Canonical<'_, M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut dynamic = DynamicMessage::new(descriptor::<M>().ok_or_else(|| ser::Error::custom(unknown::<M>()))?);
        dynamic.transcode_from(self.0).map_err(ser::Error::custom)?;
        dynamic.serialize(serializer)
    }
}

/// Reads a message that a person may have written: in its lists nothing stands twice, since a set would drop it.
///
/// # Errors
/// Names the path of what is not of the message's form, or stands twice.
pub fn from_file<M: Message + Name + Default>(text: &str) -> Result<M, JsonError> {
    let value = value::<M>(text)?;
    serde_path_to_error::deserialize::<_, Distinct>(&value).map_err(of_path::<M>)?;
    of_value(&value)
}

/// Reads a message.
///
/// # Errors
/// Names the path of what is not of the message's form.
pub fn from_text<M: Message + Name + Default>(text: &str) -> Result<M, JsonError> {
    of_value(&value::<M>(text)?)
}

/// The JSON, in which every field is given once.
fn value<M: Name>(text: &str) -> Result<Value, JsonError> {
    let Unique(value) = unique::read(text).map_err(|error| match error.inner().classify() {
        Category::Data => of_path::<M>(error),
        Category::Io | Category::Syntax | Category::Eof => JsonError::Malformed(error.into_inner()),
    })?;
    Ok(value)
}

fn of_value<M: Message + Name + Default>(value: &Value) -> Result<M, JsonError> {
    let form = form::<M>;
    let descriptor = descriptor::<M>().ok_or_else(|| form(String::new(), unknown::<M>()))?;
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
    match DynamicMessage::deserialize(descriptor, tracked) {
        Ok(dynamic) => dynamic.transcode_to().map_err(|error| form(String::new(), error.to_string())),
        Err(error) => Err(of_path::<M>(serde_path_to_error::Error::new(track.path(), error))),
    }
}

fn form<M: Name>(path: String, problem: String) -> JsonError {
    JsonError::Form { message: M::full_name(), path, problem }
}

fn of_path<M: Name>(error: serde_path_to_error::Error<serde_json::Error>) -> JsonError {
    let path = error.path().to_string();
    form::<M>(if path == "." { String::new() } else { path }, error.into_inner().to_string())
}

/// The descriptors are compiled in; a set that does not decode leaves none, and every message is refused.
static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).unwrap_or_default());

/// What the contract says of a message.
pub(crate) fn descriptor<M: Name>() -> Option<MessageDescriptor> {
    POOL.get_message_by_name(&M::full_name())
}

fn unknown<M: Name>() -> String {
    format!("the contract has no {}", M::full_name())
}

#[cfg(test)]
mod tests;
