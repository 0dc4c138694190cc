//! Codes of places that are assigned (ISO 3166), and subdivisions that have a country's code of their own.

use std::collections::{BTreeMap, BTreeSet};

use comity_types::place::COUNTRIES;
use comity_types::{Invalid, Place};
use serde::Deserialize;

use super::sheet::{Provenance, TableError, read};

const TABLE: &str = "places";
/// What a code has to be.
const EXPECTED: &str = "a place of ISO 3166 such as DE or UA-43 (the United Kingdom is GB, Greece is GR)";
/// Codes that people write, reserved in ISO 3166 and never assigned, and those that they mean.
const MISTAKEN: [(&str, &str); 2] = [("UK", "GB"), ("EL", "GR")];

/// What is wrong with a code that is not assigned, and what was probably meant.
#[must_use]
pub fn not_assigned(code: &str) -> String {
    let (country, part) = code.split_at_checked(2).unwrap_or((code, ""));
    match MISTAKEN.iter().find(|(mistaken, _)| *mistaken == country) {
        Some((_, meant)) => format!("{code:?} is no place of ISO 3166 (hint: did you mean \"{meant}{part}\"?)"),
        None => format!("{code:?} is no place of ISO 3166 (hint: a code such as DE or UA-43)"),
    }
}

/// Whether a code begins as those of subdivisions do: whoever wrote `DE-` meant no bloc.
#[must_use]
pub fn looks_like_one(code: &str) -> bool {
    code.split_once('-').is_some_and(|(country, _)| country.parse::<Place>().is_ok_and(|country| country.is_country()))
}

/// Codes of places that are assigned.
#[derive(Debug, Clone)]
pub struct Places {
    /// Where the codes come from.
    pub provenance: Provenance,
    countries: BTreeSet<Place>,
    /// Whether a country is assigned, by the number of its letters.
    is_country: Vec<bool>,
    /// By the country's code.
    subdivisions: BTreeMap<Place, BTreeSet<String>>,
    aliases: BTreeMap<Place, Place>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    provenance: Provenance,
    countries: String,
    #[serde(default)]
    subdivisions: BTreeMap<Place, String>,
    alias: BTreeMap<Place, Place>,
}

impl Places {
    pub(super) fn parse(text: &str) -> Result<Self, TableError> {
        let File { provenance, countries, subdivisions, alias: aliases } = read(TABLE, text)?;
        let parse = |code: &str| code.parse::<Place>().map_err(|error| TableError::row(TABLE, code, error.to_string()));
        let countries = countries.split_whitespace().map(parse).collect::<Result<BTreeSet<_>, _>>()?;
        let split = |(country, codes): (Place, String)| {
            (country, codes.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>())
        };
        if let Some(country) = subdivisions.keys().find(|country| !countries.contains(*country)) {
            return Err(TableError::row(TABLE, country.as_str(), "subdivisions of a country that is not listed"));
        }
        let subdivisions: BTreeMap<_, _> = subdivisions.into_iter().map(split).collect();
        let mut is_country = vec![false; COUNTRIES];
        for country in countries.iter().filter(|country| country.is_country()) {
            if let Some(is_country) = is_country.get_mut(country.country_number()) {
                *is_country = true;
            }
        }
        let places = Self { provenance, countries, is_country, subdivisions, aliases };
        if let Some(country) = places.aliases.keys().find(|place| place.is_country()) {
            return Err(TableError::row(TABLE, country.as_str(), "only a subdivision has an alias"));
        }
        match places.aliases.values().find(|country| !places.countries.contains(*country)) {
            Some(country) => Err(TableError::row(TABLE, country.as_str(), "an alias of a country that is not listed")),
            None => Ok(places),
        }
    }

    /// True if the code is assigned. A country without rows for its subdivisions has every one of them.
    #[must_use]
    pub fn knows(&self, place: &Place) -> bool {
        let is_country = || self.is_country.get(place.country_number()).is_some_and(|is_country| *is_country);
        if place.is_country() {
            return is_country();
        }
        match (self.subdivisions.get(&place.country()), place.as_str().split_once('-')) {
            (Some(parts), Some((_, part))) => parts.contains(part) || self.aliases.contains_key(place),
            (None, Some(_)) => is_country(),
            (_, None) => false,
        }
    }

    /// A place from its code.
    ///
    /// # Errors
    /// The text has not the form of a code, or the code is not assigned.
    pub fn parse_known(&self, text: &str) -> Result<Place, Invalid> {
        let place: Place = text.parse()?;
        if self.knows(&place) { Ok(place) } else { Err(Invalid::new(text, EXPECTED)) }
    }

    /// The country's own code of a place that ISO 3166-2 lists as a subdivision of another one.
    #[must_use]
    pub fn canonical<'p>(&'p self, place: &'p Place) -> &'p Place {
        if place.is_country() { place } else { self.aliases.get(place).unwrap_or(place) }
    }

    /// Every country's code.
    pub fn countries(&self) -> impl Iterator<Item = &Place> {
        self.countries.iter()
    }
}
