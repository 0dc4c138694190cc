//! What a law forbids whoever offers it: Article 5 of the AI Act (VOCABULARY D13).

use comity_types::Place;
use comity_types::time::Phase;

use super::facet::{Facet, OfUse, Use};
use super::findings::{Field, Findings};
use super::truth::{Doubt, Party, Truth};
use crate::tables::blocs::Reach;
use crate::tables::statutes::{Effect, Use as ForbiddenUse};
use crate::{Offer, Organisation, ReasonCode, Side, Tables};

const TAGS: &str = "request.ai_act_tags";

/// What a law forbids, whatever the offer.
pub(super) struct Statute;

impl Facet for Statute {
    const SIDE: Side = Side::Statute;
    type Facts<'a> = ();
    type Part = OfUse;

    fn facts<'a>(_: &'a Offer, _: &'a Organisation, _: &Tables) -> impl IntoIterator<Item = Self::Facts<'a>> {
        [()]
    }

    fn is_asked(asked: &Use<'_>) -> bool {
        !asked.declared.ai_act_tags.is_empty()
    }

    fn check<'t>((): &(), asked: &Use<'t>, findings: &mut Findings<'t>) {
        let tables = findings.tables;
        for tag in &asked.declared.ai_act_tags {
            match tables.statutes.get(tag) {
                None => findings.doubt(&TAGS, Doubt::unrecognised(tag)),
                Some(row) if row.effect == Effect::Prohibited => check_use(row, asked, findings),
                Some(_) => {}
            }
        }
    }
}

fn check_use<'t>(row: &'t ForbiddenUse, asked: &Use<'_>, findings: &mut Findings<'t>) {
    match findings.phase(&row.in_force) {
        Phase::Before => return findings.expires(row.in_force.from),
        Phase::After => return,
        Phase::Within => {}
    }
    if !row.exceptions.is_disjoint(&asked.declared.exceptions) {
        return;
    }
    match is_in_territory(row, asked, findings) {
        Truth::No => {}
        Truth::Unknown(doubts) => findings.doubts(&TAGS, doubts),
        Truth::Yes => {
            let field = Field { path: &TAGS, expected: &"no use that the law forbids", actual: &row.about };
            findings.reject_by(ReasonCode::StatutoryProhibition, &row.tag, field, &row.tag);
        }
    }
}

/// One place within is enough. Without one, all have to be known: where the caller is, and where the answer is used.
fn is_in_territory<'t>(row: &'t ForbiddenUse, asked: &Use<'_>, findings: &mut Findings<'t>) -> Truth {
    let (caller, declared) = (Party::caller(asked.caller), asked.declared);
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
    // A branch is a place of the caller, too.
    if let Some(claim) = &caller.organisation.establishments {
        match findings.look(&caller.path("establishments"), Some(claim)) {
            Ok(all) => places.extend(all.iter().cloned()),
            Err(doubt) => doubts.push(doubt),
        }
    }
    if declared.output_used_in.is_empty() {
        doubts.push(Doubt::missing("request.output_used_in"));
    }
    for place in places {
        match findings.is_in(&place, &row.territory, Reach::Overlap, Some(caller.participant())) {
            Truth::Yes => return Truth::Yes,
            Truth::No => {}
            Truth::Unknown(more) => doubts.extend(more),
        }
    }
    if doubts.is_empty() { Truth::No } else { Truth::Unknown(doubts) }
}
