//! Places by ISO 3166, and places or blocs.

use crate::text::checked_text;

/// Longest name of a bloc, in bytes.
const MAX_BLOC_BYTES: usize = 32;

checked_text!(
    /// A code in the form of a country's (ISO 3166-1 alpha-2, "GB") or a subdivision's (ISO 3166-2, "UA-43").
    ///
    /// Whether the code is assigned is for the policy's table of places to say: tables change faster than programs,
    /// and a broker has to carry what another one knows. An unassigned code allows nothing.
    Place,
    is_place,
    "an ISO 3166 place such as DE or UA-43 (the United Kingdom is GB, Greece is GR)"
);

checked_text!(
    /// A [`Place`], or the name of a bloc such as "EU", "EEA" or "GDPR-ADEQUATE".
    ///
    /// Two letters are always a country, but for "EU"; which codes and blocs exist is for the policy's tables to say.
    PlaceOrBloc,
    |text| is_place(text) || is_bloc(text),
    "an ISO 3166 place such as DE (the United Kingdom is GB, Greece is GR), or a bloc such as EU, EEA, GDPR-ADEQUATE"
);

impl Place {
    /// The country that the place is or lies in.
    #[must_use]
    pub fn country(&self) -> &str {
        self.as_str().get(..2).unwrap_or_default()
    }

    /// True if the place is `other` or a subdivision of it.
    #[must_use]
    pub fn is_within(&self, other: &str) -> bool {
        self.as_str() == other || self.country() == other
    }
}

impl From<Place> for PlaceOrBloc {
    fn from(place: Place) -> Self {
        Self(place.0)
    }
}

impl PlaceOrBloc {
    /// The place, if it is no bloc.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        is_place(&self.0).then(|| Place(self.0.clone()))
    }
}

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
    fn a_subdivision_is_within_its_country_and_not_the_reverse() {
        let hesse: Place = "DE-HE".parse().unwrap();
        let germany: Place = "DE".parse().unwrap();
        assert!(hesse.is_within("DE") && hesse.is_within("DE-HE"));
        assert!(!germany.is_within("DE-HE"));
    }
}
