//! Who stands behind an offer: certificates, ratings, and the assurance of single claims (VOCABULARY D15, D16).

mod certificates;
pub(crate) mod levels;

use super::Question;
use super::findings::{Doubt, Field, Findings};
use crate::{ReasonCode, Side};

pub(super) fn check(question: &Question<'_>, findings: &mut Findings<'_>) {
    findings.speak_for(Side::Caller);
    certificates::check(question, findings);
    check_seal(question, findings);
    check_labels(question, findings);
    check_safety(question, findings);
    levels::check(question, findings);
}

/// Each objective for itself: an average would hide the one that matters.
fn check_seal(question: &Question<'_>, findings: &mut Findings<'_>) {
    let demanded = &question.request.requirements.min_seal;
    if demanded.is_empty() {
        return;
    }
    let ratings = match findings.look("seal", question.offer.seal.as_ref()) {
        Ok(ratings) => Some(ratings),
        Err(doubt) if doubt.code == ReasonCode::ClaimMissing => None,
        Err(doubt) => return findings.doubt("seal", doubt),
    };
    for (objective, least) in demanded {
        let path = format!("seal.{objective}");
        match ratings.as_ref().and_then(|ratings| ratings.get(objective)) {
            None => findings.doubt(&path, Doubt::missing(path.as_str())),
            Some(found) if found < least => {
                let (expected, actual) = (format!("at least {least}"), found.to_string());
                let field = Field { path: &path, expected: &expected, actual: &actual };
                findings.reject(ReasonCode::SealBelowMinimum, objective.as_str(), field);
            }
            Some(_) => {}
        }
    }
}

fn check_labels(question: &Question<'_>, findings: &mut Findings<'_>) {
    let (offer, demanded) = (question.offer, question.request.requirements);
    let labels = [
        ("cada_level", &offer.cada_level, demanded.min_cada_level),
        ("gaiax_label", &offer.gaiax_label, demanded.min_gaiax_label),
    ];
    for (path, claim, least) in labels {
        let Some(least) = least else { continue };
        let Some(found) = findings.value(path, claim.as_ref()) else { continue };
        if *found < least {
            let (expected, actual) = (format!("at least {least}"), found.to_string());
            let field = Field { path, expected: &expected, actual: &actual };
            findings.reject(ReasonCode::SovereigntyLevelTooLow, path, field);
        }
    }
}

fn check_safety(question: &Question<'_>, findings: &mut Findings<'_>) {
    let Some(least) = question.request.requirements.min_safety_grade else { return };
    let Some(found) = findings.value("safety_grade", question.offer.safety_grade.as_ref()) else { return };
    if *found < least {
        let field = Field { path: "safety_grade", expected: least.as_str(), actual: found.as_str() };
        findings.reject(ReasonCode::SafetyGradeTooLow, found.as_str(), field);
    }
}
