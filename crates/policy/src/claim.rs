//! A claim: what somebody states, for a time, on some evidence. An absent claim is unknown, and whatever reads it
//! refuses (VOCABULARY D3).
//!
//! Several parties may state the same field. What counts is what the live statements say together, read in the
//! least favourable way (D16): an audit adds weight to what an operator declares, and never takes back something
//! worse that the operator said itself.

mod countersigned;
mod file;
pub(crate) mod merge;
mod path;
mod resolve;

use comity_types::{Digest, Interval, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

pub use countersigned::{Countersignature, Countersigned, value_digest};
pub use merge::Merge;
pub use path::{Audits, ClaimPath};
pub(crate) use resolve::Fault;

/// Most statements of one claim: the operator's own, and some auditors'.
pub const MAX_STATEMENTS: usize = 8;

/// How far somebody other than the operator stands behind a statement.
///
/// Ordered: each level includes those before it. The order is this project's choice; no standard gives one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Assurance {
    /// The operator says so (CADA level 1).
    #[default]
    SelfDeclared,
    /// A public register agrees, such as GLEIF for a legal seat.
    RegistryCorroborated,
    /// An auditor has looked (CADA levels 2 to 4).
    Audited,
    /// Hardware has measured it (RFC 9334). Counts as self-declared where a measurement cannot show the fact.
    Attested,
}

impl Assurance {
    /// Its name in files and reasons.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SelfDeclared => "self-declared",
            Self::RegistryCorroborated => "registry-corroborated",
            Self::Audited => "audited",
            Self::Attested => "attested",
        }
    }
}

/// What a verifier made of an attestation (EAR, draft-ietf-rats-ear-04, trustworthiness tiers).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Appraisal {
    /// The verifier says nothing.
    None,
    /// The measured state is the one that was promised. The only tier that counts.
    Affirming,
    /// Something is off.
    Warning,
    /// The state is not what was promised.
    Contraindicated,
}

/// Where the evidence of a statement can be read, and its digest, so that it cannot be exchanged.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Where it is.
    pub uri: String,
    /// SHA-256 of what is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
}

/// What one party states.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Statement<T> {
    /// What is stated.
    pub value: T,
    /// When it holds.
    #[serde(flatten)]
    pub validity: Interval,
    /// How far others stand behind it.
    #[serde(skip_serializing_if = "is_self_declared")]
    pub assurance: Assurance,
    /// Who states it, by a name of the table of issuers; absent: the operator itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// What it rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// When it was made; before that it does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<Timestamp>,
    /// When its issuer took it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// For an attested statement: what its verifier said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub appraisal: Option<Appraisal>,
    /// Whether its issuer's signature was checked. No file and no message says so: whoever checked it does.
    #[serde(skip)]
    pub countersigned: Countersigned,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_self_declared(assurance: &Assurance) -> bool {
    *assurance == Assurance::SelfDeclared
}

impl<T> Statement<T> {
    /// What the operator declares for all time.
    pub const fn declared(value: T) -> Self {
        Self {
            value,
            validity: Interval { from: None, until: None },
            assurance: Assurance::SelfDeclared,
            issuer: None,
            evidence: None,
            issued_at: None,
            revoked_at: None,
            appraisal: None,
            countersigned: Countersigned::NO,
        }
    }

    /// True if there is an instant at which both count.
    fn rivals(&self, other: &Self) -> bool {
        let (own, others) = (self.life(), other.life());
        !own.is_empty() && !others.is_empty() && own.overlaps(&others)
    }

    /// When it counts: within its validity, not before it was made, and until its issuer took it back.
    fn life(&self) -> Interval {
        let from = self.validity.from.into_iter().chain(self.issued_at).max();
        let until = self.validity.until.into_iter().chain(self.revoked_at).min();
        Interval { from, until }
    }
}

/// What is stated of one field: never empty.
///
/// In files it is the bare value (`"DE"`), a table (`{ value = "DE", until = 2027-01-01, assurance = "audited",
/// issuer = "..." }`), or `{ statements = [...] }` with several of those.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Claim<T>(Vec<Statement<T>>);

impl<T> Claim<T> {
    /// What the operator declares for all time.
    pub fn always(value: T) -> Self {
        Self::of(Statement::declared(value))
    }

    /// What one party states.
    pub fn of(statement: Statement<T>) -> Self {
        Self(vec![statement])
    }

    /// What several parties state.
    ///
    /// # Errors
    /// None, more than [`MAX_STATEMENTS`], one that never holds, or two of one issuer for the same time.
    pub fn new(statements: Vec<Statement<T>>) -> Result<Self, BadClaim> {
        if statements.is_empty() || statements.len() > MAX_STATEMENTS {
            return Err(BadClaim::Count(statements.len()));
        }
        for (index, one) in statements.iter().enumerate() {
            if one.validity.is_empty() {
                return Err(BadClaim::Reversed);
            }
            if one.issued_at.zip(one.validity.until).is_some_and(|(issued_at, until)| issued_at >= until) {
                return Err(BadClaim::Late);
            }
            let mut rivals = statements.iter().skip(index.saturating_add(1)).filter(|other| other.issuer == one.issuer);
            if rivals.any(|other| one.rivals(other)) {
                return Err(BadClaim::Duplicate(one.issuer.clone().unwrap_or_else(|| "the operator".into())));
            }
        }
        Ok(Self(statements))
    }

    /// The value, where one party states it for all time.
    pub(crate) fn timeless(&self) -> Option<&T> {
        match self.0.as_slice() {
            [
                Statement {
                    value,
                    validity: Interval { from: None, until: None },
                    issued_at: None,
                    revoked_at: None,
                    ..
                },
            ] => Some(value),
            _ => None,
        }
    }

    /// Every statement, live or not.
    #[must_use]
    pub fn statements(&self) -> &[Statement<T>] {
        &self.0
    }
}

impl<T: Ord + Clone> Claim<BTreeSet<T>> {
    /// Everything that any statement names: conflicting ones count together (D16).
    #[must_use]
    pub fn everything(&self) -> BTreeSet<T> {
        self.0.iter().flat_map(|statement| statement.value.iter().cloned()).collect()
    }
}

/// Statements that cannot be a claim.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadClaim {
    /// None, or too many.
    #[error("a claim has 1 to {MAX_STATEMENTS} statements, this one has {0}")]
    Count(usize),
    /// It would never hold.
    #[error("`from` must be before `until`")]
    Reversed,
    /// It was over when it was made. That it was taken back before it held is no contradiction.
    #[error("`issued_at` must be before `until`, or it never holds (hint: correct one of the two)")]
    Late,
    /// One issuer says two things for the same time.
    #[error(
        "{0} states it twice for the same time (hint: give each statement its own `from` and `until`, or take the old one back with `revoked_at`)"
    )]
    Duplicate(String),
}
