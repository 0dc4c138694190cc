//! Whether places are in sets of places and blocs, for whom, and until when (VOCABULARY D5, D7, D8).

use std::cell::{Ref, RefCell};
use std::collections::BTreeSet;
use std::fmt::Display;

use comity_types::place::COUNTRIES;
use comity_types::time::earlier;
use comity_types::{Place, PlaceOrBloc, Timestamp};

use super::findings::{Field, Findings, Joined, Outcome};
use super::truth::{Doubt, Participant, Truth};
use crate::requirements::AllowLists;
use crate::tables::blocs::{Membership, MembershipAt, PlaceSet, Reach, Scope};
use crate::{ReasonCode, Tables};

/// Lists that a place is held against.
#[derive(Clone, Copy)]
pub(crate) struct Lists<'r> {
    /// The reason that is given if it is not as they ask.
    code: ReasonCode,
    /// All of it has to be in each of these.
    allowed: &'r AllowLists<PlaceOrBloc>,
    /// No part of it may be in this one.
    forbidden: Option<&'r BTreeSet<PlaceOrBloc>>,
}

impl<'r> Lists<'r> {
    pub(super) fn new(
        code: ReasonCode,
        allowed: &'r AllowLists<PlaceOrBloc>,
        forbidden: &'r BTreeSet<PlaceOrBloc>,
    ) -> Self {
        Self { code, allowed, forbidden: Some(forbidden).filter(|set| !set.is_empty()) }
    }

    /// Of which none is forbidden.
    pub(super) const fn allowing(code: ReasonCode, allowed: &'r AllowLists<PlaceOrBloc>) -> Self {
        Self { code, allowed, forbidden: None }
    }

    pub(super) fn is_demanded(&self) -> bool {
        !self.allowed.is_unrestricted() || self.forbidden.is_some()
    }
}

impl<'t> Findings<'t> {
    /// Whether `place` is in one of `sets`, for `whom`: some memberships hold only for those who claim a scope.
    pub(super) fn is_in(
        &mut self,
        place: &Place,
        sets: &'t BTreeSet<PlaceOrBloc>,
        reach: Reach,
        whom: Option<Participant<'_>>,
    ) -> Truth {
        let (tables, as_of) = (self.tables, self.as_of);
        match self.known.and_then(|known| known.of(place, sets, reach, tables, as_of)).as_deref() {
            Some(Found::ForAll(sum)) => self.conclude(sum),
            Some(Found::BySet(memberships)) => self.settle(place, sets.iter().zip(memberships.iter().copied()), whom),
            None => self.is_in_once(place, sets, reach, whom),
        }
    }

    /// As [`Findings::is_in`], of sets that are gone with the question, so that nobody remembers the answer.
    pub(super) fn is_in_once(
        &mut self,
        place: &Place,
        sets: &BTreeSet<PlaceOrBloc>,
        reach: Reach,
        whom: Option<Participant<'_>>,
    ) -> Truth {
        let (tables, as_of) = (self.tables, self.as_of);
        self.settle(place, sets.iter().map(|set| (set, membership(place, set, reach, tables, as_of))), whom)
    }

    fn settle<'s>(
        &mut self,
        place: &Place,
        memberships: impl Iterator<Item = (&'s PlaceOrBloc, MembershipAt)>,
        whom: Option<Participant<'_>>,
    ) -> Truth {
        if !self.tables.places.knows(place) {
            return Truth::Unknown(vec![Doubt::unrecognised(place.as_str())]);
        }
        let (mut sum, mut doubts) = (Sum::default(), Vec::new());
        for (set, MembershipAt { membership, changes_at }) in memberships {
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
        self.conclude(&sum)
    }

    fn conclude(&mut self, sum: &Sum) -> Truth {
        if self.note(|found, as_of| sum.note(found, as_of)) { Truth::Yes } else { Truth::No }
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

    /// Rejects `place` unless it is as the lists ask.
    pub(super) fn hold(&mut self, lists: &Lists<'t>, path: &dyn Display, place: &Place, whom: Option<Participant<'_>>) {
        for list in &lists.allowed.0 {
            match self.is_in(place, list, Reach::Within, whom) {
                Truth::Yes => {}
                Truth::Unknown(doubts) => self.doubts(path, doubts),
                Truth::No => {
                    let (nothing, allowed) = ("nothing (the list is empty)", Joined(list));
                    let expected: &dyn Display = if list.is_empty() { &nothing } else { &allowed };
                    self.reject(lists.code, place, Field { path, expected, actual: place });
                }
            }
        }
        if let Some(set) = lists.forbidden {
            self.forbidden(lists.code, path, place, set, whom);
        }
    }

    /// Rejects `place` if it, or a part of it, is in `set`.
    fn forbidden(
        &mut self,
        code: ReasonCode,
        path: &dyn Display,
        place: &Place,
        set: &'t BTreeSet<PlaceOrBloc>,
        whom: Option<Participant<'_>>,
    ) {
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

    /// Notes how long the answer holds, which is whether it is inside.
    fn note(&self, found: &mut Outcome, as_of: Timestamp) -> bool {
        found.changes(self.changes_at, as_of);
        found.expires(self.inside_until.unwrap_or(self.begins), as_of);
        self.inside_until.is_some()
    }

    /// What sets say that say the same for everybody; `None` if one of them asks who it is, or is not known.
    fn for_all(memberships: impl Iterator<Item = MembershipAt>) -> Option<Self> {
        let mut sum = Self::default();
        for MembershipAt { membership, changes_at } in memberships {
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
/// question few sets. Countries alone.
#[derive(Debug, Default)]
pub(crate) struct Known<'t>(RefCell<Places<'t>>);

/// What was found of places, by the list of sets that they were held against.
#[derive(Debug, Default)]
struct Places<'t> {
    /// Where a list stands, which lives as long as the question, and which of `lists` it is.
    addresses: Vec<(&'t BTreeSet<PlaceOrBloc>, Reach, usize)>,
    lists: Vec<OfSets<'t>>,
}

/// What was found of the places that were held against one list of sets.
#[derive(Debug)]
struct OfSets<'t> {
    sets: Vec<PlaceSet<'t>>,
    /// By country, one more than its place among `found`; 0: not asked yet.
    asked: Vec<u16>,
    found: Vec<Found>,
}

/// Countries that a federation has, mostly: no more than a guess.
const MOST_COMMON: usize = 32;

/// What was found of a place.
#[derive(Debug)]
enum Found {
    /// It is the same for everybody.
    ForAll(Sum),
    /// It depends on who asks, or on a set that is not known: what each set says, in their order.
    BySet(Box<[MembershipAt]>),
}

impl<'t> Known<'t> {
    /// What lists make of a country; `None` where they make of it what it is for some alone, or where nobody knows.
    pub(crate) fn outcome(
        &self,
        lists: &Lists<'t>,
        place: &Place,
        tables: &'t Tables,
        as_of: Timestamp,
    ) -> Option<Outcome> {
        let mut outcome = Outcome::NOTHING;
        let allowed = lists.allowed.0.iter().map(|list| (list, Reach::Within));
        for (list, reach) in allowed.chain(lists.forbidden.map(|set| (set, Reach::Overlap))) {
            let found = self.of(place, list, reach, tables, as_of)?;
            let Found::ForAll(sum) = &*found else { return None };
            if sum.note(&mut outcome, as_of) != (reach == Reach::Within) {
                outcome.codes.insert(lists.code);
            }
        }
        Some(outcome)
    }

    fn of(
        &self,
        place: &Place,
        sets: &'t BTreeSet<PlaceOrBloc>,
        reach: Reach,
        tables: &'t Tables,
        as_of: Timestamp,
    ) -> Option<Ref<'_, Found>> {
        if !place.is_country() {
            return None;
        }
        let (list, at) = self.0.borrow_mut().find(place, sets, reach, tables, as_of)?;
        Ref::filter_map(self.0.borrow(), |all| all.lists.get(list)?.found.get(at)).ok()
    }
}

impl<'t> Places<'t> {
    /// Where what was found of a country stands: the list, and its number there.
    fn find(
        &mut self,
        place: &Place,
        sets: &'t BTreeSet<PlaceOrBloc>,
        reach: Reach,
        tables: &'t Tables,
        as_of: Timestamp,
    ) -> Option<(usize, usize)> {
        let list = self.list(sets, reach, tables);
        let OfSets { sets, asked, found } = self.lists.get_mut(list)?;
        let asked = asked.get_mut(place.country_number())?;
        if *asked == 0 {
            if !tables.places.knows(place) {
                return None;
            }
            let memberships = || sets.iter().map(|set| set.membership(&tables.places, place, reach, as_of));
            let by_set = || Found::BySet(memberships().collect());
            found.push(Sum::for_all(memberships()).map_or_else(by_set, Found::ForAll));
            *asked = u16::try_from(found.len()).ok()?;
        }
        Some((list, usize::from(*asked).checked_sub(1)?))
    }

    /// What was found of a list, which may stand in several places: callers write one for processing, storage and
    /// access.
    fn list(&mut self, sets: &'t BTreeSet<PlaceOrBloc>, reach: Reach, tables: &'t Tables) -> usize {
        let there = |(known, of, _): &&(&BTreeSet<_>, Reach, usize)| std::ptr::eq(*known, sets) && *of == reach;
        if let Some((_, _, at)) = self.addresses.iter().find(there) {
            return *at;
        }
        let same = |(known, of, _): &&(&BTreeSet<_>, Reach, usize)| *known == sets && *of == reach;
        let at = self.addresses.iter().find(same).map_or(self.lists.len(), |(_, _, at)| *at);
        if at == self.lists.len() {
            let found = sets.iter().map(|set| tables.blocs.find(&tables.places, set)).collect();
            self.lists.push(OfSets { sets: found, asked: vec![0; COUNTRIES], found: Vec::with_capacity(MOST_COMMON) });
        }
        self.addresses.push((sets, reach, at));
        at
    }
}

#[cfg(test)]
mod tests;
