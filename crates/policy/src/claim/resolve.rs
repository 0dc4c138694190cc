//! What a claim says at an instant.

use std::borrow::Cow;

use comity_types::Timestamp;
use comity_types::time::Phase;

use super::{Appraisal, Assurance, Claim, Merge, Statement};

/// Why a claim says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Every statement has ended; the last one then.
    Expired(Option<Timestamp>),
    /// None has begun; the first one does then.
    NotYet(Option<Timestamp>),
    /// What would hold was taken back.
    Revoked,
    /// The live statements contradict each other.
    Conflict,
}

/// Where a statement stands at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Live,
    Before,
    After,
    Revoked,
}

impl<T> Statement<T> {
    fn standing(&self, as_of: Timestamp) -> Standing {
        if self.revoked_at.is_some_and(|at| at <= as_of) {
            return Standing::Revoked;
        }
        if self.issued_at.is_some_and(|at| at > as_of) {
            return Standing::Before;
        }
        match self.validity.phase(as_of) {
            Phase::Before => Standing::Before,
            Phase::Within => Standing::Live,
            Phase::After => Standing::After,
        }
    }

    /// The first instant after `as_of` at which its standing changes.
    fn changes(&self, as_of: Timestamp) -> Option<Timestamp> {
        let instants = [self.validity.from, self.validity.until, self.issued_at, self.revoked_at];
        instants.into_iter().flatten().filter(|at| *at > as_of).min()
    }

    /// The level that it counts with: hardware cannot show what it does not measure, and a level above a
    /// declaration is worth what its issuer is worth: who claims more than its word has counts with what it has.
    pub(crate) fn level(&self, attestable: bool, trusts: impl Fn(&str, Assurance) -> bool) -> Assurance {
        let trusted = |level: &Assurance| {
            self.countersigned.is_yes() || self.issuer.as_deref().is_some_and(|issuer| trusts(issuer, *level))
        };
        match self.assurance {
            Assurance::SelfDeclared => Assurance::SelfDeclared,
            Assurance::Attested if !attestable || self.appraisal != Some(Appraisal::Affirming) => {
                Assurance::SelfDeclared
            }
            claimed @ (Assurance::RegistryCorroborated | Assurance::Audited | Assurance::Attested) => {
                let below = [Assurance::Attested, Assurance::Audited, Assurance::RegistryCorroborated];
                below.into_iter().filter(|level| *level <= claimed).find(trusted).unwrap_or_default()
            }
        }
    }
}

impl<T: Merge> Claim<T> {
    /// What the live statements say together at `as_of`, in the least favourable reading.
    pub(crate) fn resolve(&self, as_of: Timestamp) -> Result<Cow<'_, T>, Fault> {
        let mut live = self.live(as_of);
        let Some(first) = live.next() else { return Err(self.fault(as_of)) };
        let mut value = Cow::Borrowed(&first.value);
        for other in live.filter(|other| other.value != first.value) {
            value = Cow::Owned(value.merge(&other.value).ok_or(Fault::Conflict)?);
        }
        Ok(value)
    }

    /// The first instant after `as_of` from which it may say something else.
    pub(crate) fn changes(&self, as_of: Timestamp) -> Option<Timestamp> {
        self.0.iter().filter_map(|statement| statement.changes(as_of)).min()
    }

    /// The live statements that say `value`.
    pub(crate) fn saying<'c>(&'c self, value: &T, as_of: Timestamp) -> impl Iterator<Item = &'c Statement<T>> {
        self.live(as_of).filter(move |statement| statement.value == *value)
    }

    /// The live statements.
    pub(crate) fn live(&self, as_of: Timestamp) -> impl Iterator<Item = &Statement<T>> {
        self.0.iter().filter(move |statement| statement.standing(as_of) == Standing::Live)
    }

    /// Why none is live: what is still to come before what is over, since only the first mends itself.
    fn fault(&self, as_of: Timestamp) -> Fault {
        let of = |standing| self.0.iter().filter(move |one| one.standing(as_of) == standing);
        if of(Standing::Before).next().is_some() {
            return Fault::NotYet(of(Standing::Before).filter_map(|one| one.changes(as_of)).min());
        }
        if of(Standing::After).next().is_some() {
            return Fault::Expired(of(Standing::After).filter_map(|one| one.validity.until).max());
        }
        Fault::Revoked
    }
}

#[cfg(test)]
mod tests;
