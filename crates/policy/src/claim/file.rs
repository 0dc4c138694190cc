//! Claims in files: the bare value, a table with its circumstances, or several of those.

use std::fmt;
use std::marker::PhantomData;

use comity_types::{Interval, Timestamp};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer, StringDeserializer};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

use super::{Appraisal, Assurance, Claim, Countersigned, Evidence, Statement};

/// The keys of a claim's table. A value that is a table itself may not begin with one of them.
const KEYS: &[&str] = &[
    "value",
    "statements",
    "from",
    "until",
    "assurance",
    "issuer",
    "evidence",
    "issued_at",
    "revoked_at",
    "appraisal",
];

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Table<T> {
    value: T,
    #[serde(default)]
    from: Option<Timestamp>,
    #[serde(default)]
    until: Option<Timestamp>,
    #[serde(default)]
    assurance: Assurance,
    #[serde(default)]
    issuer: Option<String>,
    #[serde(default)]
    evidence: Option<Evidence>,
    #[serde(default)]
    issued_at: Option<Timestamp>,
    #[serde(default)]
    revoked_at: Option<Timestamp>,
    #[serde(default)]
    appraisal: Option<Appraisal>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables<T> {
    statements: Vec<Table<T>>,
}

impl<T> From<Table<T>> for Statement<T> {
    fn from(table: Table<T>) -> Self {
        let Table { value, from, until, assurance, issuer, evidence, issued_at, revoked_at, appraisal } = table;
        let validity = Interval { from, until };
        let countersigned = Countersigned::NO;
        Self { value, validity, assurance, issuer, evidence, issued_at, revoked_at, appraisal, countersigned }
    }
}

impl<T: Serialize> Serialize for Claim<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Many<'a, T> {
            statements: &'a [Statement<T>],
        }
        match self.statements() {
            [one] => one.serialize(serializer),
            statements => Many { statements }.serialize(serializer),
        }
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
        f.write_str("a value, or a table of `value`, `from`, `until`, `assurance` and so on")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Claim<T>, E> {
        T::deserialize(text.into_deserializer()).map(Claim::always)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Claim<T>, E> {
        T::deserialize(flag.into_deserializer()).map(Claim::always)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Claim<T>, E> {
        T::deserialize(number.into_deserializer()).map(Claim::always)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Claim<T>, E> {
        T::deserialize(number.into_deserializer()).map(Claim::always)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Claim<T>, A::Error> {
        T::deserialize(SeqAccessDeserializer::new(seq)).map(Claim::always)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Claim<T>, A::Error> {
        let first = map.next_key::<String>()?;
        let kind = first.as_deref().and_then(|first| KEYS.iter().find(|key| **key == first));
        let typo = first.clone().filter(|_| kind.is_none());
        let all = MapAccessDeserializer::new(Resumed { first, map });
        let statements = match kind {
            None => return T::deserialize(all).map(Claim::always).map_err(|error| misspelt(typo.as_deref(), error)),
            Some(&"statements") => Tables::deserialize(all)?.statements.into_iter().map(Into::into).collect(),
            Some(_) => vec![Table::deserialize(all)?.into()],
        };
        Claim::new(statements).map_err(A::Error::custom)
    }
}

/// Where a value that is no table got one, the first key was meant to be a claim's.
fn misspelt<E: Error>(first: Option<&str>, error: E) -> E {
    match first {
        Some(first) if error.to_string().starts_with("invalid type: map") => E::unknown_field(first, KEYS),
        Some(_) | None => error,
    }
}

/// A map whose first key was read already.
struct Resumed<A> {
    first: Option<String>,
    map: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Resumed<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        match self.first.take() {
            Some(first) => {
                let first: StringDeserializer<A::Error> = first.into_deserializer();
                seed.deserialize(first).map(Some)
            }
            None => self.map.next_key_seed(seed),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use comity_types::Place;

    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct File<T> {
        field: Claim<T>,
    }

    fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<Claim<T>, toml::de::Error> {
        toml::from_str::<File<T>>(text).map(|file| file.field)
    }

    fn places(text: &str) -> Result<Claim<Vec<Place>>, toml::de::Error> {
        read(text)
    }

    #[test]
    fn a_bare_value_is_declared_for_all_time() {
        assert_eq!(places("field = ['DE']").unwrap(), Claim::always(vec!["DE".parse().unwrap()]));
        assert_eq!(read::<u8>("field = 3").unwrap(), Claim::always(3));
        assert_eq!(read::<bool>("field = true").unwrap(), Claim::always(true));
    }

    #[test]
    fn a_value_that_is_a_table_may_stand_bare_as_well() {
        let ratings = BTreeMap::from([("SOV-1".to_owned(), 4_u8)]);
        assert_eq!(read::<BTreeMap<String, u8>>("field = { SOV-1 = 4 }").unwrap(), Claim::always(ratings.clone()));
        assert_eq!(read::<BTreeMap<String, u8>>("field = { value = { SOV-1 = 4 } }").unwrap(), Claim::always(ratings));
    }

    #[test]
    fn a_table_adds_the_circumstances() {
        let claim =
            places("field = { value = ['DE'], until = 2027-01-01, assurance = 'audited', issuer = 'a' }").unwrap();
        let [statement] = claim.statements() else { panic!("{claim:?}") };
        assert_eq!(statement.validity.until, Some("2027-01-01".parse().unwrap()));
        assert_eq!((statement.assurance, statement.issuer.as_deref()), (Assurance::Audited, Some("a")));
    }

    #[test]
    fn several_parties_may_state_one_field_and_no_party_twice_at_once() {
        let two = |issuer: &str| {
            places(&format!(
                "field = {{ statements = [{{ value = ['DE'] }}, {{ value = ['FR'], issuer = '{issuer}' }}] }}"
            ))
        };
        assert_eq!(two("auditor").unwrap().statements().len(), 2);
        let twice = places("field = { statements = [{ value = ['DE'] }, { value = ['FR'] }] }").unwrap_err();
        assert!(twice.to_string().contains("states it twice"), "{twice}");
        let in_turn =
            "field = { statements = [{ value = ['DE'], until = 2026-01-01 }, { value = ['FR'], from = 2026-01-01 }] }";
        assert_eq!(places(in_turn).unwrap().statements().len(), 2);
        // What was taken back before it held at all stands in nobody's way.
        let [never, now] = ["{ value = ['DE'], from = 2026-01-01, revoked_at = 2025-01-01 }", "{ value = ['FR'] }"];
        for both in [format!("{never}, {now}"), format!("{now}, {never}")] {
            assert_eq!(places(&format!("field = {{ statements = [{both}] }}")).unwrap().statements().len(), 2);
        }
        assert!(places("field = { statements = [] }").unwrap_err().to_string().contains("1 to 8"));
    }

    #[test]
    fn a_statement_that_was_taken_back_may_be_replaced_by_another_of_its_issuer() {
        let old =
            |more: &str| format!("field = {{ statements = [{{ value = ['DE'], revoked_at = 2026-01-01 }}, {more}] }}");
        assert_eq!(places(&old("{ value = ['FR'], from = 2026-01-01 }")).unwrap().statements().len(), 2);
        assert_eq!(places(&old("{ value = ['FR'], issued_at = 2026-01-01 }")).unwrap().statements().len(), 2);
        for early in [
            "{ value = ['FR'] }",
            "{ value = ['FR'], from = 2025-12-31 }",
            "{ value = ['FR'], issued_at = 2025-12-31 }",
        ] {
            assert!(places(&old(early)).unwrap_err().to_string().contains("states it twice"), "{early}");
        }
    }

    #[test]
    fn a_level_has_one_name_in_files_and_in_reasons() {
        use Assurance::{Attested, Audited, RegistryCorroborated, SelfDeclared};
        for level in [SelfDeclared, RegistryCorroborated, Audited, Attested] {
            assert_eq!(serde_json::to_value(level).unwrap(), level.as_str());
        }
    }

    #[test]
    fn mistakes_are_named() {
        let error = |text| places(text).unwrap_err().to_string();
        assert!(error("field = 1.5").contains("expected a value, or a table of `value`"));
        assert!(error("field = ['dE']").contains("ISO 3166"));
        assert!(error("field = { value = ['DE'], untl = 2027-01-01 }").contains("untl"));
        let first = error("field = { untl = 2027-01-01, value = ['DE'] }");
        assert!(first.contains("unknown field `untl`, expected one of `value`"), "{first}");
        assert!(error("field = { value = ['DE'], from = 2027-01-01, until = 2026-01-01 }").contains("before"));
        for until in ["2027-01-01", "2026-12-31"] {
            let late = places(&format!("field = {{ value = ['DE'], issued_at = 2027-01-01, until = {until} }}"))
                .unwrap_err()
                .to_string();
            assert!(late.contains("`issued_at` must be before `until`"), "{late}");
        }
        assert!(places("field = { value = ['DE'], issued_at = 2027-01-01, until = 2027-01-02 }").is_ok());
    }

    #[test]
    fn json_round_trips() {
        let claim = places("field = { value = ['DE'], until = 2027-01-01 }").unwrap();
        let json = serde_json::to_string(&claim).unwrap();
        assert_eq!(json, r#"{"value":["DE"],"until":"2027-01-01T00:00:00Z"}"#);
        assert_eq!(serde_json::from_str::<Claim<Vec<Place>>>(&json).unwrap(), claim);
        let audited = "{ value = ['DE'], assurance = 'audited', issuer = 'a' }";
        let claim = places(&format!("field = {{ statements = [{{ value = ['FR'] }}, {audited}] }}")).unwrap();
        let json = serde_json::to_string(&claim).unwrap();
        assert_eq!(json, r#"{"statements":[{"value":["FR"]},{"value":["DE"],"assurance":"audited","issuer":"a"}]}"#);
        assert_eq!(serde_json::from_str::<Claim<Vec<Place>>>(&json).unwrap(), claim);
    }
}
