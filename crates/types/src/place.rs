//! Places by ISO 3166, and places or blocs.

use std::cmp::Ordering;
use std::str::FromStr;
use std::sync::Arc;

use crate::Invalid;
use crate::text::text_traits;

/// Longest code of a place, in bytes: two letters, a hyphen, and three characters (ISO 3166-2).
const MAX_PLACE_BYTES: usize = 6;
/// Letters that codes of countries are made of.
const LETTERS: usize = 26;
/// How many codes of countries two letters can make, assigned or not.
pub const COUNTRIES: usize = LETTERS * LETTERS;
/// Longest name of a bloc, in bytes.
const MAX_BLOC_BYTES: usize = 32;

/// A code in the form of a country's (ISO 3166-1 alpha-2, "GB") or a subdivision's (ISO 3166-2, "UA-43").
///
/// Whether the code is assigned is for the policy's table of places to say: tables change faster than programs,
/// and a broker has to carry what another one knows. An unassigned code allows nothing.
// The code itself, padded with zeros, so that places are compared without a look elsewhere: decisions do little else.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place([u8; MAX_PLACE_BYTES]);

/// A [`Place`], or the name of a bloc such as "EU", "EEA" or "GDPR-ADEQUATE".
///
/// Two letters are always a country, but for "EU"; which codes and blocs exist is for the policy's tables to say.
/// Ordered by its text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PlaceOrBloc(Named);

/// What a [`PlaceOrBloc`] names.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Named {
    Place(Place),
    Bloc(Arc<str>),
}

const PLACE: &str = "an ISO 3166 place such as DE or UA-43 (the United Kingdom is GB, Greece is GR)";
const PLACE_OR_BLOC: &str =
    "an ISO 3166 place such as DE (the United Kingdom is GB, Greece is GR), or a bloc such as EU, EEA, GDPR-ADEQUATE";

impl Place {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(MAX_PLACE_BYTES);
        self.0.get(..end).and_then(|code| std::str::from_utf8(code).ok()).unwrap_or_default()
    }

    /// The country that the place is or lies in.
    #[must_use]
    pub const fn country(&self) -> Self {
        Self([self.0[0], self.0[1], 0, 0, 0, 0])
    }

    /// The number of the country's two letters, less than [`COUNTRIES`]: for lists by country.
    #[must_use]
    pub fn country_number(&self) -> usize {
        let letter = |byte: u8| usize::from(byte.wrapping_sub(b'A'));
        letter(self.0[0]) * LETTERS + letter(self.0[1])
    }

    /// True if the place is a country, and no part of one.
    #[must_use]
    pub const fn is_country(&self) -> bool {
        self.0[2] == 0
    }

    /// True if the place is `other` or a subdivision of it.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self == other || self.country() == *other
    }
}

impl FromStr for Place {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut code = [0; MAX_PLACE_BYTES];
        match code.get_mut(..text.len()).filter(|_| is_place(text)) {
            Some(place) => place.copy_from_slice(text.as_bytes()),
            None => return Err(Invalid::new(text, PLACE)),
        }
        Ok(Self(code))
    }
}

text_traits!(Place, PLACE);

impl PlaceOrBloc {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Named::Place(place) => place.as_str(),
            Named::Bloc(name) => name,
        }
    }

    /// The place, if it is no bloc.
    #[must_use]
    pub const fn place(&self) -> Option<&Place> {
        match &self.0 {
            Named::Place(place) => Some(place),
            Named::Bloc(_) => None,
        }
    }
}

impl FromStr for PlaceOrBloc {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(place) => Ok(Self(Named::Place(place))),
            Err(_) if is_bloc(text) => Ok(Self(Named::Bloc(text.into()))),
            Err(_) => Err(Invalid::new(text, PLACE_OR_BLOC)),
        }
    }
}

impl Ord for PlaceOrBloc {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialOrd for PlaceOrBloc {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<Place> for PlaceOrBloc {
    fn from(place: Place) -> Self {
        Self(Named::Place(place))
    }
}

text_traits!(PlaceOrBloc, PLACE_OR_BLOC);

fn is_place(text: &str) -> bool {
    match text.split_once('-') {
        None => is_country(text),
        Some((country, part)) => {
            is_country(country)
                && (1..=3).contains(&part.len())
                && part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        }
    }
}

fn is_country(text: &str) -> bool {
    text.len() == 2 && text != "EU" && text.bytes().all(|b| b.is_ascii_uppercase())
}

fn is_bloc(text: &str) -> bool {
    let grammar = text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-');
    let letter_and_digit = matches!(text.as_bytes(), [b'A'..=b'Z', b'0'..=b'9']);
    text == "EU"
        || letter_and_digit
        || ((3..=MAX_BLOC_BYTES).contains(&text.len())
            && grammar
            && text.as_bytes().first().is_some_and(u8::is_ascii_uppercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_the_form_of_iso_codes() {
        for text in ["DE", "GB", "UA-43", "DE-HE", "US-CA"] {
            assert!(text.parse::<Place>().is_ok(), "{text} was refused");
        }
        for text in ["EU", "de", "DEU", "", "DE-", "DE-ABCD", "EU-1", "DE-he", "DE HE"] {
            assert!(text.parse::<Place>().is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn two_letters_are_never_a_bloc_but_for_eu() {
        for text in ["EU", "EEA", "G7", "GDPR-ADEQUATE", "NATO", "G7", "FR"] {
            assert!(text.parse::<PlaceOrBloc>().is_ok(), "{text} was refused");
        }
        for text in ["eu", "", "9AB"] {
            assert!(text.parse::<PlaceOrBloc>().is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn places_and_blocs_are_ordered_by_their_text() {
        let texts = ["AT", "DE", "DE-BY", "DE-HE", "EEA", "EU", "FR", "G7"];
        let parsed = texts.map(|text| text.parse::<PlaceOrBloc>().unwrap());
        assert!(parsed.is_sorted());
        let places: Vec<Place> = parsed.iter().filter_map(PlaceOrBloc::place).cloned().collect();
        assert!(places.is_sorted());
        assert_eq!(places.iter().map(Place::as_str).collect::<Vec<_>>(), ["AT", "DE", "DE-BY", "DE-HE", "FR"]);
    }

    #[test]
    fn a_subdivision_is_within_its_country_and_not_the_reverse() {
        let hesse: Place = "DE-HE".parse().unwrap();
        let germany: Place = "DE".parse().unwrap();
        assert!(hesse.is_within(&germany) && hesse.is_within(&hesse));
        assert!(!germany.is_within(&hesse));
        assert!(!"DE-BY".parse::<Place>().unwrap().is_within(&hesse));
    }
}
