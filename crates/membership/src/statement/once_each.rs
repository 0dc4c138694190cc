//! Maps as they have to be where everybody folds the same state.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A map none of whose keys stands twice: a reader that kept the first value and one that kept the last would fold two
/// states.
pub(crate) fn once_each<'de, D, K, V>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord + fmt::Display,
    V: Deserialize<'de>,
{
    struct OnceEach<K, V>(PhantomData<(K, V)>);

    impl<'de, K: Deserialize<'de> + Ord + fmt::Display, V: Deserialize<'de>> Visitor<'de> for OnceEach<K, V> {
        type Value = BTreeMap<K, V>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object in which no key stands twice")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut all = BTreeMap::new();
            while let Some((key, value)) = entries.next_entry::<K, V>()? {
                match all.entry(key) {
                    Entry::Occupied(known) => {
                        return Err(A::Error::custom(format_args!("{} stands twice", known.key())));
                    }
                    Entry::Vacant(place) => drop(place.insert(value)),
                }
            }
            Ok(all)
        }
    }

    deserializer.deserialize_map(OnceEach(PhantomData))
}
