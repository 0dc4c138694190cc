//! Blocs, purposes and presets: data that ships with the program, each row with its source.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use comity_types::time::Phase;
use comity_types::{Interval, Place, PlaceOrBloc, Timestamp};
use serde::Deserialize;

use crate::requirements::{RequirementsFile, RequirementsTable};

/// A table that cannot be used: which one, and which row.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Not TOML of the table's form; the source names line and field.
    #[error("the table of {table} cannot be read")]
    Malformed {
        /// Which table.
        table: &'static str,
        /// What is wrong, and where.
        source: Box<toml::de::Error>,
    },
    /// A row contradicts itself or another one.
    #[error("the table of {table}: {row}: {problem}")]
    Row {
        /// Which table.
        table: &'static str,
        /// The row's name.
        row: String,
        /// What is wrong.
        problem: String,
    },
}

/// The tables that a verdict is computed against.
#[derive(Debug, Clone)]
pub struct Tables {
    blocs: BTreeMap<String, Vec<BlocRow>>,
    purposes: BTreeMap<String, BTreeSet<String>>,
    presets: Vec<Preset>,
    aliases: BTreeMap<Place, Place>,
}

/// One membership of one place, for one time.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlocRow {
    /// The bloc.
    pub bloc: PlaceOrBloc,
    /// The place.
    pub member: Place,
    /// First day.
    #[serde(default)]
    pub from: Option<Timestamp>,
    /// First day after.
    #[serde(default)]
    pub to: Option<Timestamp>,
    /// For whom it holds, if not for all.
    #[serde(default)]
    pub scope: Option<String>,
    /// The legal instrument.
    pub instrument: String,
    /// Where the row was taken from.
    pub source: String,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// Whether the dates were held against the instrument.
    pub verified: bool,
}

/// A named set of requirements.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Its name.
    pub name: String,
    /// What it is for, in a sentence.
    pub about: String,
    /// What it expands to.
    pub requirements: RequirementsTable,
}

/// Whether a place is in a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Membership<'t> {
    /// It is, until the row ends.
    Yes(Option<Timestamp>),
    /// It is not, until a row begins.
    No(Option<Timestamp>),
    /// A row says so for those of this scope only, and nothing states that it holds here.
    Scoped(&'t str),
    /// The set names a bloc that no table has.
    UnknownBloc,
}

/// How much of a place has to be in a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// All of it: what an allow-list asks.
    Within,
    /// Any of it: what a prohibition asks. A claim of "UA" covers "UA-43".
    Overlap,
}

static BUILTIN: LazyLock<Result<Tables, TableError>> = LazyLock::new(|| {
    Tables::parse(
        include_str!("../tables/blocs.toml"),
        include_str!("../tables/purposes.toml"),
        include_str!("../tables/presets.toml"),
    )
});

impl Tables {
    /// The tables that ship with this version.
    ///
    /// # Errors
    /// Never in a released version: a test reads them.
    pub fn builtin() -> Result<&'static Self, &'static TableError> {
        BUILTIN.as_ref()
    }

    fn parse(blocs: &str, purposes: &str, presets: &str) -> Result<Self, TableError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Blocs {
            bloc: Vec<BlocRow>,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Purposes {
            purpose: Vec<Purpose>,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Purpose {
            id: String,
            broader: BTreeSet<String>,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Presets {
            preset: Vec<Preset>,
        }
        let blocs = read::<Blocs>("blocs", blocs)?.bloc;
        let purposes =
            read::<Purposes>("purposes", purposes)?.purpose.into_iter().map(|row| (row.id, row.broader)).collect();
        let presets = read::<Presets>("presets", presets)?.preset;
        check_purposes(&purposes)?;
        Ok(Self { blocs: group(blocs)?, purposes, presets, aliases: aliases()? })
    }

    /// The rows of the blocs, by bloc.
    pub fn blocs(&self) -> impl Iterator<Item = (&str, &[BlocRow])> {
        self.blocs.iter().map(|(name, rows)| (name.as_str(), rows.as_slice()))
    }

    /// The presets, in the order of the table.
    #[must_use]
    pub fn presets(&self) -> &[Preset] {
        &self.presets
    }

    /// One preset, as a requirements file would have it.
    #[must_use]
    pub fn preset(&self, name: &str) -> Option<RequirementsFile> {
        let preset = self.presets.iter().find(|preset| preset.name == name)?;
        preset.requirements.clone().expand(self).ok()
    }

    /// Whether `place` is in `set` at `as_of`.
    pub(crate) fn membership(
        &self,
        place: &Place,
        set: &PlaceOrBloc,
        reach: Reach,
        as_of: Timestamp,
    ) -> Membership<'_> {
        let place = self.canonical(place);
        if let Some(other) = set.place() {
            let other = self.canonical(&other);
            let covered = reach == Reach::Overlap && other.is_within(place.as_str());
            return if place.is_within(other.as_str()) || covered {
                Membership::Yes(None)
            } else {
                Membership::No(None)
            };
        }
        let Some(rows) = self.blocs.get(set.as_str()) else { return Membership::UnknownBloc };
        let rows = rows.iter().filter(|row| place.is_within(row.member.as_str()));
        let mut holding =
            rows.clone().filter(|row| Interval { from: row.from, until: row.to }.phase(as_of) == Phase::Within);
        let scope = holding.clone().find_map(|row| row.scope.as_deref());
        match (holding.find(|row| row.scope.is_none()), scope) {
            (Some(row), _) => Membership::Yes(row.to),
            (None, Some(scope)) => Membership::Scoped(scope),
            (None, None) => Membership::No(rows.filter_map(|row| row.from).filter(|from| *from > as_of).min()),
        }
    }

    /// The country's own code of a place that ISO 3166-2 lists as a subdivision of another one.
    fn canonical(&self, place: &Place) -> Place {
        self.aliases.get(place).cloned().unwrap_or_else(|| place.clone())
    }

    /// True if the table has the purpose.
    pub(crate) fn knows_purpose(&self, purpose: &str) -> bool {
        self.purposes.contains_key(purpose)
    }

    /// True if `purpose` is `ancestor` or below it, on any way up.
    pub(crate) fn purpose_is_within(&self, purpose: &str, ancestor: &str) -> bool {
        purpose == ancestor
            || self
                .purposes
                .get(purpose)
                .is_some_and(|broader| broader.iter().any(|one| self.purpose_is_within(one, ancestor)))
    }
}

/// Subdivisions that have a country code of their own: a claim may use either.
fn aliases() -> Result<BTreeMap<Place, Place>, TableError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Aliases {
        alias: BTreeMap<Place, Place>,
    }
    Ok(read::<Aliases>("aliases", include_str!("../tables/aliases.toml"))?.alias)
}

fn read<T: for<'de> Deserialize<'de>>(table: &'static str, text: &str) -> Result<T, TableError> {
    toml::from_str(text).map_err(|source| TableError::Malformed { table, source: Box::new(source) })
}

fn group(rows: Vec<BlocRow>) -> Result<BTreeMap<String, Vec<BlocRow>>, TableError> {
    let mut blocs: BTreeMap<String, Vec<BlocRow>> = BTreeMap::new();
    for row in rows {
        let name = format!("{} {}", row.bloc, row.member);
        let refuse =
            |problem: &str| Err(TableError::Row { table: "blocs", row: name.clone(), problem: problem.to_owned() });
        if (Interval { from: row.from, until: row.to }).is_empty() {
            return refuse("`from` must be before `to`");
        }
        if row.bloc.place().is_some() {
            return refuse("a bloc cannot have a place's name");
        }
        blocs.entry(row.bloc.to_string()).or_default().push(row);
    }
    Ok(blocs)
}

/// Every parent exists, and nothing is its own ancestor.
fn check_purposes(purposes: &BTreeMap<String, BTreeSet<String>>) -> Result<(), TableError> {
    let refuse = |row: &str, problem: String| Err(TableError::Row { table: "purposes", row: row.to_owned(), problem });
    for (id, broader) in purposes {
        if let Some(unknown) = broader.iter().find(|parent| !purposes.contains_key(*parent)) {
            return refuse(id, format!("its parent {unknown} has no row"));
        }
        let mut above = broader.clone();
        loop {
            let more: BTreeSet<_> = above.iter().filter_map(|one| purposes.get(one)).flatten().cloned().collect();
            let size = above.len();
            above.extend(more);
            if above.contains(id) {
                return refuse(id, "it is its own ancestor".to_owned());
            }
            if above.len() == size {
                break;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in(place: &str, set: &str, day: &str) -> bool {
        let tables = Tables::builtin().unwrap();
        let membership =
            tables.membership(&place.parse().unwrap(), &set.parse().unwrap(), Reach::Within, day.parse().unwrap());
        matches!(membership, Membership::Yes(_))
    }

    #[test]
    fn the_tables_that_ship_can_be_read() {
        let tables = Tables::builtin().unwrap();
        assert_eq!(tables.blocs["EU"].iter().filter(|row| row.to.is_none()).count(), 34);
        assert!(tables.presets.iter().all(|preset| tables.preset(&preset.name).is_some()));
    }

    #[test]
    fn the_united_kingdom_left_the_union_on_the_first_of_february_2020() {
        assert!(is_in("GB", "EU", "2020-01-31") && !is_in("GB", "EU", "2020-02-01"));
        assert!(is_in("GB", "GDPR-ADEQUATE", "2031-12-27") && !is_in("GB", "GDPR-ADEQUATE", "2031-12-28"));
    }

    #[test]
    fn sizes_of_blocs_are_what_everybody_counts() {
        let tables = Tables::builtin().unwrap();
        let count = |bloc: &str| tables.blocs[bloc].iter().filter(|row| row.to.is_none()).count();
        assert_eq!((count("NATO"), count("CPTPP"), count("ASEAN"), count("G7"), count("FVEY")), (32, 12, 11, 7, 5));
        assert_eq!((count("EEA"), count("EFTA")), (37, 4));
    }

    #[test]
    fn a_row_for_some_is_neither_yes_nor_no() {
        let tables = Tables::builtin().unwrap();
        let us = tables.membership(
            &"US".parse().unwrap(),
            &"GDPR-ADEQUATE".parse().unwrap(),
            Reach::Within,
            "2026-11-22".parse().unwrap(),
        );
        assert_eq!(us, Membership::Scoped("dpf_participation"));
    }

    #[test]
    fn a_broken_table_names_the_row() {
        let preset = "preset = []";
        let purposes = "[[purpose]]\nid = 'a'\nbroader = ['b']\n[[purpose]]\nid = 'b'\nbroader = ['a']";
        let error = Tables::parse("bloc = []", purposes, preset).unwrap_err();
        assert_eq!(error.to_string(), "the table of purposes: a: it is its own ancestor");
        let orphan = "[[purpose]]\nid = 'a'\nbroader = ['b']";
        assert!(
            Tables::parse("bloc = []", orphan, preset).unwrap_err().to_string().contains("its parent b has no row")
        );
        let reversed = "[[bloc]]\nbloc = 'EU'\nmember = 'DE'\nfrom = 2020-01-01\nto = 2019-01-01\ninstrument = ''\nsource = ''\nrecorded_at = 2026-01-01\nverified = false";
        assert!(
            Tables::parse(reversed, "purpose = []", preset)
                .unwrap_err()
                .to_string()
                .contains("EU DE: `from` must be before `to`")
        );
    }
}
