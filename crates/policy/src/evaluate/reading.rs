//! What a question reads of a claim. Claims that say the same for all time are the same to it, whoever states them and on
//! whatever evidence; and of what they say, it may read less than the whole.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use comity_types::Place;

use super::stakes;
use crate::ownership::Ownership;
use crate::{Claim, Controller};

/// What is read of a value.
pub(super) trait Reading {
    /// The value.
    type Of: Eq + Hash + 'static;
    /// What is read of it: all that reasons, and the time that they hold, depend on.
    type Read<'a>: Eq + Hash;

    fn read(of: &Self::Of) -> Self::Read<'_>;
}

/// A claim, and what is read of it.
pub(super) struct Read<'a, R: Reading> {
    claim: &'a Claim<R::Of>,
    reading: PhantomData<R>,
}

/// The claim, if there is one.
pub(super) fn claim_of<R: Reading>(read: Option<Read<'_, R>>) -> Option<&Claim<R::Of>> {
    read.map(|read| read.claim())
}

/// All of it.
pub(super) struct All<T>(PhantomData<T>);

/// Of controllers their seats, and no names.
pub(super) struct Seats;

/// Of an ownership who controls.
pub(super) struct ByControl;

/// Of an ownership who holds how much, and where those are.
pub(super) struct ByShares;

impl<'a, R: Reading> Read<'a, R> {
    pub(super) const fn of(claim: &'a Claim<R::Of>) -> Self {
        Self { claim, reading: PhantomData }
    }

    pub(super) const fn claim(&self) -> &'a Claim<R::Of> {
        self.claim
    }
}

impl<R: Reading> Clone for Read<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R: Reading> Copy for Read<'_, R> {}

impl<R: Reading> PartialEq for Read<'_, R> {
    fn eq(&self, other: &Self) -> bool {
        match (self.claim.timeless(), other.claim.timeless()) {
            (Some(one), Some(other)) => R::read(one) == R::read(other),
            (None, None) => self.claim == other.claim,
            _ => false,
        }
    }
}

impl<R: Reading> Eq for Read<'_, R> {}

impl<R: Reading> Hash for Read<'_, R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.claim.timeless() {
            Some(value) => R::read(value).hash(state),
            None => self.claim.hash(state),
        }
    }
}

impl<T: Eq + Hash + 'static> Reading for All<T> {
    type Of = T;
    type Read<'a> = &'a T;

    fn read(of: &T) -> &T {
        of
    }
}

impl Reading for Seats {
    type Of = BTreeSet<Controller>;
    type Read<'a> = Vec<&'a Place>;

    fn read(of: &Self::Of) -> Vec<&Place> {
        of.iter().map(|one| &one.seat).collect()
    }
}

impl Reading for ByControl {
    type Of = Ownership;
    type Read<'a> = &'a stakes::Controllers;

    fn read(of: &Ownership) -> &stakes::Controllers {
        &of.standing().controllers
    }
}

impl Reading for ByShares {
    type Of = Ownership;
    type Read<'a> = &'a stakes::Shape;

    fn read(of: &Ownership) -> &stakes::Shape {
        &of.standing().shape
    }
}

#[cfg(test)]
mod tests;
