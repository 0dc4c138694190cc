//! Which content is accepted: its classification and the personal data in it (VOCABULARY D18).

use crate::evaluate::Question;
use crate::evaluate::findings::{Doubt, Field, Findings, joined};
use crate::request::Classification;
use crate::tables::classifications::ClassificationScheme;
use crate::terms::Ceiling;
use crate::{ReasonCode, Terms};

const PATH: &str = "terms.classification_ceilings";

pub(super) fn check(terms: &Terms, question: &Question<'_>, findings: &mut Findings<'_>) {
    for classification in &question.request.declared.classifications {
        check_classification(classification, terms, question, findings);
    }
    if let Some(accepted) = &terms.accepted_data_categories {
        for category in question.request.declared.data_categories.difference(accepted) {
            let path = "request.data_categories";
            let field = Field { path, expected: &joined(accepted), actual: category };
            findings.reject(ReasonCode::DataCategoryNotAccepted, category, field);
        }
    }
}

fn check_classification(content: &Classification, terms: &Terms, question: &Question<'_>, findings: &mut Findings<'_>) {
    let tables = findings.tables;
    let Some(scheme) = tables.classifications.get(&content.scheme) else {
        return findings.doubt("request.classifications", Doubt::unrecognised(&content.scheme));
    };
    if scheme.rank(&content.level).is_none() {
        return findings.doubt("request.classifications", Doubt::unrecognised(&content.level));
    }
    if let Some(restricted) = &scheme.own_organisation_only {
        let foreign = question.operator.trust_domain != question.request.caller.trust_domain;
        if foreign && restricted.contains(&content.level) {
            above(content, "a node of the caller's own organisation", findings);
        }
        // A scheme that is about sharing needs no ceiling; one that is stated holds all the same.
        if !terms.classification_ceilings.contains_key(&content.scheme) {
            return;
        }
    }
    match ceiling(content, scheme, terms, findings) {
        Some((scheme, level, ceiling)) => check_ceiling(content, scheme, level, ceiling, findings),
        None => {
            let expected = format!("a ceiling in {}", content.scheme);
            let stated: Vec<_> = terms.classification_ceilings.keys().map(String::as_str).collect();
            let actual = if stated.is_empty() { "none".to_owned() } else { stated.join(", ") };
            let field = Field { path: PATH, expected: &expected, actual: &actual };
            findings.reject(ReasonCode::ClassificationIncomparable, &content.scheme, field);
        }
    }
}

/// The ceiling that the content is held against, with its scheme and the content's level there: the same scheme's,
/// or that of a scheme with a level that an agreement calls the same.
fn ceiling<'t>(
    content: &'t Classification,
    scheme: &'t ClassificationScheme,
    terms: &'t Terms,
    findings: &Findings<'t>,
) -> Option<(&'t ClassificationScheme, &'t str, &'t Ceiling)> {
    let tables = findings.tables;
    if let Some(ceiling) = terms.classification_ceilings.get(&content.scheme) {
        return Some((scheme, &content.level, ceiling));
    }
    terms.classification_ceilings.iter().find_map(|(other, ceiling)| {
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
        (_, None) => findings.doubt(PATH, Doubt::unrecognised(&ceiling.level)),
        (found, Some(_)) if found.is_none() => findings.doubt(PATH, Doubt::unrecognised(level)),
        (found, most) if found > most => above(content, &format!("at most {}", ceiling.level), findings),
        _ => {}
    }
    for caveat in content.caveats.difference(&ceiling.caveats) {
        let field = Field { path: PATH, expected: &joined(&ceiling.caveats), actual: caveat };
        findings.reject(ReasonCode::HandlingCaveatNotAccepted, caveat, field);
    }
}

fn above(content: &Classification, expected: &str, findings: &mut Findings<'_>) {
    let field = Field { path: PATH, expected, actual: &content.level };
    findings.reject(ReasonCode::ClassificationAboveCeiling, &content.level, field);
}
