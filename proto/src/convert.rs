//! Wire types to domain types, once, and back. Inside the programs there are only
//! domain types; what arrives and is not one is refused here, with the field's path.

mod claims;
mod envelope;
pub mod files;
mod layers;
mod offer;
mod organisation;
mod own_word;
mod receipt;
mod requirements;
mod terms;
mod verdict;

use std::collections::BTreeSet;
use std::str::FromStr;

use comity_policy::Capability;
use comity_policy::check::Fault;
use comity_policy::limits::WHOLE_BP;
use comity_types::PlaceOrBloc;

pub use claims::{instant, wire_instant};
pub use comity_policy::limits::{MAX_LIST, MAX_REQUEST_LIST, MAX_TEXT_BYTES};
pub use envelope::{Envelope, check_nonce};
pub use layers::{MAX_LAYERS_BYTES, checked_layers, layer_demands, wire_layer};
pub use receipt::{proven, wire_proven, wire_receipt};
pub use verdict::verdict;

use crate::policy as wire;

/// Longest list of values of a closed set: more than any set has.
const MAX_VALUES: usize = 32;

/// A message that is not what the contract says: which field, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct WireError {
    /// The field's path, such as `requirements.allowed_processing_locations[0].places[1]`.
    pub path: String,
    /// What is wrong, and what would be accepted.
    pub problem: String,
}

impl WireError {
    /// Says what is wrong with the field at `path`.
    pub fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }

    /// Puts the name of the field that held the message before the path.
    #[must_use]
    pub fn within(mut self, field: &str) -> Self {
        let join = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{field}{join}{}", self.path);
        self
    }
}

/// Reads a message with whatever anybody states in it. What arrives from others goes through `TryFrom`, which refuses
/// words that are not their own.
trait Read<W>: Sized {
    fn read(wire: W) -> Result<Self, WireError>;
}

/// Parses the text of the field at `path`.
fn parse<T: FromStr<Err: ToString>>(path: impl Into<String>, text: &str) -> Result<T, WireError> {
    text.parse().map_err(|error: T::Err| WireError::new(path, error.to_string()))
}

/// Parses every text of a list.
fn parse_all<T: FromStr<Err: ToString>>(path: &str, texts: &[String]) -> Result<Vec<T>, WireError> {
    bounded(path, texts.len(), MAX_LIST)?;
    texts.iter().enumerate().map(|(index, text)| parse(format!("{path}[{index}]"), text)).collect()
}

/// Refuses a list that is longer than `most`.
fn bounded(path: &str, found: usize, most: usize) -> Result<(), WireError> {
    if found > most {
        Err(WireError::new(path, format!("at most {most} are accepted, {found} were sent")))
    } else {
        Ok(())
    }
}

/// Refuses what is well-formed field by field, and cannot be as it stands all the same.
fn without(faults: Vec<Fault>) -> Result<(), WireError> {
    faults.into_iter().next().map_or(Ok(()), |fault| Err(WireError::new(fault.path, fault.problem)))
}

/// Refuses a text that is empty, over-long, or that steers what shows it: people decide by what they see.
fn text(path: &str, value: String, most: usize) -> Result<String, WireError> {
    if value.is_empty() || value.len() > most {
        return Err(WireError::new(path, format!("1 to {most} bytes are accepted, {} were sent", value.len())));
    }
    if value.chars().any(comity_types::display::steers) {
        return Err(WireError::new(path, "control characters and marks of writing direction are not accepted"));
    }
    Ok(value)
}

/// A text that may be absent, which an empty one is.
fn optional_text(path: &str, value: String, most: usize) -> Result<Option<String>, WireError> {
    if value.is_empty() { Ok(None) } else { text(path, value, most).map(Some) }
}

/// A parsed text that may be absent.
fn optional<T: FromStr<Err: ToString>>(path: &str, text: &str) -> Result<Option<T>, WireError> {
    if text.is_empty() { Ok(None) } else { parse(path, text).map(Some) }
}

/// Short texts.
fn texts(path: &str, values: Vec<String>, most: usize) -> Result<BTreeSet<String>, WireError> {
    bounded(path, values.len(), most)?;
    let checked = values.into_iter().enumerate();
    checked.map(|(index, value)| text(&format!("{path}[{index}]"), value, MAX_TEXT_BYTES)).collect()
}

/// A share in hundredths of a percent.
fn share(path: &str, basis_points: u32) -> Result<u32, WireError> {
    if basis_points > WHOLE_BP {
        return Err(WireError::new(path, format!("{basis_points} is more than {WHOLE_BP}, which is 100 %")));
    }
    Ok(basis_points)
}

/// The value of a number, or the default where it is unspecified.
fn or_default<T: Default>(number: i32, read: impl Fn(i32) -> Result<T, WireError>) -> Result<T, WireError> {
    if number == 0 { Ok(T::default()) } else { read(number) }
}

/// Every capability of a list.
fn capabilities(path: &str, numbers: &[i32]) -> Result<BTreeSet<Capability>, WireError> {
    bounded(path, numbers.len(), MAX_VALUES)?;
    numbers.iter().enumerate().map(|(index, number)| capability(&format!("{path}[{index}]"), *number)).collect()
}

/// A set of places and blocs.
fn place_set(path: &str, set: &wire::PlaceSet) -> Result<BTreeSet<PlaceOrBloc>, WireError> {
    Ok(parse_all(&format!("{path}.places"), &set.places)?.into_iter().collect())
}

fn wire_place_set<'a>(places: impl IntoIterator<Item = &'a PlaceOrBloc>) -> wire::PlaceSet {
    wire::PlaceSet { places: places.into_iter().map(ToString::to_string).collect() }
}

/// Makes both directions of an enum from one list; a number that is not in it, or zero, is refused.
macro_rules! enums {
    ($to:ident, $from:ident, $wire:ident, $domain:path, [$($variant:ident),*]) => {
        pub(super) fn $to(path: &str, number: i32) -> Result<$domain, WireError> {
            use $domain as Domain;
            match wire::$wire::try_from(number) {
                $(Ok(wire::$wire::$variant) => Ok(Domain::$variant),)*
                Ok(wire::$wire::Unspecified) => Err(WireError::new(path, concat!("must be set to a value of ", stringify!($wire)))),
                Err(_) => Err(WireError::new(path, format!(concat!("{} is no ", stringify!($wire), " of this version"), number))),
            }
        }

        pub(super) fn $from(value: $domain) -> wire::$wire {
            use $domain as Domain;
            match value { $(Domain::$variant => wire::$wire::$variant,)* }
        }
    };
}

use enums;

enums!(
    capability,
    wire_capability,
    Capability,
    Capability,
    [Chat, Embed, Forward, Tools, ImageInput, JsonSchema, LogProbabilities]
);
/// The capability behind a number of the wire.
///
/// # Errors
/// If it is unspecified or unknown.
pub fn capability_of(number: i32) -> Result<Capability, WireError> {
    capability("capability", number)
}

/// The number of a capability on the wire.
#[must_use]
pub fn capability_number(value: Capability) -> i32 {
    wire_capability(value).into()
}

#[cfg(test)]
mod tests;
