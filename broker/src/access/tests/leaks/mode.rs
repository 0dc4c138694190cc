//! How the broker of an episode is run: when requests travel, and what its operators grant.

use comity_types::Money;

use super::super::world::World;
use super::super::*;
use super::model::Dice;
use crate::budgets::definition::{Budget, Dimension, Limits};
use crate::budgets::period::Period;

/// The modes, one for each episode in turn, so that a short run has all of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mode {
    commit: Commit,
    has_budgets: bool,
}

impl Mode {
    /// How many there are.
    pub(super) const COUNT: u64 = 4;

    /// That of an episode.
    pub(super) const fn of(episode: u64) -> Self {
        let commit = if episode.is_multiple_of(2) { Commit::Strict } else { Commit::Overlapped };
        Self { commit, has_budgets: episode % Self::COUNT >= 2 }
    }

    /// A federation whose broker is run so.
    pub(super) async fn world(self, dice: &mut Dice) -> World {
        match (self.has_budgets, self.commit) {
            (true, commit) => World::under(budgets(dice), commit).await,
            (false, Commit::Strict) => World::new().await,
            (false, Commit::Overlapped) => World::overlapped().await,
        }
    }
}

/// Small ones, of each kind of account and measure. The last caller and most offers are under none that is ever used up within
/// an episode, so that it goes on to its end.
fn budgets(dice: &mut Dice) -> Vec<Budget> {
    let mut up_to = |most: u64| Some(1 + dice.below(most));
    let euros = |micros| Some(Money { currency: "EUR".parse().unwrap(), micros });
    let of_one = Budget {
        name: "requests-of-one".parse().unwrap(),
        organisation: Some("c0.example".parse().unwrap()),
        app: None,
        model: None,
        offer: None,
        each: [].into(),
        per: Some(Period::Month),
        limits: Limits { requests: up_to(100), ..Limits::default() },
        output_tokens_reserved: 100,
    };
    let of_app = Budget {
        name: "tokens-of-an-app".parse().unwrap(),
        organisation: None,
        app: Some("spiffe://c1.example/app/a1".parse().unwrap()),
        limits: Limits { tokens: up_to(100_000), ..Limits::default() },
        ..of_one.clone()
    };
    let at_once = Budget {
        name: "at-once".parse().unwrap(),
        organisation: None,
        each: [Dimension::Organisation].into(),
        per: None,
        limits: Limits { concurrent: up_to(8), ..Limits::default() },
        ..of_one.clone()
    };
    let of_offer = |name: &str, offer: &str, limits| Budget {
        name: name.parse().unwrap(),
        organisation: None,
        offer: Some(offer.parse().unwrap()),
        limits,
        ..of_one.clone()
    };
    let requests = Limits { requests: up_to(50), ..Limits::default() };
    let money = Limits { money: up_to(50).and_then(euros), ..Limits::default() };
    let offers = [
        of_offer("requests-to-an-offer", "n0.example/n1/o0", requests),
        of_offer("money-to-an-offer", "n1.example/n1/o0", money),
    ];
    [of_one, of_app, at_once].into_iter().chain(offers).collect()
}
