//! Things of several commands, as they are printed.

pub(crate) mod demanded;
pub(crate) mod offering;

use std::collections::{BTreeMap, BTreeSet};

use comity_policy::claim::{Assurance, Evidence, Statement};
use comity_policy::ownership::{SELF, Stake};
use comity_policy::terms::Disclosure;
use comity_policy::{Claim, Layers, Offer, Organisation};
use comity_proto::convert::WireError;
use comity_proto::{membership, policy};
use comity_types::Interval;
use serde_json::Value;

use crate::error::CliError;
use crate::layers;
use crate::output::{joined, known};

/// An organisation's facts, of the form that its file has.
pub(crate) fn organisation(wire: Option<policy::Organisation>) -> Result<Organisation, CliError> {
    wire.unwrap_or_default().try_into().map_err(unreadable)
}

/// What an organisation demands of its own requests, of the form that the registry has.
pub(crate) fn layers(wire: Option<policy::Layers>) -> Result<Layers, CliError> {
    wire.unwrap_or_default().try_into().map_err(unreadable)
}

/// An offer, of the form that the registry has.
pub(crate) fn offer(wire: Option<policy::Offer>) -> Result<Offer, CliError> {
    wire.unwrap_or_default().try_into().map_err(unreadable)
}

/// The broker's answer has something that this version does not know.
fn unreadable(error: WireError) -> CliError {
    let hint = Some("this version of comity may be older than the broker: bring it up to date".to_owned());
    CliError::Client { doing: "understand the broker's answer", source: Box::new(error), hint }
}

/// An instant of the wire, as RFC 3339.
pub(crate) fn instant(wire: Option<&prost_types::Timestamp>) -> String {
    const NANOS_A_MILLI: i64 = 1_000_000;
    let instant = wire.and_then(|wire| {
        let millis = wire.seconds.checked_mul(1000)?.checked_add(i64::from(wire.nanos) / NANOS_A_MILLI)?;
        comity_types::Timestamp::from_millis(millis).ok()
    });
    known(instant)
}

/// Whether a member is let in.
pub(crate) fn standing(number: i32) -> &'static str {
    match membership::Standing::try_from(number) {
        Ok(membership::Standing::Active) => "active",
        Ok(membership::Standing::Suspended) => "suspended",
        Ok(membership::Standing::Unspecified) | Err(_) => "unknown",
    }
}

/// Where an enrolment stands.
pub(crate) fn enrolment_state(number: i32) -> &'static str {
    match membership::EnrolmentState::try_from(number) {
        Ok(membership::EnrolmentState::Open) => "open",
        Ok(membership::EnrolmentState::Waiting) => "waiting",
        Ok(membership::EnrolmentState::Rejected) => "rejected",
        Ok(membership::EnrolmentState::Unspecified) | Err(_) => "unknown",
    }
}

/// Whether a member is let in, and why not.
pub(crate) fn standing_and_reason(standing: &str, reason: &str) -> String {
    if reason.is_empty() { standing.to_owned() } else { format!("{standing}: {reason}") }
}

/// Where a node is reached; a node that has never run is nowhere.
pub(crate) fn address(address: &str) -> String {
    if address.is_empty() { "-".to_owned() } else { address.to_owned() }
}

/// An organisation's facts, a field each.
pub(crate) fn organisation_fields(facts: &Organisation) -> Vec<(&'static str, String)> {
    vec![
        ("trust domain", facts.trust_domain.to_string()),
        ("name", facts.name.clone()),
        ("seat", claim(facts.seat.as_ref(), ToString::to_string)),
        ("ultimate controllers", controllers(facts)),
        ("owners", owners(facts)),
        ("establishments", places(facts.establishments.as_ref())),
    ]
}

/// All that is stated, by the keys of the file.
pub(crate) fn by_key(facts: &Organisation, demanded: &Layers) -> BTreeMap<String, Value> {
    let facts = match serde_json::to_value(facts) {
        Ok(Value::Object(fields)) => fields.into_iter().collect(),
        Ok(_) | Err(_) => Vec::new(),
    };
    facts.into_iter().chain(layers::fields(demanded)).collect()
}

/// All that an organisation states of itself and demands of its own requests: what people ask first in their words, and the
/// rest by the keys of the file. What it does not state of the rest is not there.
pub(crate) fn stated(facts: &Organisation, demanded: &Layers) -> Vec<(String, String)> {
    let first = organisation_fields(facts).into_iter().map(|(name, value)| (name.to_owned(), value));
    let all = by_key(facts, demanded).into_iter();
    let rest = all.filter(|(key, value)| !IN_OUR_WORDS.contains(&key.as_str()) && !value.is_null());
    first.chain(rest.map(|(key, value)| (key, layers::text(&value)))).collect()
}

/// The keys of what [`organisation_fields`] says.
const IN_OUR_WORDS: [&str; 6] = ["trust_domain", "name", "seat", "ultimate_controllers", "ownership", "establishments"];

/// What stands for owners and controllers that are not there: listings leave them out where that is wanted.
fn unstated(facts: &Organisation) -> &'static str {
    match facts.disclosure {
        Disclosure::Full => "unknown",
        Disclosure::CodeOnly => "unknown, or not shown to other organisations",
    }
}

/// Who controls an organisation.
pub(crate) fn controllers(facts: &Organisation) -> String {
    if facts.ultimate_controllers.is_none() {
        return unstated(facts).to_owned();
    }
    claim(facts.ultimate_controllers.as_ref(), |controllers| {
        if controllers.is_empty() {
            return "none".to_owned();
        }
        let one = |controller: &comity_policy::Controller| format!("{} ({})", controller.name, controller.seat);
        controllers.iter().map(one).collect::<Vec<_>>().join(", ")
    })
}

/// A claim: what each party states, how long it holds, how far others stand behind it, and on what it rests.
pub(crate) fn claim<T>(claim: Option<&Claim<T>>, value: impl Fn(&T) -> String) -> String {
    let one = |statement: &Statement<T>| {
        let held = validity(&statement.validity);
        format!("{}{held}{}", value(&statement.value), provenance(statement))
    };
    known(claim.map(|claim| claim.statements().iter().map(one).collect::<Vec<_>>().join("; ")))
}

/// What stands behind a statement, where that is more than its operator's word.
fn provenance<T>(statement: &Statement<T>) -> String {
    let Statement {
        value: _,
        validity: _,
        assurance,
        issuer,
        evidence,
        issued_at,
        revoked_at,
        appraisal,
        // No file and no message says so.
        countersigned: _,
    } = statement;
    let by = match issuer {
        Some(issuer) => Some(format!("{} by {issuer}", assurance.as_str())),
        None => (*assurance != Assurance::SelfDeclared).then(|| assurance.as_str().to_owned()),
    };
    let evidence = evidence.as_ref().map(|Evidence { uri, sha256 }| {
        let sha256 = sha256.as_ref().map(|sha256| format!(" with the SHA-256 {sha256}")).unwrap_or_default();
        format!("evidence {uri}{sha256}")
    });
    let more = [
        by,
        evidence,
        issued_at.map(|at| format!("issued {at}")),
        revoked_at.map(|at| format!("taken back {at}")),
        appraisal.as_ref().map(|appraisal| format!("appraisal {}", word(appraisal))),
    ];
    let more: Vec<_> = more.into_iter().flatten().collect();
    if more.is_empty() { String::new() } else { format!(" ({})", more.join(", ")) }
}

/// Who owns an organisation.
pub(crate) fn owners(facts: &Organisation) -> String {
    if facts.ownership.is_none() {
        return unstated(facts).to_owned();
    }
    claim(facts.ownership.as_ref(), |ownership| {
        let percent = |millionths: u32| f64::from(millionths) / 10_000.0;
        let one = |stake: &Stake| {
            let (least, most) = (percent(stake.share.least()), percent(stake.share.most()));
            let share = if stake.share.least() == stake.share.most() {
                format!("{least} %")
            } else {
                format!("{least} to {most} %")
            };
            let of = if stake.subject == SELF { String::new() } else { format!(" of {}", stake.subject) };
            let seat = ownership.parties().get(&stake.holder).and_then(|party| party.seat.as_ref());
            let seat = seat.map(|seat| format!(" ({seat})")).unwrap_or_default();
            format!("{}{seat} {share}{of}", stake.holder)
        };
        if ownership.stakes().is_empty() { "none".to_owned() } else { joined(ownership.stakes().iter().map(one)) }
    })
}

/// A claim of several places.
pub(crate) fn places<T: ToString>(places: Option<&Claim<BTreeSet<T>>>) -> String {
    claim(places, |places| joined(places.iter().map(ToString::to_string)))
}

/// When something holds, where that is bounded.
pub(crate) fn validity(interval: &Interval) -> String {
    let from = interval.from.map(|from| format!(" from {from}")).unwrap_or_default();
    let until = interval.until.map(|until| format!(" until {until}")).unwrap_or_default();
    format!("{from}{until}")
}

/// A value as the files write it, such as `legal-obligation`.
pub(crate) fn word<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_that_nobody_states_is_unknown_and_a_controller_that_is_not_there_is_none() {
        let mut facts: Organisation = serde_json::from_str(r#"{"trust_domain":"a.example","name":"A"}"#).unwrap();
        assert_eq!((controllers(&facts), owners(&facts)), ("unknown".to_owned(), "unknown".to_owned()));
        let kept = Organisation { disclosure: Disclosure::CodeOnly, ..facts.clone() };
        assert!(
            [controllers(&kept), owners(&kept)].iter().all(|text| text.ends_with("not shown to other organisations"))
        );
        facts.ultimate_controllers = Some(Claim::always(BTreeSet::new()));
        assert_eq!(controllers(&facts), "none");
    }

    #[test]
    fn a_claim_says_until_when_it_holds() {
        let mut seat = Statement::declared("DE".to_owned());
        seat.validity.until = Some("2027-01-01".parse().unwrap());
        let seat = Claim::of(seat);
        assert_eq!(claim(Some(&seat), Clone::clone), "DE until 2027-01-01T00:00:00Z");
    }
}
