//! What an evaluation has found so far: reasons, and how long the answer holds.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::{self, Display};

use comity_types::time::Phase;
use comity_types::{Interval, Place, PlaceOrBloc, Timestamp};

use super::Verdict;
use super::truth::{Doubt, Participant, Truth};
use crate::claim::{Fault, Merge};
use crate::reason::ReasonCodes;
use crate::requirements::AllowLists;
use crate::tables::blocs::{Membership, Reach, Scope};
use crate::{Claim, Reason, ReasonCode, Side, Tables};

/// Collects reasons; sorted and without duplicates by its nature.
pub(crate) struct Findings<'t> {
    pub(super) tables: &'t Tables,
    pub(super) as_of: Timestamp,
    side: Side,
    codes: ReasonCodes,
    /// The reasons in words; `None` where their codes are enough, which allocates nothing.
    reasons: Option<BTreeSet<Reason>>,
    expires_at: Option<Timestamp>,
    changes_at: Option<Timestamp>,
}

/// What was found, without the words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The codes of every reason; none if nothing speaks against it.
    pub(crate) codes: ReasonCodes,
    /// When a favourable answer ends, if it does.
    pub(crate) expires_at: Option<Timestamp>,
    /// The first instant from which the answer, favourable or not, may be another one.
    pub(crate) changes_at: Option<Timestamp>,
}

/// What a refusal shows: the field that was read, what was expected and what was found. Written out only where
/// somebody reads it.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) path: &'a dyn Display,
    pub(super) expected: &'a dyn Display,
    pub(super) actual: &'a dyn Display,
}

impl<'t> Findings<'t> {
    /// For somebody who reads the reasons.
    pub(crate) fn in_words(tables: &'t Tables, as_of: Timestamp) -> Self {
        Self { reasons: Some(BTreeSet::new()), ..Self::in_codes(tables, as_of) }
    }

    /// For somebody who asks which reasons there are, and no more.
    pub(crate) const fn in_codes(tables: &'t Tables, as_of: Timestamp) -> Self {
        let (side, codes) = (Side::Caller, ReasonCodes::NONE);
        Self { tables, as_of, side, codes, reasons: None, expires_at: None, changes_at: None }
    }

    /// On whose behalf what follows is found.
    pub(super) const fn speak_for(&mut self, side: Side) {
        self.side = side;
    }

    /// Of findings in words.
    pub(crate) fn verdict(self) -> Verdict {
        match self.reasons {
            Some(reasons) if !reasons.is_empty() => Verdict::Rejected { reasons: reasons.into_iter().collect() },
            Some(_) | None => Verdict::Eligible { expires_at: self.expires_at },
        }
    }

    /// What was found, without the words.
    pub(crate) const fn outcome(&self) -> Outcome {
        Outcome { codes: self.codes, expires_at: self.expires_at, changes_at: self.changes_at }
    }

    pub(super) fn reject(&mut self, code: ReasonCode, subject: impl Display, field: Field<'_>) {
        self.reject_by(code, subject, field, "");
    }

    /// As [`Findings::reject`], by a rule or a row that has a name.
    pub(super) fn reject_by(&mut self, code: ReasonCode, subject: impl Display, field: Field<'_>, rule: &str) {
        self.codes.insert(code);
        let Some(reasons) = &mut self.reasons else { return };
        let path = field.path.to_string();
        reasons.insert(Reason {
            code,
            subject: subject.to_string(),
            side: self.side,
            party: party_of(&path).to_owned(),
            path,
            expected: field.expected.to_string(),
            actual: field.actual.to_string(),
            rule: rule.to_owned(),
        });
    }

    /// A favourable answer holds at most until `instant`.
    pub(super) fn expires(&mut self, instant: Option<Timestamp>) {
        self.expires_at = [self.expires_at, instant].into_iter().flatten().min();
        self.changes(instant);
    }

    /// The answer may be another one from `instant` on.
    pub(super) fn changes(&mut self, instant: Option<Timestamp>) {
        let later = instant.filter(|instant| *instant > self.as_of);
        self.changes_at = [self.changes_at, later].into_iter().flatten().min();
    }

    /// Where the instant of the decision lies as seen from `interval`.
    pub(super) fn phase(&mut self, interval: &Interval) -> Phase {
        self.changes(interval.from);
        self.changes(interval.until);
        interval.phase(self.as_of)
    }

    /// Whether one of `intervals` holds. If none does, a favourable answer ends when the next of them begins.
    pub(super) fn is_in_force(&mut self, intervals: &[Interval]) -> bool {
        let (mut now, mut begins) = (false, None);
        for interval in intervals {
            match self.phase(interval) {
                Phase::Within => now = true,
                Phase::Before => begins = [begins, interval.from].into_iter().flatten().min(),
                Phase::After => {}
            }
        }
        if !now {
            self.expires(begins);
        }
        now
    }

    /// The value of a claim that has to hold now; without one, the reason why not.
    pub(super) fn value<'c, T: Merge>(
        &mut self,
        path: &dyn Display,
        claim: Option<&'c Claim<T>>,
    ) -> Option<Cow<'c, T>> {
        match self.look(path, claim) {
            Ok(value) => Some(value),
            Err(doubt) => {
                self.doubt(path, doubt);
                None
            }
        }
    }

    /// As [`Findings::value`], where another fact may settle the question all the same.
    pub(super) fn look<'c, T: Merge>(
        &mut self,
        path: &dyn Display,
        claim: Option<&'c Claim<T>>,
    ) -> Result<Cow<'c, T>, Doubt> {
        let Some(claim) = claim else { return Err(Doubt::missing(path)) };
        let changes = claim.changes(self.as_of);
        match claim.resolve(self.as_of) {
            Ok(value) => {
                self.expires(changes);
                Ok(value)
            }
            Err(fault) => {
                self.changes(changes);
                Err(silent(path, fault))
            }
        }
    }

    /// Gives the reason for which a question has no answer.
    pub(super) fn doubt(&mut self, path: &dyn Display, doubt: Doubt) {
        let Doubt { code, subject, expected, actual } = doubt;
        self.reject(code, subject, Field { path, expected: &expected, actual: &actual });
    }

    /// Gives every one of them.
    pub(super) fn doubts(&mut self, path: &dyn Display, doubts: Vec<Doubt>) {
        for doubt in doubts {
            self.doubt(path, doubt);
        }
    }

    /// Whether `check` finds something, without its reasons; how long that holds is noted.
    pub(super) fn would_reject(&mut self, check: impl FnOnce(&mut Self)) -> bool {
        let mut probe = Self::in_codes(self.tables, self.as_of);
        check(&mut probe);
        let Outcome { codes, expires_at, changes_at } = probe.outcome();
        self.changes(changes_at);
        if codes == ReasonCodes::NONE {
            self.expires(expires_at);
        }
        codes != ReasonCodes::NONE
    }

    /// Whether `place` is in one of `sets`, for `whom`: some memberships hold only for those who claim a scope.
    pub(super) fn is_in(
        &mut self,
        place: &Place,
        sets: &BTreeSet<PlaceOrBloc>,
        reach: Reach,
        whom: Option<Participant<'_>>,
    ) -> Truth {
        if !self.tables.places.knows(place) {
            return Truth::Unknown(vec![Doubt::unrecognised(place.as_str())]);
        }
        let (mut longest, mut doubts, mut begins) = (None::<Option<Timestamp>>, Vec::new(), None);
        let mut yes = |until: Option<Timestamp>| {
            let millis = |at: Option<Timestamp>| at.map_or(i64::MAX, Timestamp::as_millis);
            longest = Some(longest.map_or(until, |old| if millis(until) > millis(old) { until } else { old }));
        };
        let mut no = |at: Option<Timestamp>| begins = [begins, at].into_iter().flatten().min();
        for set in sets {
            let answer = self.tables.blocs.membership(&self.tables.places, place, set, reach, self.as_of);
            self.changes(answer.changes_at);
            match answer.membership {
                Membership::Yes(until) => yes(until),
                Membership::No(at) => no(at),
                Membership::UnknownSet => doubts.push(Doubt::unrecognised(set.as_str())),
                Membership::Scoped(scope, until) => match self.participates(scope, whom) {
                    Ok((true, of_claim)) => yes([until, of_claim].into_iter().flatten().min()),
                    Ok((false, of_claim)) => no(of_claim),
                    Err(doubt) => doubts.push(doubt),
                },
            }
        }
        if let Some(until) = longest {
            self.expires(until);
            return Truth::Yes;
        }
        if !doubts.is_empty() {
            return Truth::Unknown(doubts);
        }
        self.expires(begins);
        Truth::No
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
        let mut probe = Findings::in_codes(self.tables, self.as_of);
        let value = probe.look(&party.path(scope.as_str()), claim);
        self.changes(probe.changes_at);
        Ok((value?.0, probe.expires_at))
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

/// Why a claim says nothing.
fn silent(path: &dyn Display, fault: Fault) -> Doubt {
    let instant = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    let (code, expected, actual) = match fault {
        Fault::NotYet(from) => (ReasonCode::ClaimNotYetValid, "valid now", format!("valid from {}", instant(from))),
        Fault::Expired(until) => (ReasonCode::ClaimExpired, "valid now", format!("valid until {}", instant(until))),
        Fault::Revoked => (ReasonCode::ClaimRevoked, "a live statement", "taken back".into()),
        Fault::Conflict => (ReasonCode::ClaimConflict, "statements that agree", "they contradict each other".into()),
    };
    Doubt { code, subject: path.to_string(), expected, actual }
}

/// Whose field a path names: a party's, a sub-processor's (whose name may have dots), or the offer's.
fn party_of(path: &str) -> &str {
    if let Some((party @ ("operator" | "caller" | "request" | "broker"), _)) = path.split_once('.') {
        return party;
    }
    match path.rsplit_once('.') {
        Some((party, "seat" | "principal_place_of_business" | "establishments" | "ultimate_controllers")) => party,
        _ => "offer",
    }
}

/// The members of a set, for people.
pub(super) struct Joined<'a, T>(pub(super) &'a BTreeSet<T>);

impl<T: Display> Display for Joined<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, one) in self.0.iter().enumerate() {
            let between = if index == 0 { "" } else { ", " };
            write!(f, "{between}{one}")?;
        }
        Ok(())
    }
}
