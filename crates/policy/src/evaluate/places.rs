//! Where requests are processed, stored, reached, and pass through (VOCABULARY D5, D6).

use std::collections::BTreeSet;

use comity_types::{Place, PlaceOrBloc};

use super::Request;
use super::findings::Findings;
use crate::requirements::AllowLists;
use crate::{Claim, Offer, ReasonCode};

pub(super) fn check(offer: &Offer, request: &Request<'_>, findings: &mut Findings<'_>) {
    let demanded = request.requirements;
    let processing = Axis {
        path: "processing_locations",
        allowed: &demanded.allowed_processing_locations,
        forbidden: &demanded.forbidden_processing_locations,
    };
    let storage = Axis {
        path: "storage_locations",
        allowed: &demanded.allowed_storage_locations,
        forbidden: &demanded.forbidden_storage_locations,
    };
    let access = Axis {
        path: "access_locations",
        allowed: &demanded.allowed_access_locations,
        forbidden: &demanded.forbidden_access_locations,
    };
    processing.check_claim(ReasonCode::ProcessingLocationNotAllowed, offer.processing_locations.as_ref(), findings);
    storage.check_claim(ReasonCode::StorageLocationNotAllowed, offer.storage_locations.as_ref(), findings);
    access.check_claim(ReasonCode::AccessLocationNotAllowed, offer.access_locations.as_ref(), findings);
    check_broker(&processing, request.broker_places, findings);
}

/// One of the three questions of place, and what the caller demands of it.
struct Axis<'a> {
    path: &'static str,
    allowed: &'a AllowLists<PlaceOrBloc>,
    forbidden: &'a BTreeSet<PlaceOrBloc>,
}

impl Axis<'_> {
    fn is_demanded(&self) -> bool {
        !self.allowed.is_unrestricted() || !self.forbidden.is_empty()
    }

    /// An offer that states no place at all says nothing: storage may be nowhere, processing and access are somewhere.
    fn check_claim(&self, code: ReasonCode, claim: Option<&Claim<Vec<Place>>>, findings: &mut Findings<'_>) {
        if !self.is_demanded() {
            return;
        }
        let Some(places) = findings.value(self.path, claim) else { return };
        if places.is_empty() && code != ReasonCode::StorageLocationNotAllowed {
            findings.missing(self.path, self.path);
        }
        for place in places {
            self.check_place(code, self.path, place, findings);
        }
    }

    fn check_place(&self, code: ReasonCode, path: &'static str, place: &Place, findings: &mut Findings<'_>) {
        findings.allowed(code, path, place, self.allowed);
        findings.forbidden(code, path, place, self.forbidden);
    }
}

/// The broker ends the caller's TLS, so that it processes too.
fn check_broker(processing: &Axis<'_>, places: &BTreeSet<Place>, findings: &mut Findings<'_>) {
    if !processing.is_demanded() {
        return;
    }
    if places.is_empty() {
        findings.missing("broker.places", "broker.places");
    }
    for place in places {
        processing.check_place(ReasonCode::BrokerPathNotAllowed, "broker.places", place, findings);
    }
}
