//! What happens to prompts and completions (VOCABULARY D17, D18).

use std::collections::BTreeSet;

use comity_types::TrustDomain;

use super::facet::{Demand, Facet, OfDemand};
use super::findings::{Field, Findings};
use crate::organisation::TrainingChoice;
use crate::requirements::RetentionLimit;
use crate::terms::{HumanReview, Logging, Retention, RetentionData, ReviewMode, TrainingUse};
use crate::{Claim, Offer, Organisation, ReasonCode, Side, Tables};

/// What is kept, read and logged.
pub(super) struct Handling;

/// What is stated of one of these.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Handled<'a> {
    /// What is kept, and for how long.
    Kept(Option<&'a Claim<Retention>>),
    /// Whether people read it.
    Read(Option<&'a Claim<HumanReview>>),
    /// Whether it is logged.
    Logged(Option<&'a Claim<Logging>>),
}

impl Facet for Handling {
    const SIDE: Side = Side::Caller;
    type Facts<'a> = Handled<'a>;
    type Part = OfDemand;

    fn facts<'a>(offer: &'a Offer, _: &'a Organisation, _: &Tables) -> impl IntoIterator<Item = Self::Facts<'a>> {
        let terms = offer.terms.as_ref();
        [
            Handled::Kept(terms.and_then(|terms| terms.retention.as_ref())),
            Handled::Read(terms.and_then(|terms| terms.human_review.as_ref())),
            Handled::Logged(terms.and_then(|terms| terms.content_logging.as_ref())),
        ]
    }

    fn is_asked(asked: &Demand<'_>) -> bool {
        let demanded = asked.requirements;
        !demanded.retention_limits.is_empty() || demanded.no_human_review || demanded.no_content_logging
    }

    fn check<'t>(facts: &Self::Facts<'t>, asked: &Demand<'t>, findings: &mut Findings<'t>) {
        let demanded = asked.requirements;
        match facts {
            Handled::Kept(retention) => check_kept(*retention, &demanded.retention_limits, findings),
            Handled::Read(review) if demanded.no_human_review => check_read(*review, findings),
            Handled::Logged(logging) if demanded.no_content_logging => check_logged(*logging, findings),
            Handled::Read(_) | Handled::Logged(_) => {}
        }
    }
}

fn check_kept(retention: Option<&Claim<Retention>>, limits: &BTreeSet<RetentionLimit>, findings: &mut Findings<'_>) {
    if limits.is_empty() {
        return;
    }
    if let Some(retention) = findings.value(&"retention", retention) {
        limits.iter().for_each(|limit| check_retention(&retention, limit, findings));
    }
}

fn check_read(review: Option<&Claim<HumanReview>>, findings: &mut Findings<'_>) {
    if let Some(review) = findings.value(&"human_review", review)
        && review.mode != ReviewMode::Never
    {
        let field = Field { path: &"terms.human_review", expected: &"never", actual: &review.mode };
        findings.reject(ReasonCode::HumanReviewNotAllowed, "", field);
    }
}

fn check_logged(logging: Option<&Claim<Logging>>, findings: &mut Findings<'_>) {
    if findings.value(&"content_logging", logging).is_some_and(|logging| logging.0) {
        let field = Field { path: &"terms.content_logging", expected: &"no", actual: &"yes" };
        findings.reject(ReasonCode::ContentLoggingNotAllowed, "", field);
    }
}

fn check_retention(retention: &Retention, limit: &RetentionLimit, findings: &mut Findings<'_>) {
    for ((data, trigger), days) in retention.longest() {
        if data != RetentionData::Content || limit.accept_triggers.contains(&trigger) || days <= limit.max_days {
            continue;
        }
        let (expected, actual) = (format_args!("at most {} days", limit.max_days), format_args!("{days} days"));
        let field = Field { path: &"terms.retention", expected: &expected, actual: &actual };
        findings.reject(ReasonCode::RetentionExceedsMax, trigger.code(), field);
    }
}

/// Whether what the caller sends is trained on, where the caller told no operator anything.
pub(super) struct Training;

impl Facet for Training {
    const SIDE: Side = Side::Caller;
    type Facts<'a> = Option<&'a Claim<TrainingUse>>;
    type Part = OfDemand;

    fn facts<'a>(offer: &'a Offer, _: &'a Organisation, _: &Tables) -> impl IntoIterator<Item = Self::Facts<'a>> {
        [training_use(offer)]
    }

    fn is_asked(asked: &Demand<'_>) -> bool {
        asked.requirements.no_training && asked.caller.training_choices.is_empty()
    }

    fn check<'t>(claim: &Self::Facts<'t>, _: &Demand<'t>, findings: &mut Findings<'t>) {
        check_training(*claim, None, findings);
    }
}

/// Whether what the caller sends is trained on, by what it told the operator.
pub(super) struct TrainingByChoice;

impl Facet for TrainingByChoice {
    const SIDE: Side = Side::Caller;
    type Facts<'a> = (Option<&'a Claim<TrainingUse>>, &'a TrustDomain);
    type Part = OfDemand;

    fn facts<'a>(
        offer: &'a Offer,
        operator: &'a Organisation,
        _: &Tables,
    ) -> impl IntoIterator<Item = Self::Facts<'a>> {
        [(training_use(offer), &operator.trust_domain)]
    }

    fn is_asked(asked: &Demand<'_>) -> bool {
        asked.requirements.no_training && !asked.caller.training_choices.is_empty()
    }

    fn check<'t>((claim, operator): &Self::Facts<'t>, asked: &Demand<'t>, findings: &mut Findings<'t>) {
        check_training(*claim, asked.caller.training_choices.get(*operator).copied(), findings);
    }
}

fn training_use(offer: &Offer) -> Option<&Claim<TrainingUse>> {
    offer.terms.as_ref().and_then(|terms| terms.training_use.as_ref())
}

/// Both choices are the caller's, and count only where they are on record for this operator.
fn check_training(claim: Option<&Claim<TrainingUse>>, choice: Option<TrainingChoice>, findings: &mut Findings<'_>) {
    let Some(found) = findings.value(&"training_use", claim) else { return };
    let actual = match (*found, choice) {
        (TrainingUse::Never, _)
        | (TrainingUse::OptIn, None | Some(TrainingChoice::OptedOut))
        | (TrainingUse::OptOut, Some(TrainingChoice::OptedOut)) => return,
        (TrainingUse::OptIn, Some(TrainingChoice::OptedIn)) => "the caller agreed",
        (TrainingUse::OptOut, None | Some(TrainingChoice::OptedIn)) => {
            "unless the caller objected, and no objection is on record"
        }
        (TrainingUse::Always, _) => "always",
    };
    let expected = &"no training on what the caller sends";
    let field = Field { path: &"terms.training_use", expected, actual: &actual };
    findings.reject(ReasonCode::TrainingOnInputs, "", field);
}
