//! The accounts: what was used and what is reserved, without a lock, without a clock, without I/O.
//!
//! An account has the period that runs and the one before it: a request that was decided just before midnight is counted where
//! it was decided, whoever comes first. A clock that is set back begins no period anew, since nobody is granted one twice.

use std::collections::HashMap;
use std::sync::Arc;

use comity_types::{ModelName, OfferName, SpiffeId, Timestamp, TrustDomain};

use super::amount::{Amount, Measure};
use super::definition::{Budget, Budgets, Dimension};
use super::exceeded::Exceeded;

/// How many accounts there are before those are looked for that nobody has used lately: as many as a busy federation has.
const SWEEP_FROM: usize = 4_096;
/// When a period began that there is none of.
const NEVER: i64 = i64::MIN;

/// Whose request it is, for what, and when it was decided.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The app that asks.
    pub caller: &'a SpiffeId,
    /// What it asks for.
    pub model: &'a ModelName,
    /// When that was decided.
    pub at: Timestamp,
}

/// Whose account it is: a budget's place, and a value for each that it tells accounts apart by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// The budget's place in its file.
    pub budget: usize,
    /// The organisation.
    pub organisation: Option<TrustDomain>,
    /// The app.
    pub app: Option<SpiffeId>,
    /// The model.
    pub model: Option<ModelName>,
    /// The offer.
    pub offer: Option<OfferName>,
}

impl Key {
    /// The account of a call under a budget.
    #[must_use]
    pub fn of((place, budget): (usize, &Budget), call: Call<'_>, offer: Option<&OfferName>) -> Self {
        let has = |dimension| budget.each.contains(&dimension);
        Self {
            budget: place,
            organisation: has(Dimension::Organisation).then(|| call.caller.trust_domain().clone()),
            app: has(Dimension::App).then(|| call.caller.clone()),
            model: has(Dimension::Model).then(|| call.model.clone()),
            offer: offer.filter(|_| has(Dimension::Offer)).cloned(),
        }
    }
}

/// One period of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// When it began, in milliseconds since 1970.
    pub begins: i64,
    /// When the next one begins.
    pub ends: i64,
    /// What was used.
    pub used: Amount,
    /// What is reserved for calls that run.
    pub reserved: Amount,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The period that runs.
    pub current: Tally,
    /// The one before.
    pub previous: Tally,
    /// Calls that run.
    pub running: u64,
}

/// What one budget holds for a call that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    key: Key,
    begins: i64,
    amount: Amount,
    /// Whether the call still counts as one of those that run.
    runs: bool,
}

impl Hold {
    /// Whose account it is.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.key
    }
}

/// All accounts.
#[derive(Debug, Clone)]
pub struct Book {
    budgets: Arc<Budgets>,
    accounts: HashMap<Key, Account>,
    sweep_at: usize,
}

impl Tally {
    const fn none() -> Self {
        Self::empty(NEVER, NEVER)
    }

    const fn empty(begins: i64, ends: i64) -> Self {
        const NOTHING: Amount = Amount { requests: 0, input_tokens: 0, output_tokens: 0, micros: 0 };
        Self { begins, ends, used: NOTHING, reserved: NOTHING }
    }
}

impl Account {
    const fn new() -> Self {
        Self { current: Tally::none(), previous: Tally::none(), running: 0 }
    }

    /// Turns to the period of `at`, if that is a new one.
    fn turn(&mut self, budget: &Budget, at: Timestamp) {
        if at.as_millis() >= self.current.ends {
            let span = budget.per.map_or(NEVER..i64::MAX, |period| period.around(at));
            self.previous = self.current;
            self.current = Tally::empty(span.start, span.end);
        }
    }

    /// The period that a call of `at` is counted in: that one, or, where it is long over, the one that runs.
    fn counted(&mut self, at: Timestamp) -> &mut Tally {
        let is_of = |tally: &Tally| (tally.begins..tally.ends).contains(&at.as_millis());
        if is_of(&self.previous) && !is_of(&self.current) { &mut self.previous } else { &mut self.current }
    }

    /// The period that began then, if it is still known.
    fn began(&mut self, begins: i64) -> Option<&mut Tally> {
        [&mut self.current, &mut self.previous].into_iter().find(|tally| tally.begins == begins)
    }

    /// Whether nothing of it matters at `at`, nor later.
    const fn is_over(&self, at: i64) -> bool {
        self.running == 0 && (self.current.ends <= at || self.current.begins == NEVER)
    }
}

impl Book {
    /// Of these budgets, with nothing used.
    #[must_use]
    pub fn new(budgets: Arc<Budgets>) -> Self {
        Self { budgets, accounts: HashMap::new(), sweep_at: SWEEP_FROM }
    }

    /// The budgets.
    #[must_use]
    pub const fn budgets(&self) -> &Arc<Budgets> {
        &self.budgets
    }

    /// All accounts.
    pub fn accounts(&self) -> impl Iterator<Item = (&Key, &Account)> {
        self.accounts.iter()
    }

    /// Puts an account in, as it was kept.
    pub fn put(&mut self, key: Key, current: Tally, previous: Option<Tally>) {
        let previous = previous.unwrap_or(Tally::none());
        self.accounts.insert(key, Account { current, previous, running: 0 });
    }

    /// What stands against a call that would come to `amount`: the budget that is renewed last, of those that have no room.
    #[must_use]
    pub fn exceeded(
        &self,
        call: Call<'_>,
        offer: Option<&OfferName>,
        amount: &dyn Fn(&Budget) -> Amount,
    ) -> Option<Exceeded> {
        let of_call = self.budgets.of(call.caller, call.model, offer);
        let over = of_call.filter_map(|(place, budget)| {
            let mut account = self.accounts.get(&Key::of((place, budget), call, offer)).cloned();
            let account = account.get_or_insert_with(Account::new);
            account.turn(budget, call.at);
            over(budget, account, call.at, amount(budget))
        });
        over.max_by_key(|exceeded| (exceeded.never, exceeded.renews_at))
    }

    /// Reserves `amount` under all budgets of a call, or under none.
    ///
    /// # Errors
    /// One has no room for it.
    pub fn reserve(
        &mut self,
        call: Call<'_>,
        offer: Option<&OfferName>,
        amount: &dyn Fn(&Budget) -> Amount,
    ) -> Result<Vec<Hold>, Box<Exceeded>> {
        if let Some(exceeded) = self.exceeded(call, offer, amount) {
            return Err(Box::new(exceeded));
        }
        self.sweep(call.at);
        let budgets = Arc::clone(&self.budgets);
        let hold = |(place, budget): (usize, &Budget)| {
            let (key, amount) = (Key::of((place, budget), call, offer), amount(budget));
            let account = self.accounts.entry(key.clone()).or_insert_with(Account::new);
            account.turn(budget, call.at);
            account.running = account.running.saturating_add(1);
            let tally = account.counted(call.at);
            tally.reserved = tally.reserved.plus(amount);
            Hold { key, begins: tally.begins, amount, runs: true }
        };
        Ok(budgets.of(call.caller, call.model, offer).map(hold).collect())
    }

    /// Reserves under a call's own budgets what it may come to at the first of several offers that they have room for, each by
    /// what the call comes to there (`amounts`). Beside it, which of all of them there is room for.
    ///
    /// # Errors
    /// There is for none: what stands against the one that is kept out the least.
    pub fn reserve_first<A: Fn(&Budget) -> Amount>(
        &mut self,
        call: Call<'_>,
        amounts: &[A],
    ) -> Result<(Vec<Hold>, Vec<bool>), Box<Exceeded>> {
        let budgets = Arc::clone(&self.budgets);
        let account = |(place, budget)| {
            let account = self.accounts.get(&Key::of((place, budget), call, None)).cloned();
            let mut account = account.unwrap_or_else(Account::new);
            account.turn(budget, call.at);
            (budget, account)
        };
        // Found once: there may be as many offers as a federation has, and they differ in nothing but what they cost.
        let mut own: Vec<_> = budgets.of(call.caller, call.model, None).map(account).collect();
        let against = |amount: &A| {
            let over = own.iter_mut().filter_map(|(budget, account)| over(budget, account, call.at, amount(budget)));
            over.max_by_key(|exceeded| (exceeded.never, exceeded.renews_at))
        };
        let against: Vec<_> = amounts.iter().map(against).collect();
        let have_room: Vec<_> = against.iter().map(Option::is_none).collect();
        match amounts.iter().zip(&have_room).find_map(|(amount, has_room)| has_room.then_some(amount)) {
            Some(first) => Ok((self.reserve(call, None, first)?, have_room)),
            None => {
                let least = |one: &Exceeded| (one.never, one.renews_at, one.needed);
                let exceeded = against.into_iter().flatten().min_by_key(least);
                // Without an offer there is nothing to reserve anything for.
                exceeded.map_or_else(|| Ok((Vec::new(), have_room)), |exceeded| Err(Box::new(exceeded)))
            }
        }
    }

    /// Reserves what a try may come to: under the budgets of its offer, `of_try`; and under the request's own, which hold
    /// `holds`, so much money that it is `of_request`. All of it, or nothing.
    ///
    /// # Errors
    /// One has no room for it.
    pub fn reserve_try(
        &mut self,
        (call, offer): (Call<'_>, &OfferName),
        holds: &mut [Hold],
        of_try: &dyn Fn(&Budget) -> Amount,
        of_request: &dyn Fn(&Budget) -> Amount,
    ) -> Result<Vec<Hold>, Box<Exceeded>> {
        if let Some(exceeded) = self.exceeded(call, Some(offer), of_try) {
            return Err(Box::new(exceeded));
        }
        self.reprice(holds, of_request)?;
        self.reserve(call, Some(offer), of_try)
    }

    /// Makes it so much money that is held for a call that runs, or leaves all as it was.
    ///
    /// # Errors
    /// A budget has no room for as much more.
    pub fn reprice(&mut self, holds: &mut [Hold], amount: &dyn Fn(&Budget) -> Amount) -> Result<(), Box<Exceeded>> {
        let budgets = Arc::clone(&self.budgets);
        for hold in &*holds {
            let Some(budget) = budgets.at(hold.key.budget) else { continue };
            let Some(limit) = budget.limits.money.as_ref().map(|money| money.micros) else { continue };
            let needed = amount(budget).micros;
            let tally = self.accounts.get_mut(&hold.key).and_then(|account| account.began(hold.begins));
            let Some(tally) = tally.filter(|_| needed > hold.amount.micros) else { continue };
            let (used, reserved) = (tally.used.micros, tally.reserved.micros.saturating_sub(hold.amount.micros));
            if used.saturating_add(reserved).saturating_add(needed) > limit {
                let sums = Sums { limit, used, reserved, needed };
                return Err(Box::new(exceeded(budget, tally, Measure::Money, &sums)));
            }
        }
        for hold in holds {
            let Some(budget) = budgets.at(hold.key.budget) else { continue };
            let repriced = Amount { micros: amount(budget).micros, ..hold.amount };
            if let Some(tally) = self.accounts.get_mut(&hold.key).and_then(|account| account.began(hold.begins)) {
                tally.reserved = tally.reserved.minus(hold.amount).plus(repriced);
            }
            hold.amount = repriced;
        }
        Ok(())
    }

    /// A call no longer runs; what it holds stays.
    pub fn ended(&mut self, hold: &mut Hold) {
        if std::mem::take(&mut hold.runs)
            && let Some(account) = self.accounts.get_mut(&hold.key)
        {
            account.running = account.running.saturating_sub(1);
        }
    }

    /// Gives up what is held; `used` of it was used.
    pub fn settle(&mut self, mut hold: Hold, used: Amount) {
        self.ended(&mut hold);
        let tally = self.accounts.get_mut(&hold.key).and_then(|account| account.began(hold.begins));
        if let Some(tally) = tally {
            tally.reserved = tally.reserved.minus(hold.amount);
            // Calls at once are of no time, in which something would be used.
            if tally.begins != NEVER {
                tally.used = tally.used.plus(used);
            }
        }
    }

    /// The same, where nobody says what was used: all of it counts as that.
    pub fn forfeit(&mut self, hold: Hold) {
        let all = hold.amount;
        self.settle(hold, all);
    }

    /// Counts what was used without having been reserved here: what the log says of an earlier life, or of a try that held
    /// nothing. What was decided in a period that is long over counts for nothing any more.
    pub fn charge(&mut self, key: Key, at: Timestamp, used: Amount) {
        let budgets = Arc::clone(&self.budgets);
        let Some(budget) = budgets.at(key.budget) else { return };
        if budget.per.is_none() {
            return;
        }
        self.sweep(at);
        let account = self.accounts.entry(key).or_insert_with(Account::new);
        account.turn(budget, at);
        let tally = account.counted(at);
        if at.as_millis() >= tally.begins {
            tally.used = tally.used.plus(used);
        }
    }

    /// Forgets accounts of which nothing matters any more, where there are many: each looks at twice as many as it leaves.
    fn sweep(&mut self, at: Timestamp) {
        if self.accounts.len() >= self.sweep_at {
            self.accounts.retain(|_, account| !account.is_over(at.as_millis()));
            self.sweep_at = self.accounts.len().saturating_mul(2).max(SWEEP_FROM);
        }
    }
}

/// What of a budget has no room for `amount`.
fn over(budget: &Budget, account: &mut Account, at: Timestamp, amount: Amount) -> Option<Exceeded> {
    let running = account.running;
    let tally = *account.counted(at);
    let mut limits = budget.limits.all().map(|(measure, limit)| {
        let (used, reserved, needed) = match measure {
            Measure::Concurrent => (0, running, 1),
            Measure::Requests | Measure::Tokens | Measure::InputTokens | Measure::OutputTokens | Measure::Money => {
                (tally.used.of(measure), tally.reserved.of(measure), amount.of(measure))
            }
        };
        let taken = used.saturating_add(reserved);
        (measure, limit, used, reserved, needed, taken.saturating_add(needed) > limit)
    });
    let (measure, limit, used, reserved, needed, _) = limits.find(|(.., over)| *over)?;
    Some(exceeded(budget, &tally, measure, &Sums { limit, used, reserved, needed }))
}

/// What there is of a measure, and what is wanted of it.
struct Sums {
    limit: u64,
    used: u64,
    reserved: u64,
    needed: u64,
}

/// That a budget has no room in this period.
fn exceeded(budget: &Budget, tally: &Tally, measure: Measure, sums: &Sums) -> Exceeded {
    let Sums { limit, used, reserved, needed } = *sums;
    let per = budget.per.filter(|_| measure != Measure::Concurrent);
    let renews_at = per.and_then(|_| Timestamp::from_millis(tally.ends).ok());
    Exceeded {
        budget: budget.name.clone(),
        measure,
        per,
        currency: budget.limits.money.as_ref().map(|money| money.currency.clone()),
        limit,
        used,
        reserved,
        needed,
        never: needed > limit,
        renews_at,
    }
}
