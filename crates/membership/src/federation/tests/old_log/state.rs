//! A state in words, whole: a field that is added to it does not compile before it is told as well.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use serde::Serialize;
use serde_json::Value;

use super::super::super::*;
use crate::federation::map::Map;

/// Everything in a state, a line each, in an order that the state's own has no part in.
pub(super) fn told(federation: &Federation) -> String {
    let Federation {
        epoch,
        at,
        name,
        root_sha256,
        governance,
        organisations,
        members,
        nodes,
        invites,
        used_invites,
        certificates,
        brakes,
        applications,
        departed,
        former,
        auditors,
        audits,
        adopted,
        unseated,
        versions,
    } = federation;
    let mut lines = vec![
        format!("epoch {epoch} at {}", option(at.as_ref())),
        format!("federation {} root {}", option(name.as_ref()), option(root_sha256.as_ref())),
    ];
    lines.extend(governance.iter().map(|governance| governing(governance)));
    each(&mut lines, "organisation", organisations, |state| organisation(state));
    each(&mut lines, "member", members, |state| member(state));
    each(&mut lines, "node", nodes, |state| node(state));
    each(&mut lines, "invite", invites, invite);
    each(&mut lines, "used invite", used_invites, invite);
    let named =
        certificates.iter().map(|((id, digest), said)| format!("certificate {id} {digest}: {}", suspensions(said)));
    lines.extend(named);
    lines.extend(brakes.iter().map(|((operator, subject), epoch)| format!("brake {operator} {subject}: {epoch}")));
    each(&mut lines, "application", applications, |()| String::new());
    each(&mut lines, "departed", departed, departure);
    each(&mut lines, "former", former, ToString::to_string);
    lines.extend(auditors.iter().map(|(domain, state)| format!("auditor {domain}: {}", auditor(state))));
    for (claimant, all) in audits.iter() {
        let of_them = all.iter().map(|((path, by), AuditState { audit, epoch })| {
            format!("audit {claimant} {path} {by}: {} {epoch}", json(audit))
        });
        lines.extend(of_them);
    }
    lines.extend(adopted.iter().map(|adopted| tables(adopted)));
    each(&mut lines, "unseated", unseated, |()| String::new());
    each(&mut lines, "version", versions, |said| {
        let last = said.at(said.last()).expect("what was said");
        format!("{} {}", said.last(), last.payload)
    });
    lines.sort();
    lines.join("\n")
}

fn each<K: Ord + Clone + Display, V: Clone>(
    lines: &mut Vec<String>,
    what: &str,
    map: &Map<K, V>,
    text: impl Fn(&V) -> String,
) {
    lines.extend(map.iter().map(|(key, value)| format!("{what} {key}: {}", text(value))));
}

fn option<T: Display>(value: Option<&T>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}

/// With the keys of each object in order: that of [`Value`]'s own map hangs on what else is built (`preserve_order`).
fn spelled(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            let fields: Vec<_> =
                sorted.into_iter().map(|(key, value)| format!("{}:{}", json(key), spelled(value))).collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(spelled).collect::<Vec<_>>().join(",")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

/// Keys in the order of their names.
fn json<T: Serialize + ?Sized>(value: &T) -> String {
    spelled(&serde_json::to_value(value).unwrap())
}

fn governing(governance: &Governance) -> String {
    let Governance { operators, root_threshold, membership_threshold } = governance;
    let operators: Vec<_> = operators.iter().map(|(id, key)| format!("{id} {}", key.id())).collect();
    format!("governance {root_threshold} {membership_threshold}: {}", operators.join(" "))
}

fn organisation(state: &OrganisationState) -> String {
    let OrganisationState { organisation, facts, accepted, layers, anchors, anchors_epoch, keys, suspensions: said } =
        state;
    let accepted = accepted.iter().fold(String::new(), |mut text, (of, Acceptance { version, terms, epoch })| {
        let _infallible = write!(text, "[{of} {version} {} {epoch}]", json(terms));
        text
    });
    let keys: Vec<_> = keys.iter().map(|key| key.id().to_string()).collect();
    format!(
        "{} facts {} accepts {accepted} layers {} anchors {} since {anchors_epoch} keys {} {}",
        json(organisation),
        json(facts.as_ref()),
        json(layers),
        json(anchors),
        keys.join(" "),
        suspensions(said)
    )
}

fn member(state: &MemberState) -> String {
    let MemberState { key, tls_key, suspensions: said } = state;
    format!("{} {} {}", key.id(), json(tls_key), suspensions(said))
}

fn node(state: &NodeState) -> String {
    let NodeState { address, offers, digests, weighed } = state;
    format!("{} {} {} weighed {}", option(address.as_ref()), json(offers), json(digests), json(weighed.as_ref()))
}

fn invite(open: &OpenInvite) -> String {
    let OpenInvite { member, key, expires_at } = open;
    format!("{member} {} {expires_at}", key.id())
}

fn suspensions(said: &Suspensions) -> String {
    let Suspensions { federation, own } = said;
    let word = |by: &Option<Suspension>| by.as_ref().map_or_else(|| "-".to_owned(), suspension);
    format!("federation {} own {}", word(federation), word(own))
}

fn suspension(word: &Suspension) -> String {
    let Suspension { reason, epoch, at, lapses_at } = word;
    format!("{epoch} {at} {} {}", option(lapses_at.as_ref()), json(reason))
}

fn departure(departure: &Departure) -> String {
    let Departure { evicted, reason, epoch, held } = departure;
    let held: Vec<_> = held.iter().map(|(subject, word)| format!("[{subject} {}]", suspension(word))).collect();
    format!("{evicted} {epoch} {} held {}", json(reason), held.join(" "))
}

fn auditor(state: &Auditor) -> String {
    let Auditor { paths, up_to, until, epoch } = state;
    format!("{} {} {until} {epoch}", json(paths), json(up_to))
}

/// The tables themselves are what the policy reads in the texts.
fn tables(adopted: &Adopted) -> String {
    let Adopted { tables: _, texts, epoch } = adopted;
    format!("tables {epoch} {}", json(texts))
}
