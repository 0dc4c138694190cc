//! What an evaluation has found so far: reasons, and how long the answer holds.

use std::collections::BTreeSet;

use comity_types::time::Phase;
use comity_types::{Interval, Place, PlaceOrBloc, Timestamp};

use super::Verdict;
use crate::requirements::AllowLists;
use crate::tables::{Membership, Reach};
use crate::{Claim, Reason, ReasonCode, Tables};

/// Collects reasons; sorted and without duplicates by its nature.
pub(super) struct Findings<'t> {
    pub(super) tables: &'t Tables,
    pub(super) as_of: Timestamp,
    reasons: BTreeSet<Reason>,
    expires_at: Option<Timestamp>,
}

/// What a refusal shows: the field that was read, what was expected and what was found.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) path: &'static str,
    pub(super) expected: &'a str,
    pub(super) actual: &'a str,
}

impl<'t> Findings<'t> {
    pub(super) const fn new(tables: &'t Tables, as_of: Timestamp) -> Self {
        Self { tables, as_of, reasons: BTreeSet::new(), expires_at: None }
    }

    pub(super) fn verdict(self) -> Verdict {
        if self.reasons.is_empty() {
            Verdict::Eligible { expires_at: self.expires_at }
        } else {
            Verdict::Rejected { reasons: self.reasons.into_iter().collect() }
        }
    }

    pub(super) fn reject(&mut self, code: ReasonCode, subject: &str, field: Field<'_>) {
        let Field { path, expected, actual } = field;
        let (expected, actual) = (expected.to_owned(), actual.to_owned());
        self.reasons.insert(Reason { code, subject: subject.to_owned(), path, expected, actual });
    }

    /// The answer holds at most until `instant`.
    pub(super) fn expires(&mut self, instant: Option<Timestamp>) {
        self.expires_at = [self.expires_at, instant].into_iter().flatten().min();
    }

    /// The value of a claim that has to hold now; without one, the reason why not.
    pub(super) fn value<'c, T>(&mut self, path: &'static str, claim: Option<&'c Claim<T>>) -> Option<&'c T> {
        let Some(claim) = claim else {
            self.missing(path, path);
            return None;
        };
        let Interval { from, until } = claim.validity;
        let instant = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        match claim.validity.phase(self.as_of) {
            Phase::Within => {
                self.expires(until);
                return Some(&claim.value);
            }
            Phase::Before => {
                let actual = format!("valid from {}", instant(from));
                self.reject(ReasonCode::ClaimNotYetValid, path, Field { path, expected: "valid now", actual: &actual });
            }
            Phase::After => {
                let actual = format!("valid until {}", instant(until));
                self.reject(ReasonCode::ClaimExpired, path, Field { path, expected: "valid now", actual: &actual });
            }
        }
        None
    }

    /// Nobody states `subject`, which the check of `path` needs.
    pub(super) fn missing(&mut self, path: &'static str, subject: &str) {
        self.reject(ReasonCode::ClaimMissing, subject, Field { path, expected: "a stated value", actual: "unknown" });
    }

    /// Whether `place` is in one of `sets`. `None` if that cannot be said; the reason is noted then.
    pub(super) fn is_in(&mut self, path: &'static str, place: &Place, sets: &BTreeSet<PlaceOrBloc>) -> Option<bool> {
        self.look_up(path, place, sets, Reach::Within)
    }

    /// Whether `place` and one of `sets` have anything in common: a country has its subdivisions.
    pub(super) fn touches(&mut self, path: &'static str, place: &Place, sets: &BTreeSet<PlaceOrBloc>) -> Option<bool> {
        self.look_up(path, place, sets, Reach::Overlap)
    }

    fn look_up(
        &mut self,
        path: &'static str,
        place: &Place,
        sets: &BTreeSet<PlaceOrBloc>,
        reach: Reach,
    ) -> Option<bool> {
        let found: Vec<_> =
            sets.iter().map(|set| (set, self.tables.membership(place, set, reach, self.as_of))).collect();
        for (set, membership) in &found {
            if *membership == Membership::UnknownBloc {
                let expected = "a bloc of the federation's table";
                let field = Field { path: "tables.blocs", expected, actual: set.as_str() };
                self.reject(ReasonCode::CodeUnrecognised, set.as_str(), field);
            }
        }
        let holding = found
            .iter()
            .filter_map(|(_, membership)| if let Membership::Yes(until) = membership { Some(*until) } else { None });
        if let Some(longest) = holding.max_by_key(|until| until.map_or(i64::MAX, Timestamp::as_millis)) {
            self.expires(longest);
            return Some(true);
        }
        let mut sure = true;
        for (_, membership) in found {
            match membership {
                Membership::Scoped(scope) => {
                    sure = false;
                    self.missing(path, &format!("operator.{scope}"));
                }
                Membership::UnknownBloc => sure = false,
                Membership::No(begins) => self.expires(begins),
                Membership::Yes(_) => {}
            }
        }
        sure.then_some(false)
    }

    /// Rejects `place` unless every list allows it.
    pub(super) fn allowed(
        &mut self,
        code: ReasonCode,
        path: &'static str,
        place: &Place,
        lists: &AllowLists<PlaceOrBloc>,
    ) {
        for list in &lists.0 {
            if self.is_in(path, place, list) == Some(false) {
                let expected = if list.is_empty() { "nothing (the list is empty)".to_owned() } else { joined(list) };
                self.reject(code, place.as_str(), Field { path, expected: &expected, actual: place.as_str() });
            }
        }
    }

    /// Rejects `place` if it is in `set`.
    pub(super) fn forbidden(
        &mut self,
        code: ReasonCode,
        path: &'static str,
        place: &Place,
        set: &BTreeSet<PlaceOrBloc>,
    ) {
        if self.touches(path, place, set) == Some(true) {
            let expected = format!("not {}", joined(set));
            self.reject(code, place.as_str(), Field { path, expected: &expected, actual: place.as_str() });
        }
    }
}

/// The members of a set, for people.
pub(super) fn joined<T: ToString>(set: &BTreeSet<T>) -> String {
    set.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
