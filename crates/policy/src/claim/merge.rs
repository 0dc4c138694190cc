//! What two statements say together, in the least favourable reading (VOCABULARY D16).

use std::collections::{BTreeMap, BTreeSet};

/// A value of which two readings can be joined.
pub trait Merge: Clone + PartialEq {
    /// What holds if both readings may be right; `None` if they contradict each other.
    fn merge(&self, other: &Self) -> Option<Self>;
}

/// Values that contradict each other unless they are the same.
macro_rules! same_or_conflict {
    ($($type:ty),* $(,)?) => {$(
        impl $crate::claim::Merge for $type {
            fn merge(&self, other: &Self) -> Option<Self> {
                (self == other).then(|| self.clone())
            }
        }
    )*};
}
pub(crate) use same_or_conflict;

same_or_conflict!(comity_types::Place, comity_types::Digest, String);

/// Every member of either may be the case: places, establishments, sub-processors.
impl<T: Ord + Clone> Merge for BTreeSet<T> {
    fn merge(&self, other: &Self) -> Option<Self> {
        Some(self.union(other).cloned().collect())
    }
}

/// Each rating is the lower one; what only one of the two rates stands.
impl<K: Ord + Clone> Merge for BTreeMap<K, u8> {
    fn merge(&self, other: &Self) -> Option<Self> {
        let mut merged = self.clone();
        for (key, rating) in other {
            merged.entry(key.clone()).and_modify(|own| *own = (*own).min(*rating)).or_insert(*rating);
        }
        Some(merged)
    }
}

/// A level that was reached: the lower one counts.
impl Merge for u8 {
    fn merge(&self, other: &Self) -> Option<Self> {
        Some(*self.min(other))
    }
}

#[cfg(test)]
mod tests;
