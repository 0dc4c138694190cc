//! One of the questions of place, and what the caller demands of it.

use std::collections::BTreeSet;

use comity_types::{Place, PlaceOrBloc};

use crate::ReasonCode;
use crate::evaluate::facet::Among;
use crate::evaluate::findings::Findings;
use crate::evaluate::truth::{Doubt, Participant};
use crate::requirements::AllowLists;

/// One of the questions of place, and what the caller demands of it.
pub(super) struct Axis<'a> {
    pub(super) path: &'static str,
    pub(super) allowed: &'a AllowLists<PlaceOrBloc>,
    pub(super) forbidden: &'a BTreeSet<PlaceOrBloc>,
}

impl<'t> Axis<'t> {
    pub(super) fn is_demanded(&self) -> bool {
        !self.allowed.is_unrestricted() || !self.forbidden.is_empty()
    }

    /// What is processed is processed somewhere, so that an offer without such a place says nothing. Nothing may be stored
    /// and nobody may reach the machine: an empty list is "known none".
    pub(super) fn check(
        &self,
        code: ReasonCode,
        piece: Among<'_, Place>,
        whom: Participant<'_>,
        findings: &mut Findings<'t>,
    ) {
        let claim = match piece {
            Among::One(place) => return self.check_place(code, self.path, place, whom, findings),
            Among::Whole(claim) => claim,
        };
        let Some(places) = findings.value(&self.path, claim) else { return };
        if places.is_empty() && code == ReasonCode::ProcessingLocationNotAllowed {
            findings.doubt(&self.path, Doubt::missing(self.path));
        }
        for place in places.iter() {
            self.check_place(code, self.path, place, whom, findings);
        }
    }

    pub(super) fn check_place(
        &self,
        code: ReasonCode,
        path: &str,
        place: &Place,
        whom: Participant<'_>,
        findings: &mut Findings<'t>,
    ) {
        findings.allowed(code, &path, place, self.allowed, Some(whom));
        findings.forbidden(code, &path, place, self.forbidden, Some(whom));
    }
}
