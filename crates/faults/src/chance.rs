//! Repeatable chance: SplitMix64 (Steele, Lea, Flood 2014), so that a seed means the same on every machine.

use std::ops::Range;

/// Repeatable chance.
#[derive(Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// One of a family of independent sequences.
    pub(crate) const fn new(seed: u64, which: u64) -> Self {
        let mut mixed = Self(seed ^ which.wrapping_mul(0xD1B5_4A32_D192_ED03));
        let _first = mixed.next();
        mixed
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number of the range; its start where it is empty.
    pub(crate) const fn within(&mut self, range: Range<u64>) -> u64 {
        let width = range.end.saturating_sub(range.start);
        if width == 0 { range.start } else { range.start + self.next() % width }
    }

    /// True in so many of a hundred cases.
    pub(crate) const fn percent(&mut self, chance: u64) -> bool {
        self.within(0..100) < chance
    }

    /// One of several; none of none.
    pub(crate) fn one<'t, T>(&mut self, all: &'t [T]) -> Option<&'t T> {
        all.get(usize::try_from(self.within(0..all.len() as u64)).ok()?)
    }

    /// So many bytes.
    pub(crate) fn bytes(&mut self, count: u64) -> Vec<u8> {
        (0..count).map(|_| self.next().to_be_bytes()[0]).collect()
    }
}
