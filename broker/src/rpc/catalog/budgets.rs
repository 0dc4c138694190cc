//! `Catalog.ListBudgets`: the accounts that somebody may see, as they are now.

use comity_policy::disclosure::Viewer;
use comity_proto::catalog::{BudgetAccount, BudgetState};
use comity_types::{SpiffeId, Timestamp, TrustDomain};

use crate::budgets::accounts::Accounts;
use crate::budgets::amount::Measure;
use crate::budgets::book::{Account, Key};
use crate::budgets::definition::{Budget, Dimension};
use crate::rpc::timestamp;

/// The accounts that `viewer` may see at `now`, in the order of their file: all of them, for who governs; to others, those of
/// their own organisation and its apps. What all organisations share is theirs to see by no other way than a refusal.
pub(super) fn list(accounts: &Accounts, viewer: Viewer<'_>, now: Timestamp) -> Vec<BudgetAccount> {
    accounts.read(|book| {
        let budgets = accounts.budgets();
        let shown = book.accounts().filter_map(|(key, account)| {
            let budget = budgets.at(key.budget)?;
            sees(viewer, budget, key).then(|| (key.budget, wire(budget, key, Some(account), now)))
        });
        let mut shown: Vec<_> = shown.collect();
        for (place, budget) in budgets.all() {
            let Some(key) = unused(viewer, place, budget) else { continue };
            if !book.accounts().any(|(other, _)| *other == key) {
                shown.push((place, wire(budget, &key, None, now)));
            }
        }
        shown.sort_by(|(one, a), (other, b)| (one, by_whom(a)).cmp(&(other, by_whom(b))));
        shown.into_iter().map(|(_, account)| account).collect()
    })
}

/// In which order the accounts of one budget stand.
fn by_whom(account: &BudgetAccount) -> (&str, &str, &str, &str) {
    (&account.organisation, &account.app, &account.model, &account.offer)
}

/// Whether an account is one that `viewer` may see.
fn sees(viewer: Viewer<'_>, budget: &Budget, key: &Key) -> bool {
    let Viewer::Member(own) = viewer else { return true };
    let is_own = |domain: Option<&TrustDomain>| domain == Some(own);
    let domain = |app: &Option<SpiffeId>| app.as_ref().map(|app| app.trust_domain().clone());
    [key.organisation.clone(), domain(&key.app), budget.organisation.clone(), domain(&budget.app)]
        .iter()
        .any(|of| is_own(of.as_ref()))
}

/// The account that `viewer` has before anything is used of it, where it is only one.
fn unused(viewer: Viewer<'_>, place: usize, budget: &Budget) -> Option<Key> {
    let key = |organisation| Key { budget: place, organisation, app: None, model: None, offer: None };
    let has_others = budget.each.iter().any(|dimension| *dimension != Dimension::Organisation);
    let of = budget.organisation.clone().or_else(|| budget.app.as_ref().map(|app| app.trust_domain().clone()));
    match viewer {
        _ if has_others => None,
        Viewer::Governor if budget.each.is_empty() => Some(key(None)),
        Viewer::Governor => of.map(|of| key(Some(of))),
        Viewer::Member(own) if of.as_ref().is_some_and(|of| of != own) => None,
        Viewer::Member(own) if !budget.each.is_empty() => Some(key(Some(own.clone()))),
        Viewer::Member(_) => of.map(|_| key(None)),
    }
}

fn wire(budget: &Budget, key: &Key, account: Option<&Account>, now: Timestamp) -> BudgetAccount {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let current = account.map(|account| account.current).filter(|tally| now.as_millis() < tally.ends);
    let state = |(measure, limit): (Measure, u64)| {
        let (used, reserved) = match (measure, current) {
            (Measure::Concurrent, _) => (0, account.map_or(0, |account| account.running)),
            (_, Some(tally)) => (tally.used.of(measure), tally.reserved.of(measure)),
            (_, None) => (0, 0),
        };
        BudgetState { measure: measure.name().to_owned(), limit, used, reserved }
    };
    let renews_at = budget.per.and_then(|per| Timestamp::from_millis(per.around(now).end).ok());
    BudgetAccount {
        budget: budget.name.to_string(),
        organisation: text(key.organisation.as_ref().or(budget.organisation.as_ref()).map(TrustDomain::as_str)),
        app: text(key.app.as_ref().or(budget.app.as_ref()).map(SpiffeId::as_str)),
        model: text(key.model.as_ref().or(budget.model.as_ref()).map(comity_types::ModelName::as_str)),
        offer: text(key.offer.as_ref().or(budget.offer.as_ref()).map(comity_types::OfferName::as_str)),
        per: text(budget.per.map(crate::budgets::period::Period::name)),
        renews_at: renews_at.map(timestamp),
        currency: text(budget.limits.money.as_ref().map(|money| money.currency.as_str())),
        states: budget.limits.all().map(state).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::budgets::book::{Book, Call};
    use crate::budgets::definition::{Budgets, Limits};
    use crate::budgets::period::Period;

    fn budget(name: &str, organisation: Option<&str>, each: &[Dimension]) -> Budget {
        Budget {
            name: name.parse().unwrap(),
            organisation: organisation.map(|domain| domain.parse().unwrap()),
            app: None,
            model: None,
            offer: None,
            each: each.iter().copied().collect(),
            per: Some(Period::Day),
            limits: Limits { requests: Some(10), concurrent: Some(2), ..Limits::default() },
            output_tokens_reserved: 0,
        }
    }

    /// Budget, whose, and the state of its first limit.
    fn listed(accounts: &Accounts, viewer: Viewer<'_>, now: &str) -> Vec<(String, String, u64, u64)> {
        let all = list(accounts, viewer, now.parse().unwrap());
        let row = |one: BudgetAccount| {
            let whose = if one.app.is_empty() { one.organisation } else { one.app };
            (one.budget, whose, one.states[0].used, one.states[0].reserved)
        };
        all.into_iter().map(row).collect()
    }

    #[test]
    fn a_member_sees_its_own_accounts_and_no_others_and_who_governs_sees_all() {
        let budgets = vec![
            budget("each", None, &[Dimension::Organisation]),
            budget("apps", None, &[Dimension::App]),
            budget("of-a", Some("a.example"), &[]),
            budget("shared", None, &[]),
        ];
        let accounts = Accounts::new(Book::new(Arc::new(Budgets::new(budgets, None))));
        let (model, at) = ("m".parse().unwrap(), "2026-11-30T10:00:00Z".parse().unwrap());
        let held: Vec<_> = ["a.example", "b.example"]
            .map(|domain| {
                let caller = format!("spiffe://{domain}/app/x").parse().unwrap();
                let call = Call { caller: &caller, model: &model, at };
                let one = |_: &Budget| crate::budgets::amount::Amount { requests: 1, ..Default::default() };
                accounts.reserve_first(call, &[one]).unwrap().0
            })
            .into();
        let rows = |rows: &[(&str, &str, u64, u64)]| {
            rows.iter().map(|(a, b, c, d)| ((*a).to_owned(), (*b).to_owned(), *c, *d)).collect::<Vec<_>>()
        };
        let (a, c) = ("a.example".parse().unwrap(), "c.example".parse().unwrap());
        let now = "2026-11-30T11:00:00Z";
        let of_a =
            [("each", "a.example", 0, 1), ("apps", "spiffe://a.example/app/x", 0, 1), ("of-a", "a.example", 0, 1)];
        assert_eq!(listed(&accounts, Viewer::Member(&a), now), rows(&of_a));
        // Who has used nothing sees what there is.
        assert_eq!(listed(&accounts, Viewer::Member(&c), now), rows(&[("each", "c.example", 0, 0)]));
        drop(held);
        let all = [
            ("each", "a.example", 1, 0),
            ("each", "b.example", 1, 0),
            ("apps", "spiffe://a.example/app/x", 1, 0),
            ("apps", "spiffe://b.example/app/x", 1, 0),
            ("of-a", "a.example", 1, 0),
            ("shared", "", 2, 0),
        ];
        assert_eq!(listed(&accounts, Viewer::Governor, now), rows(&all));
        // The day after.
        let renewed = listed(&accounts, Viewer::Member(&a), "2026-12-01T00:00:00Z");
        assert_eq!(renewed.iter().map(|row| row.2).collect::<Vec<_>>(), [0, 0, 0]);
        let accounts = list(&accounts, Viewer::Member(&c), now.parse().unwrap());
        assert_eq!(accounts[0].renews_at, Some(timestamp("2026-12-01T00:00:00Z".parse().unwrap())));
    }
}
