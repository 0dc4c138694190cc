//! What an evaluation has found so far: reasons, and how long the answer holds.

use std::borrow::Cow;
use std::collections::BTreeSet;

use comity_types::{Place, PlaceOrBloc, Timestamp};

use super::Verdict;
use crate::claim::{Fault, Merge};
use crate::organisation::Membership as Participation;
use crate::requirements::AllowLists;
use crate::tables::blocs::{Membership, Reach, Scope};
use crate::{Claim, Organisation, Reason, ReasonCode, Side, Tables};

/// Collects reasons; sorted and without duplicates by its nature.
pub(super) struct Findings<'t> {
    pub(super) tables: &'t Tables,
    pub(super) as_of: Timestamp,
    side: Side,
    reasons: BTreeSet<Reason>,
    expires_at: Option<Timestamp>,
}

/// What a refusal shows: the field that was read, what was expected and what was found.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) path: &'a str,
    pub(super) expected: &'a str,
    pub(super) actual: &'a str,
}

/// Somebody whose facts are read, and the name under which reasons speak of it.
#[derive(Clone, Copy)]
pub(super) struct Party<'a> {
    pub(super) role: &'a str,
    pub(super) organisation: &'a Organisation,
}

impl Party<'_> {
    /// The path of one of its facts.
    pub(super) fn path(&self, field: &str) -> String {
        format!("{}.{field}", self.role)
    }
}

/// The answer to a question about facts (VOCABULARY D2). What makes it unknown is a list of doubts, never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Truth {
    Yes,
    No,
    Unknown(Vec<Doubt>),
}

/// Why a question has no answer: the reason to give if the answer is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Doubt {
    pub(super) code: ReasonCode,
    pub(super) subject: String,
    pub(super) expected: &'static str,
    pub(super) actual: String,
}

impl Doubt {
    pub(super) fn missing(path: impl Into<String>) -> Self {
        let (code, subject) = (ReasonCode::ClaimMissing, path.into());
        Self { code, subject, expected: "a stated value", actual: "unknown".into() }
    }

    pub(super) fn unrecognised(code: &str) -> Self {
        let (expected, actual) = ("a code of the federation's tables", code.to_owned());
        Self { code: ReasonCode::CodeUnrecognised, subject: code.to_owned(), expected, actual }
    }
}

impl<'t> Findings<'t> {
    pub(super) const fn new(tables: &'t Tables, as_of: Timestamp) -> Self {
        Self { tables, as_of, side: Side::Caller, reasons: BTreeSet::new(), expires_at: None }
    }

    /// On whose behalf what follows is found.
    pub(super) const fn speak_for(&mut self, side: Side) {
        self.side = side;
    }

    pub(super) fn verdict(self) -> Verdict {
        if self.reasons.is_empty() {
            Verdict::Eligible { expires_at: self.expires_at }
        } else {
            Verdict::Rejected { reasons: self.reasons.into_iter().collect() }
        }
    }

    pub(super) fn reject(&mut self, code: ReasonCode, subject: impl Into<String>, field: Field<'_>) {
        self.reject_by(code, subject, field, "");
    }

    /// As [`Findings::reject`], by a rule or a row that has a name.
    pub(super) fn reject_by(&mut self, code: ReasonCode, subject: impl Into<String>, field: Field<'_>, rule: &str) {
        let Field { path, expected, actual } = field;
        let party = match path.split_once('.') {
            Some((party @ ("operator" | "caller" | "request" | "broker"), _)) => party,
            Some((party, "seat" | "principal_place_of_business" | "establishments" | "ultimate_controllers")) => party,
            _ => "offer",
        };
        self.reasons.insert(Reason {
            code,
            subject: subject.into(),
            side: self.side,
            path: path.to_owned(),
            party: party.to_owned(),
            expected: expected.to_owned(),
            actual: actual.to_owned(),
            rule: rule.to_owned(),
        });
    }

    /// The answer holds at most until `instant`.
    pub(super) fn expires(&mut self, instant: Option<Timestamp>) {
        self.expires_at = [self.expires_at, instant].into_iter().flatten().min();
    }

    /// The value of a claim that has to hold now; without one, the reason why not.
    pub(super) fn value<'c, T: Merge>(&mut self, path: &str, claim: Option<&'c Claim<T>>) -> Option<Cow<'c, T>> {
        match self.look(path, claim) {
            Ok(value) => Some(value),
            Err(doubt) => {
                self.doubt(path, doubt);
                None
            }
        }
    }

    /// As [`Findings::value`], where another fact may settle the question all the same.
    pub(super) fn look<'c, T: Merge>(&mut self, path: &str, claim: Option<&'c Claim<T>>) -> Result<Cow<'c, T>, Doubt> {
        let Some(claim) = claim else { return Err(Doubt::missing(path)) };
        let fault = match claim.resolve(self.as_of) {
            Ok(resolved) => {
                self.expires(resolved.until);
                return Ok(resolved.value);
            }
            Err(fault) => fault,
        };
        let instant = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        let (code, expected, actual) = match fault {
            Fault::NotYet(from) => (ReasonCode::ClaimNotYetValid, "valid now", format!("valid from {}", instant(from))),
            Fault::Expired(until) => (ReasonCode::ClaimExpired, "valid now", format!("valid until {}", instant(until))),
            Fault::Revoked => (ReasonCode::ClaimRevoked, "a live statement", "taken back".into()),
            Fault::Conflict => {
                (ReasonCode::ClaimConflict, "statements that agree", "they contradict each other".into())
            }
        };
        Err(Doubt { code, subject: path.to_owned(), expected, actual })
    }

    /// Gives the reason for which a question has no answer.
    pub(super) fn doubt(&mut self, path: &str, doubt: Doubt) {
        let Doubt { code, subject, expected, actual } = doubt;
        self.reject(code, subject, Field { path, expected, actual: &actual });
    }

    /// Gives every one of them.
    pub(super) fn doubts(&mut self, path: &str, doubts: Vec<Doubt>) {
        for doubt in doubts {
            self.doubt(path, doubt);
        }
    }

    /// Whether `place` is in one of `sets`, for `whom`: some memberships hold only for those who claim a scope.
    pub(super) fn is_in(
        &mut self,
        place: &Place,
        sets: &BTreeSet<PlaceOrBloc>,
        reach: Reach,
        whom: Option<Party<'_>>,
    ) -> Truth {
        if !self.tables.places.knows(place) {
            return Truth::Unknown(vec![Doubt::unrecognised(place.as_str())]);
        }
        let (mut longest, mut doubts, mut begins) = (None::<Option<Timestamp>>, Vec::new(), Vec::new());
        let mut yes = |until: Option<Timestamp>| {
            let millis = |at: Option<Timestamp>| at.map_or(i64::MAX, Timestamp::as_millis);
            longest = Some(longest.map_or(until, |old| if millis(until) > millis(old) { until } else { old }));
        };
        for set in sets {
            match self.tables.blocs.membership(&self.tables.places, place, set, reach, self.as_of) {
                Membership::Yes(until) => yes(until),
                Membership::No(at) => begins.push(at),
                Membership::UnknownBloc => doubts.push(Doubt::unrecognised(set.as_str())),
                Membership::Scoped(scope, until) => match self.participates(scope, whom) {
                    Ok((true, of_claim)) => yes([until, of_claim].into_iter().flatten().min()),
                    Ok((false, of_claim)) => begins.push(of_claim),
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
        begins.into_iter().for_each(|at| self.expires(at));
        Truth::No
    }

    /// Whether an organisation claims a scope, and until when it says so. What it says counts for the set that it is
    /// asked for alone, so the answer's end is not the verdict's yet.
    fn participates(&self, scope: Scope, whom: Option<Party<'_>>) -> Result<(bool, Option<Timestamp>), Doubt> {
        let path = |party: Party<'_>| party.path(scope.as_str());
        let Some(party) = whom else { return Err(Doubt::missing(scope.as_str())) };
        let claim: Option<&Claim<Participation>> = match scope {
            Scope::DpfParticipation => party.organisation.dpf_participation.as_ref(),
            Scope::CommercialOrganisation => party.organisation.commercial_organisation.as_ref(),
        };
        let mut probe = Findings::new(self.tables, self.as_of);
        let value = probe.look(&path(party), claim)?;
        Ok((value.0, probe.expires_at))
    }

    /// Rejects `place` unless every list allows it.
    pub(super) fn allowed(
        &mut self,
        code: ReasonCode,
        path: &str,
        place: &Place,
        lists: &AllowLists<PlaceOrBloc>,
        whom: Option<Party<'_>>,
    ) {
        for list in &lists.0 {
            match self.is_in(place, list, Reach::Within, whom) {
                Truth::Yes => {}
                Truth::Unknown(doubts) => self.doubts(path, doubts),
                Truth::No => {
                    let expected = if list.is_empty() { "nothing (the list is empty)".into() } else { joined(list) };
                    self.reject(code, place.as_str(), Field { path, expected: &expected, actual: place.as_str() });
                }
            }
        }
    }

    /// Rejects `place` if it, or a part of it, is in `set`.
    pub(super) fn forbidden(
        &mut self,
        code: ReasonCode,
        path: &str,
        place: &Place,
        set: &BTreeSet<PlaceOrBloc>,
        whom: Option<Party<'_>>,
    ) {
        if set.is_empty() {
            return;
        }
        match self.is_in(place, set, Reach::Overlap, whom) {
            Truth::No => {}
            Truth::Unknown(doubts) => self.doubts(path, doubts),
            Truth::Yes => {
                let expected = format!("not {}", joined(set));
                self.reject(code, place.as_str(), Field { path, expected: &expected, actual: place.as_str() });
            }
        }
    }
}

/// The members of a set, for people.
pub(super) fn joined<T: ToString>(set: &BTreeSet<T>) -> String {
    set.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
