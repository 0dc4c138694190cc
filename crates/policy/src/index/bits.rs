//! Sets of offers, by their place in the index.

/// A set of offers: one bit each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bits {
    words: Vec<u64>,
    len: usize,
}

/// Bits in a word.
pub(super) const WORD: usize = u64::BITS as usize;

impl Bits {
    /// All of `len` offers.
    pub(super) fn all(len: usize) -> Self {
        let mut words = vec![u64::MAX; len.div_ceil(WORD)];
        if let Some(last) = words.last_mut().filter(|_| !len.is_multiple_of(WORD)) {
            *last = (1 << (len % WORD)) - 1;
        }
        Self { words, len }
    }

    /// None of `len` offers.
    pub(super) fn none(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(WORD)], len }
    }

    /// Some of `len` offers.
    pub(super) fn of(offers: &[usize], len: usize) -> Self {
        let mut bits = Self::none(len);
        offers.iter().for_each(|offer| bits.insert(*offer));
        bits
    }

    /// How many offers there are, in the set or not.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Bytes that it takes.
    pub(super) const fn bytes(&self) -> usize {
        self.words.len().saturating_mul(size_of::<u64>())
    }

    /// Adds one.
    pub(super) fn insert(&mut self, index: usize) {
        if let Some(word) = self.words.get_mut(index / WORD) {
            *word |= 1 << (index % WORD);
        }
    }

    /// Takes one away.
    pub(super) fn remove(&mut self, index: usize) {
        if let Some(word) = self.words.get_mut(index / WORD) {
            *word &= !(1 << (index % WORD));
        }
    }

    /// Takes all of `others` away.
    pub(super) fn remove_all(&mut self, others: &Self) {
        for (word, other) in self.words.iter_mut().zip(&others.words) {
            *word &= !other;
        }
    }

    /// Keeps those that are in `others` as well.
    pub(super) fn keep(&mut self, others: &Self) {
        for (word, other) in self.words.iter_mut().zip(&others.words) {
            *word &= other;
        }
    }

    /// True if it is in the set.
    pub(super) fn contains(&self, index: usize) -> bool {
        self.words.get(index / WORD).is_some_and(|word| word & (1 << (index % WORD)) != 0)
    }

    /// How many are in the set.
    pub(super) fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Those in the set, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        self.words.iter().enumerate().flat_map(|(index, word)| Ones(*word).map(move |bit| index * WORD + bit))
    }
}

/// The bits of a word that are set, lowest first.
struct Ones(u64);

impl Iterator for Ones {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let lowest = self.0.trailing_zeros() as usize;
        (lowest < WORD).then(|| {
            self.0 &= self.0 - 1;
            lowest
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bits_are_a_set_of_numbers(
            len in 0..200_usize,
            one in proptest::collection::btree_set(0..200_usize, 0..40),
            other in proptest::collection::btree_set(0..200_usize, 0..40),
        ) {
            let within = |set: &BTreeSet<usize>| set.iter().copied().filter(|index| *index < len).collect::<BTreeSet<_>>();
            let of = |set: &BTreeSet<usize>| {
                let mut bits = Bits::none(len);
                set.iter().for_each(|index| bits.insert(*index));
                bits
            };
            let (one, other) = (within(&one), within(&other));
            let read = |bits: &Bits| bits.iter().collect::<BTreeSet<_>>();
            prop_assert_eq!(read(&Bits::all(len)), (0..len).collect());
            prop_assert_eq!(of(&one).count(), one.len());
            prop_assert!((0..len).all(|index| of(&one).contains(index) == one.contains(&index)));
            let (mut kept, mut left, mut single) = (of(&one), of(&one), of(&one));
            kept.keep(&of(&other));
            left.remove_all(&of(&other));
            other.iter().for_each(|index| single.remove(*index));
            prop_assert_eq!(read(&kept), one.intersection(&other).copied().collect());
            prop_assert_eq!(read(&left), one.difference(&other).copied().collect());
            prop_assert_eq!(left, single);
        }
    }
}
