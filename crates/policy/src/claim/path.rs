//! The claims of an organisation and of an offer, by the paths that `min_assurance` names them by.

use std::fmt;
use std::str::FromStr;

use comity_types::{Digest, Invalid};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Countersignature;
use crate::evaluate::ASSURANCE_PATHS;
use crate::{Claim, Offer, Organisation, Terms};

/// What stands before the facts of an organisation.
const OF_ORGANISATION: &str = "operator.";

/// The path of a claim, as `min_assurance` has it: `operator.seat` for a fact of an organisation, `seal` for what an
/// offer states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimPath(&'static str);

impl ClaimPath {
    /// Every path.
    pub fn all() -> impl Iterator<Item = Self> {
        ASSURANCE_PATHS.into_iter().map(Self)
    }

    /// The path in text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// True if it is of a fact of an organisation, and false if an offer states it.
    #[must_use]
    pub fn is_of_organisation(self) -> bool {
        self.0.starts_with(OF_ORGANISATION)
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl FromStr for ClaimPath {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let known = Self::all().find(|path| path.0 == text);
        known.ok_or_else(|| Invalid::new(text, "the path of a claim such as operator.seat or processing_locations"))
    }
}

impl Serialize for ClaimPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for ClaimPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The audits of a claim, by its path.
pub trait Audits {
    /// Those that count of this path.
    fn of(&self, path: ClaimPath) -> Vec<Countersignature>;
}

impl<F: Fn(ClaimPath) -> Vec<Countersignature>> Audits for F {
    fn of(&self, path: ClaimPath) -> Vec<Countersignature> {
        self(path)
    }
}

fn weigh<T: Clone + Serialize>(claim: &mut Option<Claim<T>>, path: &'static str, audits: &impl Audits) {
    if let Some(stated) = claim {
        *stated = stated.weighed(&audits.of(ClaimPath(path)));
    }
}

fn digests<T: Clone + Serialize>(claim: Option<&Claim<T>>) -> Vec<Digest> {
    claim.into_iter().flat_map(Claim::digests).collect()
}

/// Makes the two walks over the claims of a type: a claim that is in neither has no path, which a test sees.
macro_rules! claims {
    ($($field:ident = $path:literal,)*) => {
        fn weigh_own(&mut self, audits: &impl Audits) {
            $(weigh(&mut self.$field, $path, audits);)*
        }

        fn own_digests(&self, path: ClaimPath) -> Vec<Digest> {
            match path.as_str() {
                $($path => digests(self.$field.as_ref()),)*
                _ => Vec::new(),
            }
        }
    };
}

impl Organisation {
    claims! {
        seat = "operator.seat",
        headquarters = "operator.headquarters",
        principal_place_of_business = "operator.principal_place_of_business",
        establishments = "operator.establishments",
        ownership = "operator.ownership",
        ultimate_controllers = "operator.ultimate_controllers",
        organisation_type = "operator.organisation_type",
        sector = "operator.sector",
        restricted_party_lists = "operator.restricted_party_lists",
        monthly_active_users = "operator.monthly_active_users",
        dpf_participation = "operator.dpf_participation",
        commercial_organisation = "operator.commercial_organisation",
    }

    /// The facts with each claim [weighed](Claim::weighed).
    #[must_use]
    pub fn weighed(&self, audits: &impl Audits) -> Self {
        let mut weighed = self.clone();
        weighed.weigh_own(audits);
        weighed
    }

    /// The digests of the values that it states at a path.
    #[must_use]
    pub fn claim_digests(&self, path: ClaimPath) -> Vec<Digest> {
        self.own_digests(path)
    }
}

impl Offer {
    claims! {
        model_digest = "model_digest",
        modalities = "modalities",
        processing_locations = "processing_locations",
        storage_locations = "storage_locations",
        access_locations = "access_locations",
        sub_processors = "sub_processors",
        seal = "seal",
        cada_level = "cada_level",
        gaiax_label = "gaiax_label",
        safety_grade = "safety_grade",
        runtime = "runtime",
        licence = "licence",
    }

    /// The offer with each claim [weighed](Claim::weighed).
    #[must_use]
    pub fn weighed(&self, audits: &impl Audits) -> Self {
        let mut weighed = self.clone();
        weighed.weigh_own(audits);
        if let Some(terms) = &mut weighed.terms {
            terms.weigh_own(audits);
        }
        weighed
    }

    /// The digests of the values that it states at a path.
    #[must_use]
    pub fn claim_digests(&self, path: ClaimPath) -> Vec<Digest> {
        let of_terms = self.terms.iter().flat_map(|terms| terms.own_digests(path));
        self.own_digests(path).into_iter().chain(of_terms).collect()
    }
}

impl Terms {
    claims! {
        retention = "retention",
        training_use = "training_use",
        human_review = "human_review",
        content_logging = "content_logging",
        transfer_basis = "transfer_basis",
        certifications = "certifications",
        quota = "quota",
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_path_is_weighed_and_has_a_digest_where_it_is_stated() {
        let mut world = crate::evaluate::laws::world::stated();
        let quota: crate::terms::Quota = serde_json::from_str(r#"{"requests_per_day":5}"#).unwrap();
        world.offer.terms.as_mut().unwrap().quota = Some(Claim::always(quota));
        let asked = RefCell::new(BTreeSet::new());
        let none = |path| {
            asked.borrow_mut().insert(path);
            Vec::new()
        };
        let (offer, organisation) = (world.offer.weighed(&none), world.operator.weighed(&none));
        assert_eq!(asked.into_inner(), ClaimPath::all().collect());
        for path in ClaimPath::all() {
            let (of_offer, of_organisation) = (offer.claim_digests(path), organisation.claim_digests(path));
            assert_eq!(of_offer.is_empty(), path.is_of_organisation(), "{path}");
            assert_eq!(of_organisation.is_empty(), !path.is_of_organisation(), "{path}");
        }
    }

    #[test]
    fn a_path_has_one_spelling() {
        for path in ClaimPath::all() {
            assert_eq!(path.as_str().parse(), Ok(path));
            assert_eq!(serde_json::from_value::<ClaimPath>(serde_json::to_value(path).unwrap()).unwrap(), path);
        }
        for text in ["", "seat", "operator.seal", "Operator.seat", "operator.seat ", "offer.seal"] {
            assert!(text.parse::<ClaimPath>().is_err(), "{text}");
        }
    }
}
