//! Wire types to domain types, once, and back. Inside the programs there are only
//! domain types; what arrives and is not one is refused here, with the field's path.

mod claims;
mod offer;
mod requirements;
mod verdict;

use std::collections::BTreeSet;
use std::str::FromStr;

use comity_policy::Capability;
use comity_types::{Place, PlaceOrBloc};

pub use verdict::verdict;

use crate::{inference, policy as wire};

/// Longest list of a message, where the schema does not say less: far above real use, far below harm.
pub const MAX_LIST: usize = 256;
/// Most purposes or access origins of a request.
pub const MAX_REQUEST_LIST: usize = 16;
/// Longest name for people and longest purpose, in bytes.
pub const MAX_TEXT_BYTES: usize = 256;

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

/// The envelope of a request, in domain types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The model that is asked for.
    pub model: comity_types::ModelName,
    /// What the caller demands.
    pub requirements: comity_policy::Requirements,
    /// Why the caller asks.
    pub purposes: BTreeSet<String>,
    /// Where the request comes from, besides the caller's seat.
    pub access_origins: BTreeSet<Place>,
}

impl TryFrom<inference::Envelope> for Envelope {
    type Error = WireError;

    fn try_from(envelope: inference::Envelope) -> Result<Self, WireError> {
        let requirements = envelope.requirements.unwrap_or_default().try_into();
        bounded("purposes", envelope.purposes.len(), MAX_REQUEST_LIST)?;
        bounded("access_origins", envelope.access_origins.len(), MAX_REQUEST_LIST)?;
        Ok(Self {
            model: parse("model", &envelope.model)?,
            requirements: requirements.map_err(|error: WireError| error.within("requirements"))?,
            purposes: purposes("purposes", envelope.purposes)?,
            access_origins: parse_all("access_origins", &envelope.access_origins)?.into_iter().collect(),
        })
    }
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

/// Refuses an empty or an over-long text.
fn text(path: &str, value: String, most: usize) -> Result<String, WireError> {
    if value.is_empty() || value.len() > most {
        return Err(WireError::new(path, format!("1 to {most} bytes are accepted, {} were sent", value.len())));
    }
    Ok(value)
}

/// Purposes, each a short text without duplicates.
fn purposes(path: &str, values: Vec<String>) -> Result<BTreeSet<String>, WireError> {
    bounded(path, values.len(), MAX_LIST)?;
    let checked = values.into_iter().enumerate();
    checked.map(|(index, value)| text(&format!("{path}[{index}]"), value, MAX_TEXT_BYTES)).collect()
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
        pub(crate) fn $to(path: &str, number: i32) -> Result<$domain, WireError> {
            use $domain as Domain;
            match wire::$wire::try_from(number) {
                $(Ok(wire::$wire::$variant) => Ok(Domain::$variant),)*
                Ok(wire::$wire::Unspecified) => Err(WireError::new(path, concat!("must be set to a value of ", stringify!($wire)))),
                Err(_) => Err(WireError::new(path, format!(concat!("{} is no ", stringify!($wire), " of this version"), number))),
            }
        }

        pub(crate) fn $from(value: $domain) -> wire::$wire {
            use $domain as Domain;
            match value { $(Domain::$variant => wire::$wire::$variant,)* }
        }
    };
}

enums!(
    capability,
    wire_capability,
    Capability,
    Capability,
    [Chat, Embed, Forward, Tools, ImageInput, JsonSchema, LogProbabilities]
);
enums!(training_use, wire_training_use, TrainingUse, comity_policy::offer::TrainingUse, [Never, OptIn, OptOut, Always]);
enums!(
    retention_data,
    wire_retention_data,
    RetentionData,
    comity_policy::offer::RetentionData,
    [Content, Metadata, ClassifierOutput]
);
enums!(
    retention_trigger,
    wire_retention_trigger,
    RetentionTrigger,
    comity_policy::offer::RetentionTrigger,
    [Routine, AbuseMonitoring, ApplicationState, SafetyFlagged, LegalObligation]
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
