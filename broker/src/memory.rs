//! What was made before of what is asked again and again. Two generations, each bounded in bytes: what nobody asks for
//! again goes.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock};

/// The part of a generation that one entry has at most: so that none drives out all the others.
const ENTRIES_PART: usize = 8;

/// What was made before, by what it was made of.
#[derive(Debug)]
pub struct Memory<K, V> {
    generations: RwLock<Generations<K, V>>,
    /// Most bytes of a generation.
    most_bytes: usize,
}

#[derive(Debug)]
struct Generations<K, V> {
    young: HashMap<K, Kept<V>>,
    young_bytes: usize,
    old: HashMap<K, Kept<V>>,
}

#[derive(Debug)]
struct Kept<V> {
    value: Arc<V>,
    bytes: usize,
}

impl<K: Clone + Eq + Hash, V> Memory<K, V> {
    /// Generations of so many bytes.
    #[must_use]
    pub fn of(most_bytes: usize) -> Self {
        let generations = Generations { young: HashMap::new(), young_bytes: 0, old: HashMap::new() };
        Self { generations: RwLock::new(generations), most_bytes }
    }

    /// What was made of this, if it `stands`.
    pub fn get<Q>(&self, key: &Q, stands: impl Fn(&V) -> bool) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let generations = self.generations.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = generations.young.get(key).filter(|kept| stands(&kept.value)) {
            return Some(Arc::clone(&kept.value));
        }
        let (key, kept) = generations.old.get_key_value(key).filter(|(_, kept)| stands(&kept.value))?;
        let (key, value, bytes) = (key.clone(), Arc::clone(&kept.value), kept.bytes);
        drop(generations);
        self.keep(key, &value, bytes);
        Some(value)
    }

    /// Keeps what was made, which takes so many bytes with its key.
    pub fn keep(&self, key: K, value: &Arc<V>, bytes: usize) {
        if bytes > self.most_bytes / ENTRIES_PART {
            return;
        }
        let mut generations = self.generations.write().unwrap_or_else(PoisonError::into_inner);
        if generations.young_bytes.saturating_add(bytes) > self.most_bytes {
            generations.old = std::mem::take(&mut generations.young);
            generations.young_bytes = 0;
        }
        generations.young_bytes = generations.young_bytes.saturating_add(bytes);
        generations.young.insert(key, Kept { value: Arc::clone(value), bytes });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 800;

    #[test]
    fn what_is_asked_again_stays_and_what_nobody_asks_for_goes() {
        let memory = Memory::of(MOST);
        memory.keep(0, &Arc::new(0), 8);
        for number in 1..100 {
            memory.keep(number, &Arc::new(number), MOST / ENTRIES_PART);
            assert_eq!(memory.get(&0, |_| true).as_deref(), Some(&0), "after {number}");
        }
        assert_eq!((memory.get(&1, |_| true), memory.get(&99, |_| true).as_deref()), (None, Some(&99)));
        let generations = memory.generations.read().unwrap();
        let all = generations.young.values().chain(generations.old.values());
        assert!(all.map(|kept| kept.bytes).sum::<usize>() <= 2 * MOST);
    }

    #[test]
    fn what_would_drive_out_all_the_others_is_not_kept_and_what_stands_no_longer_not_given() {
        let memory = Memory::of(MOST);
        memory.keep("large", &Arc::new(1), MOST / ENTRIES_PART + 1);
        assert_eq!(memory.get("large", |_| true), None);
        memory.keep("small", &Arc::new(1), 1);
        assert_eq!(memory.get("small", |value| *value > 1), None);
        memory.keep("small", &Arc::new(2), 1);
        assert_eq!(memory.get("small", |value| *value > 1).as_deref(), Some(&2));
    }
}
