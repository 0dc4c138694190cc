//! The draws of a decision: as many random numbers as it wants, by its id, so that whoever has the record can draw them again.

use comity_types::DecisionId;

/// What the state is advanced by: 2^64 divided by the golden ratio, odd.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A sequence of numbers that are as good as random: `SplitMix64` (Steele, Lea and Flood, 2014). No secret depends on them.
#[derive(Debug, Clone)]
pub struct Draws(u64);

impl Draws {
    /// Those of a decision. Its id is random, and nobody chooses it.
    #[must_use]
    pub fn of(id: DecisionId) -> Self {
        Self(id.as_bytes().first_chunk().map_or(0, |half| u64::from_be_bytes(*half)))
    }

    /// A number below `end`; 0 if that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        let product = u128::from(self.next()) * end as u128;
        usize::try_from(product >> u64::BITS).unwrap_or(0)
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_those_of_the_decision_and_spread_evenly() {
        let draw = |byte: u8| {
            let mut draws = Draws::of(DecisionId::from_bytes([byte; 16]));
            (0..7_000).map(|_| draws.below(7)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let times = |value| draw(1).iter().filter(|drawn| **drawn == value).count();
        assert!((0..7).all(|value| (850..1_150).contains(&times(value))));
        assert_eq!(Draws::of(DecisionId::from_bytes([0; 16])).below(0), 0);
    }

    /// As its authors' program gives them, from 0.
    #[test]
    fn the_sequence_is_the_published_one() {
        let mut draws = Draws(0);
        assert_eq!([draws.next(), draws.next()], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
    }
}
