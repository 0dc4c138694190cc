//! Where requests are processed, stored, reached, and pass through (VOCABULARY D5, D6).

use std::collections::BTreeSet;

use comity_types::{Place, PlaceOrBloc};

use super::Question;
use super::findings::{Doubt, Field, Findings, Party, Truth, joined};
use crate::requirements::AllowLists;
use crate::tables::blocs::Reach;
use crate::terms::TransferBasis;
use crate::{Claim, ReasonCode, Side};

/// The bloc of places with an adequacy decision, which a transfer on that ground needs.
const ADEQUATE: &str = "GDPR-ADEQUATE";

pub(super) fn check(question: &Question<'_>, findings: &mut Findings<'_>) {
    findings.speak_for(Side::Caller);
    let (offer, demanded) = (question.offer, question.request.requirements);
    let processing = Axis {
        path: "processing_locations",
        allowed: &demanded.allowed_processing_locations,
        forbidden: &demanded.forbidden_processing_locations,
        whom: question.operator(),
    };
    let storage = Axis {
        path: "storage_locations",
        allowed: &demanded.allowed_storage_locations,
        forbidden: &demanded.forbidden_storage_locations,
        whom: question.operator(),
    };
    let access = Axis {
        path: "access_locations",
        allowed: &demanded.allowed_access_locations,
        forbidden: &demanded.forbidden_access_locations,
        whom: question.operator(),
    };
    processing.check_claim(ReasonCode::ProcessingLocationNotAllowed, offer.processing_locations.as_ref(), findings);
    storage.check_claim(ReasonCode::StorageLocationNotAllowed, offer.storage_locations.as_ref(), findings);
    access.check_claim(ReasonCode::AccessLocationNotAllowed, offer.access_locations.as_ref(), findings);
    check_sub_processors(&processing, question, findings);
    check_broker(&processing, question.request.broker_places, findings);
    check_transfer(question, findings);
}

/// One of the three questions of place, and what the caller demands of it.
struct Axis<'a> {
    path: &'static str,
    allowed: &'a AllowLists<PlaceOrBloc>,
    forbidden: &'a BTreeSet<PlaceOrBloc>,
    whom: Party<'a>,
}

impl Axis<'_> {
    fn is_demanded(&self) -> bool {
        !self.allowed.is_unrestricted() || !self.forbidden.is_empty()
    }

    /// An offer that states no place at all says nothing: storage may be nowhere, processing and access are somewhere.
    fn check_claim(&self, code: ReasonCode, claim: Option<&Claim<BTreeSet<Place>>>, findings: &mut Findings<'_>) {
        if !self.is_demanded() {
            return;
        }
        let Some(places) = findings.value(self.path, claim) else { return };
        if places.is_empty() && code != ReasonCode::StorageLocationNotAllowed {
            findings.doubt(self.path, Doubt::missing(self.path));
        }
        for place in places.iter() {
            self.check_place(code, self.path, place, findings);
        }
    }

    fn check_place(&self, code: ReasonCode, path: &str, place: &Place, findings: &mut Findings<'_>) {
        findings.allowed(code, path, place, self.allowed, Some(self.whom));
        findings.forbidden(code, path, place, self.forbidden, Some(self.whom));
    }
}

/// Whoever can read content processes, too.
fn check_sub_processors(processing: &Axis<'_>, question: &Question<'_>, findings: &mut Findings<'_>) {
    const PATH: &str = "sub_processors";
    let forbidden = &question.request.requirements.forbidden_sub_processors;
    if !processing.is_demanded() && forbidden.is_empty() {
        return;
    }
    let Some(all) = findings.value(PATH, question.offer.sub_processors.as_ref()) else { return };
    for one in all.iter() {
        if forbidden.contains(&one.id) {
            let field = Field { path: PATH, expected: &format!("not {}", joined(forbidden)), actual: &one.id };
            findings.reject(ReasonCode::SubProcessorNotAllowed, &one.id, field);
        }
        if !processing.is_demanded() || !one.content_access {
            continue;
        }
        if one.places.is_empty() {
            findings.doubt(PATH, Doubt::missing(format!("{PATH}.{}.places", one.id)));
        }
        for place in &one.places {
            processing.check_place(ReasonCode::SubProcessorLocationNotAllowed, PATH, place, findings);
        }
    }
}

/// The broker ends the caller's TLS, so that it processes too.
fn check_broker(processing: &Axis<'_>, places: Option<&BTreeSet<Place>>, findings: &mut Findings<'_>) {
    const PATH: &str = "broker.places";
    let Some(places) = places.filter(|_| processing.is_demanded()) else { return };
    if places.is_empty() {
        findings.doubt(PATH, Doubt::missing(PATH));
    }
    for place in places {
        processing.check_place(ReasonCode::BrokerPathNotAllowed, PATH, place, findings);
    }
}

/// Where content leaves the places that the caller names, a ground of GDPR's chapter V has to cover it.
fn check_transfer(question: &Question<'_>, findings: &mut Findings<'_>) {
    for home in &question.request.requirements.transfer_basis_outside.0 {
        check_transfer_from(home, question, findings);
    }
}

fn check_transfer_from(home: &BTreeSet<PlaceOrBloc>, question: &Question<'_>, findings: &mut Findings<'_>) {
    const PATH: &str = "terms.transfer_basis";
    let offer = question.offer;
    let axes = [
        ("processing_locations", &offer.processing_locations),
        ("storage_locations", &offer.storage_locations),
        ("access_locations", &offer.access_locations),
    ];
    let mut outside = BTreeSet::new();
    for (path, claim) in axes {
        let Some(places) = findings.value(path, claim.as_ref()) else { continue };
        for place in places.iter() {
            match findings.is_in(place, home, Reach::Within, Some(question.operator())) {
                Truth::Yes => {}
                Truth::No => drop(outside.insert(place.clone())),
                Truth::Unknown(doubts) => findings.doubts(path, doubts),
            }
        }
    }
    if outside.is_empty() {
        return;
    }
    let claim = offer.terms.as_ref().and_then(|terms| terms.transfer_basis.as_ref());
    let Some(basis) = findings.value("transfer_basis", claim).map(|basis| *basis) else { return };
    for place in &outside {
        if let Some(actual) = uncovered(place, basis, question, findings) {
            let field = Field { path: PATH, expected: "a ground that covers the place", actual };
            findings.reject(ReasonCode::TransferBasisMissing, place.as_str(), field);
        }
    }
}

/// Why the ground does not cover the place, if it does not.
fn uncovered(
    place: &Place,
    basis: TransferBasis,
    question: &Question<'_>,
    findings: &mut Findings<'_>,
) -> Option<&'static str> {
    match basis {
        TransferBasis::StandardClauses | TransferBasis::CorporateRules => None,
        TransferBasis::NoneNeeded => Some("none is said to be needed"),
        TransferBasis::Adequacy => {
            let adequate = ADEQUATE.parse().into_iter().collect();
            match findings.is_in(place, &adequate, Reach::Within, Some(question.operator())) {
                Truth::Yes => None,
                Truth::No => Some("adequacy, and there is no decision on the place"),
                Truth::Unknown(doubts) => {
                    findings.doubts("terms.transfer_basis", doubts);
                    None
                }
            }
        }
    }
}
