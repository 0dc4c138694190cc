//! The reservations of one request, from before its decision is durable until its outcome is.

use std::sync::Arc;

use comity_types::OfferName;

use super::accounts::{Accounts, Reservation};
use super::charge::{Asked, Became, charges};
use super::exceeded::Exceeded;

/// What a request has reserved. Where it is dropped, all of that counts as used.
#[derive(Debug)]
#[must_use]
pub struct Spending {
    accounts: Accounts,
    asked: Arc<Asked>,
    request: Reservation,
    /// Of each try, by its number.
    tries: Vec<(u32, Reservation)>,
}

impl Spending {
    /// Reserves what a request may come to, under the budgets of its organisation, its app and its model.
    ///
    /// # Errors
    /// One has no room for it.
    pub fn reserve(accounts: &Accounts, asked: Arc<Asked>) -> Result<Self, Box<Exceeded>> {
        let request = accounts.reserve(asked.call(), None, &|budget| asked.at_most(budget))?;
        Ok(Self { accounts: accounts.clone(), asked, request, tries: Vec::new() })
    }

    /// Tokens that a model reads of it, at most.
    #[must_use]
    pub fn input_tokens(&self) -> u64 {
        self.asked.input_tokens
    }

    /// Tokens of its answer that a node may sign, where the caller said how many it wants at most.
    #[must_use]
    pub fn output_tokens(&self) -> Option<u64> {
        self.asked.output_tokens
    }

    /// Reserves what the try of this number may come to at an offer, under the offer's budgets.
    ///
    /// # Errors
    /// One has no room for it: the offer gets none of this request.
    pub fn reserve_try(&mut self, offer: &OfferName, attempt: u32) -> Result<(), Box<Exceeded>> {
        let (asked, price) = (&self.asked, self.asked.price(offer));
        let held = self.accounts.reserve(asked.call(), Some(offer), &|budget| asked.at_most_of(budget, price))?;
        self.tries.push((attempt, held));
        Ok(())
    }

    /// The try of this number has ended before the request has: the offer may have another call in its place.
    pub fn ended(&mut self, attempt: u32) {
        let of_it = self.tries.iter_mut().filter(|(number, _)| *number == attempt);
        of_it.for_each(|(_, held)| held.ended());
    }

    /// The try of this number was not made: nothing is reserved for it any more.
    pub fn passed_over(&mut self, attempt: u32) {
        let of_it = self.tries.extract_if(.., |(number, _)| *number == attempt).map(|(_, held)| held);
        self.accounts.settle(of_it, self.asked.call(), std::collections::HashMap::new());
    }

    /// Settles all of it by what is on record.
    pub fn end(self, became: Became<'_>) {
        let Self { accounts, asked, request, tries } = self;
        let used = charges(accounts.budgets(), &asked, became);
        accounts.settle(std::iter::once(request).chain(tries.into_iter().map(|(_, held)| held)), asked.call(), used);
    }
}
