//! What arrives from others is their own word alone.
//!
//! A message carries no signature of an issuer, so that every member could claim any register's word for its own. What
//! others stand behind is a statement that they sign themselves, which the membership log holds.
//! Every claim of a message is looked at, by the descriptors of the contract, so that a claim which the contract gets
//! later is looked at as well.

use prost::{Message, Name};
use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};

use super::WireError;
use crate::json::descriptor;
use crate::policy::{Assurance, Provenance};

/// Refuses a message with a statement that somebody else is said to have made.
pub(super) fn check<M: Message + Name>(message: &M) -> Result<(), WireError> {
    let unreadable = || WireError::new("", format!("{} cannot be looked at", M::full_name()));
    let mut dynamic = DynamicMessage::new(descriptor::<M>().ok_or_else(unreadable)?);
    dynamic.transcode_from(message).map_err(|_| unreadable())?;
    walk(&dynamic).map_or(Ok(()), |path| {
        Err(WireError::new(
            path,
            "is another's word, and they have to sign it: state what the operator itself declares (hint: an auditor that the federation recognises says `comity claim audit`)",
        ))
    })
}

/// The path of the first word of another.
fn walk(message: &DynamicMessage) -> Option<String> {
    if message.descriptor().full_name() == Provenance::full_name() {
        return others_word(message).map(str::to_owned);
    }
    message.fields().find_map(|(field, value)| {
        let within = |index: &str, path: String| format!("{}{index}.{path}", field.name());
        if let Some(inner) = value.as_message() {
            return walk(inner).map(|path| within("", path));
        }
        // The contract has no maps, which a test of its JSON form sees to.
        let mut entries = value.as_list().unwrap_or_default().iter().enumerate();
        entries.find_map(|(index, entry)| walk(entry.as_message()?).map(|path| within(&format!("[{index}]"), path)))
    })
}

/// The field of a provenance by which it is another's.
fn others_word(provenance: &DynamicMessage) -> Option<&'static str> {
    const FIELDS: [&str; 3] = ["issuer", "assurance", "appraisal"];
    let declared = Value::EnumNumber(Assurance::SelfDeclared.into());
    FIELDS.into_iter().find(|field| {
        provenance.has_field_by_name(field)
            && !(*field == "assurance" && provenance.get_field_by_name(field).as_deref() == Some(&declared))
    })
}
