//! A sorted map that is copied in an instant: copies share what has not changed.
//!
//! The state is copied before every change, so that whoever reads it is never held up and a change that is refused leaves
//! nothing behind. With the maps of the standard library, each statement would cost as much as the federation is large.

use std::borrow::Borrow;
use std::fmt;

use rpds::RedBlackTreeMapSync;

/// Sorted by its keys.
#[derive(Clone)]
pub(super) struct Map<K: Ord, V>(RedBlackTreeMapSync<K, V>);

impl<K: Ord, V> Default for Map<K, V> {
    fn default() -> Self {
        Self(RedBlackTreeMapSync::new_sync())
    }
}

impl<K: Ord + fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter()).finish()
    }
}

impl<K: Ord + Clone, V: Clone> Map<K, V> {
    pub(super) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0.get(key)
    }

    pub(super) fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.0.contains_key(key)
    }

    pub(super) fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.0.get_mut(key)
    }

    /// The value of a key, made where there is none.
    pub(super) fn entry_or_default(&mut self, key: &K) -> Option<&mut V>
    where
        V: Default,
    {
        if !self.0.contains_key(key) {
            self.0.insert_mut(key.clone(), V::default());
        }
        self.0.get_mut(key)
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        self.0.insert_mut(key, value);
    }

    /// True if there was one.
    pub(super) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.0.remove_mut(key)
    }

    /// Keeps those that `stays` holds for.
    pub(super) fn retain(&mut self, stays: impl Fn(&K, &V) -> bool) {
        let gone: Vec<K> = self.iter().filter(|(key, value)| !stays(key, value)).map(|(key, _)| key.clone()).collect();
        for key in gone {
            self.0.remove_mut(&key);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.keys()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.values()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Ord + Clone, V: Clone> Extend<(K, V)> for Map<K, V> {
    fn extend<T: IntoIterator<Item = (K, V)>>(&mut self, all: T) {
        all.into_iter().for_each(|(key, value)| self.insert(key, value));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Insert(u8, u16),
        Change(u8, u16),
        Remove(u8),
        Retain(u16),
        Copy,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (any::<u8>(), any::<u16>()).prop_map(|(key, value)| Step::Insert(key, value)),
            2 => (any::<u8>(), any::<u16>()).prop_map(|(key, value)| Step::Change(key, value)),
            2 => any::<u8>().prop_map(Step::Remove),
            1 => any::<u16>().prop_map(Step::Retain),
            2 => Just(Step::Copy),
        ]
    }

    proptest! {
        /// It is the standard library's map, and a copy keeps what it was.
        #[test]
        fn it_is_a_map_and_copies_do_not_change(steps in prop::collection::vec(step(), 0..300)) {
            let (mut map, mut model) = (Map::default(), BTreeMap::new());
            let mut copies = Vec::new();
            for step in steps {
                match step {
                    Step::Insert(key, value) => {
                        map.insert(key, value);
                        model.insert(key, value);
                    }
                    Step::Change(key, value) => {
                        *map.entry_or_default(&key).unwrap() = value;
                        model.insert(key, value);
                    }
                    Step::Remove(key) => prop_assert_eq!(map.remove(&key), model.remove(&key).is_some()),
                    Step::Retain(most) => {
                        map.retain(|_, value| *value <= most);
                        model.retain(|_, value| *value <= most);
                    }
                    Step::Copy => copies.push((map.clone(), model.clone())),
                }
                prop_assert_eq!(map.is_empty(), model.is_empty());
            }
            copies.push((map, model));
            for (map, model) in &copies {
                prop_assert!(map.iter().eq(model.iter()));
                prop_assert!(map.keys().eq(model.keys()) && map.values().eq(model.values()));
            }
        }
    }
}
