//! What an evaluation has found so far: reasons, and how long the answer holds.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::{self, Display};

use comity_types::time::{Phase, earlier};
use comity_types::{Interval, Timestamp};

use super::Verdict;
use super::membership::Known;
use super::truth::Doubt;
use crate::claim::{Fault, Merge};
use crate::reason::ReasonCodes;
use crate::{Claim, Reason, ReasonCode, Side, Tables};

/// Collects reasons; sorted and without duplicates by its nature.
pub(crate) struct Findings<'t> {
    pub(super) tables: &'t Tables,
    pub(super) as_of: Timestamp,
    /// What was found of places before, where many offers are asked one question.
    pub(super) known: Option<&'t Known<'t>>,
    side: Side,
    found: Outcome,
    /// The reasons in words; `None` where their codes are enough, which allocates nothing.
    reasons: Option<BTreeSet<Reason>>,
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

impl Outcome {
    pub(super) const NOTHING: Self = Self { codes: ReasonCodes::NONE, expires_at: None, changes_at: None };

    /// A favourable answer holds at most until `instant`.
    pub(super) fn expires(&mut self, instant: Option<Timestamp>, as_of: Timestamp) {
        self.expires_at = earlier(self.expires_at, instant);
        self.changes(instant, as_of);
    }

    /// The answer may be another one from `instant` on.
    pub(super) fn changes(&mut self, instant: Option<Timestamp>, as_of: Timestamp) {
        let later = instant.filter(|instant| *instant > as_of);
        self.changes_at = earlier(self.changes_at, later);
    }
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
        Self { tables, as_of, known: None, side: Side::Caller, found: Outcome::NOTHING, reasons: None }
    }

    /// As [`Findings::in_codes`], of one of many offers that are asked one question at one instant.
    pub(crate) fn of_many(tables: &'t Tables, as_of: Timestamp, known: &'t Known<'t>) -> Self {
        Self { known: Some(known), ..Self::in_codes(tables, as_of) }
    }

    /// Another one for a part of the question, for whoever reads this one.
    pub(super) fn probe(&self) -> Self {
        let reasons = self.reasons.as_ref().map(|_| BTreeSet::new());
        Self { known: self.known, reasons, ..Self::in_codes(self.tables, self.as_of) }
    }

    /// What somebody may read of a reason.
    fn said(&self, text: &dyn Display) -> String {
        if self.reasons.is_some() { text.to_string() } else { String::new() }
    }

    /// On whose behalf what follows is found.
    pub(super) const fn speak_for(&mut self, side: Side) {
        self.side = side;
    }

    /// Of findings in words.
    pub(crate) fn verdict(self) -> Verdict {
        match self.reasons {
            Some(reasons) if !reasons.is_empty() => Verdict::Rejected { reasons: reasons.into_iter().collect() },
            Some(_) | None => Verdict::Eligible { expires_at: self.found.expires_at },
        }
    }

    /// What was found, without the words.
    pub(crate) const fn outcome(&self) -> Outcome {
        self.found
    }

    pub(super) fn reject(&mut self, code: ReasonCode, subject: impl Display, field: Field<'_>) {
        self.reject_by(code, subject, field, "");
    }

    /// As [`Findings::reject`], by a rule or a row that has a name.
    pub(super) fn reject_by(&mut self, code: ReasonCode, subject: impl Display, field: Field<'_>, rule: &str) {
        self.found.codes.insert(code);
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
        self.found.expires(instant, self.as_of);
    }

    /// The answer may be another one from `instant` on.
    pub(super) fn changes(&mut self, instant: Option<Timestamp>) {
        self.found.changes(instant, self.as_of);
    }

    /// What `note` notes in what was found.
    pub(super) fn note<R>(&mut self, note: impl FnOnce(&mut Outcome, Timestamp) -> R) -> R {
        note(&mut self.found, self.as_of)
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
                Phase::Before => begins = earlier(begins, interval.from),
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
        let Some(claim) = claim else { return Err(Doubt::missing(self.said(path))) };
        // Most are, and nothing of time is to be noted then.
        if let Some(value) = claim.timeless() {
            return Ok(Cow::Borrowed(value));
        }
        let changes = claim.changes(self.as_of);
        match claim.resolve(self.as_of) {
            Ok(value) => {
                self.expires(changes);
                Ok(value)
            }
            Err(fault) => {
                self.changes(changes);
                Err(self.silent(path, fault))
            }
        }
    }

    /// Gives the reason for which a question has no answer.
    pub(super) fn doubt(&mut self, path: &dyn Display, doubt: Doubt) {
        let Doubt { code, subject, expected, actual } = doubt;
        let path: &dyn Display = if is_of_a_party(code, &subject) { &subject } else { path };
        self.reject(code, &subject, Field { path, expected: &expected, actual: &actual });
    }

    /// Gives every one of them.
    pub(super) fn doubts(&mut self, path: &dyn Display, doubts: Vec<Doubt>) {
        for doubt in doubts {
            self.doubt(path, doubt);
        }
    }

    /// Whether `check` finds something, without its reasons; how long that holds is noted.
    pub(super) fn would_reject(&mut self, check: impl FnOnce(&mut Self)) -> bool {
        let mut probe = self.probe();
        check(&mut probe);
        let Outcome { codes, expires_at, changes_at } = probe.outcome();
        self.changes(changes_at);
        if codes == ReasonCodes::NONE {
            self.expires(expires_at);
        }
        codes != ReasonCodes::NONE
    }

    /// Why a claim says nothing.
    fn silent(&self, path: &dyn Display, fault: Fault) -> Doubt {
        let instant = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        let (code, expected, actual): (_, _, &dyn Display) = match fault {
            Fault::NotYet(from) => {
                (ReasonCode::ClaimNotYetValid, "valid now", &format_args!("valid from {}", instant(from)))
            }
            Fault::Expired(until) => {
                (ReasonCode::ClaimExpired, "valid now", &format_args!("valid until {}", instant(until)))
            }
            Fault::Revoked => (ReasonCode::ClaimRevoked, "a live statement", &"taken back"),
            Fault::Conflict => (ReasonCode::ClaimConflict, "statements that agree", &"they contradict each other"),
        };
        Doubt { code, subject: self.said(path), expected, actual: self.said(actual) }
    }
}

/// Whether what is missing is a party's fact, which may be another one's than what was asked about.
fn is_of_a_party(code: ReasonCode, subject: &str) -> bool {
    let is_of_a_claim = matches!(
        code,
        ReasonCode::ClaimMissing
            | ReasonCode::ClaimNotYetValid
            | ReasonCode::ClaimExpired
            | ReasonCode::ClaimRevoked
            | ReasonCode::ClaimConflict
    );
    is_of_a_claim && ["operator.", "caller."].iter().any(|party| subject.starts_with(party))
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
