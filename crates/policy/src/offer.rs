//! Offers and their terms: what a node promises, and what it demands of callers.

use std::collections::BTreeSet;

use comity_types::{Digest, Interval, ModelName, Name, OfferName, Place, PlaceOrBloc, Price, SpiffeId};
use serde::{Deserialize, Serialize};

use crate::Claim;

/// One model, on one node, in one place, under one set of terms: the unit that is matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// Unique on its node.
    pub id: Name,
    /// The node that serves it.
    pub node: SpiffeId,
    /// What a caller asks for.
    pub model: ModelName,
    /// SHA-256 of the weights, where the node has the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_sha256: Option<Digest>,
    /// What the model can do.
    pub capabilities: BTreeSet<Capability>,
    /// Every place where requests may be processed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processing_locations: Option<Claim<Vec<Place>>>,
    /// Every place where data may be stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_locations: Option<Claim<Vec<Place>>>,
    /// Every place from which people may reach the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_locations: Option<Claim<Vec<Place>>>,
    /// The model's licence: an SPDX identifier or `LicenseRef-...`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<Claim<String>>,
    /// What it costs; absent is unknown, which is not free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// The terms; absent refuses every caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Terms>,
    /// When the offer is in force.
    #[serde(default)]
    pub in_force: Interval,
    /// The longest context in tokens, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u32>,
}

impl Offer {
    /// Its name in the federation.
    #[must_use]
    pub fn name(&self) -> OfferName {
        OfferName::new(&self.node, &self.id)
    }
}

/// What a model can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// Answers Chat and ChatStream.
    Chat,
    /// Answers Embed.
    Embed,
    /// Answers Forward.
    Forward,
    /// Accepts tools and returns tool calls.
    Tools,
    /// Accepts images.
    ImageInput,
    /// Holds to a JSON schema.
    JsonSchema,
    /// Returns log-probabilities.
    LogProbabilities,
}

impl Capability {
    /// Its name in files and reasons.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Embed => "embed",
            Self::Forward => "forward",
            Self::Tools => "tools",
            Self::ImageInput => "image-input",
            Self::JsonSchema => "json-schema",
            Self::LogProbabilities => "log-probabilities",
        }
    }
}

/// What an offer promises and what it demands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// What is kept; empty: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Claim<Vec<RetentionRule>>>,
    /// Whether inputs are trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_use: Option<Claim<TrainingUse>>,
    /// Purposes that are allowed, with everything below them.
    #[serde(default)]
    pub allowed_purposes: BTreeSet<String>,
    /// Purposes that are prohibited, with everything below them.
    #[serde(default)]
    pub prohibited_purposes: BTreeSet<String>,
    /// Which callers are accepted; absent refuses every caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller_rules: Option<CallerRules>,
}

/// How long one kind of data is kept, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionRule {
    /// Which data.
    pub data: RetentionData,
    /// What causes it to be kept.
    pub trigger: RetentionTrigger,
    /// For how long at most, in days; 0 means gone when the answer is.
    pub max_days: u32,
}

/// Which data a retention rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetentionData {
    /// Prompts and completions.
    Content,
    /// Sizes, times, identifiers.
    Metadata,
    /// What a classifier said of the content.
    ClassifierOutput,
}

/// What causes data to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetentionTrigger {
    /// Every request.
    Routine,
    /// The search for abuse.
    AbuseMonitoring,
    /// A feature that needs it.
    ApplicationState,
    /// A safety system's flag.
    SafetyFlagged,
    /// A law or a court.
    LegalObligation,
}

impl RetentionTrigger {
    /// Its name in reasons.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Routine => "ROUTINE",
            Self::AbuseMonitoring => "ABUSE_MONITORING",
            Self::ApplicationState => "APPLICATION_STATE",
            Self::SafetyFlagged => "SAFETY_FLAGGED",
            Self::LegalObligation => "LEGAL_OBLIGATION",
        }
    }
}

/// Whether inputs are trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrainingUse {
    /// Never.
    Never,
    /// Only for callers that agreed.
    OptIn,
    /// Unless the caller objected.
    OptOut,
    /// Always.
    Always,
}

/// What a node demands of callers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallerRules {
    /// Which callers are served, by seat.
    pub served: Served,
    /// Places that are not served all the same; may name subdivisions.
    #[serde(default)]
    pub served_except: BTreeSet<PlaceOrBloc>,
    /// Rules on who controls a caller.
    #[serde(default)]
    pub ownership: Vec<OwnershipRule>,
}

/// Everyone (`"everyone"` in files), or a list of places and blocs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Served {
    /// Callers from everywhere.
    Everyone,
    /// Callers seated in one of these.
    Places(BTreeSet<PlaceOrBloc>),
}

impl Serialize for Served {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Everyone => serializer.serialize_str("everyone"),
            Self::Places(places) => places.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Served {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Served;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"everyone\", or a list of places and blocs such as [\"EU\", \"CH\"]")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Served, E> {
                if text == "everyone" {
                    Ok(Served::Everyone)
                } else {
                    Err(E::invalid_value(serde::de::Unexpected::Str(text), &self))
                }
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, seq: A) -> Result<Served, A::Error> {
                BTreeSet::deserialize(serde::de::value::SeqAccessDeserializer::new(seq)).map(Served::Places)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A rule on who ultimately controls a caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnershipRule {
    /// Its name in reasons.
    pub id: String,
    /// Which controllers' seats taint a caller.
    pub target: OwnershipTarget,
}

/// Which controllers' seats taint a caller: `"places-not-served"` or a list in files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnershipTarget {
    /// Every place that `served` and `served_except` leave out.
    PlacesNotServed,
    /// These places and blocs.
    Places(BTreeSet<PlaceOrBloc>),
}

impl Serialize for OwnershipTarget {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::PlacesNotServed => serializer.serialize_str("places-not-served"),
            Self::Places(places) => places.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for OwnershipTarget {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = OwnershipTarget;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"places-not-served\", or a list of places and blocs such as [\"CN\", \"RU\"]")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<OwnershipTarget, E> {
                if text == "places-not-served" {
                    Ok(OwnershipTarget::PlacesNotServed)
                } else {
                    Err(E::invalid_value(serde::de::Unexpected::Str(text), &self))
                }
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, seq: A) -> Result<OwnershipTarget, A::Error> {
                BTreeSet::deserialize(serde::de::value::SeqAccessDeserializer::new(seq)).map(OwnershipTarget::Places)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
