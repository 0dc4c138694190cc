//! Places that many share, so that those who take all that they can get leave some to whoever comes next.
//!
//! A bound for each alone does not do that: as many as fit into all places, and nobody else gets one. So the last part of
//! the places is kept for everybody's first few (docs/decisions/0018).

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// The part of all places that is kept for everybody's first: a quarter, so that those who need many have most.
const KEPT: usize = 4;
/// The fewest that everybody's first are: a program that calls, and a tunnel beside it.
const FEWEST_FIRST: usize = 2;
/// For how many the kept part is enough, each with their first few: more than a federation has organisations that mean
/// harm at once, since each of them was admitted by operators.
const KEPT_FOR: usize = 128;

/// How places are shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// How many there are.
    pub all: usize,
    /// How many one may have.
    pub each: usize,
    /// How many of the last nobody gets who has their first already.
    pub kept: usize,
    /// How many everybody's first are.
    pub first: usize,
}

impl Rule {
    /// `all` places, of which one has at most `each`: the last quarter is kept for the first few of each, which are a
    /// 128th part of it, and at least two.
    #[must_use]
    pub const fn new(all: usize, each: usize) -> Self {
        let kept = all / KEPT;
        let first = if kept / KEPT_FOR < FEWEST_FIRST { FEWEST_FIRST } else { kept / KEPT_FOR };
        Self { all, each, kept, first }
    }
}

/// Why somebody gets no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// They have as many as one may have.
    #[error("{0} are taken by the same, which is the most that one may have")]
    Own(usize),
    /// There are none left, or only those that are kept for others.
    #[error("{0} are taken, and what is left is kept for those who have few")]
    All(usize),
}

/// The places, and who has them. Clones are handles to the same.
#[derive(Debug)]
pub struct Fair<K: Eq + Hash> {
    taken: Arc<Mutex<Taken<K>>>,
}

/// Has no more entries than there are places.
#[derive(Debug)]
struct Taken<K> {
    rule: Rule,
    all: usize,
    by: HashMap<K, usize>,
}

/// A place that somebody has, until it is dropped.
pub struct Share<K: Eq + Hash> {
    taken: Arc<Mutex<Taken<K>>>,
    whose: K,
}

impl<K: Eq + Hash> Clone for Fair<K> {
    fn clone(&self) -> Self {
        Self { taken: Arc::clone(&self.taken) }
    }
}

impl<K: Clone + Eq + Hash> Fair<K> {
    /// None is taken yet.
    #[must_use]
    pub fn new(rule: Rule) -> Self {
        Self { taken: Arc::new(Mutex::new(Taken { rule, all: 0, by: HashMap::new() })) }
    }

    /// Shares them by another rule from here on. Whoever has more than that grants keeps what they have.
    pub fn share_by(&self, rule: Rule) {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).rule = rule;
    }

    /// Takes a place for `whose`.
    ///
    /// # Errors
    /// They have as many as one may, or those that are left are kept for others.
    pub fn take(&self, whose: K) -> Result<Share<K>, Full> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let Rule { all, each, kept, first } = taken.rule;
        let own = taken.by.get(&whose).copied().unwrap_or_default();
        if own >= each {
            return Err(Full::Own(own));
        }
        let left = all.saturating_sub(taken.all);
        if left == 0 || (left <= kept && own >= first) {
            return Err(Full::All(taken.all));
        }
        taken.all += 1;
        taken.by.insert(whose.clone(), own + 1);
        Ok(Share { taken: Arc::clone(&self.taken), whose })
    }

    /// How many places are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).all
    }
}

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(1);
        if let Some(own) = taken.by.get_mut(&self.whose) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.by.remove(&self.whose);
            }
        }
    }
}

impl<K: Eq + Hash + fmt::Debug> fmt::Debug for Share<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share({:?})", self.whose)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All that `whose` can get.
    fn greedy(places: &Fair<u32>, whose: u32) -> Vec<Share<u32>> {
        std::iter::from_fn(|| places.take(whose).ok()).collect()
    }

    #[test]
    fn a_rule_that_grants_less_takes_nothing_away_and_one_that_grants_more_counts_at_once() {
        let places = Fair::new(Rule::new(100, 10));
        let other = places.clone();
        let mut held = greedy(&places, 1);
        other.share_by(Rule::new(100, 4));
        assert_eq!((held.len(), places.take(1).unwrap_err()), (10, Full::Own(10)));
        held.truncate(3);
        assert_eq!(greedy(&places, 1).len(), 1);
        places.share_by(Rule::new(100, 20));
        assert_eq!(greedy(&places, 1).len(), 17);
    }

    #[test]
    fn one_has_its_number_and_no_more_and_gets_them_back() {
        let places = Fair::new(Rule::new(100, 10));
        let mut held = greedy(&places, 1);
        assert_eq!((held.len(), places.take(1).unwrap_err()), (10, Full::Own(10)));
        held.pop();
        assert!(places.take(1).is_ok());
        drop(held);
        assert_eq!(places.taken(), 0);
        assert!(places.taken.lock().unwrap().by.is_empty(), "nothing is kept of those who are gone");
    }

    #[test]
    fn however_many_take_all_they_can_get_whoever_comes_next_gets_its_first_few() {
        let rule = Rule::new(8192, 1024);
        let places = Fair::new(rule);
        let held: Vec<_> = (0..100).flat_map(|whose| greedy(&places, whose)).collect();
        assert!(held.len() > 6000, "most places are had by those who want many");
        assert_eq!(greedy(&places, 1000).len(), rule.first);
        assert!(rule.first >= 8);
    }

    #[test]
    fn a_single_place_is_had_by_whoever_comes() {
        let places = Fair::new(Rule::new(1, 1));
        let held = places.take(1).unwrap();
        assert_eq!(places.take(2).unwrap_err(), Full::All(1));
        drop(held);
        assert!(places.take(2).is_ok());
    }

    proptest! {
        /// Whatever is taken and given back, in whatever order: the bounds hold, and while fewer than the kept part is
        /// for hold their first, one more gets its own.
        #[test]
        fn the_bounds_hold_and_a_newcomer_is_served(
            all in 1..2000_usize,
            each in 1..300_usize,
            steps in prop::collection::vec((0..40_u32, any::<bool>()), 0..2000),
        ) {
            let rule = Rule::new(all, each);
            let places = Fair::new(rule);
            let mut held: HashMap<u32, Vec<Share<u32>>> = HashMap::new();
            for (whose, takes) in steps {
                let own = held.entry(whose).or_default();
                if takes {
                    own.extend(places.take(whose).ok());
                } else {
                    own.pop();
                }
                prop_assert!(own.len() <= each);
            }
            let taken: usize = held.values().map(Vec::len).sum();
            prop_assert_eq!(places.taken(), taken);
            prop_assert!(taken <= all);
            let holders = held.values().filter(|own| !own.is_empty()).count();
            if holders * rule.first < rule.kept {
                prop_assert!(places.take(u32::MAX).is_ok());
            }
        }
    }
}
