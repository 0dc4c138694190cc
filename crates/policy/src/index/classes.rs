//! Offers that are the same to a facet.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

use super::Entry;
use super::bits::{Bits, WORD};
use crate::evaluate::facet::AnyFacet;

/// The classes of one facet: offers in one class have one answer.
#[derive(Debug)]
pub(super) struct Classes {
    /// The class of each offer.
    of: Vec<u32>,
    /// Of each class its first offer, which stands for all of them, and its members.
    classes: Vec<Class>,
}

/// One class.
#[derive(Debug)]
pub(super) struct Class {
    /// The offer that stands for it.
    pub(super) first: usize,
    /// Every offer in it.
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
        let (mut of, mut groups) = (Vec::with_capacity(entries.len()), Vec::<(usize, Vec<u32>)>::new());
        let mut by_hash = HashMap::<u64, Vec<u32>>::new();
        for (index, entry) in entries.iter().enumerate() {
            let mut hasher = DefaultHasher::new();
            facet.hash(&entry.offer, &entry.operator, &mut hasher);
            let alike = by_hash.entry(hasher.finish()).or_default();
            let same = |class: &&u32| {
                let first = groups.get(**class as usize).and_then(|(first, _)| entries.get(*first));
                first.is_some_and(|first| facet.same(first.facts(), entry.facts()))
            };
            let class = alike.iter().find(same).copied().unwrap_or_else(|| {
                let class = narrow(groups.len());
                groups.push((index, Vec::new()));
                alike.push(class);
                class
            });
            of.push(class);
            if let Some((_, members)) = groups.get_mut(class as usize) {
                members.push(narrow(index));
            }
        }
        let class = |(first, members)| Class { first, members: Members::new(members, entries.len()) };
        Self { of, classes: groups.into_iter().map(class).collect() }
    }

    /// The class of an offer.
    pub(super) fn class(&self, offer: usize) -> usize {
        self.of.get(offer).map_or(usize::MAX, |class| *class as usize)
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
