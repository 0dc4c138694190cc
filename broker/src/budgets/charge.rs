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
/// Bytes of an answer that are taken for a token: of text it is about as many, and of a stream that has a token in each message
/// the frames alone are more, so that whoever leaves is counted no less than was read, and some of it twice.
pub const BYTES_A_TOKEN: u64 = 4;

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
    /// Tokens of its answer that a node may sign, where the caller said how many it wants at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
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

/// How many tokens a request may come to, by what is known of it before it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Most {
    /// Those that a model reads of it.
    pub input_tokens: u64,
    /// Those of its answer that a node may sign, where the caller said how many it wants.
    pub output_tokens: Option<u64>,
}

impl Most {
    /// The tokens, read and written, that it comes to under a budget where nobody signed how many they were: what the budget
    /// reserves, or what was passed on, where that is more; and no more than a node could have signed, in either case.
    fn under(self, budget: &Budget, passed: u64) -> (u64, u64) {
        let output = budget.output_tokens_reserved.max(passed);
        (self.input_tokens, self.output_tokens.map_or(output, |most| most.min(output)))
    }
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became<'a> {
    /// Nobody knows: the broker ended before the request did.
    Unknown,
    /// It has ended, and no node has run it, since it is none: a node says so that has looked at it. It has been decided on and
    /// sent all the same, and counts as a request, of no tokens.
    Invalid,
    /// It has ended.
    Ended {
        /// The offers of the tries that a node may have run.
        tries: &'a [OfferName],
        /// The tokens, read and written, that the node of the last try signed, if it did.
        signed: Option<(u64, u64)>,
        /// The tokens that went to the caller at least, where that node signed nothing.
        passed: u64,
    },
}

/// Tokens that a model reads of a request of so many bytes, at most: one is made of a byte or more.
#[must_use]
pub fn input_tokens(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(INPUT_TOKENS_BESIDE)
}

/// Tokens that an answer has, of which so many bytes went to the caller and whose node has not signed how many they were.
#[must_use]
pub const fn passed_tokens(bytes: u64) -> u64 {
    bytes.div_ceil(BYTES_A_TOKEN)
}

impl Asked {
    /// Whose it is, and when it was decided.
    #[must_use]
    pub const fn call(&self) -> Call<'_> {
        Call { caller: &self.caller, model: &self.model, at: self.at }
    }

    /// What it may have come to under a budget of requests where nobody knows which offers it was sent to: by the dearest of
    /// those that may have been.
    #[must_use]
    pub fn at_most(&self, budget: &Budget) -> Amount {
        let of = |price: Option<&Price>| self.at_most_of(budget, price);
        let each = self.candidates.iter().map(|one| of(one.price.as_ref()).micros);
        Amount { micros: each.max().unwrap_or_default(), ..of(None) }
    }

    /// The tokens, read and written, of a try of which nobody signed what it used, and of which so many went to the caller: all
    /// that was reserved, or more.
    fn unsigned_tokens(&self, budget: &Budget, passed: u64) -> (u64, u64) {
        self.most().under(budget, passed)
    }

    /// How many tokens it may come to.
    #[must_use]
    pub const fn most(&self) -> Most {
        Most { input_tokens: self.input_tokens, output_tokens: self.output_tokens }
    }

    /// What it may come to where it is sent to an offer of this price.
    #[must_use]
    pub fn at_most_of(&self, budget: &Budget, price: Option<&Price>) -> Amount {
        at_most_of(budget, price, self.most())
    }

    /// What an offer costs.
    #[must_use]
    pub fn price(&self, offer: &OfferName) -> Option<&Price> {
        self.candidates.iter().find(|one| one.offer == *offer).and_then(|one| one.price.as_ref())
    }
}

/// What a request of so many tokens may come to under a budget, at an offer of this price.
#[must_use]
pub fn at_most_of(budget: &Budget, price: Option<&Price>, most: Most) -> Amount {
    amount(budget, price, most.under(budget, 0))
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
/// Under budgets of requests: nothing where no node can have run it, but a request where that is its caller's fault; what a node
/// signed; else all that was reserved, or what went to the caller, where that is more. Either by the price of the last try that
/// may have been run: what other offers cost, nobody has asked for. Under budgets of offers, the same of each try: of one that
/// failed nobody signed anything. A request of which nobody knows what became of it counts in full, by the dearest offer that may
/// have had it, and for each of them.
#[must_use]
pub fn charges(budgets: &Budgets, asked: &Asked, became: Became<'_>) -> HashMap<Key, Amount> {
    let mut all = HashMap::new();
    let mut add = |key: Key, amount: Amount| {
        let sum: &mut Amount = all.entry(key).or_default();
        *sum = sum.plus(amount);
    };
    let of_request = |budget: &Budget| match became {
        Became::Unknown => Some(asked.at_most(budget)),
        Became::Invalid => Some(Amount { requests: 1, ..Amount::default() }),
        Became::Ended { tries, signed, passed } => {
            let tokens = signed.unwrap_or_else(|| asked.unsigned_tokens(budget, passed));
            Some(amount(budget, asked.price(tries.last()?), tokens))
        }
    };
    for (place, budget) in budgets.of(&asked.caller, &asked.model, None) {
        if let Some(amount) = of_request(budget) {
            add(Key::of((place, budget), asked.call(), None), amount);
        }
    }
    for Tried { offer, signed, passed } in tried(asked, became) {
        let price = asked.price(offer);
        for (place, budget) in budgets.of(&asked.caller, &asked.model, Some(offer)) {
            let tokens = signed.unwrap_or_else(|| asked.unsigned_tokens(budget, passed));
            add(Key::of((place, budget), asked.call(), Some(offer)), amount(budget, price, tokens));
        }
    }
    all
}

/// A try that may have been run, as it counts for its offer.
struct Tried<'a> {
    offer: &'a OfferName,
    signed: Option<(u64, u64)>,
    passed: u64,
}

/// The tries of a request: of those before the last nobody signed anything, and nothing of them went to the caller.
fn tried<'a>(asked: &'a Asked, became: Became<'a>) -> Vec<Tried<'a>> {
    let unsigned = |offer| Tried { offer, signed: None, passed: 0 };
    match became {
        Became::Unknown => asked.candidates.iter().map(|one| unsigned(&one.offer)).collect(),
        Became::Invalid => Vec::new(),
        Became::Ended { tries, signed, passed } => {
            let (last, before) = tries.split_last().unzip();
            let last = last.map(|offer| Tried { offer, signed, passed });
            before.into_iter().flatten().map(unsigned).chain(last).collect()
        }
    }
}
