//! That a budget has no room: which, in which state, and when it is renewed.

use std::fmt;
use std::time::Duration;

use comity_policy::{Reason, ReasonCode, Side};
use comity_proto::error::Failure;
use comity_types::{Currency, Name, Timestamp};
use tonic::Code;

use super::amount::Measure;
use super::period::Period;

/// A budget that has no room for a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Exceeded {
    /// Which budget.
    pub budget: Name,
    /// Of what it has none.
    pub measure: Measure,
    /// For how long it is; none for calls at once.
    pub per: Option<Period>,
    /// Of which currency its money is.
    pub currency: Option<Currency>,
    /// What it grants.
    pub limit: u64,
    /// What was used.
    pub used: u64,
    /// What is reserved for calls that run.
    pub reserved: u64,
    /// What the request may come to.
    pub needed: u64,
    /// Whether it has no room for such a request at any time.
    pub never: bool,
    /// When it is renewed; never, for calls at once.
    pub renews_at: Option<Timestamp>,
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { budget, limit, used, reserved, needed, .. } = self;
        if self.measure == Measure::Concurrent {
            return write!(
                f,
                "budget {budget} has no room: {reserved} calls run of the {limit} that may at once (hint: ask again when one of \
                 them has ended)"
            );
        }
        let (unit, per) = (self.unit(), self.per.map(|per| format!(" in a {per}")).unwrap_or_default());
        write!(
            f,
            "budget {budget} has no room for a request of up to {needed} {unit}: of {limit}{per}, {used} are used and {reserved} \
             are reserved for calls that run"
        )?;
        match self.renews_at {
            _ if self.never => {
                write!(f, " (hint: it never has; send less, or ask the operators of the broker to raise it)")
            }
            Some(at) if self.is_used_up() => {
                write!(f, " (hint: it is renewed at {at}; before that, ask the operators of the broker to raise it)")
            }
            Some(at) => write!(
                f,
                " (hint: ask again when a call has ended, which gives back what it did not use; it is renewed at {at})"
            ),
            None => Ok(()),
        }
    }
}

impl Exceeded {
    /// What its numbers are of.
    fn unit(&self) -> String {
        match (self.measure, &self.currency) {
            (Measure::Money, Some(currency)) => format!("millionths of one {currency}"),
            (measure, _) => measure.name().replace('_', " "),
        }
    }

    /// Whether no call that ends makes room for the request.
    const fn is_used_up(&self) -> bool {
        self.used.saturating_add(self.needed) > self.limit
    }

    /// How long to wait, where it is known that waiting helps, and for how long.
    fn wait(&self, now: Timestamp) -> Option<Duration> {
        let renews_at = self.renews_at.filter(|_| !self.never && self.is_used_up())?;
        Some(renews_at.since(now))
    }

    /// What the caller gets.
    #[must_use]
    pub fn failure(&self, now: Timestamp) -> Failure {
        let failure = Failure::new(Code::ResourceExhausted, "BUDGET_EXCEEDED", self.to_string())
            .with("budget", &self.budget)
            .with("measure", self.measure)
            .with("limit", self.limit)
            .with("used", self.used)
            .with("reserved", self.reserved)
            .with("needed", self.needed);
        let failure = match &self.currency {
            Some(currency) if self.measure == Measure::Money => failure.with("currency", currency),
            Some(_) | None => failure,
        };
        let failure = match self.renews_at {
            Some(at) => failure.with("renews_at", at),
            None => failure,
        };
        match self.wait(now) {
            Some(wait) => failure.retrying_after(wait),
            None => failure,
        }
    }

    /// Why an offer is not eligible, where the budget is of offers.
    #[must_use]
    pub fn reason(&self) -> Reason {
        let Self { budget, measure, limit, used, reserved, needed, .. } = self;
        let renewed = self.renews_at.map(|at| format!(", renewed at {at}")).unwrap_or_default();
        federation_policy(
            budget,
            &format!("{measure} up to {limit}{renewed}"),
            &format!("{used} used, {reserved} reserved, {needed} more may be needed"),
        )
    }
}

/// Why an offer is not eligible that is priced in another currency than a budget's: what it would come to is not known.
#[must_use]
pub fn in_another_currency(budget: &Name, expected: &Currency, price: &Currency) -> Reason {
    federation_policy(budget, &format!("a price in {expected}"), &format!("a price in {price}"))
}

fn federation_policy(budget: &Name, expected: &str, actual: &str) -> Reason {
    Reason {
        code: ReasonCode::FederationPolicy,
        subject: format!("budget {budget}"),
        side: Side::Federation,
        path: format!("budget.{budget}"),
        party: "broker".to_owned(),
        expected: expected.to_owned(),
        actual: actual.to_owned(),
        rule: String::new(),
    }
}
