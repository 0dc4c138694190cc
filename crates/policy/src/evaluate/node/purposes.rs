//! What callers are served for (VOCABULARY D12), and what of it the AI Act calls high-risk (D13).

use std::collections::BTreeSet;

use super::incomplete;
use crate::evaluate::facet::{Facet, OfUse, Use};
use crate::evaluate::findings::{Field, Findings, Joined};
use crate::evaluate::truth::Doubt;
use crate::tables::statutes::Effect;
use crate::terms::HighRisk;
use crate::{Offer, Organisation, ReasonCode, Side, Tables};

const PATH: &str = "request.purposes";

/// What callers are served for.
pub(crate) struct Purposes;

/// What the terms say of purposes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Accepted<'a> {
    allowed: &'a BTreeSet<String>,
    prohibited: &'a BTreeSet<String>,
    high_risk: Option<HighRisk>,
}

impl Facet for Purposes {
    const SIDE: Side = Side::Node;
    type Facts<'a> = Option<Accepted<'a>>;
    type Part = OfUse;

    fn facts<'a>(offer: &'a Offer, _: &'a Organisation, _: &Tables) -> impl IntoIterator<Item = Self::Facts<'a>> {
        [offer.terms.as_ref().map(|terms| Accepted {
            allowed: &terms.allowed_purposes,
            prohibited: &terms.prohibited_purposes,
            high_risk: terms.high_risk,
        })]
    }

    fn is_asked(_: &Use<'_>) -> bool {
        true
    }

    /// Each purpose needs an allowed ancestor-or-self and no prohibited one, and must not include a prohibited one.
    /// Terms that are not there at all are said to be missing once, with the callers that they would serve; what is
    /// asked of the request alone is asked all the same.
    fn check<'t>(facts: &Self::Facts<'t>, asked: &Use<'t>, findings: &mut Findings<'t>) {
        let (declared, tables) = (&asked.declared.purposes, findings.tables);
        check_known(PATH, declared, findings);
        if declared.is_empty() {
            let field = Field { path: &PATH, expected: &"at least one purpose", actual: &"none" };
            findings.reject(ReasonCode::PurposeUndeclared, "", field);
        }
        let Some(terms) = facts else { return };
        check_known("terms.allowed_purposes", terms.allowed, findings);
        check_known("terms.prohibited_purposes", terms.prohibited, findings);
        for purpose in declared.iter().filter(|purpose| tables.purposes.knows(purpose)) {
            check_one(purpose, terms, findings);
        }
        check_high_risk(terms, asked, findings);
    }
}

fn check_known(path: &str, purposes: &BTreeSet<String>, findings: &mut Findings<'_>) {
    for purpose in purposes {
        if !findings.tables.purposes.knows(purpose) {
            findings.doubt(&path, Doubt::unrecognised(purpose));
        }
    }
}

fn check_one(purpose: &String, terms: &Accepted<'_>, findings: &mut Findings<'_>) {
    let purposes = &findings.tables.purposes;
    let allowed = terms.allowed.iter().any(|ancestor| purposes.is_within(purpose, ancestor));
    let prohibited = terms.prohibited.iter().any(|ancestor| purposes.is_within(purpose, ancestor));
    let strictly_below = terms.prohibited.iter().filter(|narrower| *narrower != purpose);
    let too_broad = strictly_below.clone().any(|narrower| purposes.is_within(narrower, purpose));
    if !allowed {
        let field = Field { path: &PATH, expected: &Joined(terms.allowed), actual: purpose };
        findings.reject(ReasonCode::PurposeNotAllowed, purpose, field);
    }
    let expected = format_args!("not {}", Joined(terms.prohibited));
    let field = Field { path: &PATH, expected: &expected, actual: purpose };
    if prohibited {
        findings.reject(ReasonCode::PurposeProhibited, purpose, field);
    }
    if too_broad {
        findings.reject(ReasonCode::PurposeTooBroad, purpose, field);
    }
}

/// A use that Annex III names is the node's to accept or not; the law itself does not refuse it.
fn check_high_risk(terms: &Accepted<'_>, asked: &Use<'_>, findings: &mut Findings<'_>) {
    const TAGS: &str = "request.ai_act_tags";
    let tables = findings.tables;
    let of_tag = |tag: &&String| tables.statutes.get(tag).is_some_and(|row| row.effect == Effect::HighRisk);
    for tag in asked.declared.ai_act_tags.iter().filter(of_tag) {
        match terms.high_risk {
            Some(HighRisk::Allowed) => {}
            Some(HighRisk::Prohibited) => {
                let field = Field { path: &TAGS, expected: &"no high-risk use", actual: tag };
                findings.reject(ReasonCode::PurposeProhibited, tag, field);
            }
            None => incomplete("terms.high_risk", "high_risk", "whether high-risk uses are accepted", findings),
        }
    }
}
