//! `budgets.toml`: read as written, then checked as a whole, like `broker.toml`, which names it. Every field is described in
//! `deploy/budgets.example.toml`.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use comity_runtime::chain;
use comity_types::{Currency, Invalid, Money, Name, SpiffeId, Timestamp, ids::Kind};
use serde::Deserialize;

use super::{Checks, Problem};
use crate::budgets::amount::Measure;
use crate::budgets::definition::{Budget, Budgets, Dimension, Limits, OUTPUT_TOKENS_RESERVED};
use crate::budgets::period::Period;

/// Most budgets of a broker: a request is held against those that are not of another organisation.
const MAX_BUDGETS: usize = 1_000;
/// The largest limit, in its own unit: far above what any federation uses, and sums of some stay numbers.
const MAX_LIMIT: u64 = 1_000_000_000_000_000;
/// Most tokens that may be reserved for an answer: far above what any model writes at once.
const MAX_OUTPUT_TOKENS_RESERVED: u64 = 10_000_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    danger_nothing_before: Option<Timestamp>,
    #[serde(default)]
    budget: Vec<RawBudget>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBudget {
    name: String,
    organisation: Option<String>,
    app: Option<String>,
    model: Option<String>,
    offer: Option<String>,
    #[serde(default)]
    each: Vec<String>,
    per: Option<String>,
    requests: Option<u64>,
    tokens: Option<u64>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    money: Option<RawMoney>,
    concurrent: Option<u64>,
    output_tokens_reserved: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMoney {
    currency: String,
    micros: u64,
}

/// Reads and checks the file.
///
/// # Errors
/// What is wrong with it: that it cannot be read, or all of its values that cannot be used.
pub(super) fn load(path: &Path) -> Result<Arc<Budgets>, Vec<Problem>> {
    let unusable = |error| vec![Problem { field: "budgets".to_owned(), problem: chain::text(&error) }];
    let raw: Raw = comity_runtime::config::load(path).map_err(unusable)?;
    let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    check(&raw).map(Arc::new).map_err(|problems| {
        let within = |Problem { field, problem }| Problem { field: format!("{file}: {field}"), problem };
        problems.into_iter().map(within).collect()
    })
}

fn check(raw: &Raw) -> Result<Budgets, Vec<Problem>> {
    let mut checks = Checks::default();
    if raw.budget.is_empty() {
        checks.problem::<()>("budget", "is empty; write a [[budget]], or leave `budgets` out of broker.toml");
    }
    if raw.budget.len() > MAX_BUDGETS {
        checks.problem::<()>(
            "budget",
            format_args!("{} are too many; at most {MAX_BUDGETS} are allowed", raw.budget.len()),
        );
    }
    let (mut names, mut budgets) = (BTreeSet::new(), Vec::new());
    for (place, raw) in raw.budget.iter().take(MAX_BUDGETS).enumerate() {
        let mut within = Within { checks: &mut checks, place };
        let Some(budget) = within.budget(raw) else { continue };
        if !names.insert(budget.name.clone()) {
            within.problem::<()>("name", format_args!("another budget is called {} already", budget.name));
        }
        budgets.push(budget);
    }
    if checks.problems.is_empty() { Ok(Budgets::new(budgets, raw.danger_nothing_before)) } else { Err(checks.problems) }
}

/// The checks of one budget.
struct Within<'a> {
    checks: &'a mut Checks,
    place: usize,
}

impl Within<'_> {
    fn problem<T>(&mut self, field: &str, problem: impl std::fmt::Display) -> Option<T> {
        self.checks.problem(&format!("budget[{}].{field}", self.place), problem)
    }

    fn valid<T: FromStr<Err = Invalid>>(&mut self, field: &str, text: &str) -> Option<T> {
        text.parse().map_or_else(|invalid: Invalid| self.problem(field, invalid), Some)
    }

    /// None where it is wrong, and none within where it is absent.
    #[expect(clippy::option_option, reason = "absent and wrong are two things")]
    fn selector<T: FromStr<Err = Invalid>>(&mut self, field: &str, text: Option<&str>) -> Option<Option<T>> {
        text.map_or(Some(None), |text| self.valid(field, text).map(Some))
    }

    fn budget(&mut self, raw: &RawBudget) -> Option<Budget> {
        let name: Option<Name> = self.valid("name", &raw.name);
        let organisation = self.selector("organisation", raw.organisation.as_deref());
        let app: Option<Option<SpiffeId>> = self.selector("app", raw.app.as_deref());
        let model = self.selector("model", raw.model.as_deref());
        let offer = self.selector("offer", raw.offer.as_deref());
        if let (Some(app), Some(of)) = (app.as_ref().and_then(Option::as_ref), &organisation) {
            self.app(app, of.as_ref());
        }
        let each = self.each(&raw.each);
        let limits = self.limits(raw);
        let per = self.per(raw.per.as_deref(), raw);
        let output_tokens_reserved = self.reserved(raw);
        Some(Budget {
            name: name?,
            organisation: organisation?,
            app: app?,
            model: model?,
            offer: offer?,
            each: each?,
            per: per?,
            limits: limits?,
            output_tokens_reserved: output_tokens_reserved?,
        })
    }

    fn app(&mut self, app: &SpiffeId, organisation: Option<&comity_types::TrustDomain>) {
        if app.kind() != Kind::App {
            self.problem::<()>(
                "app",
                Invalid::new(app.as_str(), "an app, such as spiffe://org-a.example/app/assistant"),
            );
        }
        if let Some(organisation) = organisation.filter(|organisation| *organisation != app.trust_domain()) {
            let problem = format!("{app} is no app of {organisation}, so that nothing would ever be counted");
            self.problem::<()>("app", problem);
        }
    }

    fn each(&mut self, texts: &[String]) -> Option<BTreeSet<Dimension>> {
        let mut each = BTreeSet::new();
        let mut right = true;
        for (place, text) in texts.iter().enumerate() {
            let named = Dimension::ALL.into_iter().find(|dimension| dimension.name() == text);
            let expected = "\"organisation\", \"app\", \"model\" or \"offer\"";
            match named {
                Some(dimension) => drop(each.insert(dimension)),
                None => {
                    right = false;
                    self.problem::<()>(&format!("each[{place}]"), Invalid::new(text, expected));
                }
            }
        }
        right.then_some(each)
    }

    fn limit(&mut self, measure: Measure, limit: Option<u64>) -> Option<()> {
        match limit {
            Some(limit) if !(1..=MAX_LIMIT).contains(&limit) => {
                let field = if measure == Measure::Money { "money.micros" } else { measure.name() };
                self.problem(field, format_args!("{limit} is outside 1 to {MAX_LIMIT}"))
            }
            Some(_) | None => Some(()),
        }
    }

    fn limits(&mut self, raw: &RawBudget) -> Option<Limits> {
        // Whatever is wrong with it, the amount is looked at as well.
        let amount = raw.money.as_ref().map(|money| money.micros);
        let money = raw.money.as_ref().map(|money| {
            let currency: Option<Currency> = self.valid("money.currency", &money.currency);
            Some(Money { currency: currency?, micros: money.micros })
        });
        let numbers = [
            (Measure::Requests, raw.requests),
            (Measure::Tokens, raw.tokens),
            (Measure::InputTokens, raw.input_tokens),
            (Measure::OutputTokens, raw.output_tokens),
            (Measure::Money, amount),
            (Measure::Concurrent, raw.concurrent),
        ];
        let right = numbers.map(|(measure, limit)| self.limit(measure, limit));
        if numbers.iter().all(|(_, limit)| limit.is_none()) {
            let some = "requests, tokens, input_tokens, output_tokens, money or concurrent";
            return self.problem("requests", format_args!("nothing is limited; write at least one of {some}"));
        }
        let limits = Limits {
            requests: raw.requests,
            tokens: raw.tokens,
            input_tokens: raw.input_tokens,
            output_tokens: raw.output_tokens,
            money: money.map_or(Some(None), |money| money.map(Some))?,
            concurrent: raw.concurrent,
        };
        right.into_iter().collect::<Option<()>>().map(|()| limits)
    }

    #[expect(clippy::option_option, reason = "absent and wrong are two things")]
    fn per(&mut self, text: Option<&str>, raw: &RawBudget) -> Option<Option<Period>> {
        let is_in_a_time = has_tokens(raw) || raw.requests.is_some();
        let expected = "\"minute\", \"hour\", \"day\" or \"month\"";
        match text {
            None if is_in_a_time => self.problem("per", format_args!("must be set: {expected}")),
            None => Some(None),
            Some(_) if !is_in_a_time => {
                self.problem("per", "calls at once are of no time; leave it out, or limit something else too")
            }
            Some(text) => Period::named(text)
                .map_or_else(|| self.problem("per", Invalid::new(text, expected)), |per| Some(Some(per))),
        }
    }

    fn reserved(&mut self, raw: &RawBudget) -> Option<u64> {
        let field = "output_tokens_reserved";
        let reserved = raw.output_tokens_reserved.unwrap_or(OUTPUT_TOKENS_RESERVED);
        if reserved > MAX_OUTPUT_TOKENS_RESERVED {
            return self.problem(field, format_args!("{reserved} is outside 0 to {MAX_OUTPUT_TOKENS_RESERVED}"));
        }
        if raw.output_tokens_reserved.is_some() && !has_tokens(raw) {
            return self.problem(field, "nothing of this budget is counted by it; leave it out");
        }
        for (limited, limit) in [("tokens", raw.tokens), ("output_tokens", raw.output_tokens)] {
            if limit.is_some_and(|limit| limit < reserved) {
                let why = format!(
                    "is less than the {reserved} tokens that are reserved for each answer, so that no request would ever have \
                     room; raise it, or lower {field}"
                );
                return self.problem(limited, why);
            }
        }
        Some(reserved)
    }
}

/// Whether it limits something that is counted by tokens.
const fn has_tokens(raw: &RawBudget) -> bool {
    raw.tokens.is_some() || raw.input_tokens.is_some() || raw.output_tokens.is_some() || raw.money.is_some()
}
