//! Repeatable chance: SplitMix64 (Steele, Lea, Flood 2014), which needs no library and gives the same on every machine.

/// Repeatable chance.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    /// One of several, each with its weight.
    ///
    /// # Panics
    /// If there is none.
    #[expect(clippy::expect_used, reason = "every list of this crate has entries")]
    pub(crate) fn weighted<'t, T>(&mut self, all: &'t [(usize, T)]) -> &'t T {
        let total = all.iter().map(|(weight, _)| weight).sum();
        let mut left = self.below(total);
        let hit = all.iter().find(|(weight, _)| {
            let hit = left < *weight;
            left = left.saturating_sub(*weight);
            hit
        });
        &hit.or_else(|| all.last()).expect("a list with entries").1
    }

    /// One of several.
    ///
    /// # Panics
    /// If there is none.
    #[expect(clippy::expect_used, reason = "every list of this crate has entries")]
    pub(crate) fn one<'t, T>(&mut self, all: &'t [T]) -> &'t T {
        all.get(self.below(all.len())).expect("a list with entries")
    }
}
