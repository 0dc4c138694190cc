//! What a law forbids whoever offers it: Article 5 of the AI Act (VOCABULARY D13).

use comity_types::Place;
use comity_types::time::Phase;

use super::Question;
use super::findings::{Doubt, Field, Findings, Truth};
use crate::tables::blocs::Reach;
use crate::tables::statutes::{Effect, Use};
use crate::{ReasonCode, Side};

const TAGS: &str = "request.ai_act_tags";

pub(super) fn check(question: &Question<'_>, findings: &mut Findings<'_>) {
    findings.speak_for(Side::Statute);
    let tables = findings.tables;
    for tag in &question.request.declared.ai_act_tags {
        match tables.statutes.get(tag) {
            None => findings.doubt(TAGS, Doubt::unrecognised(tag)),
            Some(row) if row.effect == Effect::Prohibited => check_use(row, question, findings),
            Some(_) => {}
        }
    }
}

fn check_use(row: &Use, question: &Question<'_>, findings: &mut Findings<'_>) {
    match row.in_force.phase(findings.as_of) {
        Phase::Before => return findings.expires(row.in_force.from),
        Phase::After => return,
        Phase::Within => {}
    }
    if !row.exceptions.is_disjoint(&question.request.declared.exceptions) {
        return;
    }
    match is_in_territory(row, question, findings) {
        Truth::No => {}
        Truth::Unknown(doubts) => findings.doubts(TAGS, doubts),
        Truth::Yes => {
            let field = Field { path: TAGS, expected: "no use that the law forbids", actual: &row.about };
            findings.reject_by(ReasonCode::StatutoryProhibition, &row.tag, field, &row.tag);
        }
    }
}

/// One place within is enough. Without one, all have to be known: where the caller is, and where the answer is used.
fn is_in_territory(row: &Use, question: &Question<'_>, findings: &mut Findings<'_>) -> Truth {
    let (caller, declared) = (question.caller(), &question.request.declared);
    let mut doubts = Vec::new();
    let mut places: Vec<Place> = declared.access_origins.iter().chain(&declared.output_used_in).cloned().collect();
    let claims = [
        ("seat", &caller.organisation.seat, true),
        ("headquarters", &caller.organisation.headquarters, false),
        ("principal_place_of_business", &caller.organisation.principal_place_of_business, false),
    ];
    for (field, claim, needed) in claims {
        if !needed && claim.is_none() {
            continue;
        }
        match findings.look(&caller.path(field), claim.as_ref()) {
            Ok(place) => places.push(place.into_owned()),
            Err(doubt) => doubts.push(doubt),
        }
    }
    if declared.output_used_in.is_empty() {
        doubts.push(Doubt::missing("request.output_used_in"));
    }
    for place in places {
        match findings.is_in(&place, &row.territory, Reach::Overlap, Some(caller)) {
            Truth::Yes => return Truth::Yes,
            Truth::No => {}
            Truth::Unknown(more) => doubts.extend(more),
        }
    }
    if doubts.is_empty() { Truth::No } else { Truth::Unknown(doubts) }
}
