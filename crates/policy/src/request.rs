//! What is asked, by whom, for what, when.

use std::collections::BTreeSet;

use comity_types::{ModelName, Place, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Capability, Organisation, Requirements, Usage};

/// What is asked, by whom, for what, when.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The organisation that calls.
    pub caller: &'a Organisation,
    /// The model; `None` asks about every model.
    pub model: Option<&'a ModelName>,
    /// What the method needs.
    pub capability: Capability,
    /// Why the caller asks, and what becomes of the answer.
    pub declared: &'a Declared,
    /// What the caller demands.
    pub requirements: &'a Requirements,
    /// Where the broker runs that ends the caller's TLS; `None` if it sees no content.
    pub broker_places: Option<&'a BTreeSet<Place>>,
    /// What the caller has used of offers, on the day of `as_of`.
    pub used: &'a Usage,
    /// The instant of the decision.
    pub as_of: Timestamp,
}

#[cfg(test)]
impl<'a> Request<'a> {
    /// A request for any model, through a broker that sees nothing, by somebody who has used nothing.
    pub(crate) fn any(caller: &'a Organisation, file: &'a crate::requirements::RequirementsFile) -> Self {
        Self {
            caller,
            model: None,
            capability: Capability::Chat,
            declared: &file.declared,
            requirements: &file.requirements,
            broker_places: None,
            used: Usage::none(),
            as_of: "2026-11-22".parse().unwrap(),
        }
    }
}

/// What a caller declares of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Declared {
    /// Why it asks: purposes of the table.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub purposes: BTreeSet<String>,
    /// Uses that the AI Act names: tags of the table of statutes, such as `eu-aiact:AnnexIII-4-a`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub ai_act_tags: BTreeSet<String>,
    /// Exceptions of a statute that it claims.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub exceptions: BTreeSet<String>,
    /// Where the call comes from, besides the caller's seat.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub access_origins: BTreeSet<Place>,
    /// Where the answer is used.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub output_used_in: BTreeSet<Place>,
    /// How the content is classified.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub classifications: BTreeSet<Classification>,
    /// Categories of personal data that it holds (DPV `pd`).
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub data_categories: BTreeSet<String>,
}

/// A classification of content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classification {
    /// A scheme of the table, such as `UK-GSC`.
    pub scheme: String,
    /// A level of the scheme.
    pub level: String,
    /// Handling caveats.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub caveats: BTreeSet<String>,
}

impl Declared {
    /// What both declare.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.purposes.extend(other.purposes);
        self.ai_act_tags.extend(other.ai_act_tags);
        self.exceptions.extend(other.exceptions);
        self.access_origins.extend(other.access_origins);
        self.output_used_in.extend(other.output_used_in);
        self.classifications.extend(other.classifications);
        self.data_categories.extend(other.data_categories);
        self
    }
}
