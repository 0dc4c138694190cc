//! Offers: one model, on one node, in one place, under one set of terms.

use std::collections::{BTreeMap, BTreeSet};

use comity_types::{Digest, Interval, Lei, ModelName, Name, OfferName, Place, Price, SpiffeId};
use serde::{Deserialize, Serialize};

use crate::claim::Merge;
use crate::organisation::Controller;
use crate::{Claim, Terms};

/// One model, on one node, in one place, under one set of terms: the unit that is matched.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// Unique on its node.
    pub id: Name,
    /// The node that serves it; its organisation operates the offer.
    pub node: SpiffeId,
    /// What a caller asks for.
    pub model: ModelName,
    /// SHA-256 of the weights, where the node has the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_digest: Option<Claim<Digest>>,
    /// Who made the model. No data party unless it receives content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_provider: Option<String>,
    /// What the model reads and writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modalities: Option<Claim<BTreeSet<Modality>>>,
    /// What the model can do.
    pub capabilities: BTreeSet<Capability>,
    /// Every place where requests may be processed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processing_locations: Option<Claim<BTreeSet<Place>>>,
    /// Every place where data may be stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_locations: Option<Claim<BTreeSet<Place>>>,
    /// Every place from which people may reach the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_locations: Option<Claim<BTreeSet<Place>>>,
    /// Everybody else who takes part; empty: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_processors: Option<Claim<BTreeSet<SubProcessor>>>,
    /// Sovereignty ratings, 0 to 4, by objective (Cloud Sovereignty Framework 1.2.1, SEAL).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<Claim<BTreeMap<Objective, u8>>>,
    /// The sovereignty level, 1 to 4, of the proposed Cloud and AI Development Act (COM(2026) 502).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cada_level: Option<Claim<u8>>,
    /// The Gaia-X label, 1 to 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gaiax_label: Option<Claim<u8>>,
    /// The grade of a safety benchmark (MLCommons AILuminate).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safety_grade: Option<Claim<SafetyGrade>>,
    /// What it runs in, such as a confidential virtual machine: a name that an attestation can bear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Claim<String>>,
    /// The model's licence: an SPDX identifier or `LicenseRef-...`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<Claim<String>>,
    /// What it costs; absent is unknown, which is not free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// The terms; absent refuses every caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Terms>,
    /// Whether it takes calls.
    #[serde(default)]
    pub state: OfferState,
    /// When the offer is in force.
    #[serde(default)]
    pub in_force: Interval,
    /// The longest context in tokens, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u32>,
    /// Grams of CO2 equivalent for a million tokens, for ranking alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carbon_grams_per_million_tokens: Option<u64>,
}

impl Offer {
    /// Its name in the federation.
    #[must_use]
    pub fn name(&self) -> OfferName {
        OfferName::new(&self.node, &self.id)
    }
}

/// Makes an enum whose members have one name each, in files, reasons and on the command line.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$member_doc:meta])* $member:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$member_doc])* #[serde(rename = $text)] $member,)* }

        impl $name {
            /// Every member.
            pub const ALL: &[Self] = &[$(Self::$member,)*];

            /// Its name in files and reasons.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$member => $text,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}
pub(crate) use named;

named! {
    /// What a model can do.
    Capability {
        /// Answers Chat and `ChatStream`.
        Chat = "chat",
        /// Answers Embed.
        Embed = "embed",
        /// Answers Forward.
        Forward = "forward",
        /// Accepts tools and returns tool calls.
        Tools = "tools",
        /// Accepts images.
        ImageInput = "image-input",
        /// Holds to a JSON schema.
        JsonSchema = "json-schema",
        /// Returns log-probabilities.
        LogProbabilities = "log-probabilities",
    }
}

named! {
    /// What a model reads or writes (CycloneDX model card).
    Modality {
        /// Text.
        Text = "text",
        /// Pictures.
        Image = "image",
        /// Sound.
        Audio = "audio",
        /// Moving pictures.
        Video = "video",
    }
}

named! {
    /// Sovereignty objectives of the Cloud Sovereignty Framework 1.2.1 (European Commission, October 2025).
    Objective {
        /// Strategic sovereignty.
        Sov1 = "SOV-1",
        /// Legal and jurisdictional sovereignty.
        Sov2 = "SOV-2",
        /// Data and AI sovereignty.
        Sov3 = "SOV-3",
        /// Operational sovereignty.
        Sov4 = "SOV-4",
        /// Supply chain sovereignty.
        Sov5 = "SOV-5",
        /// Technology sovereignty.
        Sov6 = "SOV-6",
        /// Security and compliance sovereignty.
        Sov7 = "SOV-7",
        /// Environmental sustainability.
        Sov8 = "SOV-8",
    }
}

named! {
    /// Grades of MLCommons AILuminate, worst first.
    SafetyGrade {
        /// Far behind what is usual.
        Poor = "poor",
        /// Behind what is usual.
        Fair = "fair",
        /// As is usual.
        Good = "good",
        /// Ahead of what is usual.
        VeryGood = "very-good",
        /// Almost without violations.
        Excellent = "excellent",
    }
}

impl Merge for SafetyGrade {
    fn merge(&self, other: &Self) -> Option<Self> {
        Some(*self.min(other))
    }
}

/// Whether an offer takes calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OfferState {
    /// It does.
    #[default]
    Active,
    /// It ends what runs, and takes nothing new.
    Draining,
    /// It was withdrawn.
    Withdrawn,
}

/// Somebody whom the operator lets take part (`dpv:DataSubProcessor`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubProcessor {
    /// Its name in reasons: a short name, or its legal entity identifier.
    pub id: String,
    /// Its legal entity identifier; absent is unknown, unless `id` is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lei: Option<Lei>,
    /// What it does.
    pub role: SubProcessorRole,
    /// Every place where it may do so.
    pub places: BTreeSet<Place>,
    /// Whether it can read prompts or completions.
    pub content_access: bool,
    /// Its legal seat; absent is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seat: Option<Place>,
    /// Where most of its business is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal_place_of_business: Option<Place>,
    /// Its branches and offices; absent is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub establishments: Option<BTreeSet<Place>>,
    /// Who ultimately controls it; absent is unknown, empty is nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ultimate_controllers: Option<BTreeSet<Controller>>,
}

/// What a sub-processor does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubProcessorRole {
    /// Hosts the machine.
    CloudHost,
    /// Supports it.
    Support,
    /// Classifies content for safety.
    Safety,
    /// Bills.
    Billing,
    /// Keeps keys.
    KeyCustodian,
    /// Made the model, and receives content.
    ModelProvider,
}
