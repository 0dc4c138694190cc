//! Which content is accepted: its classification and the personal data in it (VOCABULARY D18).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use comity_types::TrustDomain;

use crate::evaluate::facet::{Facet, OfUse, Use};
use crate::evaluate::findings::{Field, Findings, Joined};
use crate::evaluate::truth::Doubt;
use crate::request::Classification;
use crate::tables::classifications::ClassificationScheme;
use crate::terms::Ceiling;
use crate::{Offer, Organisation, ReasonCode, Side, Tables};

const PATH: &str = "terms.classification_ceilings";

/// Which content is accepted.
pub(crate) struct Content;

/// What the terms say of content, and whose node it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Accepted<'a> {
    terms: Option<TermsOnContent<'a>>,
    operator: &'a TrustDomain,
}

/// What terms say of content.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct TermsOnContent<'a> {
    ceilings: &'a BTreeMap<String, Ceiling>,
    data_categories: Option<&'a BTreeSet<String>>,
}

impl Facet for Content {
    const SIDE: Side = Side::Node;
    type Facts<'a> = Accepted<'a>;
    type Part = OfUse;

    fn facts<'a>(
        offer: &'a Offer,
        operator: &'a Organisation,
        _: &Tables,
    ) -> impl IntoIterator<Item = Self::Facts<'a>> {
        let terms = offer.terms.as_ref().map(|terms| TermsOnContent {
            ceilings: &terms.classification_ceilings,
            data_categories: terms.accepted_data_categories.as_ref(),
        });
        [Accepted { terms, operator: &operator.trust_domain }]
    }

    fn is_asked(asked: &Use<'_>) -> bool {
        !asked.declared.classifications.is_empty() || !asked.declared.data_categories.is_empty()
    }

    /// Terms that are not there at all are said to be missing once, with the callers that they would serve.
    fn check<'t>(facts: &Self::Facts<'t>, asked: &Use<'t>, findings: &mut Findings<'t>) {
        for classification in &asked.declared.classifications {
            check_classification(classification, facts, &asked.caller.trust_domain, findings);
        }
        if let Some(accepted) = facts.terms.and_then(|terms| terms.data_categories) {
            for category in asked.declared.data_categories.difference(accepted) {
                let path = "request.data_categories";
                let field = Field { path: &path, expected: &Joined(accepted), actual: category };
                findings.reject(ReasonCode::DataCategoryNotAccepted, category, field);
            }
        }
    }
}

fn check_classification(
    content: &Classification,
    facts: &Accepted<'_>,
    caller: &TrustDomain,
    findings: &mut Findings<'_>,
) {
    let tables = findings.tables;
    let Some(scheme) = tables.classifications.get(&content.scheme) else {
        return findings.doubt(&"request.classifications", Doubt::unrecognised(&content.scheme));
    };
    if scheme.rank(&content.level).is_none() {
        return findings.doubt(&"request.classifications", Doubt::unrecognised(&content.level));
    }
    if scheme.own_organisation_only.as_ref().is_some_and(|restricted| restricted.contains(&content.level))
        && facts.operator != caller
    {
        above(content, &"a node of the caller's own organisation", findings);
    }
    if let Some(terms) = facts.terms {
        check_ceilings(content, scheme, terms.ceilings, findings);
    }
}

/// A ceiling of the same scheme decides. Without one, every ceiling has to hold that is in a scheme with a level that an
/// agreement calls the same: what the node stated of one of them is no reason to pass over another.
fn check_ceilings(
    content: &Classification,
    scheme: &ClassificationScheme,
    ceilings: &BTreeMap<String, Ceiling>,
    findings: &mut Findings<'_>,
) {
    if let Some(ceiling) = ceilings.get(&content.scheme) {
        return check_ceiling(content, scheme, &content.level, ceiling, findings);
    }
    let tables = findings.tables;
    // Which content such a ceiling is about nobody knows, so that it may be this.
    for unknown in ceilings.keys().filter(|other| tables.classifications.get(other).is_none()) {
        findings.doubt(&PATH, Doubt::unrecognised(unknown));
    }
    // A scheme that is about sharing needs no ceiling; a caveat on what is shared, none the less, is for somebody to take.
    if scheme.own_organisation_only.is_some() {
        return check_caveats(content, &BTreeSet::new(), findings);
    }
    let mut is_comparable = false;
    for (other, ceiling) in ceilings {
        let level = tables.classifications.same_in(&content.scheme, &content.level, other);
        if let Some((level, scheme)) = level.zip(tables.classifications.get(other)) {
            is_comparable = true;
            check_ceiling(content, scheme, level, ceiling, findings);
        }
    }
    if !is_comparable {
        let expected = format_args!("a ceiling in {}", content.scheme);
        let stated: BTreeSet<_> = ceilings.keys().collect();
        let (none, others) = ("none", Joined(&stated));
        let actual: &dyn Display = if stated.is_empty() { &none } else { &others };
        let field = Field { path: &PATH, expected: &expected, actual };
        findings.reject(ReasonCode::ClassificationIncomparable, &content.scheme, field);
    }
}

fn check_ceiling(
    content: &Classification,
    scheme: &ClassificationScheme,
    level: &str,
    ceiling: &Ceiling,
    findings: &mut Findings<'_>,
) {
    match (scheme.rank(level), scheme.rank(&ceiling.level)) {
        (_, None) => findings.doubt(&PATH, Doubt::unrecognised(&ceiling.level)),
        (found, Some(_)) if found.is_none() => findings.doubt(&PATH, Doubt::unrecognised(level)),
        (found, most) if found > most => above(content, &format_args!("at most {}", ceiling.level), findings),
        _ => {}
    }
    check_caveats(content, &ceiling.caveats, findings);
}

fn check_caveats(content: &Classification, accepted: &BTreeSet<String>, findings: &mut Findings<'_>) {
    for caveat in content.caveats.difference(accepted) {
        let field = Field { path: &PATH, expected: &Joined(accepted), actual: caveat };
        findings.reject(ReasonCode::HandlingCaveatNotAccepted, caveat, field);
    }
}

fn above(content: &Classification, expected: &dyn Display, findings: &mut Findings<'_>) {
    let field = Field { path: &PATH, expected, actual: &content.level };
    findings.reject(ReasonCode::ClassificationAboveCeiling, &content.level, field);
}
