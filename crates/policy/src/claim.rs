//! A claim: a value that somebody states, for a time. An absent claim is unknown,
//! and whatever reads it refuses (VOCABULARY D3).

use std::fmt;
use std::marker::PhantomData;

use comity_types::Interval;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};

/// A stated value.
///
/// In files it is the bare value (`"DE"`), or a table with a validity:
/// `{ value = "DE", from = 2026-01-01, until = 2027-01-01 }`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Claim<T> {
    /// What is stated.
    pub value: T,
    /// When it holds.
    #[serde(flatten)]
    pub validity: Interval,
}

impl<T> Claim<T> {
    /// A claim that always holds.
    pub const fn always(value: T) -> Self {
        Self { value, validity: Interval { from: None, until: None } }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Claim<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ClaimVisitor(PhantomData))
    }
}

struct ClaimVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ClaimVisitor<T> {
    type Value = Claim<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, or a table of `value`, `from` and `until`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Claim<T>, E> {
        T::deserialize(text.into_deserializer()).map(Claim::always)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Claim<T>, E> {
        T::deserialize(flag.into_deserializer()).map(Claim::always)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Claim<T>, A::Error> {
        T::deserialize(SeqAccessDeserializer::new(seq)).map(Claim::always)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Claim<T>, A::Error> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table<T> {
            value: T,
            #[serde(default)]
            from: Option<comity_types::Timestamp>,
            #[serde(default)]
            until: Option<comity_types::Timestamp>,
        }
        let Table { value, from, until } = Table::deserialize(MapAccessDeserializer::new(map))?;
        let validity = Interval { from, until };
        if validity.is_empty() {
            return Err(A::Error::custom("`from` must be before `until`"));
        }
        Ok(Claim { value, validity })
    }
}

#[cfg(test)]
mod tests {
    use comity_types::Place;

    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct File {
        places: Claim<Vec<Place>>,
    }

    fn places(text: &str) -> Result<Claim<Vec<Place>>, toml::de::Error> {
        toml::from_str::<File>(text).map(|file| file.places)
    }

    #[test]
    fn a_bare_value_always_holds() {
        assert_eq!(places("places = ['DE']").unwrap(), Claim::always(vec!["DE".parse().unwrap()]));
    }

    #[test]
    fn a_table_adds_the_validity() {
        let claim = places("places = { value = ['DE'], until = 2027-01-01 }").unwrap();
        assert_eq!(claim.validity.until, Some("2027-01-01".parse().unwrap()));
    }

    #[test]
    fn mistakes_are_named() {
        let error = |text| places(text).unwrap_err().to_string();
        assert!(error("places = ['UK']").contains("the United Kingdom is GB"));
        assert!(error("places = { value = ['DE'], untl = 2027-01-01 }").contains("untl"));
        assert!(error("places = { value = ['DE'], from = 2027-01-01, until = 2026-01-01 }").contains("before"));
    }

    #[test]
    fn json_round_trips() {
        let claim = places("places = { value = ['DE'], until = 2027-01-01 }").unwrap();
        let json = serde_json::to_string(&claim).unwrap();
        assert_eq!(json, r#"{"value":["DE"],"until":"2027-01-01T00:00:00Z"}"#);
        assert_eq!(serde_json::from_str::<Claim<Vec<Place>>>(&json).unwrap(), claim);
    }
}
