//! What happens to prompts and completions (VOCABULARY D17, D18).

use comity_types::TrustDomain;

use super::Question;
use super::findings::{Field, Findings};
use crate::organisation::TrainingChoice;
use crate::requirements::RetentionLimit;
use crate::terms::{Retention, RetentionData, ReviewMode, TrainingUse};
use crate::{ReasonCode, Side};

pub(super) fn check(question: &Question<'_>, findings: &mut Findings<'_>) {
    findings.speak_for(Side::Caller);
    let (terms, demanded) = (question.offer.terms.as_ref(), question.request.requirements);
    if !demanded.retention_limits.is_empty() {
        let claim = terms.and_then(|terms| terms.retention.as_ref());
        if let Some(retention) = findings.value("retention", claim) {
            for limit in &demanded.retention_limits {
                check_retention(&retention, limit, findings);
            }
        }
    }
    if demanded.no_training {
        let claim = terms.and_then(|terms| terms.training_use.as_ref());
        if let Some(found) = findings.value("training_use", claim) {
            check_training(*found, question, findings);
        }
    }
    if demanded.no_human_review {
        let claim = terms.and_then(|terms| terms.human_review.as_ref());
        if let Some(review) = findings.value("human_review", claim).filter(|review| review.mode != ReviewMode::Never) {
            let field = Field { path: "terms.human_review", expected: "never", actual: review.mode.as_str() };
            findings.reject(ReasonCode::HumanReviewNotAllowed, "", field);
        }
    }
    if demanded.no_content_logging {
        let claim = terms.and_then(|terms| terms.content_logging.as_ref());
        if findings.value("content_logging", claim).is_some_and(|logging| logging.0) {
            let field = Field { path: "terms.content_logging", expected: "no", actual: "yes" };
            findings.reject(ReasonCode::ContentLoggingNotAllowed, "", field);
        }
    }
}

fn check_retention(retention: &Retention, limit: &RetentionLimit, findings: &mut Findings<'_>) {
    for ((data, trigger), days) in retention.longest() {
        if data != RetentionData::Content || limit.accept_triggers.contains(&trigger) || days <= limit.max_days {
            continue;
        }
        let (expected, actual) = (format!("at most {} days", limit.max_days), format!("{days} days"));
        let field = Field { path: "terms.retention", expected: &expected, actual: &actual };
        findings.reject(ReasonCode::RetentionExceedsMax, trigger.code(), field);
    }
}

/// Both choices are the caller's, and count only where they are on record for this operator.
fn check_training(found: TrainingUse, question: &Question<'_>, findings: &mut Findings<'_>) {
    let operator: &TrustDomain = &question.operator.trust_domain;
    let choice = question.request.caller.training_choices.get(operator);
    let actual = match (found, choice) {
        (TrainingUse::Never, _)
        | (TrainingUse::OptIn, None | Some(TrainingChoice::OptedOut))
        | (TrainingUse::OptOut, Some(TrainingChoice::OptedOut)) => return,
        (TrainingUse::OptIn, Some(TrainingChoice::OptedIn)) => "the caller agreed",
        (TrainingUse::OptOut, None | Some(TrainingChoice::OptedIn)) => {
            "unless the caller objected, and no objection is on record"
        }
        (TrainingUse::Always, _) => "always",
    };
    let field = Field { path: "terms.training_use", expected: "no training on what the caller sends", actual };
    findings.reject(ReasonCode::TrainingOnInputs, "", field);
}
