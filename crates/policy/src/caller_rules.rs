//! What a node demands of callers: from where, owned by whom, in what trade.

use std::collections::BTreeSet;

use comity_types::{Interval, PlaceOrBloc};
use serde::{Deserialize, Serialize};

use crate::organisation::OrganisationType;
use crate::ownership::Interest;

/// What a node demands of callers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallerRules {
    /// Which callers are served, by place.
    pub served: Served,
    /// Places that are not served all the same; may name subdivisions.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub served_except: BTreeSet<PlaceOrBloc>,
    /// Which of the caller's places have to be served.
    #[serde(default)]
    pub check: PlaceChecks,
    /// Rules on who owns or controls a caller.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ownership: Vec<OwnershipRule>,
    /// Kinds of organisation that are not served.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub denied_organisation_types: BTreeSet<OrganisationType>,
    /// Sectors that are not served, by codes of NACE: with all that is within, and callers that state something wider.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub denied_sectors: BTreeSet<String>,
    /// Lists of restricted parties on which a caller may not stand.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub denied_lists: BTreeSet<String>,
    /// The oldest version of these terms that a caller may have accepted; 0: none has to be.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub min_terms_version: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(version: &u32) -> bool {
    *version == 0
}

/// Which of the caller's places have to be served. One that is checked and not known refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlaceChecks {
    /// Its legal seat.
    pub seat: bool,
    /// Its headquarters; not checked unless the terms say so.
    pub headquarters: bool,
    /// Where the call comes from.
    pub access_origin: bool,
}

impl Default for PlaceChecks {
    fn default() -> Self {
        Self { seat: true, headquarters: false, access_origin: true }
    }
}

/// A rule on who owns or controls a caller.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnershipRule {
    /// Its name in reasons.
    pub id: String,
    /// Which parties taint a caller.
    pub target: OwnershipTarget,
    /// By what.
    #[serde(default)]
    pub test: OwnershipTest,
    /// Which holdings are counted, each kind for itself; empty: capital and votes.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub interests: BTreeSet<Interest>,
    /// Whether the threshold has to be exceeded or reached.
    #[serde(default)]
    pub comparison: Comparison,
    /// The threshold, in hundredths of a percent.
    #[serde(default = "half")]
    pub threshold_bp: u32,
    /// Whether the stakes of several tainted holders are added up.
    #[serde(default = "yes")]
    pub aggregate: bool,
    /// How stakes count that are held through others.
    #[serde(default)]
    pub indirect: Indirect,
    /// When the rule is in force: within one of these; empty: always.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_force: Vec<Interval>,
}

const fn half() -> u32 {
    5_000
}

const fn yes() -> bool {
    true
}

/// By what a party taints a caller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OwnershipTest {
    /// By its share.
    Ownership,
    /// By its control.
    Control,
    /// By one of the two.
    #[default]
    Either,
}

/// How a share is held against a threshold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Comparison {
    /// More than the threshold: the usual words of vendors.
    #[default]
    MoreThan,
    /// The threshold or more: OFAC's and BIS's rule.
    AtLeast,
}

/// How stakes count that are held through others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Indirect {
    /// A holder that is tainted itself counts with its full stake, any other with nothing.
    #[default]
    Cascade,
    /// Shares are multiplied along the way.
    LookThrough,
}

/// Everyone (`"everyone"` in files), or a list of places and blocs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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

/// Which parties taint a caller: `"places-not-served"`, places, or `{ lists = [...] }` in files.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OwnershipTarget {
    /// Every place that `served` and `served_except` leave out.
    PlacesNotServed,
    /// Parties of these places and blocs.
    Places(BTreeSet<PlaceOrBloc>),
    /// Parties on these lists.
    Lists(BTreeSet<String>),
}

/// The file form of a target that is lists.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lists {
    lists: BTreeSet<String>,
}

impl Serialize for OwnershipTarget {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::PlacesNotServed => serializer.serialize_str("places-not-served"),
            Self::Places(places) => places.serialize(serializer),
            Self::Lists(lists) => Lists { lists: lists.clone() }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for OwnershipTarget {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = OwnershipTarget;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(
                    "\"places-not-served\", places and blocs such as [\"CN\", \"RU\"], or { lists = [\"OFAC-SDN\"] }",
                )
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

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<OwnershipTarget, A::Error> {
                let Lists { lists } = Lists::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(OwnershipTarget::Lists(lists))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests;
