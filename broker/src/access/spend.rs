//! The budgets of a request: which offers they leave, and what is reserved before anything is kept or sent.
//!
//! Budgets take away, and add nothing: a request is refused before it is decided on for good, and an offer goes out of the
//! eligible set, or is passed over, as where its own quota is used up.

use std::sync::Arc;

use comity_policy::{Reason, Verdict};
use comity_proto::convert::Envelope;
use comity_proto::error::Failure;
use comity_types::{OfferName, Price, Timestamp};

use super::Parts;
use super::decide::{Candidate, Decision, Judged};
use super::request::Admitted;
use crate::budgets::accounts::Accounts;
use crate::budgets::book::Call;
use crate::budgets::charge::{self, Asked, Most, input_tokens};
use crate::budgets::exceeded::in_another_currency;
use crate::budgets::spending::Spending;
use crate::ledger::decisions::most_output_tokens;
use crate::registry::Snapshot;

/// Leaves the candidates whose budgets have room.
pub(super) fn leave(parts: &Parts, admitted: &Admitted, at: Timestamp, candidates: &mut Vec<Candidate>) {
    let Some(budgets) = &parts.budgets else { return };
    let asked = Asking::of(admitted, at);
    candidates.retain(|one| asked.against(budgets, &one.offer.name, one.offer.price.as_ref()).is_empty());
}

/// Why the budgets of an offer leave it no room for a request, if they do.
pub(super) fn against(parts: &Parts, admitted: &Admitted, at: Timestamp, judged: &Judged<'_>) -> Vec<Reason> {
    let asked = Asking::of(admitted, at);
    let budgets = parts.budgets.as_ref();
    budgets.map(|budgets| asked.against(budgets, &judged.name, judged.offer.price.as_ref())).unwrap_or_default()
}

/// The same of all offers, for whoever asks what a request of this envelope would get without sending one: of the smallest that
/// there is.
pub fn verdicts<'a>(
    parts: &Parts,
    (call, envelope): (Call<'_>, &Envelope),
    snapshot: &Snapshot,
    judged: Vec<Judged<'a>>,
) -> Vec<Judged<'a>> {
    let Some(budgets) = &parts.budgets else { return judged };
    let asked = Asking { call, most: most(0, envelope) };
    let held = |one: Judged<'a>| {
        let is_of_it = snapshot.index.offer(one.place).is_some_and(|offer| offer.model == *call.model);
        let reasons = match &one.verdict {
            Verdict::Eligible { .. } if is_of_it => asked.against(budgets, &one.name, one.offer.price.as_ref()),
            Verdict::Eligible { .. } | Verdict::Rejected { .. } => Vec::new(),
        };
        if reasons.is_empty() { one } else { Judged { verdict: Verdict::Rejected { reasons }, ..one } }
    };
    judged.into_iter().map(held).collect()
}

/// Reserves what a request may come to, where anything is eligible for it.
///
/// # Errors
/// A budget of its organisation, its app or its model has no room for it.
pub(super) fn reserve(parts: &Parts, admitted: &Admitted, decision: &Decision) -> Result<Option<Spending>, Failure> {
    let Some(budgets) = parts.budgets.as_ref().filter(|_| !decision.eligible.is_empty()) else { return Ok(None) };
    let candidate =
        |one: &Candidate| charge::Candidate { offer: one.offer.name.clone(), price: one.offer.price.clone() };
    let Most { input_tokens, output_tokens } = most(admitted.body.len(), &admitted.envelope);
    let asked = Asked {
        caller: admitted.caller.clone(),
        model: admitted.envelope.model.clone(),
        at: decision.at,
        input_tokens,
        output_tokens,
        candidates: decision.candidates().map(candidate).collect(),
    };
    Spending::reserve(budgets, Arc::new(asked)).map(Some).map_err(|exceeded| {
        parts.metrics.over_budget(&exceeded.budget);
        tracing::info!(peer.app = %admitted.caller, budget = %exceeded.budget, measure = %exceeded.measure, "a budget has no room");
        exceeded.failure(decision.at)
    })
}

/// How many tokens a message of so many bytes with this envelope may come to.
fn most(bytes: usize, envelope: &Envelope) -> Most {
    Most { input_tokens: input_tokens(bytes), output_tokens: envelope.max_output_tokens.map(most_output_tokens) }
}

/// A request, as far as it matters to the budgets of offers.
struct Asking<'a> {
    call: Call<'a>,
    most: Most,
}

impl<'a> Asking<'a> {
    fn of(admitted: &'a Admitted, at: Timestamp) -> Self {
        let call = Call { caller: &admitted.caller, model: &admitted.envelope.model, at };
        Self { call, most: most(admitted.body.len(), &admitted.envelope) }
    }

    fn against(&self, budgets: &Accounts, offer: &OfferName, price: Option<&Price>) -> Vec<Reason> {
        let Call { caller, model, .. } = self.call;
        if let Some(price) = price {
            let all = budgets.budgets();
            let under = all.of(caller, model, None).chain(all.of(caller, model, Some(offer)));
            let other = under.filter_map(|(_, budget)| {
                let money = budget.limits.money.as_ref().filter(|money| money.currency != price.currency)?;
                Some(in_another_currency(&budget.name, &money.currency, &price.currency))
            });
            let other: Vec<_> = other.collect();
            if !other.is_empty() {
                return other;
            }
        }
        let amount = |budget: &_| charge::at_most_of(budget, price, self.most);
        budgets.exceeded(self.call, Some(offer), &amount).iter().map(|exceeded| exceeded.reason()).collect()
    }
}
