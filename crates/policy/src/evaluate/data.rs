//! What happens to prompts and completions (VOCABULARY D17).

use super::findings::{Field, Findings};
use crate::offer::{RetentionData, RetentionRule, TrainingUse};
use crate::requirements::RetentionLimit;
use crate::{Offer, ReasonCode, Requirements};

pub(super) fn check(offer: &Offer, demanded: &Requirements, findings: &mut Findings<'_>) {
    let terms = offer.terms.as_ref();
    if !demanded.retention_limits.is_empty() {
        let rules = findings.value("retention", terms.and_then(|terms| terms.retention.as_ref()));
        for limit in &demanded.retention_limits {
            check_retention(rules.into_iter().flatten(), limit, findings);
        }
    }
    if demanded.no_training {
        let found = findings.value("training_use", terms.and_then(|terms| terms.training_use.as_ref()));
        check_training(found.copied(), findings);
    }
}

fn check_retention<'a>(
    rules: impl Iterator<Item = &'a RetentionRule>,
    limit: &RetentionLimit,
    findings: &mut Findings<'_>,
) {
    let of_content = rules.filter(|rule| rule.data == RetentionData::Content);
    let exceeding =
        of_content.filter(|rule| !limit.accept_triggers.contains(&rule.trigger) && rule.max_days > limit.max_days);
    for rule in exceeding {
        let (expected, actual) = (format!("at most {} days", limit.max_days), format!("{} days", rule.max_days));
        let field = Field { path: "offer.terms.retention", expected: &expected, actual: &actual };
        findings.reject(ReasonCode::RetentionExceedsMax, rule.trigger.code(), field);
    }
}

/// Opting in is the caller's to do, and nobody did; opting out would have to be on record, and no record is kept yet.
fn check_training(found: Option<TrainingUse>, findings: &mut Findings<'_>) {
    let actual = match found {
        None | Some(TrainingUse::Never | TrainingUse::OptIn) => return,
        Some(TrainingUse::OptOut) => "unless the caller objected, and no objection is on record",
        Some(TrainingUse::Always) => "always",
    };
    let field = Field { path: "offer.terms.training_use", expected: "never, or only for callers that agreed", actual };
    findings.reject(ReasonCode::TrainingOnInputs, "", field);
}
