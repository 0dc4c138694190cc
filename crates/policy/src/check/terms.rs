//! Terms: what they promise, and whom they serve.

use super::{Faults, named};
use crate::Terms;
use crate::caller_rules::{CallerRules, OwnershipRule, OwnershipTarget, Served};
use crate::limits::{
    MAX_ENTRIES, MAX_ID_BYTES, MAX_INTERVALS, MAX_LIST, MAX_OWNERSHIP_RULES, MAX_REQUESTS_PER_DAY, MAX_RULES,
    MAX_TEXT_BYTES,
};
use crate::terms::{Certification, Certifications, Quota};

pub(super) fn check(terms: &Terms, faults: &mut Faults) {
    faults.claim("retention", terms.retention.as_ref(), |faults, path, rules| {
        faults.bounded(path, rules.0.len(), MAX_RULES);
    });
    faults.claim("training_use", terms.training_use.as_ref(), |_, _, _| {});
    faults.claim("human_review", terms.human_review.as_ref(), |faults, path, review| {
        faults.bounded(&format!("{path}.reviewer_places"), review.reviewer_places.len(), MAX_LIST);
    });
    faults.claim("content_logging", terms.content_logging.as_ref(), |_, _, _| {});
    faults.claim("transfer_basis", terms.transfer_basis.as_ref(), |_, _, _| {});
    faults.claim("certifications", terms.certifications.as_ref(), certifications);
    faults.texts("allowed_purposes", &terms.allowed_purposes, MAX_LIST);
    faults.texts("prohibited_purposes", &terms.prohibited_purposes, MAX_LIST);
    if let Some(rules) = &terms.caller_rules {
        caller_rules(faults, rules);
    }
    faults.bounded("classification_ceilings", terms.classification_ceilings.len(), MAX_RULES);
    for (scheme, ceiling) in &terms.classification_ceilings {
        let path = named("classification_ceilings", scheme);
        faults.text(&path, scheme, MAX_TEXT_BYTES);
        faults.text(&format!("{path}.level"), &ceiling.level, MAX_TEXT_BYTES);
        faults.texts(&format!("{path}.caveats"), &ceiling.caveats, MAX_ENTRIES);
    }
    if let Some(categories) = &terms.accepted_data_categories {
        faults.texts("accepted_data_categories", categories, MAX_LIST);
    }
    if let Some(share) = terms.availability_bp {
        faults.share("availability_bp", share);
    }
    faults.claim("quota", terms.quota.as_ref(), quota);
}

/// An offer that nobody may use is not published.
fn quota(faults: &mut Faults, path: &str, quota: &Quota) {
    let requests = quota.requests_per_day;
    if !(1..=MAX_REQUESTS_PER_DAY).contains(&requests) {
        faults.add(format!("{path}.requests_per_day"), format!("{requests} is outside 1 to {MAX_REQUESTS_PER_DAY}"));
    }
}

fn certifications(faults: &mut Faults, path: &str, all: &Certifications) {
    faults.bounded(path, all.0.len(), MAX_ENTRIES);
    for one in &all.0 {
        certification(faults, &named(path, &one.scheme), one);
    }
}

fn certification(faults: &mut Faults, path: &str, one: &Certification) {
    faults.text(&format!("{path}.scheme"), &one.scheme, MAX_TEXT_BYTES);
    for (field, text) in [("edition", &one.edition), ("level", &one.level), ("auditor", &one.auditor)] {
        if let Some(text) = text {
            faults.text(&format!("{path}.{field}"), text, MAX_TEXT_BYTES);
        }
    }
    faults.in_order(path, [("issued", one.issued), ("expires", one.expires)]);
    faults.in_order(path, [("period_start", one.period_start), ("period_end", one.period_end)]);
    faults.texts(&format!("{path}.scope_services"), &one.scope_services, MAX_LIST);
    faults.bounded(&format!("{path}.scope_sites"), one.scope_sites.len(), MAX_LIST);
}

fn caller_rules(faults: &mut Faults, rules: &CallerRules) {
    if let Served::Places(places) = &rules.served {
        faults.bounded("caller_rules.served", places.len(), MAX_LIST);
    }
    faults.bounded("caller_rules.served_except", rules.served_except.len(), MAX_LIST);
    faults.bounded("caller_rules.ownership", rules.ownership.len(), MAX_OWNERSHIP_RULES);
    faults.once("caller_rules.ownership", rules.ownership.iter().map(|rule| &rule.id));
    for (index, rule) in rules.ownership.iter().enumerate() {
        ownership_rule(faults, &format!("caller_rules.ownership[{index}]"), rule);
    }
    faults.texts("caller_rules.denied_sectors", &rules.denied_sectors, MAX_ENTRIES);
    faults.texts("caller_rules.denied_lists", &rules.denied_lists, MAX_ENTRIES);
}

fn ownership_rule(faults: &mut Faults, path: &str, rule: &OwnershipRule) {
    faults.text(&format!("{path}.id"), &rule.id, MAX_ID_BYTES);
    match &rule.target {
        OwnershipTarget::PlacesNotServed => {}
        OwnershipTarget::Places(places) => faults.bounded(&format!("{path}.target"), places.len(), MAX_LIST),
        OwnershipTarget::Lists(lists) => faults.texts(&format!("{path}.target.lists"), lists, MAX_ENTRIES),
    }
    faults.share(&format!("{path}.threshold_bp"), rule.threshold_bp);
    faults.bounded(&format!("{path}.in_force"), rule.in_force.len(), MAX_INTERVALS);
    for (index, interval) in rule.in_force.iter().enumerate() {
        faults.interval(&format!("{path}.in_force[{index}]"), *interval);
    }
}
