//! No sum of what was used and what is reserved is ever above a limit, whoever comes at once; and what a life has counted is
//! what the next one finds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use comity_types::{Money, OfferName, Price, SpiffeId, Timestamp};
use proptest::prelude::*;

use super::accounts::Accounts;
use super::amount::{Amount, Measure};
use super::book::{Book, Call, Key};
use super::charge::{Asked, Became, Candidate, charges};
use super::definition::{Budget, Budgets, Dimension, Limits};
use super::exceeded::Exceeded;
use super::period::Period;
use super::spending::Spending;

const MODEL: &str = "m";
/// What budgets reserve for an answer.
const RESERVED: u64 = 10;

fn budget(name: &str, per: Option<Period>, limits: Limits) -> Budget {
    Budget {
        name: name.parse().unwrap(),
        organisation: None,
        app: None,
        model: None,
        offer: None,
        each: [Dimension::Organisation].into(),
        per,
        limits,
        output_tokens_reserved: RESERVED,
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn offer(number: usize) -> OfferName {
    format!("op.example/n{number}/chat").parse().unwrap()
}

/// What costs one micro a token.
fn price(currency: &str) -> Option<Price> {
    Some(Price {
        currency: currency.parse().unwrap(),
        input_micros_per_million_tokens: 1_000_000,
        output_micros_per_million_tokens: 1_000_000,
    })
}

fn asked(organisation: &str, moment: &str, input_tokens: u64) -> Asked {
    let candidate = |number| Candidate { offer: offer(number), price: price("EUR") };
    Asked {
        caller: format!("spiffe://{organisation}/app/a").parse().unwrap(),
        model: MODEL.parse().unwrap(),
        at: at(moment),
        input_tokens,
        output_tokens: None,
        candidates: (0..3).map(candidate).collect(),
    }
}

fn accounts(budgets: Vec<Budget>) -> Accounts {
    Accounts::new(Book::new(Arc::new(Budgets::new(budgets, None))))
}

#[expect(clippy::needless_pass_by_value, reason = "most make what is asked where they say that it is reserved")]
fn reserve(accounts: &Accounts, asked: Asked) -> Result<Spending, String> {
    begin(accounts, &asked).map_err(|exceeded| exceeded.to_string())
}

/// Reserves what it may come to at the first of its offers that there is room for.
fn begin(accounts: &Accounts, asked: &Asked) -> Result<Spending, Box<Exceeded>> {
    let mut offers = asked.candidates.clone();
    Spending::reserve(accounts, (asked.call(), asked.most()), &mut offers)
}

/// What the accounts of a budget have used and reserved in the period that runs.
fn state(accounts: &Accounts, place: usize) -> Vec<(Amount, Amount, u64)> {
    accounts.read(|book| {
        let own = book.accounts().filter(|(key, _)| key.budget == place);
        own.map(|(_, account)| (account.current.used, account.current.reserved, account.running)).collect()
    })
}

fn requests(limit: u64) -> Limits {
    Limits { requests: Some(limit), ..Limits::default() }
}

fn everything() -> Limits {
    Limits {
        requests: Some(40),
        tokens: Some(1_000),
        input_tokens: Some(800),
        output_tokens: Some(300),
        money: Some(Money { currency: "EUR".parse().unwrap(), micros: 900 }),
        concurrent: Some(4),
    }
}

/// What a caller does with what it reserved.
#[derive(Debug, Clone, Copy)]
enum End {
    /// The node of its last try signs so many tokens.
    Signed(u64, u64),
    /// Nobody signs, and so many tokens went to the caller.
    Unsigned(u64),
    /// Nothing was sent.
    Nothing,
    /// Whoever had it has gone.
    Dropped,
}

fn ends() -> impl Strategy<Value = End> {
    prop_oneof![
        3 => (0..20_u64, 0..=10_u64).prop_map(|(input, output)| End::Signed(input, output)),
        1 => (0..1_000_u64).prop_map(End::Unsigned),
        1 => Just(End::Nothing),
        1 => Just(End::Dropped),
    ]
}

/// What a million tokens cost at each offer: from next to nothing to more than any budget has.
fn prices() -> impl Strategy<Value = [u64; 3]> {
    [(); 3].map(|()| (0..16_u32).prop_map(|exponent| 10_u64.pow(exponent)))
}

/// What costs so much a million tokens.
fn costing(per_million: u64) -> Option<Price> {
    let eur = price("EUR").unwrap();
    Some(Price { input_micros_per_million_tokens: per_million, output_micros_per_million_tokens: per_million, ..eur })
}

/// How many tokens a node may sign at most, where the caller says how many it wants.
fn most() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![Just(None), (0..RESERVED * 2).prop_map(Some)]
}

proptest! {
    /// Eight threads, two organisations, four budgets, callers who say how long an answer may be and others, and a watcher that
    /// looks all the while.
    #[test]
    fn callers_at_once_never_overspend_and_what_is_left_is_what_a_model_says(
        calls in proptest::collection::vec((any::<bool>(), (1..20_u64, most()), prices(), (0..3_usize, ends())), 1..200)
    ) {
        let mut shared = budget("shared", Some(Period::Day), everything());
        shared.each.clear();
        let mut of_offers = budget("of-offers", Some(Period::Hour), requests(25));
        of_offers.each = [Dimension::Offer].into();
        let all = vec![budget("each", Some(Period::Day), everything()), shared, of_offers, budget("at-once", None, Limits { concurrent: Some(2), ..Limits::default() })];
        let accounts = accounts(all);
        let (next, model) = (AtomicU64::new(0), std::sync::Mutex::new(BTreeMap::<String, Amount>::new()));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    while let Some(call) = calls.get(usize::try_from(next.fetch_add(1, Ordering::SeqCst)).unwrap()) {
                        one(&accounts, *call, &model);
                        holds(&accounts);
                    }
                });
            }
        });
        holds(&accounts);
        let left: BTreeMap<_, _> = accounts.read(|book| {
            book.accounts().map(|(key, account)| (format!("{key:?}"), account.current.used)).collect()
        });
        let is_used = |(_, amount): &(String, Amount)| *amount != Amount::default();
        let expected: BTreeMap<_, _> = model.into_inner().unwrap().into_iter().filter(is_used).collect();
        prop_assert_eq!(left.into_iter().filter(is_used).collect::<BTreeMap<_, _>>(), expected);
        accounts.read(|book| for (_, account) in book.accounts() {
            assert_eq!((account.current.reserved, account.running), (Amount::default(), 0));
        });
    }
}

/// Whose it is, its tokens, what its offers cost, and what becomes of it.
type Drawn = (bool, (u64, Option<u64>), [u64; 3], (usize, End));

fn one(
    accounts: &Accounts,
    (of_one, (input, most), prices, (tried, end)): Drawn,
    model: &std::sync::Mutex<BTreeMap<String, Amount>>,
) {
    let asked = asked(if of_one { "one.example" } else { "two.example" }, "2026-11-30T10:00:00Z", input);
    let mut asked = Asked { output_tokens: most, ..asked };
    asked.candidates.iter_mut().zip(prices).for_each(|(one, per_million)| one.price = costing(per_million));
    let mut offers = asked.candidates.clone();
    let Ok(mut spending) = Spending::reserve(accounts, (asked.call(), asked.most()), &mut offers) else { return };
    let first = offers[0].price.clone();
    asked.candidates.clone_from(&offers);
    let tries: Vec<_> = (1..)
        .zip(offers.iter().take(tried + 1).map(|one| one.offer.clone()))
        .filter_map(|(attempt, offer)| spending.reserve_try(&offer, attempt).ok().map(|()| offer))
        .collect();
    std::thread::yield_now();
    let became = match end {
        End::Signed(input, output) => {
            // More than its caller wants is no node's word (`Plausible`).
            let signed = Some((input.min(asked.input_tokens), output.min(most.unwrap_or(u64::MAX))));
            Became::Ended { tries: &tries, signed, passed: 0 }
        }
        // Where nobody says how long an answer may be, one that is longer than what is reserved overdraws, as is documented.
        End::Unsigned(passed) => {
            let passed = if most.is_some_and(|most| most <= RESERVED) { passed } else { passed.min(RESERVED) };
            Became::Ended { tries: &tries, signed: None, passed }
        }
        End::Dropped => Became::Ended { tries: &tries, signed: None, passed: 0 },
        End::Nothing => Became::Ended { tries: &[], signed: None, passed: 0 },
    };
    let mut used = charges(accounts.budgets(), &asked, became);
    match end {
        End::Dropped => {
            drop(spending);
            // Nobody knows that nothing was tried.
            for (place, budget) in accounts.budgets().of(&asked.caller, &asked.model, None) {
                let at = |price: Option<&Price>| asked.at_most_of(budget, price);
                let tried = tries.iter().map(|offer| at(asked.price(offer)));
                let dearest = tried.max_by_key(|most| most.micros).unwrap_or_else(|| at(first.as_ref()));
                used.insert(Key::of((place, budget), asked.call(), None), dearest);
            }
        }
        End::Signed(..) | End::Unsigned(_) | End::Nothing => spending.end(became),
    }
    let mut model = model.lock().unwrap();
    let counted = used.into_iter().filter(|(key, _)| accounts.budgets().at(key.budget).unwrap().per.is_some());
    for (key, amount) in counted {
        let sum = model.entry(format!("{key:?}")).or_default();
        *sum = sum.plus(amount);
    }
}

proptest! {
    /// Whoever runs beside it, and whatever the offers cost: a request is refused only where the cheapest of them is too dear; of
    /// those that it may go to, each has room; and whatever becomes of it costs what its own offer does.
    #[test]
    fn a_dear_offer_refuses_nobody_whom_the_cheapest_alone_would_have_room_for(
        calls in proptest::collection::vec((1..20_u64, prices(), any::<prop::sample::Index>(), 0..4_u8), 1..60)
    ) {
        let accounts = accounts(vec![budget("b", Some(Period::Day), Limits { money: everything().money, ..Limits::default() })]);
        let mut running = Vec::new();
        for (input, prices, place, step) in calls {
            let mut asked = asked("a.example", "2026-11-30T10:00:00Z", input);
            asked.candidates.iter_mut().zip(prices).for_each(|(one, per_million)| one.price = costing(per_million));
            let fits = |price: Option<&Price>| {
                accounts.exceeded(asked.call(), None, &|budget| asked.at_most_of(budget, price)).is_none()
            };
            let expected: Vec<_> = asked.candidates.iter().filter(|one| fits(one.price.as_ref())).cloned().collect();
            let mut offers = asked.candidates.clone();
            let spending = Spending::reserve(&accounts, (asked.call(), asked.most()), &mut offers);
            prop_assert_eq!(spending.is_err(), expected.is_empty());
            holds(&accounts);
            if let Ok(mut spending) = spending {
                prop_assert_eq!(&offers, &expected);
                let tried = place.get(&offers).offer.clone();
                // Beside others that run there is as much room as was just found.
                prop_assert!(spending.reserve_try(&tried, 1).is_ok());
                holds(&accounts);
                running.push((spending, tried));
            }
            if step == 0 && !running.is_empty() {
                let (spending, tried) = running.swap_remove(place.index(running.len()));
                spending.end(Became::Ended { tries: &[tried], signed: None, passed: 0 });
                holds(&accounts);
            }
        }
    }
}

#[test]
fn a_member_that_offers_what_nobody_can_pay_locks_nobody_out() {
    let money =
        Limits { money: Some(Money { currency: "EUR".parse().unwrap(), micros: 250_000_000 }), ..Limits::default() };
    let accounts = accounts(vec![budget("b", Some(Period::Month), money)]);
    for dear in [45_000_000_000_u64, 1_000_000_000_000_000] {
        let mut asked = asked("a.example", "2026-11-30T10:00:00Z", 4_400);
        asked.candidates.truncate(2);
        asked.candidates[0].price = costing(100_000);
        asked.candidates[1].price = costing(dear);
        for _ in 0..3 {
            // Many at once, each of which is left by its caller.
            let all: Vec<_> = (0..100).map(|_| reserve(&accounts, asked.clone()).unwrap()).collect();
            for mut spending in all {
                spending.reserve_try(&offer(0), 1).unwrap();
                spending.end(Became::Ended { tries: &[offer(0)], signed: None, passed: 0 });
            }
        }
    }
    assert_eq!(state(&accounts, 0)[0].0.micros, 600 * 441, "4,410 tokens at 0.1 a piece, each time");
}

#[test]
fn what_fits_is_tried_where_a_dearer_offer_does_not() {
    let ten = Limits { money: Some(Money { currency: "EUR".parse().unwrap(), micros: 10 }), ..Limits::default() };
    let accounts = accounts(vec![budget("b", Some(Period::Day), ten)]);
    let mut asked = asked("a.example", "2026-11-30T10:00:00Z", 4_400);
    asked.candidates.truncate(2);
    asked.candidates[0].price = costing(10_000);
    asked.candidates[1].price = costing(1);
    let mut offers = asked.candidates.clone();
    let _running = Spending::reserve(&accounts, (asked.call(), asked.most()), &mut offers).unwrap();
    assert_eq!(offers.iter().map(|one| &one.offer).collect::<Vec<_>>(), [&offer(1)]);
    assert_eq!(state(&accounts, 0)[0].1.micros, 1);
    asked.candidates.truncate(1);
    let refused = reserve(&accounts, asked).unwrap_err();
    assert!(refused.contains("budget b has no room for a request of up to 45 millionths"), "{refused}");
}

#[test]
fn as_much_is_reserved_as_the_dearest_try_may_cost_and_a_try_that_there_is_no_room_for_changes_nothing() {
    let money = Limits { money: Some(Money { currency: "EUR".parse().unwrap(), micros: 500 }), ..Limits::default() };
    let mut of_offers = budget("offers", None, Limits { concurrent: Some(1), ..Limits::default() });
    of_offers.each = [Dimension::Offer].into();
    let accounts = accounts(vec![budget("b", Some(Period::Day), money), of_offers]);
    let mut asked = asked("a.example", "2026-11-30T10:00:00Z", 90);
    for (one, per_million) in asked.candidates.iter_mut().zip([1_000_000, 2_000_000, 4_000_000]) {
        one.price = costing(per_million);
    }
    let reserved = || state(&accounts, 0)[0].1.micros;
    let mut one = reserve(&accounts, asked.clone()).unwrap();
    assert_eq!(reserved(), 100);
    let mut other = reserve(&accounts, asked).unwrap();
    one.reserve_try(&offer(0), 1).unwrap();
    assert_eq!(reserved(), 200);
    one.reserve_try(&offer(1), 2).unwrap();
    assert_eq!(reserved(), 300);
    let refused = other.reserve_try(&offer(2), 1).unwrap_err();
    assert_eq!((refused.measure, refused.reserved, refused.needed, refused.limit), (Measure::Money, 200, 400, 500));
    assert_eq!((reserved(), state(&accounts, 1).len()), (300, 2), "its offer's budget holds nothing of it");
    // One that nobody has run takes what was reserved for it with it.
    one.passed_over(2);
    assert_eq!(reserved(), 200);
    one.end(Became::Ended { tries: &[offer(0)], signed: None, passed: 0 });
    other.reserve_try(&offer(2), 1).unwrap();
    assert_eq!((state(&accounts, 0)[0].0.micros, reserved()), (100, 400));
    other.end(Became::Ended { tries: &[offer(2)], signed: Some((1, 1)), passed: 0 });
    assert_eq!((state(&accounts, 0)[0].0.micros, reserved()), (108, 0));
}

/// That no limit is passed, at this very instant.
fn holds(accounts: &Accounts) {
    accounts.read(|book| {
        for (key, account) in book.accounts() {
            let budget = book.budgets().at(key.budget).unwrap();
            for (measure, limit) in budget.limits.all() {
                let taken = match measure {
                    Measure::Concurrent => account.running,
                    other @ (Measure::Requests
                    | Measure::Tokens
                    | Measure::InputTokens
                    | Measure::OutputTokens
                    | Measure::Money) => account.current.used.plus(account.current.reserved).of(other),
                };
                assert!(taken <= limit, "{} {measure}: {taken} of {limit}", budget.name);
            }
        }
    });
}

#[test]
fn a_reservation_is_under_all_budgets_of_a_call_or_under_none() {
    let roomy = budget("roomy", Some(Period::Day), requests(10));
    let tight = budget("tight", Some(Period::Hour), requests(1));
    let accounts = accounts(vec![roomy, tight]);
    let moment = "2026-11-30T10:15:00Z";
    let first = reserve(&accounts, asked("a.example", moment, 1)).unwrap();
    let refused = reserve(&accounts, asked("a.example", moment, 1)).unwrap_err();
    assert!(refused.contains("budget tight has no room"), "{refused}");
    assert_eq!(state(&accounts, 0)[0].1.requests, 1);
    // Another organisation has an account of its own.
    drop(reserve(&accounts, asked("b.example", moment, 1)).unwrap());
    drop(first);
}

#[test]
fn what_was_signed_replaces_what_was_reserved_and_what_nobody_signed_stands_in_full() {
    let limits = Limits { tokens: Some(1_000), money: everything().money, ..Limits::default() };
    let mut by_offer = budget("offers", Some(Period::Day), Limits { tokens: Some(1_000), ..Limits::default() });
    by_offer.each = [Dimension::Offer].into();
    let accounts = accounts(vec![budget("b", Some(Period::Day), limits), by_offer]);
    let used = |accounts: &Accounts, place| -> u64 {
        state(accounts, place).iter().map(|one| one.0.of(Measure::Tokens)).sum()
    };
    let begin = || {
        let mut spending = reserve(&accounts, asked("a.example", "2026-11-30T10:00:00Z", 90)).unwrap();
        spending.reserve_try(&offer(0), 1).unwrap();
        spending
    };
    begin().end(Became::Ended { tries: &[offer(0)], signed: Some((7, 3)), passed: 0 });
    assert_eq!((used(&accounts, 0), used(&accounts, 1)), (10, 10));
    assert_eq!(state(&accounts, 0)[0].0.micros, 10);
    begin().end(Became::Ended { tries: &[offer(0)], signed: None, passed: 0 });
    assert_eq!((used(&accounts, 0), used(&accounts, 1)), (110, 110));
    // A try that failed before the one that answered counts for its offer alone: a request is answered once.
    let mut twice = begin();
    twice.reserve_try(&offer(1), 2).unwrap();
    twice.end(Became::Ended { tries: &[offer(0), offer(1)], signed: Some((7, 3)), passed: 0 });
    assert_eq!((used(&accounts, 0), used(&accounts, 1)), (120, 220));
    // Nothing was sent: nothing was used.
    begin().end(Became::Ended { tries: &[], signed: None, passed: 0 });
    assert_eq!((used(&accounts, 0), used(&accounts, 1)), (120, 220));
    // Nobody knows what became of it.
    drop(begin());
    assert_eq!((used(&accounts, 0), used(&accounts, 1)), (220, 320));
}

#[test]
fn what_was_passed_on_counts_where_nobody_signed_and_it_is_more_than_was_reserved() {
    let mut by_offer = budget("offers", Some(Period::Day), Limits { tokens: Some(1_000), ..Limits::default() });
    by_offer.each = [Dimension::Offer].into();
    let money = Limits { money: everything().money, ..Limits::default() };
    let accounts = accounts(vec![budget("b", Some(Period::Day), money), by_offer]);
    for (passed, signed, output) in [(9, None, 10), (30, None, 40), (30, Some((5, 2)), 42)] {
        let mut spending = reserve(&accounts, asked("a.example", "2026-11-30T10:00:00Z", 5)).unwrap();
        spending.reserve_try(&offer(0), 1).unwrap();
        spending.end(Became::Ended { tries: &[offer(0)], signed, passed });
        assert_eq!(state(&accounts, 1)[0].0.output_tokens, output);
        assert_eq!(state(&accounts, 0)[0].0.micros, state(&accounts, 1)[0].0.of(Measure::Tokens), "a micro a token");
    }
}

#[test]
fn what_the_caller_wants_at_most_is_reserved_where_it_is_less_and_no_more_of_it_is_ever_counted() {
    let limits = || Limits { output_tokens: Some(100), ..Limits::default() };
    let mut by_offer = budget("offers", Some(Period::Day), limits());
    by_offer.each = [Dimension::Offer].into();
    for (most, reserved) in [(None, 10), (Some(4), 4), (Some(0), 0), (Some(11), 10)] {
        let accounts = accounts(vec![budget("b", Some(Period::Day), limits()), by_offer.clone()]);
        let asked = Asked { output_tokens: most, ..asked("a.example", "2026-11-30T10:00:00Z", 5) };
        let mut spending = reserve(&accounts, asked).unwrap();
        spending.reserve_try(&offer(0), 1).unwrap();
        let held = |place: usize| state(&accounts, place)[0].1.output_tokens;
        assert_eq!((held(0), held(1)), (reserved, reserved), "{most:?}");
        // Bytes are counted for tokens where nobody signs: those of frames as well, so that they are more.
        spending.end(Became::Ended { tries: &[offer(0)], signed: None, passed: 30 });
        let used = |place: usize| state(&accounts, place)[0].0.output_tokens;
        assert_eq!((used(0), used(1)), (most.unwrap_or(30), most.unwrap_or(30)), "{most:?}");
    }
}

#[test]
fn more_than_was_reserved_is_counted_where_a_node_signs_it() {
    let accounts = accounts(vec![budget("b", Some(Period::Day), Limits { tokens: Some(110), ..Limits::default() })]);
    let spending = reserve(&accounts, asked("a.example", "2026-11-30T10:00:00Z", 100)).unwrap();
    spending.end(Became::Ended { tries: &[offer(0)], signed: Some((100, 500)), passed: 0 });
    assert_eq!(state(&accounts, 0)[0].0.of(Measure::Tokens), 600);
    let refused = reserve(&accounts, asked("a.example", "2026-11-30T23:59:59.999Z", 1)).unwrap_err();
    assert!(refused.contains("of 110 in a day, 600 are used") && refused.contains("2026-12-01T00:00:00Z"), "{refused}");
}

#[test]
fn a_budget_is_renewed_when_its_period_ends_and_no_clock_that_is_set_back_renews_it() {
    let accounts = accounts(vec![budget("b", Some(Period::Minute), requests(1))]);
    let spend = |moment: &str| match reserve(&accounts, asked("a.example", moment, 1)) {
        Ok(spending) => {
            spending.end(Became::Ended { tries: &[offer(0)], signed: Some((1, 1)), passed: 0 });
            true
        }
        Err(_) => false,
    };
    assert!(spend("2026-11-30T10:00:59.999Z"));
    assert!(!spend("2026-11-30T10:00:00Z"));
    assert!(spend("2026-11-30T10:01:00Z"));
    assert!(!spend("2026-11-30T10:01:59Z"));
    // Back into the minute before, and far behind both.
    assert!(!spend("2026-11-30T10:00:30Z"));
    assert!(!spend("2026-11-30T09:00:00Z"));
    assert!(spend("2026-11-30T10:02:00Z"));
}

#[test]
fn what_ends_after_its_period_takes_nothing_from_the_next_one() {
    let accounts = accounts(vec![budget("b", Some(Period::Minute), requests(2))]);
    let long = reserve(&accounts, asked("a.example", "2026-11-30T10:00:00Z", 1)).unwrap();
    let next = reserve(&accounts, asked("a.example", "2026-11-30T10:01:00Z", 1)).unwrap();
    long.end(Became::Ended { tries: &[offer(0)], signed: Some((1, 1)), passed: 0 });
    assert_eq!(
        state(&accounts, 0),
        [(Amount::default(), Amount { requests: 1, input_tokens: 1, output_tokens: 10, micros: 0 }, 1)]
    );
    drop(next);
}

#[test]
fn calls_at_once_are_of_no_time_and_a_try_that_failed_leaves_its_place() {
    let mut of_offers = budget("b", None, Limits { concurrent: Some(1), ..Limits::default() });
    of_offers.each = [Dimension::Offer].into();
    let accounts = accounts(vec![of_offers]);
    let begin = || reserve(&accounts, asked("a.example", "2026-11-30T10:00:00Z", 1)).unwrap();
    let (mut one, mut other) = (begin(), begin());
    one.reserve_try(&offer(0), 1).unwrap();
    let refused = other.reserve_try(&offer(0), 1).unwrap_err();
    assert_eq!(
        (refused.measure, refused.reserved, refused.limit, refused.renews_at),
        (Measure::Concurrent, 1, 1, None)
    );
    other.reserve_try(&offer(1), 2).unwrap();
    one.ended(1);
    other.reserve_try(&offer(0), 1).unwrap();
    other.end(Became::Ended { tries: &[offer(1), offer(0)], signed: None, passed: 0 });
    one.reserve_try(&offer(0), 1).unwrap();
}

#[test]
fn a_try_that_is_passed_over_gives_back_what_was_reserved_for_it() {
    let limits = Limits { concurrent: Some(1), ..requests(1) };
    let mut of_offers = budget("b", Some(Period::Day), limits);
    of_offers.each = [Dimension::Offer].into();
    let accounts = accounts(vec![of_offers]);
    let begin = || reserve(&accounts, asked("a.example", "2026-11-30T10:00:00Z", 1)).unwrap();
    let (mut one, mut other) = (begin(), begin());
    one.reserve_try(&offer(0), 1).unwrap();
    one.passed_over(1);
    one.reserve_try(&offer(1), 2).unwrap();
    other.reserve_try(&offer(0), 1).unwrap();
    one.end(Became::Ended { tries: &[offer(1)], signed: None, passed: 0 });
    other.end(Became::Ended { tries: &[offer(0)], signed: None, passed: 0 });
    for used in [0, 1] {
        assert_eq!(begin().reserve_try(&offer(used), 1).unwrap_err().used, 1, "each is used up by its own");
    }
}

#[test]
fn of_what_nobody_knows_the_dearest_that_may_have_run_counts_and_no_price_costs_nothing() {
    let money = Limits { money: everything().money, ..Limits::default() };
    let one = budget("b", Some(Period::Day), money);
    let mut asked = asked("a.example", "2026-11-30T10:00:00Z", 90);
    asked.candidates[0].price = None;
    asked.candidates[1].price.as_mut().unwrap().input_micros_per_million_tokens = 5_000_000;
    assert_eq!(asked.at_most(&one).micros, 5 * 90 + 10);
    asked.candidates.truncate(1);
    assert_eq!(asked.at_most(&one).micros, 0);
    asked.candidates[0].price = price("USD");
    assert_eq!(asked.at_most(&one).micros, u64::MAX);
}

#[test]
fn a_request_that_can_never_have_room_is_told_so_and_not_to_wait() {
    let accounts =
        accounts(vec![budget("b", Some(Period::Month), Limits { input_tokens: Some(50), ..Limits::default() })]);
    let call = asked("a.example", "2026-11-30T10:00:00Z", 51);
    let refused = begin(&accounts, &call).unwrap_err();
    assert!(refused.never && refused.to_string().contains("it never has"), "{refused}");
    let failure = refused.failure(at("2026-11-30T10:00:00Z"));
    assert_eq!((failure.reason, failure.retry_after), ("BUDGET_EXCEEDED", None));
}

#[test]
fn who_is_reserved_for_calls_that_run_is_not_told_to_wait_for_the_renewal() {
    let accounts = accounts(vec![budget("b", Some(Period::Day), requests(1))]);
    let (moment, call) = (at("2026-11-30T23:59:00Z"), asked("a.example", "2026-11-30T23:59:00Z", 1));
    let running = begin(&accounts, &call).unwrap();
    let refused = begin(&accounts, &call).unwrap_err();
    assert_eq!((refused.used, refused.reserved, refused.failure(moment).retry_after), (0, 1, None));
    running.end(Became::Ended { tries: &[offer(0)], signed: None, passed: 0 });
    let refused = begin(&accounts, &call).unwrap_err().failure(moment);
    assert_eq!(refused.retry_after, Some(std::time::Duration::from_secs(60)));
    let said: BTreeMap<_, _> = refused.metadata.into_iter().collect();
    for (key, value) in [
        ("budget", "b"),
        ("measure", "requests"),
        ("limit", "1"),
        ("used", "1"),
        ("reserved", "0"),
        ("renews_at", "2026-12-01T00:00:00Z"),
    ] {
        assert_eq!(said[key], value, "{key}");
    }
}

#[test]
fn a_budget_is_of_whom_and_of_what_it_says_and_of_nobody_else() {
    let caller: SpiffeId = "spiffe://a.example/app/a".parse().unwrap();
    let mut one = budget("b", Some(Period::Day), requests(1));
    one.organisation = Some("a.example".parse().unwrap());
    one.app = Some(caller.clone());
    one.model = Some(MODEL.parse().unwrap());
    let budgets = Budgets::new(vec![one.clone(), budget("all", Some(Period::Day), requests(1))], None);
    let of = |caller: &str, model: &str| {
        let (caller, model) = (caller.parse().unwrap(), model.parse().unwrap());
        budgets.of(&caller, &model, None).map(|(_, budget)| budget.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(of("spiffe://a.example/app/a", MODEL), ["all", "b"]);
    for (caller, model) in
        [("spiffe://a.example/app/b", MODEL), ("spiffe://b.example/app/a", MODEL), ("spiffe://a.example/app/a", "n")]
    {
        assert_eq!(of(caller, model), ["all"]);
    }
    one.offer = Some(offer(1));
    let model = MODEL.parse().unwrap();
    assert!(one.covers(&caller, &model, Some(&offer(1))));
    assert!(!one.covers(&caller, &model, Some(&offer(2))) && !one.covers(&caller, &model, None));
    let call = Call { caller: &caller, model: &model, at: at("2026-11-30") };
    assert_eq!(Key::of((0, &one), call, Some(&offer(1))).offer, None);
}
