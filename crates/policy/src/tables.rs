//! The tables that a verdict is computed against: data that ships with the program, each row with its source. A
//! federation may put tables of its own in their place ([`Folder`]).
//!
//! Law moves faster than releases (VOCABULARY F4), so every rule has its dates, and what is contestable is a field of
//! a row. Nothing here is legal advice.
//!
//! | module | holds |
//! |---|---|
//! | [`places`] | codes that are assigned |
//! | [`blocs`] | which place belongs to what, and since when |
//! | [`purposes`] | why somebody asks, broader above narrower |
//! | [`sectors`] | sections of the economy, and what is within them |
//! | [`regimes`] | laws that compel access, and whom they reach |
//! | [`statutes`] | uses that a law forbids, or calls high-risk |
//! | [`licences`] | what the licences of models demand |
//! | [`certifications`] | schemes, their levels and editions |
//! | [`classifications`] | schemes of classified content |
//! | [`issuers`] | whose word counts for more than a declaration |
//! | [`presets`] | named requirements |

pub mod blocs;
pub mod certifications;
pub mod classifications;
mod folder;
pub mod issuers;
pub mod licences;
pub mod places;
pub mod presets;
pub mod purposes;
pub mod regimes;
pub mod sectors;
mod sheet;
pub mod statutes;

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use comity_types::{Digest, Invalid};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use folder::{Folder, MAX_TABLE_BYTES, UnknownTable};
pub use sheet::{Provenance, TableError};

use blocs::Blocs;
use certifications::Certifications;
use classifications::Classifications;
use issuers::Issuers;
use licences::Licences;
use places::Places;
use presets::Preset;
use purposes::Purposes;
use regimes::Regimes;
use sectors::Sectors;
use statutes::Statutes;

use crate::requirements::RequirementsFile;

/// Makes the list of tables: their names, and the files that ship.
macro_rules! tables {
    ($($variant:ident = $name:literal, $about:literal;)*) => {
        /// A table, by name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum TableName { $(#[doc = $about] $variant,)* }

        impl TableName {
            /// Every table.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it holds, in a phrase.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self { $(Self::$variant => $about,)* }
            }

            /// The table that ships, as TOML.
            #[must_use]
            pub const fn builtin(self) -> &'static str {
                match self { $(Self::$variant => include_str!(concat!("../tables/", $name, ".toml")),)* }
            }
        }
    };
}

tables! {
    Places = "places", "codes of countries and subdivisions that are assigned";
    Blocs = "blocs", "which place belongs to what, and since when";
    Purposes = "purposes", "why somebody asks, broader above narrower";
    Sectors = "sectors", "sections of the economy, and what is within them";
    Regimes = "regimes", "laws that compel access, and whom they reach";
    Statutes = "statutes", "uses that a law forbids, or calls high-risk";
    Licences = "licences", "what the licences of models demand";
    Certifications = "certifications", "certification schemes, their levels and editions";
    Classifications = "classifications", "schemes of classified content, and their levels";
    Issuers = "issuers", "whose word counts for more than a declaration";
    Presets = "presets", "named requirements";
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for TableName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let named = Self::ALL.iter().find(|table| table.as_str() == text);
        named.copied().ok_or_else(|| Invalid::new(text, "the name of a table such as blocs"))
    }
}

impl Serialize for TableName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for TableName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What is wrong with a code that a table has not, and where those are that it has.
#[must_use]
pub fn not_listed(code: &str, table: TableName) -> String {
    let table = table.as_str();
    format!("{code:?} is not in this federation's table of {table} (hint: `comity table show {table}`)")
}

/// The tables that a verdict is computed against.
#[derive(Debug, Clone)]
pub struct Tables {
    /// Codes that are assigned.
    pub places: Places,
    /// Which place belongs to what.
    pub blocs: Blocs,
    /// Why somebody asks.
    pub purposes: Purposes,
    /// Sections of the economy.
    pub sectors: Sectors,
    /// Laws that compel access.
    pub regimes: Regimes,
    /// Uses that a law forbids.
    pub statutes: Statutes,
    /// What licences demand.
    pub licences: Licences,
    /// Certification schemes.
    pub certifications: Certifications,
    /// Schemes of classified content.
    pub classifications: Classifications,
    /// Whose word counts.
    pub issuers: Issuers,
    /// Named requirements.
    pub presets: Vec<Preset>,
    digest: Digest,
    changed: Vec<TableName>,
}

static BUILTIN: LazyLock<Result<Tables, TableError>> = LazyLock::new(|| Tables::parse(TableName::builtin));

impl Tables {
    /// The tables that ship with this version.
    ///
    /// # Errors
    /// Never in a released version: a test reads them.
    pub fn builtin() -> Result<&'static Self, &'static TableError> {
        BUILTIN.as_ref()
    }

    /// Reads tables from their TOML.
    ///
    /// # Errors
    /// Names the table, the row and the field.
    pub fn parse<'a>(text: impl Fn(TableName) -> &'a str) -> Result<Self, TableError> {
        let all: String = TableName::ALL.iter().map(|name| format!("# {}\n{}", name.as_str(), text(*name))).collect();
        Ok(Self {
            places: Places::parse(text(TableName::Places))?,
            blocs: Blocs::parse(text(TableName::Blocs))?,
            purposes: Purposes::parse(text(TableName::Purposes))?,
            sectors: Sectors::parse(text(TableName::Sectors))?,
            regimes: Regimes::parse(text(TableName::Regimes))?,
            statutes: Statutes::parse(text(TableName::Statutes))?,
            licences: Licences::parse(text(TableName::Licences))?,
            certifications: Certifications::parse(text(TableName::Certifications))?,
            classifications: Classifications::parse(text(TableName::Classifications))?,
            issuers: Issuers::parse(text(TableName::Issuers))?,
            presets: presets::parse(text(TableName::Presets))?,
            digest: Digest::of(all.as_bytes()),
            changed: TableName::ALL.iter().copied().filter(|name| text(*name) != name.builtin()).collect(),
        })
    }

    /// SHA-256 of all tables: what a decision pins.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The tables that are not as they ship with this version.
    pub fn changed(&self) -> impl Iterator<Item = TableName> {
        self.changed.iter().copied()
    }

    /// One preset, as a requirements file would have it.
    #[must_use]
    pub fn preset(&self, name: &str) -> Option<RequirementsFile> {
        let preset = self.presets.iter().find(|preset| preset.name == name)?;
        preset.requirements.clone().expand(self).ok()
    }
}

#[cfg(test)]
mod tests;
