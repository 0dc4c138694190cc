//! The gauges of budgets: of each budget the account that has least left, so that there are as many as the operators wrote
//! lines, whoever calls.

use std::cmp::Reverse;

use comity_runtime::metrics::{Metrics as Made, NamedAndOne};
use comity_types::Timestamp;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::{BUDGET_LIMIT, BUDGET_RESERVED, BUDGET_USED};
use crate::budgets::accounts::Accounts;
use crate::budgets::amount::Measure;
use crate::budgets::book::{Account, Book};

/// The three of them.
pub(super) struct Gauges {
    limit: Family<NamedAndOne, Gauge>,
    used: Family<NamedAndOne, Gauge>,
    reserved: Family<NamedAndOne, Gauge>,
}

impl Gauges {
    pub(super) fn of(made: &mut Made) -> Self {
        Self {
            limit: made.named_gauges_and_one(&BUDGET_LIMIT),
            used: made.named_gauges_and_one(&BUDGET_USED),
            reserved: made.named_gauges_and_one(&BUDGET_RESERVED),
        }
    }

    /// Sets them to what the accounts are now.
    pub(super) fn set(&self, accounts: &Accounts, now: Timestamp) {
        let budgets = accounts.budgets();
        for (place, budget) in budgets.all() {
            for (measure, limit) in budget.limits.all() {
                let (used, reserved) = accounts.read(|book| fullest(book, place, measure, now));
                let labels = [("budget", budget.name.to_string()), ("measure", measure.name().to_owned())];
                for (gauge, value) in [(&self.limit, limit), (&self.used, used), (&self.reserved, reserved)] {
                    gauge.get_or_create(&labels).set(i64::try_from(value).unwrap_or(i64::MAX));
                }
            }
        }
    }
}

/// What the account of a budget that has least left has used, and reserved.
fn fullest(book: &Book, place: usize, measure: Measure, now: Timestamp) -> (u64, u64) {
    let own = book.accounts().filter(|(key, _)| key.budget == place).map(|(_, account)| state(account, measure, now));
    own.max_by_key(|(used, reserved)| (used.saturating_add(*reserved), Reverse(*reserved))).unwrap_or_default()
}

/// What an account has used, and reserved; nothing, where it has been renewed since.
fn state(account: &Account, measure: Measure, now: Timestamp) -> (u64, u64) {
    match measure {
        Measure::Concurrent => (0, account.running),
        Measure::Requests | Measure::Tokens | Measure::InputTokens | Measure::OutputTokens | Measure::Money => {
            let tally = account.current;
            if now.as_millis() >= tally.ends { (0, 0) } else { (tally.used.of(measure), tally.reserved.of(measure)) }
        }
    }
}
