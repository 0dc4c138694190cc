//! What callers are served for (VOCABULARY D12), and what of it the AI Act calls high-risk (D13).

use crate::evaluate::Question;
use crate::evaluate::findings::{Doubt, Field, Findings, joined};
use crate::tables::statutes::Effect;
use crate::terms::HighRisk;
use crate::{ReasonCode, Terms};

const PATH: &str = "request.purposes";

/// Each purpose needs an allowed ancestor-or-self and no prohibited one, and must not include a prohibited one.
pub(super) fn check(terms: &Terms, question: &Question<'_>, findings: &mut Findings<'_>) {
    let declared = &question.request.declared.purposes;
    let tables = findings.tables;
    for unknown in [declared, &terms.allowed_purposes, &terms.prohibited_purposes].into_iter().flatten() {
        if !tables.purposes.knows(unknown) {
            findings.doubt(PATH, Doubt::unrecognised(unknown));
        }
    }
    if declared.is_empty() {
        let field = Field { path: PATH, expected: "at least one purpose", actual: "none" };
        findings.reject(ReasonCode::PurposeUndeclared, "", field);
    }
    for purpose in declared.iter().filter(|purpose| tables.purposes.knows(purpose)) {
        check_one(purpose, terms, findings);
    }
    check_high_risk(terms, question, findings);
}

fn check_one(purpose: &String, terms: &Terms, findings: &mut Findings<'_>) {
    let purposes = &findings.tables.purposes;
    let allowed = terms.allowed_purposes.iter().any(|ancestor| purposes.is_within(purpose, ancestor));
    let prohibited = terms.prohibited_purposes.iter().any(|ancestor| purposes.is_within(purpose, ancestor));
    let strictly_below = terms.prohibited_purposes.iter().filter(|narrower| *narrower != purpose);
    let too_broad = strictly_below.clone().any(|narrower| purposes.is_within(narrower, purpose));
    if !allowed {
        let field = Field { path: PATH, expected: &joined(&terms.allowed_purposes), actual: purpose };
        findings.reject(ReasonCode::PurposeNotAllowed, purpose, field);
    }
    let expected = format!("not {}", joined(&terms.prohibited_purposes));
    let field = Field { path: PATH, expected: &expected, actual: purpose };
    if prohibited {
        findings.reject(ReasonCode::PurposeProhibited, purpose, field);
    }
    if too_broad {
        findings.reject(ReasonCode::PurposeTooBroad, purpose, field);
    }
}

/// A use that Annex III names is the node's to accept or not; the law itself does not refuse it.
fn check_high_risk(terms: &Terms, question: &Question<'_>, findings: &mut Findings<'_>) {
    const TAGS: &str = "request.ai_act_tags";
    let tables = findings.tables;
    let of_tag = |tag: &&String| tables.statutes.get(tag).is_some_and(|row| row.effect == Effect::HighRisk);
    for tag in question.request.declared.ai_act_tags.iter().filter(of_tag) {
        match terms.high_risk {
            Some(HighRisk::Allowed) => {}
            Some(HighRisk::Prohibited) => {
                let field = Field { path: TAGS, expected: "no high-risk use", actual: tag };
                findings.reject(ReasonCode::PurposeProhibited, tag, field);
            }
            None => super::incomplete("terms.high_risk", "high_risk", "whether high-risk uses are accepted", findings),
        }
    }
}
