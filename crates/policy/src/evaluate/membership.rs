//! Whether places are in sets of places and blocs, for whom, and until when (VOCABULARY D5, D7, D8).

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Display;

use comity_types::place::COUNTRIES;
use comity_types::{Place, PlaceOrBloc, Timestamp};

use super::findings::{Field, Findings, Joined, earlier};
use super::truth::{Doubt, Participant, Truth};
use crate::requirements::AllowLists;
use crate::tables::blocs::{Membership, MembershipAt, Reach, Scope};
use crate::{ReasonCode, Tables};

impl Findings<'_> {
    /// Whether `place` is in one of `sets`, for `whom`: some memberships hold only for those who claim a scope.
    pub(super) fn is_in(
        &mut self,
        place: &Place,
        sets: &BTreeSet<PlaceOrBloc>,
        reach: Reach,
        whom: Option<Participant<'_>>,
    ) -> Truth {
        let (tables, as_of) = (self.tables, self.as_of);
        if let Some(sum) = self.known.and_then(|known| known.sum(place, sets, reach, tables, as_of)) {
            return self.conclude(sum);
        }
        if !tables.places.knows(place) {
            return Truth::Unknown(vec![Doubt::unrecognised(place.as_str())]);
        }
        let (mut sum, mut doubts) = (Sum::default(), Vec::new());
        for set in sets {
            let MembershipAt { membership, changes_at } = membership(place, set, reach, tables, as_of);
            self.changes(changes_at);
            match membership {
                Membership::Yes(until) => sum.yes(until),
                Membership::No(at) => sum.no(at),
                Membership::UnknownSet => doubts.push(Doubt::unrecognised(set.as_str())),
                Membership::Scoped(scope, until) => match self.participates(scope, whom) {
                    Ok((true, of_claim)) => sum.yes(earlier(until, of_claim)),
                    Ok((false, of_claim)) => sum.no(of_claim),
                    Err(doubt) => doubts.push(doubt),
                },
            }
        }
        if sum.inside_until.is_none() && !doubts.is_empty() {
            return Truth::Unknown(doubts);
        }
        self.conclude(sum)
    }

    fn conclude(&mut self, sum: Sum) -> Truth {
        self.changes(sum.changes_at);
        match sum.inside_until {
            Some(until) => {
                self.expires(until);
                Truth::Yes
            }
            None => {
                self.expires(sum.begins);
                Truth::No
            }
        }
    }

    /// Whether an organisation claims a scope, and until when it says so. What it says counts for the set that it is
    /// asked for alone, so the answer's end is not the verdict's yet.
    fn participates(
        &mut self,
        scope: Scope,
        whom: Option<Participant<'_>>,
    ) -> Result<(bool, Option<Timestamp>), Doubt> {
        let Some(party) = whom else { return Err(Doubt::missing(scope.as_str())) };
        let claim = match scope {
            Scope::DpfParticipation => party.dpf_participation,
            Scope::CommercialOrganisation => party.commercial_organisation,
        };
        let mut probe = self.probe();
        let value = probe.look(&party.path(scope.as_str()), claim);
        let outcome = probe.outcome();
        self.changes(outcome.changes_at);
        Ok((value?.0, outcome.expires_at))
    }

    /// Rejects `place` unless every list allows it.
    pub(super) fn allowed(
        &mut self,
        code: ReasonCode,
        path: &dyn Display,
        place: &Place,
        lists: &AllowLists<PlaceOrBloc>,
        whom: Option<Participant<'_>>,
    ) {
        for list in &lists.0 {
            match self.is_in(place, list, Reach::Within, whom) {
                Truth::Yes => {}
                Truth::Unknown(doubts) => self.doubts(path, doubts),
                Truth::No => {
                    let (nothing, allowed) = ("nothing (the list is empty)", Joined(list));
                    let expected: &dyn Display = if list.is_empty() { &nothing } else { &allowed };
                    self.reject(code, place, Field { path, expected, actual: place });
                }
            }
        }
    }

    /// Rejects `place` if it, or a part of it, is in `set`.
    pub(super) fn forbidden(
        &mut self,
        code: ReasonCode,
        path: &dyn Display,
        place: &Place,
        set: &BTreeSet<PlaceOrBloc>,
        whom: Option<Participant<'_>>,
    ) {
        if set.is_empty() {
            return;
        }
        match self.is_in(place, set, Reach::Overlap, whom) {
            Truth::No => {}
            Truth::Unknown(doubts) => self.doubts(path, doubts),
            Truth::Yes => {
                let expected = format_args!("not {}", Joined(set));
                self.reject(code, place, Field { path, expected: &expected, actual: place });
            }
        }
    }
}

fn membership(place: &Place, set: &PlaceOrBloc, reach: Reach, tables: &Tables, as_of: Timestamp) -> MembershipAt {
    tables.blocs.membership(&tables.places, place, set, reach, as_of)
}

/// What several sets say of a place together: it is inside while one of them holds it.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    /// Until when it is inside, if it is: the longest membership's end, if that has one.
    inside_until: Option<Option<Timestamp>>,
    /// When the first membership begins, if one does.
    begins: Option<Timestamp>,
    changes_at: Option<Timestamp>,
}

impl Sum {
    fn yes(&mut self, until: Option<Timestamp>) {
        let millis = |at: Option<Timestamp>| at.map_or(i64::MAX, Timestamp::as_millis);
        let longer = |old: Option<Timestamp>| if millis(until) > millis(old) { until } else { old };
        self.inside_until = Some(self.inside_until.map_or(until, longer));
    }

    fn no(&mut self, at: Option<Timestamp>) {
        self.begins = earlier(self.begins, at);
    }

    /// What sets say that say the same for everybody; `None` if one of them asks who it is, or is not known.
    fn for_all(
        place: &Place,
        sets: &BTreeSet<PlaceOrBloc>,
        reach: Reach,
        tables: &Tables,
        as_of: Timestamp,
    ) -> Option<Self> {
        let mut sum = tables.places.knows(place).then(Self::default)?;
        for set in sets {
            let MembershipAt { membership, changes_at } = membership(place, set, reach, tables, as_of);
            sum.changes_at = earlier(sum.changes_at, changes_at);
            match membership {
                Membership::Yes(until) => sum.yes(until),
                Membership::No(at) => sum.no(at),
                Membership::UnknownSet | Membership::Scoped(..) => return None,
            }
        }
        Some(sum)
    }
}

/// What was found of places while many offers were asked one question at one instant: offers have few places, and a
/// question few sets. Countries alone, and what holds for everybody; the rest is found again each time.
#[derive(Debug, Default)]
pub(crate) struct Known(RefCell<Vec<OfSets>>);

/// What was found of the places that were held against one list of sets.
#[derive(Debug)]
struct OfSets {
    sets: BTreeSet<PlaceOrBloc>,
    reach: Reach,
    /// By country, one more than its place among `found`; 0: not asked yet.
    asked: Vec<u16>,
    found: Vec<Option<Sum>>,
}

impl Known {
    fn sum(
        &self,
        place: &Place,
        sets: &BTreeSet<PlaceOrBloc>,
        reach: Reach,
        tables: &Tables,
        as_of: Timestamp,
    ) -> Option<Sum> {
        if !place.is_country() {
            return None;
        }
        let mut all = self.0.borrow_mut();
        let at = all.iter().position(|one| one.reach == reach && one.sets == *sets).unwrap_or_else(|| {
            all.push(OfSets { sets: sets.clone(), reach, asked: vec![0; COUNTRIES], found: Vec::new() });
            all.len().saturating_sub(1)
        });
        let OfSets { asked, found, .. } = all.get_mut(at)?;
        let asked = asked.get_mut(place.country_number())?;
        if *asked == 0 {
            found.push(Sum::for_all(place, sets, reach, tables, as_of));
            *asked = u16::try_from(found.len()).ok()?;
        }
        found.get(usize::from(*asked).checked_sub(1)?).copied().flatten()
    }
}
