//! Whose requests a node is working on: how many of its places one organisation may have while others are there.
//!
//! Nobody has a part of its own that stands empty while others wait, and nobody is told to stop. An organisation may have a
//! multiple of what is *left*: alone most of the places, and as others come, less and less until all that want many have the same.
//! So what a newcomer finds depends on nothing that has to end first.

use std::collections::HashMap;

use comity_types::TrustDomain;

use super::super::MAX_STREAMS;

/// How many times as many places as are left, beyond those that are kept, one organisation may have: alone eight ninths of them, and
/// whoever comes next has eight ninths of the rest at once. A larger number would leave a newcomer less, and a smaller one more
/// places empty where one organisation is alone with a node.
const TIMES_WHAT_IS_LEFT: usize = 8;
/// Places that are kept for everybody's first, a sixteenth: organisations that act together have eight ninths of the rest each, one
/// after the other, until nothing is left but these. Enough for 32 others, each of which operators have admitted.
const KEPT: usize = MAX_STREAMS / 16;
/// How many everybody's first are: a request, and another one that is sent while it runs.
const FIRST: usize = 2;

/// How many of a node's places each organisation has. It has no more entries than there are places.
#[derive(Debug, Default)]
pub(super) struct Shares {
    all: usize,
    by: HashMap<TrustDomain, usize>,
}

impl Shares {
    /// Whether `whose` may have one more where so many places are left, of the node or of one of its offers.
    ///
    /// What it has at all of the node's offers counts for each: whoever has much elsewhere leaves the last ones of an offer.
    pub(super) fn has_room(&self, whose: &TrustDomain, left: usize) -> bool {
        if left == 0 {
            return false;
        }
        let most = left.saturating_sub(KEPT).saturating_mul(TIMES_WHAT_IS_LEFT).max(FIRST);
        // Nobody has more than all have together: as long as that is little, nobody has to be looked up.
        self.all < most || self.of(whose) < most
    }

    /// One more is taken.
    pub(super) fn take(&mut self, whose: &TrustDomain) {
        self.all += 1;
        // The key is cloned for an organisation's first alone, and is a count of references.
        match self.by.get_mut(whose) {
            Some(own) => *own += 1,
            None => drop(self.by.insert(whose.clone(), 1)),
        }
    }

    /// One is free again.
    pub(super) fn give_back(&mut self, whose: &TrustDomain) {
        let Some(own) = self.by.get_mut(whose) else { return };
        self.all = self.all.saturating_sub(1);
        *own = own.saturating_sub(1);
        if *own == 0 {
            self.by.remove(whose);
        }
    }

    fn of(&self, whose: &TrustDomain) -> usize {
        self.by.get(whose).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A node's places, as they are taken and given back.
    #[derive(Default)]
    struct Places(Shares);

    impl Places {
        fn left(&self) -> usize {
            MAX_STREAMS - self.0.all
        }

        fn take(&mut self, whose: &TrustDomain) -> bool {
            let has_room = self.0.has_room(whose, self.left());
            if has_room {
                self.0.take(whose);
            }
            has_room
        }

        /// All that one can get, and how many those are.
        fn greedy(&mut self, whose: &TrustDomain) -> usize {
            std::iter::repeat_with(|| self.take(whose)).take_while(|taken| *taken).count()
        }
    }

    fn organisation(number: usize) -> TrustDomain {
        format!("o{number}.example").parse().unwrap()
    }

    #[test]
    fn alone_one_organisation_has_most_of_a_node_and_the_next_one_has_many_at_once() {
        let mut places = Places::default();
        assert_eq!(places.greedy(&organisation(0)), 854, "more than four fifths");
        assert_eq!(places.greedy(&organisation(1)), 95, "and nothing of the first has ended");
    }

    #[test]
    fn however_many_take_all_they_can_get_the_first_of_many_more_are_served() {
        let mut places = Places::default();
        for hostile in 0..8 {
            let _taken = places.greedy(&organisation(hostile));
        }
        let newcomers = (100..).take_while(|newcomer| places.greedy(&organisation(*newcomer)) == FIRST).count();
        assert!(newcomers >= 24, "{newcomers}");
    }

    #[test]
    fn two_that_want_all_have_the_same_when_what_ran_before_has_ended() {
        let (mut places, [one, other]) = (Places::default(), [0, 1].map(organisation));
        let _taken = places.greedy(&one);
        // One of either ends, of whoever has more first, and both ask at once.
        for _ in 0..2 * MAX_STREAMS {
            let ends = if places.0.of(&one) >= places.0.of(&other) { &one } else { &other };
            places.0.give_back(ends);
            let _taken = (places.take(&one), places.take(&other));
        }
        let (of_one, of_other) = (places.0.of(&one), places.0.of(&other));
        // By one place that is left they differ by as many as may be had for it.
        assert!(
            of_one.abs_diff(of_other) <= TIMES_WHAT_IS_LEFT && of_one + of_other > MAX_STREAMS * 4 / 5,
            "{of_one} {of_other}"
        );
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Take(usize),
        TakeAll(usize),
        GiveBack(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..40_usize).prop_map(Step::Take),
            1 => (0..40_usize).prop_map(Step::TakeAll),
            4 => (0..40_usize).prop_map(Step::GiveBack),
        ]
    }

    proptest! {
        /// Whoever takes and gives back, in whatever order: what is counted is what was taken; nobody is refused who has less than
        /// its share; and as long as fewer have places than the kept ones are for, one more gets its first.
        #[test]
        fn what_is_counted_was_taken_and_a_newcomer_is_served(steps in prop::collection::vec(step(), 0..400)) {
            let (mut places, mut model) = (Places::default(), HashMap::<usize, usize>::new());
            for step in steps {
                match step {
                    Step::Take(whose) => {
                        let (left, own) = (places.left(), model.get(&whose).copied().unwrap_or_default());
                        let has_room = places.take(&organisation(whose));
                        *model.entry(whose).or_default() += usize::from(has_room);
                        if !has_room && left > 0 {
                            prop_assert!(own >= FIRST && own >= left.saturating_sub(KEPT) * TIMES_WHAT_IS_LEFT);
                        }
                    }
                    Step::TakeAll(whose) => *model.entry(whose).or_default() += places.greedy(&organisation(whose)),
                    Step::GiveBack(whose) => {
                        let own = model.entry(whose).or_default();
                        *own = own.saturating_sub(1);
                        places.0.give_back(&organisation(whose));
                    }
                }
                let taken: usize = model.values().sum();
                prop_assert_eq!(places.0.all, taken);
                prop_assert!(taken <= MAX_STREAMS);
                prop_assert!(model.iter().all(|(whose, own)| places.0.of(&organisation(*whose)) == *own));
            }
            let holders = model.values().filter(|own| **own > 0).count();
            prop_assert_eq!(places.0.by.len(), holders, "nothing is kept of those who are gone");
            if holders * FIRST < KEPT {
                prop_assert_eq!(places.greedy(&organisation(usize::MAX)).min(FIRST), FIRST);
            }
        }
    }
}
