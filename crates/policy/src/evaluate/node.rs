//! The node's terms: whom it serves, for what, with which content (VOCABULARY D1, D12, D18).

mod callers;
mod content;
mod ownership;
mod purposes;

use super::Question;
use super::findings::{Field, Findings};
use crate::{ReasonCode, Side};

pub(super) fn check(question: &Question<'_>, findings: &mut Findings<'_>) {
    findings.speak_for(Side::Node);
    let Some(terms) = &question.offer.terms else {
        return incomplete("terms.caller_rules", "", "terms that say who is served", findings);
    };
    match &terms.caller_rules {
        None => incomplete("terms.caller_rules", "", "terms that say who is served", findings),
        Some(rules) => {
            callers::check(rules, terms, question, findings);
            for rule in &rules.ownership {
                ownership::check(rule, rules, question, findings);
            }
        }
    }
    purposes::check(terms, question, findings);
    content::check(terms, question, findings);
}

fn incomplete(path: &str, subject: &str, expected: &str, findings: &mut Findings<'_>) {
    findings.reject(ReasonCode::NodeTermsIncomplete, subject, Field { path, expected, actual: "nothing" });
}
