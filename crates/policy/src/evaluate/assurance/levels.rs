//! How far somebody has to stand behind a claim, by its path (VOCABULARY D16).

use std::hash::Hash;

use crate::claim::{Appraisal, Assurance, Claim, Merge};
use crate::evaluate::facet::{Demand, Facet, OfDemand};
use crate::evaluate::findings::{Field, Findings};
use crate::evaluate::truth::Doubt;
use crate::{Offer, Organisation, ReasonCode, Side, Tables};

/// Claims that hardware can attest. No quote shows a seat, an owner, a place or a contract.
const ATTESTABLE: [&str; 3] = ["model_digest", "runtime", "content_logging"];

/// How far somebody has to stand behind claims.
pub(crate) struct Levels;

/// Every claim may be asked about, so that no two offers are the same.
#[derive(Clone, Copy)]
pub(crate) struct Everything<'a> {
    offer: &'a Offer,
    operator: &'a Organisation,
}

impl PartialEq for Everything<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.offer, other.offer) && std::ptr::eq(self.operator, other.operator)
    }
}

impl Eq for Everything<'_> {}

impl Hash for Everything<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (&self.offer.node, &self.offer.id).hash(state);
    }
}

impl Facet for Levels {
    const SIDE: Side = Side::Caller;
    type Facts<'a> = Everything<'a>;
    type Part = OfDemand;

    fn facts<'a>(
        offer: &'a Offer,
        operator: &'a Organisation,
        _: &Tables,
    ) -> impl IntoIterator<Item = Self::Facts<'a>> {
        [Everything { offer, operator }]
    }

    fn is_asked(asked: &Demand<'_>) -> bool {
        !asked.requirements.min_assurance.is_empty()
    }

    fn check<'t>(facts: &Self::Facts<'t>, asked: &Demand<'t>, findings: &mut Findings<'t>) {
        for (path, least) in &asked.requirements.min_assurance {
            let level = Level { path, least: *least };
            match path.strip_prefix("operator.") {
                Some(field) => level.of_organisation(field, facts.operator, findings),
                None => level.of_offer(facts.offer, findings),
            }
        }
    }
}

/// The paths that a requirement may name, as `min_assurance` has them.
pub(crate) const PATHS: [&str; 31] = [
    "model_digest",
    "modalities",
    "processing_locations",
    "storage_locations",
    "access_locations",
    "sub_processors",
    "seal",
    "cada_level",
    "gaiax_label",
    "safety_grade",
    "runtime",
    "licence",
    "retention",
    "training_use",
    "human_review",
    "content_logging",
    "transfer_basis",
    "certifications",
    "quota",
    "operator.seat",
    "operator.headquarters",
    "operator.principal_place_of_business",
    "operator.establishments",
    "operator.ownership",
    "operator.ultimate_controllers",
    "operator.organisation_type",
    "operator.sector",
    "operator.restricted_party_lists",
    "operator.monthly_active_users",
    "operator.dpf_participation",
    "operator.commercial_organisation",
];

struct Level<'a> {
    path: &'a str,
    least: Assurance,
}

impl Level<'_> {
    fn of_offer(&self, offer: &Offer, findings: &mut Findings<'_>) {
        let terms = offer.terms.as_ref();
        match self.path {
            "model_digest" => self.claim(offer.model_digest.as_ref(), findings),
            "modalities" => self.claim(offer.modalities.as_ref(), findings),
            "processing_locations" => self.claim(offer.processing_locations.as_ref(), findings),
            "storage_locations" => self.claim(offer.storage_locations.as_ref(), findings),
            "access_locations" => self.claim(offer.access_locations.as_ref(), findings),
            "sub_processors" => self.claim(offer.sub_processors.as_ref(), findings),
            "seal" => self.claim(offer.seal.as_ref(), findings),
            "cada_level" => self.claim(offer.cada_level.as_ref(), findings),
            "gaiax_label" => self.claim(offer.gaiax_label.as_ref(), findings),
            "safety_grade" => self.claim(offer.safety_grade.as_ref(), findings),
            "runtime" => self.claim(offer.runtime.as_ref(), findings),
            "licence" => self.claim(offer.licence.as_ref(), findings),
            "retention" => self.claim(terms.and_then(|terms| terms.retention.as_ref()), findings),
            "training_use" => self.claim(terms.and_then(|terms| terms.training_use.as_ref()), findings),
            "human_review" => self.claim(terms.and_then(|terms| terms.human_review.as_ref()), findings),
            "content_logging" => self.claim(terms.and_then(|terms| terms.content_logging.as_ref()), findings),
            "transfer_basis" => self.claim(terms.and_then(|terms| terms.transfer_basis.as_ref()), findings),
            "certifications" => self.claim(terms.and_then(|terms| terms.certifications.as_ref()), findings),
            "quota" => self.claim(terms.and_then(|terms| terms.quota.as_ref()), findings),
            _ => findings.doubt(&"min_assurance", Doubt::unrecognised(self.path)),
        }
    }

    fn of_organisation(&self, field: &str, facts: &Organisation, findings: &mut Findings<'_>) {
        match field {
            "seat" => self.claim(facts.seat.as_ref(), findings),
            "headquarters" => self.claim(facts.headquarters.as_ref(), findings),
            "principal_place_of_business" => self.claim(facts.principal_place_of_business.as_ref(), findings),
            "establishments" => self.claim(facts.establishments.as_ref(), findings),
            "ownership" => self.claim(facts.ownership.as_ref(), findings),
            "ultimate_controllers" => self.claim(facts.ultimate_controllers.as_ref(), findings),
            "organisation_type" => self.claim(facts.organisation_type.as_ref(), findings),
            "sector" => self.claim(facts.sector.as_ref(), findings),
            "restricted_party_lists" => self.claim(facts.restricted_party_lists.as_ref(), findings),
            "monthly_active_users" => self.claim(facts.monthly_active_users.as_ref(), findings),
            "dpf_participation" => self.claim(facts.dpf_participation.as_ref(), findings),
            "commercial_organisation" => self.claim(facts.commercial_organisation.as_ref(), findings),
            _ => findings.doubt(&"min_assurance", Doubt::unrecognised(self.path)),
        }
    }

    /// The level of a value is the highest among the live statements that say just that. A value that nobody states
    /// as it stands, because it was put together from several, has the lowest.
    fn claim<T: Merge>(&self, claim: Option<&Claim<T>>, findings: &mut Findings<'_>) {
        let Some(value) = findings.value(&self.path, claim) else { return };
        let Some(claim) = claim else { return };
        let (tables, as_of) = (findings.tables, findings.as_of);
        let attestable = ATTESTABLE.contains(&self.path);
        let trusts = |issuer: &str, level| tables.issuers.trusts(issuer, level);
        let found = claim.saying(&value, as_of).map(|statement| statement.level(attestable, trusts)).max();
        let found = found.unwrap_or_default();
        if found >= self.least {
            return;
        }
        let claims = claim.saying(&value, as_of).filter(|statement| statement.assurance >= self.least);
        let field = Field { path: &self.path, expected: &self.least.as_str(), actual: &found.as_str() };
        let codes: Vec<_> = claims
            .map(|one| match (one.assurance, one.appraisal) {
                (Assurance::Attested, _) if !attestable => ReasonCode::AssuranceTooLow,
                (Assurance::Attested, appraisal) if appraisal != Some(Appraisal::Affirming) => {
                    ReasonCode::AttestationInvalid
                }
                _ => ReasonCode::IssuerNotTrusted,
            })
            .collect();
        // Of several statements that fall short, the one that says most, whatever their order.
        let telling = [ReasonCode::AttestationInvalid, ReasonCode::IssuerNotTrusted];
        let code = telling.into_iter().find(|code| codes.contains(code)).unwrap_or(ReasonCode::AssuranceTooLow);
        findings.reject(code, self.path, field);
    }
}

#[cfg(test)]
mod tests;
