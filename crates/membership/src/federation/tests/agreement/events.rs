//! Whatever anybody says, in whatever order: often enough what can be accepted.

use std::collections::BTreeSet;

use comity_types::Digest;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::model::{self, Act, BRAKE_HOURS, Model, Whose};
use super::super::operator_text;

pub(super) const OPERATORS: [&str; 5] = ["o0", "o1", "o2", "o3", "o4"];
pub(super) const DOMAINS: [&str; 2] = ["a.example", "b.example"];
/// What each organisation may have, the one that it comes with first.
const NAMES: [&str; 4] = ["node/n1", "node/n2", "app/p1", "operator/q1"];
/// How many those are.
pub(super) const OF_ONE: usize = NAMES.len();

/// What happens.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// Those of whom a bit is set sign, of all whose signature matters; and perhaps somebody else does. `near`: it is
    /// about the so-and-so many-th of those who are there, and not about just anybody.
    Said {
        act: Act,
        near: Option<usize>,
        mask: u8,
        extra: Option<String>,
    },
    /// What was said before, so many back, accepted or not, is said again.
    Again(usize),
    Hours(u64),
}

pub(super) fn id(name: &str) -> String {
    operator_text(name)
}

pub(super) fn members() -> Vec<String> {
    DOMAINS.iter().flat_map(|domain| NAMES.map(|name| format!("spiffe://{domain}/{name}"))).collect()
}

pub(super) fn certificate(member: &str) -> String {
    format!("{member}#sha256={}", Digest::of(b"certificate"))
}

/// Those who claim something.
pub(super) fn claimants() -> Vec<String> {
    let nodes = members().into_iter().filter(|id| model::is_node(id));
    let offers = nodes.map(|id| format!("{}/o1", id["spiffe://".len()..].replacen("/node/", "/", 1)));
    DOMAINS.map(str::to_owned).into_iter().chain(offers).collect()
}

fn place() -> impl Strategy<Value = String> {
    prop_oneof![3 => Just("DE"), 1 => Just("FR")].prop_map(str::to_owned)
}

fn subjects() -> Vec<String> {
    let certificates = members().iter().step_by(2).map(|id| certificate(id)).collect::<Vec<_>>();
    let operators = OPERATORS.map(id).to_vec();
    // Another one of a member's and of an operator's: what was spent on one is spent on all of theirs.
    let others = [members()[0].clone(), id("o1")].map(|id| format!("{id}#sha256={}", Digest::of(b"another")));
    let of_operators = vec![certificate(&id("o1")), certificate(&id("o2"))];
    [DOMAINS.map(str::to_owned).to_vec(), members(), certificates, operators, of_operators, others.to_vec()].concat()
}

fn subset(of: Vec<String>) -> impl Strategy<Value = BTreeSet<String>> {
    let len = of.len();
    proptest::sample::subsequence(of, 0..=len).prop_map(BTreeSet::from_iter)
}

fn act() -> impl Strategy<Value = Act> {
    let domain = || select(DOMAINS.to_vec()).prop_map(str::to_owned);
    let (member, subject, number) = (|| select(members()), || select(subjects()), || 0..4_u8);
    let whose = || select(vec![Whose::All, Whose::One, Whose::Own]);
    let keys = |domain: &str| (0..3).map(|n| format!("{domain} {n}")).collect::<Vec<_>>();
    prop_oneof![
        1 => (subset(OPERATORS.map(id).to_vec()), 0..4_usize, 0..4_usize)
            .prop_map(|(operators, root, membership)| Act::Root { operators, root, membership }),
        2 => member().prop_map(|member| Act::Admit { domain: model::domain(&member), member }),
        1 => domain().prop_map(|domain| Act::Evict { domain }),
        1 => domain().prop_map(|domain| Act::Leave { domain }),
        2 => domain().prop_flat_map(move |domain| {
            subset(keys(&domain)).prop_map(move |keys| Act::Keys { domain: domain.clone(), keys })
        }),
        2 => (domain(), proptest::collection::vec(select(vec!["x", "y"]), 0..=model::MOST_ANCHORS + 1)).prop_map(
            |(domain, anchors)| Act::Anchors { domain, anchors: anchors.into_iter().map(str::to_owned).collect() }
        ),
        3 => (member(), number()).prop_map(|(member, number)| Act::Invite { member, number, ends: 0 }),
        1 => (domain(), number()).prop_map(|(domain, number)| Act::Revoke { domain, number }),
        4 => (member(), proptest::option::of(number()), proptest::option::weighted(0.3, member())).prop_map(
            |(member, number, key)| Act::Join { key: key.unwrap_or_else(|| member.clone()), member, number }
        ),
        2 => member().prop_map(|member| Act::Withdraw { member }),
        2 => (member(), 0..3_u32, place()).prop_map(|(node, version, place)| Act::Publish { node, version, place }),
        1 => member().prop_map(|node| Act::Unpublish { node }),
        1 => (domain(), place()).prop_map(|(domain, seat)| Act::Update { domain, seat }),
        2 => (domain(), domain(), 0..3_u32).prop_map(|(domain, of, version)| Act::Accept { domain, of, version }),
        1 => (domain(), domain()).prop_map(|(domain, of)| Act::Unaccept { domain, of }),
        3 => (domain(), 0..100_u64, select(vec!["operator.seat", "processing_locations"]))
            .prop_map(|(domain, until, path)| Act::Recognise { domain, until, path: path.to_owned() }),
        1 => domain().prop_map(|domain| Act::Unrecognise { domain }),
        5 => (domain(), select(claimants()), place(), 0..100_u64)
            .prop_map(|(domain, about, value, until)| Act::Audit { domain, about, value, until }),
        1 => (domain(), select(claimants())).prop_map(|(domain, about)| Act::Unaudit { domain, about }),
        1 => select(vec!["", "#"]).prop_map(|tables| Act::Adopt { tables: tables.to_owned() }),
        7 => (subject(), whose()).prop_map(|(subject, whose)| Act::Suspend { subject, whose }),
        5 => (subject(), whose()).prop_map(|(subject, whose)| Act::Lift { subject, whose }),
        3 => subject().prop_map(|subject| Act::Lapse { subject }),
    ]
}

pub(super) fn event() -> impl Strategy<Value = Event> {
    let strangers = ["eve", "a.example 0", "b.example 1", "invite 1"].map(str::to_owned);
    let extra = select([strangers.to_vec(), members(), OPERATORS.map(id).to_vec()].concat());
    let extra = prop_oneof![12 => Just(None), 1 => extra.prop_map(Some)];
    let mask = prop_oneof![4 => Just(u8::MAX), 2 => any::<u8>(), 4 => (0..4_u8).prop_map(|bit| 1 << bit)];
    let near = prop_oneof![1 => Just(None), 4 => (0..8_usize).prop_map(Some)];
    prop_oneof![
        20 => (act(), near, mask, extra).prop_map(|(act, near, mask, extra)| Event::Said { act, near, mask, extra }),
        2 => (0..8_usize).prop_map(Event::Again),
        2 => (1..BRAKE_HOURS).prop_map(Event::Hours),
    ]
}

/// The act, about somebody of whom there is something to say.
pub(super) fn aim(model: &Model, mut act: Act, near: Option<usize>) -> Act {
    let Some(near) = near else { return act };
    let invite = model.invites.iter().cycle().nth(near);
    match &mut act {
        Act::Lift { subject, whose } => {
            let Some(((word, own), brake)) = model.words.iter().cycle().nth(near) else { return act };
            subject.clone_from(word);
            *whose = match brake {
                _ if *own => Whose::Own,
                Some(_) if near % 2 == 0 => Whose::One,
                _ => *whose,
            };
        }
        Act::Lapse { subject } => {
            let brake = model.words.iter().filter(|(_, word)| word.is_some()).cycle().nth(near);
            brake.into_iter().for_each(|((word, _), _)| subject.clone_from(word));
        }
        Act::Join { member, number: Some(number), key } => {
            let own = key == member;
            invite.into_iter().for_each(|(open, (invited, _))| (*member, *number) = (invited.clone(), *open));
            if own {
                key.clone_from(member);
            }
        }
        Act::Revoke { domain, number } => {
            let all = invite.into_iter();
            all.for_each(|(open, (invited, _))| (*domain, *number) = (model::domain(invited), *open));
        }
        Act::Withdraw { member } => {
            model.members.keys().cycle().nth(near).into_iter().for_each(|id| member.clone_from(id));
        }
        Act::Publish { node, .. } => {
            let nodes = model.members.keys().filter(|id| model::is_node(id));
            nodes.cycle().nth(near).into_iter().for_each(|id| node.clone_from(id));
        }
        Act::Unpublish { node } => {
            model.offers.keys().cycle().nth(near).into_iter().for_each(|id| node.clone_from(id));
        }
        Act::Root { .. } | Act::Admit { .. } | Act::Evict { .. } | Act::Leave { .. } => {}
        Act::Keys { .. } | Act::Anchors { .. } => {}
        Act::Invite { .. } | Act::Join { .. } | Act::Suspend { .. } => {}
        Act::Accept { of, version, .. } => {
            let offer = model.offers.iter().cycle().nth(near);
            offer.into_iter().for_each(|(node, (stated, _))| (*of, *version) = (model::domain(node), *stated));
        }
        Act::Unaccept { domain, of } => {
            let known = model.accepted.keys().cycle().nth(near);
            known.into_iter().for_each(|known| (*domain, *of) = known.clone());
        }
        Act::Audit { domain, about, value, .. } => {
            let auditor = model.auditors.iter().cycle().nth(near);
            let Some((auditor, (path, _))) = auditor else { return act };
            domain.clone_from(auditor);
            let others =
                claimants().into_iter().filter(|one| model::path(one) == *path && model::domain(one) != *auditor);
            let stated = others.filter_map(|one| Some((model.stated(&one)?, one))).nth(near % 2);
            stated.into_iter().for_each(|(stated, one)| (*about, *value) = (one, stated));
        }
        Act::Unaudit { domain, about } => {
            let known = model.audits.keys().cycle().nth(near);
            known.into_iter().for_each(|(of, by)| (*about, *domain) = (of.clone(), by.clone()));
        }
        Act::Update { .. } | Act::Recognise { .. } | Act::Unrecognise { .. } | Act::Adopt { .. } => {}
    }
    act
}
