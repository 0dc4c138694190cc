//! The reservations of one request, from before its decision is durable until its outcome is.

use std::sync::Arc;

use comity_transparency::record::CANDIDATES;
use comity_types::{OfferName, Price};

use super::accounts::{Accounts, Reservation};
use super::amount::Amount;
use super::book::Call;
use super::charge::{Asked, Became, Candidate, Most, at_most_of, charges};
use super::definition::Budget;
use super::exceeded::Exceeded;

/// What a request has reserved. Where it is dropped, all of that counts as used.
#[derive(Debug)]
#[must_use]
pub struct Spending {
    accounts: Accounts,
    asked: Arc<Asked>,
    /// Under the budgets of its organisation, its app and its model: by the dearest of the tries that a node may have run.
    request: Reservation,
    tries: Vec<Try>,
}

/// What a try has reserved under the budgets of its offer.
#[derive(Debug)]
struct Try {
    attempt: u32,
    offer: OfferName,
    held: Reservation,
}

impl Spending {
    /// Reserves what a request may come to at the first of the offers that it may go to, under the budgets of its organisation,
    /// its app and its model; and leaves of those offers the ones that these budgets have room for.
    ///
    /// Of what is dearer nothing is reserved before it is tried: whoever offers what nobody asks for takes no room from anybody.
    ///
    /// # Errors
    /// They have room for none.
    pub fn reserve<O: Offered>(
        accounts: &Accounts,
        (call, most): (Call<'_>, Most),
        offers: &mut Vec<O>,
    ) -> Result<Self, Box<Exceeded>> {
        let amounts: Vec<_> = offers
            .iter()
            .map(|offer| {
                let price = offer.price();
                move |budget: &Budget| at_most_of(budget, price, most)
            })
            .collect();
        let (request, have_room) = accounts.reserve_first(call, &amounts)?;
        let mut have_room = have_room.into_iter();
        offers.retain(|_| have_room.next().unwrap_or_default());
        let asked = Asked {
            caller: call.caller.clone(),
            model: call.model.clone(),
            at: call.at,
            input_tokens: most.input_tokens,
            output_tokens: most.output_tokens,
            candidates: offers.iter().take(CANDIDATES).map(O::candidate).collect(),
        };
        Ok(Self { accounts: accounts.clone(), asked: Arc::new(asked), request, tries: Vec::new() })
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

    /// Reserves what the try of this number may come to at an offer, under the offer's budgets, and under the request's own what
    /// the dearest of its tries may.
    ///
    /// # Errors
    /// One has no room for it: the offer gets none of this request.
    pub fn reserve_try(&mut self, offer: &OfferName, attempt: u32) -> Result<(), Box<Exceeded>> {
        let (asked, tries) = (&self.asked, &self.tries);
        let of_try = |budget: &Budget| asked.at_most_of(budget, asked.price(offer));
        let of_request = |budget: &Budget| dearest(asked, tries, budget).into_iter().fold(of_try(budget), dearer);
        let held = self.request.reserve_try((asked.call(), offer), &of_try, &of_request)?;
        self.tries.push(Try { attempt, offer: offer.clone(), held });
        Ok(())
    }

    /// The try of this number has ended before the request has: the offer may have another call in its place.
    pub fn ended(&mut self, attempt: u32) {
        let of_it = self.tries.iter_mut().filter(|one| one.attempt == attempt);
        of_it.for_each(|one| one.held.ended());
    }

    /// The try of this number was not made: nothing is reserved for it any more.
    pub fn passed_over(&mut self, attempt: u32) {
        let of_it = self.tries.extract_if(.., |one| one.attempt == attempt).map(|one| one.held);
        self.accounts.settle(of_it, self.asked.call(), std::collections::HashMap::new());
        let (asked, tries) = (&self.asked, &self.tries);
        // Where none is left, what is held is what the next one begins with.
        if !tries.is_empty() {
            self.request.lower(&|budget| dearest(asked, tries, budget).unwrap_or_default());
        }
    }

    /// Settles all of it by what is on record.
    pub fn end(self, became: Became<'_>) {
        let Self { accounts, asked, request, tries } = self;
        let used = charges(accounts.budgets(), &asked, became);
        accounts.settle(std::iter::once(request).chain(tries.into_iter().map(|one| one.held)), asked.call(), used);
    }
}

/// An offer that a request may go to.
pub trait Offered {
    /// What it costs, where that is known.
    fn price(&self) -> Option<&Price>;

    /// What budgets keep of it.
    fn candidate(&self) -> Candidate;
}

impl Offered for Candidate {
    fn price(&self) -> Option<&Price> {
        self.price.as_ref()
    }

    fn candidate(&self) -> Candidate {
        self.clone()
    }
}

/// What the dearest of these tries may come to under a budget of requests, if there is any.
fn dearest(asked: &Asked, tries: &[Try], budget: &Budget) -> Option<Amount> {
    tries.iter().map(|one| asked.at_most_of(budget, asked.price(&one.offer))).reduce(dearer)
}

/// Of two amounts that differ in nothing but money, the one with more of it.
const fn dearer(one: Amount, other: Amount) -> Amount {
    if other.micros > one.micros { other } else { one }
}
