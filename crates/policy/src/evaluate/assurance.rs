//! Who stands behind an offer: certificates, ratings, and the assurance of single claims (VOCABULARY D15, D16).

mod certificates;
pub(crate) mod levels;

use std::collections::BTreeMap;

pub(super) use self::certificates::Certificates;
pub(super) use self::levels::Levels;
use super::facet::{Demand, Facet, OfDemand};
use super::findings::{Field, Findings};
use super::truth::Doubt;
use crate::offer::{Objective, SafetyGrade};
use crate::{Claim, Offer, Organisation, ReasonCode, Requirements, Side, Tables};

/// Ratings by others, or by the operator itself.
pub(super) struct Ratings;

/// What is stated of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Rated<'a> {
    seal: Option<&'a Claim<BTreeMap<Objective, u8>>>,
    cada_level: Option<&'a Claim<u8>>,
    gaiax_label: Option<&'a Claim<u8>>,
    safety_grade: Option<&'a Claim<SafetyGrade>>,
}

impl Facet for Ratings {
    const SIDE: Side = Side::Caller;
    type Facts<'a> = Rated<'a>;
    type Part = OfDemand;

    fn facts<'a>(offer: &'a Offer, _: &'a Organisation, _: &Tables) -> impl IntoIterator<Item = Self::Facts<'a>> {
        [Rated {
            seal: offer.seal.as_ref(),
            cada_level: offer.cada_level.as_ref(),
            gaiax_label: offer.gaiax_label.as_ref(),
            safety_grade: offer.safety_grade.as_ref(),
        }]
    }

    fn is_asked(asked: &Demand<'_>) -> bool {
        let demanded = asked.requirements;
        !demanded.min_seal.is_empty()
            || demanded.min_cada_level.is_some()
            || demanded.min_gaiax_label.is_some()
            || demanded.min_safety_grade.is_some()
    }

    fn check<'t>(facts: &Self::Facts<'t>, asked: &Demand<'t>, findings: &mut Findings<'t>) {
        check_seal(facts, asked.requirements, findings);
        check_labels(facts, asked.requirements, findings);
        check_safety(facts, asked.requirements, findings);
    }
}

/// Each objective for itself: an average would hide the one that matters.
fn check_seal(facts: &Rated<'_>, demanded: &Requirements, findings: &mut Findings<'_>) {
    if demanded.min_seal.is_empty() {
        return;
    }
    let ratings = match findings.look(&"seal", facts.seal) {
        Ok(ratings) => Some(ratings),
        Err(doubt) if doubt.code == ReasonCode::ClaimMissing => None,
        Err(doubt) => return findings.doubt(&"seal", doubt),
    };
    for (objective, least) in &demanded.min_seal {
        let path = format_args!("seal.{objective}");
        match ratings.as_ref().and_then(|ratings| ratings.get(objective)) {
            None => findings.doubt(&path, Doubt::missing(path)),
            Some(found) if found < least => {
                let expected = format_args!("at least {least}");
                let field = Field { path: &path, expected: &expected, actual: found };
                findings.reject(ReasonCode::SealBelowMinimum, objective, field);
            }
            Some(_) => {}
        }
    }
}

fn check_labels(facts: &Rated<'_>, demanded: &Requirements, findings: &mut Findings<'_>) {
    let labels = [
        ("cada_level", facts.cada_level, demanded.min_cada_level),
        ("gaiax_label", facts.gaiax_label, demanded.min_gaiax_label),
    ];
    for (path, claim, least) in labels {
        let Some(least) = least else { continue };
        let Some(found) = findings.value(&path, claim) else { continue };
        if *found < least {
            let expected = format_args!("at least {least}");
            let field = Field { path: &path, expected: &expected, actual: &*found };
            findings.reject(ReasonCode::SovereigntyLevelTooLow, path, field);
        }
    }
}

fn check_safety(facts: &Rated<'_>, demanded: &Requirements, findings: &mut Findings<'_>) {
    let Some(least) = demanded.min_safety_grade else { return };
    let Some(found) = findings.value(&"safety_grade", facts.safety_grade) else { return };
    if *found < least {
        let field = Field { path: &"safety_grade", expected: &least, actual: &*found };
        findings.reject(ReasonCode::SafetyGradeTooLow, *found, field);
    }
}
