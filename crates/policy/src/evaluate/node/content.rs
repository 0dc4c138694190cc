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
use crate::{Offer, Organisation, ReasonCode, Side};

const PATH: &str = "terms.ceilings";

/// Which content is accepted.
pub(crate) struct Content;

/// What the terms say of content, and whose they are.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Accepted<'a> {
    ceilings: &'a BTreeMap<String, Ceiling>,
    data_categories: Option<&'a BTreeSet<String>>,
    operator: &'a TrustDomain,
}

impl Facet for Content {
    const SIDE: Side = Side::Node;
    type Facts<'a> = Option<Accepted<'a>>;
    type Part = OfUse;

    fn facts<'a>(offer: &'a Offer, operator: &'a Organisation) -> Self::Facts<'a> {
        let terms = offer.terms.as_ref()?;
        Some(Accepted {
            ceilings: &terms.classification_ceilings,
            data_categories: terms.accepted_data_categories.as_ref(),
            operator: &operator.trust_domain,
        })
    }

    fn is_asked(asked: &Use<'_>) -> bool {
        !asked.declared.classifications.is_empty() || !asked.declared.data_categories.is_empty()
    }

    fn check(facts: &Self::Facts<'_>, asked: &Use<'_>, findings: &mut Findings<'_>) {
        let Some(terms) = facts else { return };
        for classification in &asked.declared.classifications {
            check_classification(classification, terms, &asked.caller.trust_domain, findings);
        }
        if let Some(accepted) = terms.data_categories {
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
    terms: &Accepted<'_>,
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
    if let Some(restricted) = &scheme.own_organisation_only {
        if terms.operator != caller && restricted.contains(&content.level) {
            above(content, &"a node of the caller's own organisation", findings);
        }
        // A scheme that is about sharing needs no ceiling; one that is stated holds all the same.
        if !terms.ceilings.contains_key(&content.scheme) {
            return;
        }
    }
    match ceiling(content, scheme, terms, findings) {
        Some((scheme, level, ceiling)) => check_ceiling(content, scheme, level, ceiling, findings),
        None => {
            let expected = format_args!("a ceiling in {}", content.scheme);
            let stated: BTreeSet<_> = terms.ceilings.keys().collect();
            let (none, others) = ("none", Joined(&stated));
            let actual: &dyn Display = if stated.is_empty() { &none } else { &others };
            let field = Field { path: &PATH, expected: &expected, actual };
            findings.reject(ReasonCode::ClassificationIncomparable, &content.scheme, field);
        }
    }
}

/// The ceiling that the content is held against, with its scheme and the content's level there: the same scheme's,
/// or that of a scheme with a level that an agreement calls the same.
fn ceiling<'t>(
    content: &'t Classification,
    scheme: &'t ClassificationScheme,
    terms: &Accepted<'t>,
    findings: &Findings<'t>,
) -> Option<(&'t ClassificationScheme, &'t str, &'t Ceiling)> {
    let tables = findings.tables;
    if let Some(ceiling) = terms.ceilings.get(&content.scheme) {
        return Some((scheme, &content.level, ceiling));
    }
    terms.ceilings.iter().find_map(|(other, ceiling)| {
        let level = tables.classifications.same_in(&content.scheme, &content.level, other)?;
        Some((tables.classifications.get(other)?, level, ceiling))
    })
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
    for caveat in content.caveats.difference(&ceiling.caveats) {
        let field = Field { path: &PATH, expected: &Joined(&ceiling.caveats), actual: caveat };
        findings.reject(ReasonCode::HandlingCaveatNotAccepted, caveat, field);
    }
}

fn above(content: &Classification, expected: &dyn Display, findings: &mut Findings<'_>) {
    let field = Field { path: &PATH, expected, actual: &content.level };
    findings.reject(ReasonCode::ClassificationAboveCeiling, &content.level, field);
}
