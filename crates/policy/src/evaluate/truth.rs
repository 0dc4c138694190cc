//! Answers to questions about facts, and whose facts they are.

use std::fmt::{self, Display};

use comity_types::Place;

use crate::organisation::Membership as Participation;
use crate::{Claim, Organisation, ReasonCode, Tables};

/// The answer to a question about facts (VOCABULARY D2). What makes it unknown is a list of doubts, never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Truth {
    Yes,
    No,
    Unknown(Vec<Doubt>),
}

impl Truth {
    /// What makes it unknown; nothing if it is known.
    pub(super) fn doubts(self) -> Vec<Doubt> {
        match self {
            Self::Yes | Self::No => Vec::new(),
            Self::Unknown(doubts) => doubts,
        }
    }
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
    pub(super) fn missing(path: impl Display) -> Self {
        let (code, subject) = (ReasonCode::ClaimMissing, path.to_string());
        Self { code, subject, expected: "a stated value", actual: "unknown".into() }
    }

    pub(super) fn unrecognised(code: &str) -> Self {
        let (expected, actual) = ("a code of the federation's tables", code.to_owned());
        Self { code: ReasonCode::CodeUnrecognised, subject: code.to_owned(), expected, actual }
    }
}

/// Somebody whose facts are read, and the name under which reasons speak of it.
#[derive(Clone, Copy)]
pub(super) struct Party<'a> {
    pub(super) role: &'a str,
    pub(super) organisation: &'a Organisation,
}

impl<'a> Party<'a> {
    pub(super) const fn operator(organisation: &'a Organisation) -> Self {
        Self { role: OPERATOR, organisation }
    }

    pub(super) const fn caller(organisation: &'a Organisation) -> Self {
        Self { role: "caller", organisation }
    }

    /// The path of one of its facts.
    pub(super) const fn path<'p>(&self, field: &'p str) -> PartyPath<'p>
    where
        'a: 'p,
    {
        PartyPath { role: self.role, field }
    }

    /// What it takes part in.
    pub(super) const fn participant(&self) -> Participant<'a> {
        Participant {
            role: self.role,
            dpf_participation: self.organisation.dpf_participation.as_ref(),
            commercial_organisation: self.organisation.commercial_organisation.as_ref(),
        }
    }
}

/// The role of whoever runs the node.
pub(super) const OPERATOR: &str = "operator";

/// Somebody for whom places are asked about: some memberships of blocs hold only for those who claim a scope.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Participant<'a> {
    role: &'a str,
    pub(super) dpf_participation: Option<&'a Claim<Participation>>,
    pub(super) commercial_organisation: Option<&'a Claim<Participation>>,
}

impl<'a> Participant<'a> {
    pub(super) const fn operator(organisation: &'a Organisation) -> Self {
        Party::operator(organisation).participant()
    }

    /// As [`Participant::operator`], for one place: without what makes no difference there, so that operators are alike.
    pub(super) fn operator_at(organisation: &'a Organisation, place: &Place, tables: &Tables) -> Self {
        let is_scoped = tables.blocs.is_scoped(&tables.places, place);
        if is_scoped { Self::operator(organisation) } else { Self::operator_of_no_scope() }
    }

    /// An operator, where what it takes part in makes no difference.
    pub(super) const fn operator_of_no_scope() -> Self {
        Self { role: OPERATOR, dpf_participation: None, commercial_organisation: None }
    }

    /// The broker, of which nothing is stated but its places.
    pub(super) const fn broker() -> Self {
        Self { role: "broker", dpf_participation: None, commercial_organisation: None }
    }

    /// The path of one of its facts.
    pub(super) const fn path<'p>(&self, field: &'p str) -> PartyPath<'p>
    where
        'a: 'p,
    {
        PartyPath { role: self.role, field }
    }
}

/// The path of a fact of somebody.
#[derive(Clone, Copy)]
pub(super) struct PartyPath<'a> {
    pub(super) role: &'a str,
    pub(super) field: &'a str,
}

impl Display for PartyPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.role, self.field)
    }
}
