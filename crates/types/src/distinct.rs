//! Files in whose lists nothing stands twice: a set would drop the second one without a word, and count it in no limit.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::display::harmless;

/// A text of any form and of any format, in no list of which a text or a table stands twice.
///
/// Numbers may: a list of them is no set. The format's own reader says where the second one stands.
#[derive(Debug)]
pub struct Distinct;

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Walk(None).deserialize(deserializer).map(|_| Self)
    }
}

/// Goes through a value, and returns it in one spelling. An entry of a list is held against those before it. It is so
/// while the reader still is at the entry, which then is the place of the error.
struct Walk<'a>(Option<&'a mut BTreeSet<String>>);

impl Walk<'_> {
    fn once<E: Error>(self, spelling: String, shown: &str) -> Result<String, E> {
        let is_new = self.0.is_none_or(|before| before.insert(spelling.clone()));
        if is_new { Ok(spelling) } else { Err(E::custom(format_args!("{shown} stands twice: remove one"))) }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<String, E> {
        Ok("null".to_owned())
    }

    fn visit_bool<E>(self, flag: bool) -> Result<String, E> {
        Ok(flag.to_string())
    }

    fn visit_u64<E>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_i64<E>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_f64<E>(self, number: f64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        /// Enough to find it by.
        const SHOWN_CHARS: usize = 80;
        let shown = harmless(&text.chars().take(SHOWN_CHARS).collect::<String>());
        self.once(format!("{text:?}"), &format!("\"{shown}\""))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<String, A::Error> {
        let (mut before, mut all) = (BTreeSet::new(), Vec::new());
        while let Some(entry) = entries.next_element_seed(Walk(Some(&mut before)))? {
            all.push(entry);
        }
        Ok(format!("[{}]", all.join(",")))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<String, A::Error> {
        let mut all = BTreeSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(Walk(None))?;
            all.insert(format!("{key:?}:{value}"));
        }
        let spelling = format!("{{{}}}", all.into_iter().collect::<Vec<_>>().join(","));
        self.once(spelling, "this entry")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toml(text: &str) -> Result<(), String> {
        toml::from_str::<Distinct>(text).map(drop).map_err(|error| error.to_string())
    }

    fn json(text: &str) -> Result<(), String> {
        serde_json::from_str::<Distinct>(text).map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn a_text_that_stands_twice_in_a_list_is_refused_where_it_stands() {
        let error = toml("a = 1\nb = ['GB', 'DE', 'GB']").unwrap_err();
        assert!(error.contains("line 2, column 18") && error.contains("\"GB\" stands twice: remove one"), "{error}");
        assert!(json(r#"{"a":[{"b":["GB","GB"]}]}"#).unwrap_err().contains("\"GB\" stands twice"));
        assert!(toml("a = [['x'], ['x', 'x']]").unwrap_err().contains("\"x\" stands twice"));
    }

    #[test]
    fn a_table_that_stands_twice_is_refused_in_whatever_order_its_keys_are() {
        assert!(
            toml("a = [{ x = 1, y = ['z'] }, { y = ['z'], x = 1 }]").unwrap_err().contains("this entry stands twice")
        );
        assert!(toml("[[a]]\nx = 2026-01-01\n[[a]]\nx = 2026-01-01").unwrap_err().contains("line 3"));
    }

    #[test]
    fn what_differs_and_numbers_may_stand_beside_each_other() {
        assert_eq!(toml("a = ['x', 'X', 'x ', '']\nb = ['x']\nc = { d = 'x', e = 'x' }"), Ok(()));
        assert_eq!(toml("a = [{ x = 1 }, { x = '1' }, { x = 1, y = 2 }, {}]"), Ok(()));
        assert_eq!(toml("a = [{ x = 2026-01-01 }, { x = 2026-01-02 }]"), Ok(()));
        assert_eq!(json(r#"{"a":[1,1,0.5,0.5,true,true,null,null,-1,-1]}"#), Ok(()));
    }
}
