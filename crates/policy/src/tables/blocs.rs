//! Which place belongs to what, and since when. Bitemporal: a row says when it holds and when it was recorded.

use std::collections::BTreeMap;

use comity_types::place::COUNTRIES;
use comity_types::time::{Phase, earlier};
use comity_types::{Interval, Place, PlaceOrBloc, Timestamp};
use serde::{Deserialize, Serialize};

use super::Places;
use super::sheet::{TableError, read};

const TABLE: &str = "blocs";

/// The blocs, by name.
#[derive(Debug, Clone)]
pub struct Blocs {
    by_name: BTreeMap<String, Bloc>,
    /// Whether some membership of a country, or of a part of it, holds for some alone; by its number.
    scoped: Vec<bool>,
}

/// The rows of one bloc.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bloc {
    rows: Vec<BlocRow>,
    /// Which list of `of_countries` has the rows on places of a country, by its number: only those can touch a place of
    /// it. The list's number, and one more; 0: there are none.
    countries: Vec<u16>,
    of_countries: Vec<Vec<usize>>,
}

impl Bloc {
    fn add(&mut self, row: BlocRow) {
        self.countries.resize(COUNTRIES, 0);
        let next = u16::try_from(self.of_countries.len().saturating_add(1)).unwrap_or(u16::MAX);
        if let Some(list) = self.countries.get_mut(row.member.country_number()) {
            if *list == 0 {
                *list = next;
                self.of_countries.push(Vec::new());
            }
            if let Some(rows) = self.of_countries.get_mut(usize::from(*list).saturating_sub(1)) {
                rows.push(self.rows.len());
            }
        }
        self.rows.push(row);
    }

    fn of_country(&self, country: usize) -> impl Iterator<Item = &BlocRow> + Clone {
        let list = self.countries.get(country).copied().unwrap_or(0);
        let rows = usize::from(list).checked_sub(1).and_then(|list| self.of_countries.get(list));
        rows.into_iter().flatten().filter_map(|index| self.rows.get(*index))
    }
}

/// One membership of one place, for one time: `from <= t < to`, by days at 00:00 UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlocRow {
    /// The bloc.
    pub bloc: PlaceOrBloc,
    /// The place.
    pub member: Place,
    /// First day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// First day after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// For whom it holds, if not for all: a claim of the organisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// The legal instrument.
    pub instrument: String,
    /// Where the row was taken from.
    pub source: String,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// Whether the dates were held against the instrument.
    pub verified: bool,
}

impl BlocRow {
    const fn validity(&self) -> Interval {
        Interval { from: self.from, until: self.to }
    }

    /// True if both say of one member that it belongs, for some time of both and for the same organisations.
    fn rivals(&self, other: &Self) -> bool {
        self.member == other.member && self.scope == other.scope && self.validity().overlaps(&other.validity())
    }
}

/// For whom a membership holds: those who claim it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Who takes part in the EU-US Data Privacy Framework.
    DpfParticipation,
    /// Commercial organisations in the sense of Canada's decision.
    CommercialOrganisation,
}

impl Scope {
    /// The organisation's claim that it asks for.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DpfParticipation => "dpf_participation",
            Self::CommercialOrganisation => "commercial_organisation",
        }
    }
}

/// Whether a place is in a set, and until when the answer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MembershipAt {
    /// Whether it is.
    pub membership: Membership,
    /// The first instant from which the answer may be another one: a row begins or ends.
    pub changes_at: Option<Timestamp>,
}

/// Whether a place is in a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// It is, until the row ends.
    Yes(Option<Timestamp>),
    /// It is not, until a row begins.
    No(Option<Timestamp>),
    /// It is, for those of this scope, until the row ends.
    Scoped(Scope, Option<Timestamp>),
    /// The set has a name that no table has: of a bloc, or a place that is not assigned.
    UnknownSet,
}

/// How much of a place has to be in a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// All of it: what an allow-list asks.
    Within,
    /// Any of it: what a prohibition asks. A claim of "UA" covers "UA-43", one of "CN-HK" is a part of "CN" as well.
    Overlap,
}

impl Blocs {
    pub(super) fn parse(text: &str) -> Result<Self, TableError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            bloc: Vec<BlocRow>,
        }
        let (mut by_name, mut scoped) = (BTreeMap::<String, Bloc>::new(), vec![false; COUNTRIES]);
        for row in read::<File>(TABLE, text)?.bloc {
            let refuse = |problem| Err(TableError::row(TABLE, format!("{} {}", row.bloc, row.member), problem));
            if row.validity().is_empty() {
                return refuse("`from` must be before `to`");
            }
            if row.bloc.place().is_some() {
                return refuse("`bloc` cannot have a place's name");
            }
            if let Some(scoped) = scoped.get_mut(row.member.country_number()).filter(|_| row.scope.is_some()) {
                *scoped = true;
            }
            let bloc = by_name.entry(row.bloc.to_string()).or_default();
            if bloc.rows.iter().any(|other| other.rivals(&row)) {
                return refuse(
                    "`from`: another row of this bloc and member holds at the same time: let one end where the other begins",
                );
            }
            bloc.add(row);
        }
        Ok(Self { by_name, scoped })
    }

    /// The rows by bloc.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[BlocRow])> {
        self.by_name.iter().map(|(name, rows)| (name.as_str(), rows.rows.as_slice()))
    }

    /// True if there is such a bloc.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// True if some membership of the place, or of another one in its country, holds for some alone.
    pub(crate) fn is_scoped(&self, places: &Places, place: &Place) -> bool {
        let is_scoped = |name: &Place| self.scoped.get(name.country_number()).is_none_or(|scoped| *scoped);
        is_scoped(place) || (!place.is_country() && is_scoped(places.canonical(place)))
    }

    /// A set of places, as the tables have it.
    pub(crate) fn find<'t>(&'t self, places: &'t Places, set: &'t PlaceOrBloc) -> PlaceSet<'t> {
        match set.place() {
            Some(place) if places.knows(place) => PlaceSet::Place(place),
            Some(_) => PlaceSet::Unknown,
            None => self.by_name.get(set.as_str()).map_or(PlaceSet::Unknown, PlaceSet::Bloc),
        }
    }

    /// Whether `place` is in `set` at `as_of`.
    #[must_use]
    pub fn membership(
        &self,
        places: &Places,
        place: &Place,
        set: &PlaceOrBloc,
        reach: Reach,
        as_of: Timestamp,
    ) -> MembershipAt {
        self.find(places, set).membership(places, place, reach, as_of)
    }
}

/// A set of places.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PlaceSet<'t> {
    /// One place, and what is in it.
    Place(&'t Place),
    /// A bloc's members.
    Bloc(&'t Bloc),
    /// Nobody knows which.
    Unknown,
}

impl PlaceSet<'_> {
    /// Whether `place` is in it at `as_of`.
    pub(crate) fn membership(self, places: &Places, place: &Place, reach: Reach, as_of: Timestamp) -> MembershipAt {
        let names = names(places, place, reach);
        let touches = |of_set: &Place| {
            let covered = |name: &Place| reach == Reach::Overlap && of_set.is_within(name);
            names.clone().any(|name| name.is_within(of_set) || covered(name))
        };
        let for_ever = |membership| MembershipAt { membership, changes_at: None };
        match self {
            Self::Unknown => for_ever(Membership::UnknownSet),
            Self::Place(other) => {
                let inside = self::names(places, other, reach).any(touches);
                for_ever(if inside { Membership::Yes(None) } else { Membership::No(None) })
            }
            Self::Bloc(bloc) => {
                let rows = names.clone().flat_map(|name| bloc.of_country(name.country_number()));
                of_rows(rows.filter(|row| touches(&row.member)), as_of)
            }
        }
    }
}

/// The codes of a place: its country's own code where it has one, and for a prohibition the code as it is written, too.
/// What is stated as "CN-HK" is Hong Kong, and a part of China to whoever forbids that.
fn names<'p>(places: &'p Places, place: &'p Place, reach: Reach) -> impl Iterator<Item = &'p Place> + Clone + use<'p> {
    let own = places.canonical(place);
    let written = (reach == Reach::Overlap && own != place).then_some(place);
    std::iter::once(own).chain(written)
}

/// What rows say that touch a place: a row for all counts before one for some, and the one that holds longest first.
fn of_rows<'r>(rows: impl Iterator<Item = &'r BlocRow>, as_of: Timestamp) -> MembershipAt {
    let ends = |row: &&BlocRow| row.to.map_or(i64::MAX, Timestamp::as_millis);
    let longer = |old: Option<&'r BlocRow>, row| old.into_iter().chain([row]).max_by_key(ends);
    let (mut for_all, mut for_some, mut begins, mut changes_at) = (None, None, None, None);
    for row in rows {
        let later = |at: &Timestamp| *at > as_of;
        changes_at = earlier(changes_at, earlier(row.from.filter(later), row.to.filter(later)));
        match (row.validity().phase(as_of), row.scope) {
            (Phase::Within, None) => for_all = longer(for_all, row),
            (Phase::Within, Some(_)) => for_some = longer(for_some, row),
            (Phase::Before, _) => begins = earlier(begins, row.from),
            (Phase::After, _) => {}
        }
    }
    let membership = match for_all.or(for_some) {
        Some(BlocRow { scope: None, to, .. }) => Membership::Yes(*to),
        Some(BlocRow { scope: Some(scope), to, .. }) => Membership::Scoped(*scope, *to),
        None => Membership::No(begins),
    };
    MembershipAt { membership, changes_at }
}

#[cfg(test)]
mod tests;
