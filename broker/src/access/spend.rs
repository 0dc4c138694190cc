//! The budgets of a request: which offers they leave, and what is reserved before anything is kept or sent.
//!
//! Budgets take away, and add nothing: a request is refused before it is decided on for good, and an offer goes out of the
//! eligible set, or is passed over, as where its own quota is used up. One that costs more than the request's own budgets have
//! left goes out as well: what it asks for is no reason to refuse what another one would answer.

use comity_policy::{Reason, Verdict};
use comity_proto::convert::Envelope;
use comity_proto::error::Failure;
use comity_types::{OfferName, Price, Timestamp};

use super::Parts;
use super::decide::{Candidate, Decision, Judged};
use super::request::Admitted;
use crate::budgets::accounts::Accounts;
use crate::budgets::book::Call;
use crate::budgets::charge::{self, Most, input_tokens};
use crate::budgets::exceeded::in_another_currency;
use crate::budgets::spending::{Offered, Spending};
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
            Verdict::Eligible { .. } if is_of_it => asked.against_any(budgets, &one.name, one.offer.price.as_ref()),
            Verdict::Eligible { .. } | Verdict::Rejected { .. } => Vec::new(),
        };
        if reasons.is_empty() { one } else { Judged { verdict: Verdict::Rejected { reasons }, ..one } }
    };
    judged.into_iter().map(held).collect()
}

/// Reserves what a request may come to, where anything is eligible for it, and takes those offers out of the eligible set that
/// cost more than its own budgets have left.
///
/// # Errors
/// A budget of its organisation, its app or its model has no room for it, at whatever offer.
pub(super) fn reserve(
    parts: &Parts,
    admitted: &Admitted,
    decision: &mut Decision,
) -> Result<Option<Spending>, Failure> {
    let Some(budgets) = parts.budgets.as_ref().filter(|_| !decision.eligible.is_empty()) else { return Ok(None) };
    let Asking { call, most } = Asking::of(admitted, decision.at);
    Spending::reserve(budgets, (call, most), &mut decision.eligible).map(Some).map_err(|exceeded| {
        parts.metrics.over_budget(&exceeded.budget);
        tracing::info!(peer.app = %admitted.caller, budget = %exceeded.budget, measure = %exceeded.measure, "a budget has no room");
        exceeded.failure(decision.at)
    })
}

impl Offered for Candidate {
    fn price(&self) -> Option<&Price> {
        self.offer.price.as_ref()
    }

    fn candidate(&self) -> charge::Candidate {
        charge::Candidate { offer: self.offer.name.clone(), price: self.offer.price.clone() }
    }
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

    /// What the request's own budgets and those of an offer say against it.
    fn against_any(&self, budgets: &Accounts, offer: &OfferName, price: Option<&Price>) -> Vec<Reason> {
        let mut reasons = self.against(budgets, offer, price);
        // In another currency it comes to more than there is, and that is said of it already.
        if reasons.is_empty() {
            let amount = |budget: &_| charge::at_most_of(budget, price, self.most);
            reasons.extend(budgets.exceeded(self.call, None, &amount).iter().map(|exceeded| exceeded.reason()));
        }
        reasons
    }

    /// What the budgets of an offer say against it, and, of any budget, the currency.
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
