//! Offers that share a piece of what a facet reads.

use super::Entry;
use super::bits::{Bits, WORD};
use crate::evaluate::facet::{AnyFacet, Sorted};

/// The classes of one facet: what it says of a piece holds for every offer in the piece's class.
#[derive(Debug)]
pub(super) struct Classes {
    /// The classes of each offer, one offer's after the other's.
    of: Vec<u32>,
    /// Where each offer's end in `of`.
    ends: Vec<usize>,
    classes: Vec<Class>,
}

/// Offers that share a piece.
#[derive(Debug)]
pub(super) struct Class {
    /// The first offer that has the piece, and its place among those of that offer.
    pub(super) first: (usize, usize),
    /// Every offer that has it.
    pub(super) members: Members,
}

/// Offers of a class, in whichever form is read faster.
#[derive(Debug)]
pub(super) enum Members {
    /// One by one.
    Few(Vec<u32>),
    /// By bits.
    Many(Bits),
}

impl Classes {
    /// Sorts offers into the classes of a facet.
    pub(super) fn of(facet: &AnyFacet, entries: &[Entry]) -> Self {
        let Sorted { pieces, first } = facet.sort(entries.iter().map(Entry::facts));
        let mut members = vec![Vec::new(); first.len()];
        let (mut of, mut ends) = (Vec::with_capacity(pieces.len()), Vec::with_capacity(pieces.len()));
        for (offer, pieces) in pieces.into_iter().enumerate() {
            for class in pieces {
                of.push(narrow(class));
                if let Some(members) = members.get_mut(class) {
                    members.push(narrow(offer));
                }
            }
            ends.push(of.len());
        }
        let class = |(first, members)| Class { first, members: Members::new(members, entries.len()) };
        Self { of, ends, classes: first.into_iter().zip(members).map(class).collect() }
    }

    /// The classes of an offer.
    pub(super) fn classes(&self, offer: usize) -> impl Iterator<Item = usize> {
        let start = offer.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let own = self.ends.get(offer).and_then(|end| self.of.get(start..*end)).unwrap_or_default();
        own.iter().map(|class| *class as usize)
    }

    /// Every class, by its number.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Class> {
        self.classes.iter()
    }

    /// A class by its number.
    pub(super) fn get(&self, class: usize) -> Option<&Class> {
        self.classes.get(class)
    }
}

/// Numbers of offers fit: see [`super::MAX_OFFERS`].
fn narrow(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

impl Members {
    fn new(members: Vec<u32>, offers: usize) -> Self {
        // A word of bits is read as fast as one number.
        if members.len() <= offers / WORD {
            return Self::Few(members);
        }
        let mut bits = Bits::none(offers);
        members.iter().for_each(|index| bits.insert(*index as usize));
        Self::Many(bits)
    }

    /// Takes them out of a set.
    pub(super) fn leave(&self, set: &mut Bits) {
        match self {
            Self::Few(members) => members.iter().for_each(|index| set.remove(*index as usize)),
            Self::Many(bits) => set.remove_all(bits),
        }
    }

    /// Calls `each` with every one of them.
    pub(super) fn for_each(&self, mut each: impl FnMut(usize)) {
        match self {
            Self::Few(members) => members.iter().for_each(|index| each(*index as usize)),
            Self::Many(bits) => bits.iter().for_each(each),
        }
    }
}
