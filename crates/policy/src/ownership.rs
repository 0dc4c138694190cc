//! Who owns an organisation: a graph of parties and stakes, as BODS 0.4 states it.
//!
//! Stakes are intervals, because registers publish ranges. What is not disclosed may belong to anybody.

use std::collections::{BTreeMap, BTreeSet};

use comity_types::{Lei, Place};
use serde::{Deserialize, Serialize};

use self::derived::Derived;
use crate::claim::merge::same_or_conflict;
use crate::evaluate::stakes::Standing;

/// Most parties of one graph, the organisation itself not counted: a verdict looks at each of them in turn.
pub const MAX_PARTIES: usize = 64;
/// Most stakes of one graph.
pub const MAX_STAKES: usize = 256;
/// The whole of something, in millionths.
pub const WHOLE: u32 = 1_000_000;
/// The name by which stakes speak of the organisation whose ownership is stated.
pub const SELF: &str = "self";

/// Who owns the organisation. Without stakes: nobody does, as for a public body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Ownership {
    pub(crate) parties: BTreeMap<String, Party>,
    pub(crate) stakes: Vec<Stake>,
    /// What follows from the two.
    #[serde(skip)]
    standing: Derived<Standing>,
}

/// Somebody who owns, or is owned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Party {
    /// What it is.
    pub kind: PartyKind,
    /// Its legal entity identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lei: Option<Lei>,
    /// Its legal seat; for a person, the residence. Absent is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seat: Option<Place>,
    /// Where its headquarters are, if that is another place than the seat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headquarters: Option<Place>,
    /// The lists of restricted parties that it stands on.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub restricted_party_lists: BTreeSet<String>,
}

/// What a party is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartyKind {
    /// A company, a fund, an association.
    #[default]
    Organisation,
    /// A human being.
    Person,
    /// A state or its body.
    State,
    /// Free float: many holders, none with 5 % or more. Counts as nobody's.
    Dispersed,
}

/// One holding.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stake {
    /// What is held: a party, or [`SELF`].
    #[serde(default = "own")]
    pub subject: String,
    /// Who holds it.
    pub holder: String,
    /// What kind of holding.
    #[serde(default)]
    pub interest: Interest,
    /// How much of it. Absent: not known, from nothing to the whole.
    #[serde(default)]
    pub share: Share,
    /// Whether it is held directly; an indirect stake is counted like a direct one.
    #[serde(default)]
    pub directness: Directness,
}

fn own() -> String {
    SELF.to_owned()
}

/// Kinds of holding (BODS `interestType`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interest {
    /// Capital.
    #[default]
    Shareholding,
    /// Votes.
    VotingRights,
    /// The right to appoint the board: decisive influence at any share.
    AppointmentOfBoard,
    /// Rights by contract, such as a veto: decisive influence at any share.
    RightsGrantedByContract,
    /// A golden share: decisive influence at any share.
    GoldenShare,
}

impl Interest {
    /// Kinds that are counted in shares of a whole.
    pub const COUNTED: [Self; 2] = [Self::Shareholding, Self::VotingRights];

    /// True if it decides, however small the share.
    #[must_use]
    pub const fn is_decisive(self) -> bool {
        matches!(self, Self::AppointmentOfBoard | Self::RightsGrantedByContract | Self::GoldenShare)
    }
}

/// Whether a stake is held directly (BODS `directOrIndirect`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Directness {
    /// Directly.
    #[default]
    Direct,
    /// Through others that are not stated.
    Indirect,
    /// Not known.
    Unknown,
}

/// How much, from the least to the most that it may be, in millionths of the whole.
///
/// In files: `{ percent = 50.01 }`, or `{ at_least = 25, below = 50 }`, with `at_least`, `above`, `at_most`, `below`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share {
    least: u32,
    most: u32,
}

impl Default for Share {
    fn default() -> Self {
        Self { least: 0, most: WHOLE }
    }
}

/// Parts of ownership that contradict themselves.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadOwnership {
    /// Not a share of a whole.
    #[error("a share is from 0 to 100 %, with no more than four decimals, and its least is not above its most")]
    Share,
    /// A stake speaks of somebody who is not there.
    #[error("stakes[{index}].{field}: there is no party {name:?} (hint: add it to parties)")]
    NoParty {
        /// Which stake.
        index: usize,
        /// Which end of it.
        field: &'static str,
        /// The name.
        name: String,
    },
    /// The same stake twice.
    #[error("stakes[{0}]: the same holding of the same subject is stated before")]
    Duplicate(usize),
    /// Something holds itself, or is [`SELF`] as a party.
    #[error("stakes[{0}]: nothing holds itself (hint: leave treasury shares out)")]
    Itself(usize),
    /// More than the whole is held.
    #[error("{interest} of {subject} adds up to more than 100 %")]
    MoreThanWhole {
        /// What is held.
        subject: String,
        /// The kind of holding.
        interest: &'static str,
    },
    /// Free float with what only somebody in particular has.
    #[error(
        "parties.{name}.{field}: free float is nobody in particular, and has none (hint: leave it out, or state its holder as a party of another kind)"
    )]
    Dispersed {
        /// The party.
        name: String,
        /// What it has.
        field: &'static str,
    },
    /// Too many.
    #[error("{field} has {found} entries, at most {most} are accepted")]
    TooMany {
        /// The field.
        field: &'static str,
        /// How many.
        found: usize,
        /// The limit.
        most: usize,
    },
    /// A name that stands for the organisation itself.
    #[error("parties: {SELF:?} is the organisation itself (hint: choose another name)")]
    Reserved,
}

impl Share {
    /// From `least` to `most` millionths.
    ///
    /// # Errors
    /// More than [`WHOLE`], or `least` above `most`.
    pub const fn new(least: u32, most: u32) -> Result<Self, BadOwnership> {
        if most > WHOLE || least > most { Err(BadOwnership::Share) } else { Ok(Self { least, most }) }
    }

    /// The least that it may be, in millionths.
    #[must_use]
    pub const fn least(self) -> u32 {
        self.least
    }

    /// The most that it may be, in millionths.
    #[must_use]
    pub const fn most(self) -> u32 {
        self.most
    }
}

impl Party {
    /// A field that says who or where it is, if one is given.
    fn particular(&self) -> Option<&'static str> {
        let given = [
            ("lei", self.lei.is_some()),
            ("seat", self.seat.is_some()),
            ("headquarters", self.headquarters.is_some()),
            ("restricted_party_lists", !self.restricted_party_lists.is_empty()),
        ];
        given.into_iter().find(|(_, is_given)| *is_given).map(|(field, _)| field)
    }
}

impl Ownership {
    /// Checks a graph.
    ///
    /// # Errors
    /// Names the part that contradicts itself. Cycles are accepted: companies do hold each other.
    pub fn new(parties: BTreeMap<String, Party>, stakes: Vec<Stake>) -> Result<Self, BadOwnership> {
        let too_many =
            |field, found, most| if found > most { Err(BadOwnership::TooMany { field, found, most }) } else { Ok(()) };
        too_many("parties", parties.len(), MAX_PARTIES)?;
        too_many("stakes", stakes.len(), MAX_STAKES)?;
        if parties.contains_key(SELF) {
            return Err(BadOwnership::Reserved);
        }
        let dispersed = parties.iter().filter(|(_, party)| party.kind == PartyKind::Dispersed);
        if let Some((name, field)) = dispersed.filter_map(|(name, party)| Some((name, party.particular()?))).next() {
            return Err(BadOwnership::Dispersed { name: name.clone(), field });
        }
        let mut seen = BTreeSet::new();
        let mut held = BTreeMap::<_, u64>::new();
        for (index, stake) in stakes.iter().enumerate() {
            let missing = |field, name: &str| BadOwnership::NoParty { index, field, name: name.to_owned() };
            if stake.subject != SELF && !parties.contains_key(&stake.subject) {
                return Err(missing("subject", &stake.subject));
            }
            if stake.subject == stake.holder || stake.holder == SELF {
                return Err(BadOwnership::Itself(index));
            }
            if !parties.contains_key(&stake.holder) {
                return Err(missing("holder", &stake.holder));
            }
            if !seen.insert((&stake.subject, &stake.holder, stake.interest)) {
                return Err(BadOwnership::Duplicate(index));
            }
            let sum = held.entry((&stake.subject, stake.interest)).or_default();
            *sum = sum.saturating_add(u64::from(stake.share.least));
        }
        let over = held.iter().find(|((_, interest), sum)| !interest.is_decisive() && **sum > u64::from(WHOLE));
        if let Some(((subject, interest), _)) = over {
            let interest = if *interest == Interest::Shareholding { "shareholding" } else { "voting-rights" };
            return Err(BadOwnership::MoreThanWhole { subject: (*subject).clone(), interest });
        }
        // One order, so that two statements of the same holdings are the same.
        let mut stakes = stakes;
        stakes.sort_by(|one, other| {
            let key = |stake: &Stake| (stake.subject.clone(), stake.holder.clone(), stake.interest);
            key(one).cmp(&key(other))
        });
        Ok(Self { parties, stakes, standing: Derived::default() })
    }

    /// The parties that stakes speak of, by name.
    #[must_use]
    pub const fn parties(&self) -> &BTreeMap<String, Party> {
        &self.parties
    }

    /// The stakes, by subject, holder and interest.
    #[must_use]
    pub fn stakes(&self) -> &[Stake] {
        &self.stakes
    }

    /// What follows from it, whoever asks: worked out once.
    pub(crate) fn standing(&self) -> &Standing {
        self.standing.get(|| Standing::of(self))
    }
}

same_or_conflict!(Ownership);

mod derived;
mod file;
