//! One of the questions of place, and what the caller demands of it.

use comity_types::Place;

use super::PROCESSING;
use crate::evaluate::facet::Among;
use crate::evaluate::findings::Findings;
use crate::evaluate::membership::Lists;
use crate::evaluate::truth::{Doubt, Participant};

/// One of the questions of place, and what the caller demands of it.
pub(super) struct Axis<'a> {
    pub(super) path: &'static str,
    pub(super) lists: Lists<'a>,
}

impl<'t> Axis<'t> {
    /// What is processed is processed somewhere, so that an offer without such a place says nothing. Nothing may be stored
    /// and nobody may reach the machine: an empty list is "known none".
    pub(super) fn check(&self, piece: Among<'_, Place>, whom: Participant<'_>, findings: &mut Findings<'t>) {
        let claim = match piece {
            Among::One(place) => return findings.hold(&self.lists, &self.path, place, Some(whom)),
            Among::Whole(claim) => claim,
        };
        let Some(places) = findings.value(&self.path, claim) else { return };
        if places.is_empty() && self.path == PROCESSING {
            findings.doubt(&self.path, Doubt::missing(self.path));
        }
        for place in places.iter() {
            findings.hold(&self.lists, &self.path, place, Some(whom));
        }
    }
}
