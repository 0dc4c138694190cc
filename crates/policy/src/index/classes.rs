//! Offers that share a piece of what a facet reads.

use std::ops::Range;

use super::Entry;
use super::bits::{Bits, WORD};
use crate::Tables;
use crate::evaluate::facet::{AnyFacet, Piece, Sorted};

/// The classes of one facet: what it says of a piece holds for every offer in the piece's class.
#[derive(Debug)]
pub(super) struct Classes {
    /// The classes of each offer.
    of: Lists,
    /// The offers of each class.
    members: Lists,
    /// The same as bits, where that is read faster.
    bits: Vec<Option<Bits>>,
    /// Of each class the piece that was met first.
    first: Vec<Piece>,
    /// Where the classes of one scale end.
    runs: Vec<usize>,
}

/// Lists of numbers, one after the other.
#[derive(Debug, Default)]
struct Lists {
    all: Vec<u32>,
    ends: Vec<usize>,
}

impl Lists {
    fn add(&mut self, list: impl IntoIterator<Item = usize>) {
        // Numbers of offers fit: see `MAX_OFFERS`.
        self.all.extend(list.into_iter().map(|number| u32::try_from(number).unwrap_or(u32::MAX)));
        self.ends.push(self.all.len());
    }

    fn get(&self, lists: Range<usize>) -> impl Iterator<Item = usize> {
        let end_of = |list: Option<usize>| list.and_then(|list| self.ends.get(list)).copied();
        let start = end_of(lists.start.checked_sub(1)).unwrap_or(0);
        let end = end_of(lists.end.checked_sub(1)).unwrap_or(0);
        self.all.get(start..end).unwrap_or_default().iter().map(|number| *number as usize)
    }
}

impl Classes {
    /// Sorts offers into the classes of a facet.
    pub(super) fn of(facet: &AnyFacet, entries: &[Entry], tables: &Tables) -> Self {
        let Sorted { pieces, first, runs } = facet.sort(entries.iter().map(Entry::facts), tables);
        let mut members = vec![Vec::new(); first.len()];
        let mut classes = Self {
            of: Lists::default(),
            members: Lists::default(),
            bits: Vec::with_capacity(first.len()),
            first,
            runs,
        };
        for (offer, pieces) in pieces.into_iter().enumerate() {
            for class in &pieces {
                if let Some(members) = members.get_mut(*class) {
                    members.push(offer);
                }
            }
            classes.of.add(pieces);
        }
        for members in members {
            // A word of bits is read as fast as one number.
            let is_read_faster = members.len() > entries.len() / WORD;
            classes.bits.push(is_read_faster.then(|| Bits::of(&members, entries.len())));
            classes.members.add(members);
        }
        classes
    }

    /// The classes of an offer.
    pub(super) fn classes(&self, offer: usize) -> impl Iterator<Item = usize> {
        self.of.get(offer..offer.saturating_add(1))
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.first.len()
    }

    /// The piece of a class, as it was met first.
    pub(super) fn first(&self, class: usize) -> Option<&Piece> {
        self.first.get(class)
    }

    /// The classes by scale: those between two of one that have the same answer have it, too.
    pub(super) fn runs(&self) -> impl Iterator<Item = Range<usize>> {
        let starts = std::iter::once(0).chain(self.runs.iter().copied());
        starts.zip(&self.runs).map(|(start, end)| start..*end)
    }

    /// Takes the members of classes out of a set.
    pub(super) fn leave(&self, classes: Range<usize>, set: &mut Bits) {
        match self.only_bits(&classes) {
            Some(bits) => set.remove_all(bits),
            None => self.members.get(classes).for_each(|offer| set.remove(offer)),
        }
    }

    /// Calls `each` with every member of a class.
    pub(super) fn for_each(&self, class: usize, each: impl FnMut(usize)) {
        self.members.get(class..class.saturating_add(1)).for_each(each);
    }

    fn only_bits(&self, classes: &Range<usize>) -> Option<&Bits> {
        if classes.len() == 1 { self.bits.get(classes.start)?.as_ref() } else { None }
    }
}

#[cfg(test)]
mod tests;
