//! What a request comes to, by what is on record of it: the one account of that, for a request that has just ended and for one
//! that the log tells of after a restart.

use std::collections::HashMap;

use comity_types::{OfferName, Price, SpiffeId, Timestamp};
use serde::{Deserialize, Serialize};

use super::amount::Amount;
use super::book::{Call, Key};
use super::definition::{Budget, Budgets};

/// Tokens that a model may read of a request beside its own bytes: what a chat template puts around its messages.
pub const INPUT_TOKENS_BESIDE: u64 = 256;

/// What was asked, as far as budgets are concerned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The app that asked.
    pub caller: SpiffeId,
    /// The model that it asked for.
    pub model: comity_types::ModelName,
    /// When that was decided.
    pub at: Timestamp,
    /// Tokens that a model reads of it, at most.
    pub input_tokens: u64,
    /// Who may be tried, and what each costs.
    pub candidates: Vec<Candidate>,
}

/// An offer that may be tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// The offer.
    pub offer: OfferName,
    /// What it costs, where that is known.
    pub price: Option<Price>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became<'a> {
    /// Nobody knows: the broker ended before the request did.
    Unknown,
    /// It has ended.
    Ended {
        /// The offers of the tries that a node may have run.
        tries: &'a [OfferName],
        /// The tokens, read and written, that the node of the last try signed, if it did.
        signed: Option<(u64, u64)>,
    },
}

/// Tokens that a model reads of a request of so many bytes, at most: one is made of a byte or more.
#[must_use]
pub fn input_tokens(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(INPUT_TOKENS_BESIDE)
}

impl Asked {
    /// Whose it is, and when it was decided.
    #[must_use]
    pub const fn call(&self) -> Call<'_> {
        Call { caller: &self.caller, model: &self.model, at: self.at }
    }

    /// What it may come to under a budget of requests: by the dearest of those that may be tried.
    #[must_use]
    pub fn at_most(&self, budget: &Budget) -> Amount {
        let each = self.candidates.iter().map(|one| self.at_most_of(budget, one.price.as_ref()).micros);
        Amount { micros: each.max().unwrap_or_default(), ..self.at_most_of(budget, None) }
    }

    /// What it may come to where it is sent to an offer of this price.
    #[must_use]
    pub fn at_most_of(&self, budget: &Budget, price: Option<&Price>) -> Amount {
        at_most_of(budget, price, self.input_tokens)
    }

    /// What an offer costs.
    #[must_use]
    pub fn price(&self, offer: &OfferName) -> Option<&Price> {
        self.candidates.iter().find(|one| one.offer == *offer).and_then(|one| one.price.as_ref())
    }
}

/// What a request of which a model reads so many tokens may come to under a budget, at an offer of this price.
#[must_use]
pub fn at_most_of(budget: &Budget, price: Option<&Price>, input_tokens: u64) -> Amount {
    amount(budget, price, (input_tokens, budget.output_tokens_reserved))
}

/// What so many tokens are under a budget. A price in another currency is more than there is: what it comes to is not known.
fn amount(budget: &Budget, price: Option<&Price>, (input_tokens, output_tokens): (u64, u64)) -> Amount {
    let micros = match &budget.limits.money {
        Some(money) if price.is_some_and(|price| price.currency != money.currency) => u64::MAX,
        Some(_) => price.map_or(0, |price| price.cost(input_tokens, output_tokens)),
        None => 0,
    };
    Amount { requests: 1, input_tokens, output_tokens, micros }
}

/// What a request comes to, by account.
///
/// Under budgets of requests: nothing where no node can have run it; what a node signed; else all that was reserved. Under
/// budgets of offers, the same of each try: of one that failed nobody signed anything. A request of which nobody knows what
/// became of it counts in full, and for each offer that may have had it.
#[must_use]
pub fn charges(budgets: &Budgets, asked: &Asked, became: Became<'_>) -> HashMap<Key, Amount> {
    let mut all = HashMap::new();
    let mut add = |key: Key, amount: Amount| {
        let sum: &mut Amount = all.entry(key).or_default();
        *sum = sum.plus(amount);
    };
    let of_request = |budget: &Budget| match became {
        Became::Unknown => Some(asked.at_most(budget)),
        Became::Ended { tries, signed } => {
            let last = tries.last()?;
            Some(signed.map_or_else(|| asked.at_most(budget), |tokens| amount(budget, asked.price(last), tokens)))
        }
    };
    for (place, budget) in budgets.of(&asked.caller, &asked.model, None) {
        if let Some(amount) = of_request(budget) {
            add(Key::of((place, budget), asked.call(), None), amount);
        }
    }
    let tries: Vec<(&OfferName, Option<(u64, u64)>)> = match became {
        Became::Unknown => asked.candidates.iter().map(|one| (&one.offer, None)).collect(),
        Became::Ended { tries, signed } => {
            let last = tries.len().checked_sub(1);
            tries.iter().enumerate().map(|(place, offer)| (offer, signed.filter(|_| Some(place) == last))).collect()
        }
    };
    for (offer, signed) in tries {
        let price = asked.price(offer);
        for (place, budget) in budgets.of(&asked.caller, &asked.model, Some(offer)) {
            let tokens = signed.unwrap_or((asked.input_tokens, budget.output_tokens_reserved));
            add(Key::of((place, budget), asked.call(), Some(offer)), amount(budget, price, tokens));
        }
    }
    all
}
