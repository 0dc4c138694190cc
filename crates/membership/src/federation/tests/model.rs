//! The rules again, written as simply as they can be: everybody is a text, every set small, and nothing is a
//! signature. Shares no code with the fold.

use std::collections::{BTreeMap, BTreeSet};

/// Hours that a brake holds.
pub(super) const BRAKE_HOURS: u64 = 72;
/// Most certificate authorities of one organisation.
pub(super) const MOST_ANCHORS: usize = 8;

type Texts = BTreeSet<String>;

/// What somebody says. Subjects are as the fold has them in text; a key is called by its holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    /// With how many of them change this, and how many admit, suspend, lift and evict.
    Root {
        operators: Texts,
        root: usize,
        membership: usize,
    },
    Admit {
        domain: String,
        member: String,
    },
    Evict {
        domain: String,
    },
    Leave {
        domain: String,
    },
    Keys {
        domain: String,
        keys: Texts,
    },
    Anchors {
        domain: String,
        anchors: Vec<String>,
    },
    Invite {
        member: String,
        number: u8,
        ends: u64,
    },
    Revoke {
        domain: String,
        number: u8,
    },
    /// By a key that is called by its holder, who may be somebody else: keys are handed on.
    Join {
        member: String,
        number: Option<u8>,
        key: String,
    },
    Withdraw {
        member: String,
    },
    /// With an offer under terms of this version, which says that it is processed in this place.
    Publish {
        node: String,
        version: u32,
        place: String,
    },
    /// The node offers nothing any more.
    Unpublish {
        node: String,
    },
    Update {
        domain: String,
        seat: String,
    },
    Accept {
        domain: String,
        of: String,
        version: u32,
    },
    Unaccept {
        domain: String,
        of: String,
    },
    /// For a path, until an hour.
    Recognise {
        domain: String,
        until: u64,
        path: String,
    },
    Unrecognise {
        domain: String,
    },
    /// Of an organisation or an offer: of a value, until an hour.
    Audit {
        domain: String,
        about: String,
        value: String,
        until: u64,
    },
    Unaudit {
        domain: String,
        about: String,
    },
    Adopt {
        tables: String,
    },
    Suspend {
        subject: String,
        whose: Whose,
    },
    Lift {
        subject: String,
        whose: Whose,
    },
    Lapse {
        subject: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    All,
    One,
    Own,
}

/// When it lapses and whose it is, if it is a brake.
type Word = Option<(u64, Texts)>;

/// How somebody left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gone {
    pub(super) evicted: bool,
    pub(super) epoch: u64,
    /// Against whom operators had said something, and when that would have lapsed.
    pub(super) held: BTreeMap<String, Option<u64>>,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) hour: u64,
    pub(super) operators: Texts,
    /// How many operators change who governs.
    pub(super) root: usize,
    /// How many admit, suspend, lift and evict.
    pub(super) membership: usize,
    /// With the keys that sign for each.
    pub(super) organisations: BTreeMap<String, Texts>,
    /// With the key of each.
    pub(super) members: BTreeMap<String, String>,
    pub(super) invites: BTreeMap<u8, (String, u64)>,
    /// By subject, and whether it is the organisation's own.
    pub(super) words: BTreeMap<(String, bool), Word>,
    /// The hour of the operators' last word against each.
    pub(super) since: BTreeMap<String, u64>,
    pub(super) spent: BTreeSet<(String, String)>,
    pub(super) gone: BTreeMap<String, Gone>,
    /// Keys of those who left, with whose they were.
    pub(super) former: BTreeMap<String, String>,
    pub(super) seats: BTreeMap<String, String>,
    /// With the epoch at which they were said.
    pub(super) anchors: BTreeMap<String, (Vec<String>, u64)>,
    /// By node: the version of its terms, and where its offer says that it is processed.
    pub(super) offers: BTreeMap<String, (u32, String)>,
    /// By who accepts whose.
    pub(super) accepted: BTreeMap<(String, String), u32>,
    /// The path, and the hour at which it ends.
    pub(super) auditors: BTreeMap<String, (String, u64)>,
    /// By what is audited and by whom: the value, and the hour at which it ends.
    pub(super) audits: BTreeMap<(String, String), (String, u64)>,
    pub(super) tables: Option<String>,
    pub(super) said: BTreeMap<String, u64>,
    /// How many entries there are.
    pub(super) epoch: u64,
}

pub(super) fn domain(text: &str) -> String {
    let text = text.strip_prefix("spiffe://").unwrap_or(text);
    text.split('/').next().unwrap_or_default().to_owned()
}

fn member(subject: &str) -> String {
    subject.split('#').next().unwrap_or_default().to_owned()
}

/// The path that is audited of somebody.
pub(super) fn path(about: &str) -> &'static str {
    if about.contains('/') { "processing_locations" } else { "operator.seat" }
}

/// Apps and operators offer nothing.
pub(super) fn is_node(id: &str) -> bool {
    id.contains("/node/")
}

/// The node of an offer.
pub(super) fn node(about: &str) -> String {
    let (node, _) = about.rsplit_once('/').unwrap_or_default();
    format!("spiffe://{}", node.replacen('/', "/node/", 1))
}

fn texts<'a>(all: impl IntoIterator<Item = &'a str>) -> Texts {
    all.into_iter().map(str::to_owned).collect()
}

/// Where an act has its version.
pub(super) fn scope(act: &Act) -> Option<String> {
    Some(match act {
        Act::Root { .. } => "root".to_owned(),
        Act::Admit { domain, .. } | Act::Evict { domain } => format!("governance/{domain}"),
        Act::Leave { domain }
        | Act::Keys { domain, .. }
        | Act::Anchors { domain, .. }
        | Act::Revoke { domain, .. }
        | Act::Update { domain, .. }
        | Act::Accept { domain, .. }
        | Act::Unaccept { domain, .. }
        | Act::Audit { domain, .. }
        | Act::Unaudit { domain, .. } => format!("organisation/{domain}"),
        Act::Recognise { domain, .. } | Act::Unrecognise { domain } => format!("governance/{domain}"),
        Act::Adopt { .. } => "tables".to_owned(),
        Act::Invite { member, .. } | Act::Withdraw { member } => format!("organisation/{}", domain(member)),
        Act::Join { member: id, .. } | Act::Publish { node: id, .. } | Act::Unpublish { node: id } => {
            format!("member/{id}")
        }
        Act::Suspend { subject, whose } | Act::Lift { subject, whose } => match whose {
            Whose::All => format!("governance/{}", domain(subject)),
            Whose::One => format!("brake/{}", domain(subject)),
            Whose::Own => format!("organisation/{}", domain(subject)),
        },
        Act::Lapse { .. } => return None,
    })
}

impl Model {
    /// Whether these may say this now; if so, it is said.
    pub(super) fn say(&mut self, act: &Act, version: u64, signers: &Texts) -> bool {
        let scope = scope(act);
        if let Some(scope) = &scope
            && (version != self.next(scope) || !self.have_signed(act, signers))
        {
            return false;
        }
        if !self.fits(act, signers) {
            return false;
        }
        self.epoch += 1;
        self.change(act, signers);
        self.end_audits();
        if let Some(scope) = scope {
            *self.said.entry(scope).or_default() += 1;
        }
        true
    }

    pub(super) fn next(&self, scope: &str) -> u64 {
        self.said.get(scope).copied().unwrap_or_default() + 1
    }

    pub(super) fn voters(&self) -> Texts {
        self.operators.iter().filter(|id| !self.is_held(id)).cloned().collect()
    }

    /// Whether who signed this at that hour can have seen what it lifts.
    pub(super) fn has_seen(&self, act: &Act, signed: u64) -> bool {
        let Act::Lift { subject, whose: Whose::All } = act else { return true };
        self.since.get(subject).is_none_or(|since| *since <= signed)
    }

    /// How many operators have to stay able to vote: whatever is to be decided can be.
    pub(super) fn highest(&self) -> usize {
        self.root.max(self.membership)
    }

    fn is_held(&self, subject: &str) -> bool {
        self.words.contains_key(&(subject.to_owned(), false))
    }

    /// Each of these groups is there in sufficient number, and nobody is who stands in none.
    fn have_signed(&self, act: &Act, signers: &Texts) -> bool {
        let Some(groups) = self.groups(act) else { return false };
        let enough = |(group, needed): &(Texts, usize)| group.intersection(signers).count() >= (*needed).max(1);
        groups.iter().all(enough) && signers.iter().all(|one| groups.iter().any(|(group, _)| group.contains(one)))
    }

    pub(super) fn groups(&self, act: &Act) -> Option<Vec<(Texts, usize)>> {
        let all = || vec![(self.voters(), self.membership)];
        let own = |text: &str| Some((self.organisations.get(&domain(text))?.clone(), 1));
        Some(match act {
            Act::Root { operators, root, .. } => {
                let able = operators.iter().filter(|id| !self.is_held(id)).cloned().collect();
                vec![(self.voters(), self.root), (able, *root)]
            }
            Act::Admit { .. }
            | Act::Evict { .. }
            | Act::Recognise { .. }
            | Act::Unrecognise { .. }
            | Act::Adopt { .. } => all(),
            Act::Leave { domain }
            | Act::Anchors { domain, .. }
            | Act::Revoke { domain, .. }
            | Act::Update { domain, .. }
            | Act::Accept { domain, .. }
            | Act::Unaccept { domain, .. }
            | Act::Audit { domain, .. }
            | Act::Unaudit { domain, .. } => vec![own(domain)?],
            Act::Keys { domain, keys } => vec![own(domain)?, (keys.clone(), keys.len())],
            Act::Invite { member, .. } | Act::Withdraw { member } => vec![own(member)?],
            Act::Join { member, number: None, key } => vec![own(member)?, (texts([key.as_str()]), 1)],
            Act::Join { number: Some(number), key, .. } => {
                self.invites.get(number)?;
                vec![(texts([format!("invite {number}").as_str()]), 1), (texts([key.as_str()]), 1)]
            }
            Act::Publish { node, .. } | Act::Unpublish { node } => {
                let (mut group, needed) = own(node)?;
                group.insert(self.members.get(node)?.clone());
                vec![(group, needed)]
            }
            Act::Suspend { subject, whose } | Act::Lift { subject, whose } => match whose {
                Whose::All => all(),
                Whose::One => vec![(self.voters(), 1)],
                Whose::Own => vec![own(subject)?],
            },
            Act::Lapse { .. } => return None,
        })
    }

    fn is_there(&self, subject: &str) -> bool {
        let id = member(subject);
        self.organisations.contains_key(subject) || self.members.contains_key(&id) || self.operators.contains(&id)
    }

    fn fits(&self, act: &Act, signers: &Texts) -> bool {
        let open = |number: &u8| self.invites.get(number).filter(|(_, ends)| self.hour < *ends);
        match act {
            Act::Root { operators, root, membership } => {
                let able = operators.iter().filter(|id| !self.is_held(id)).count();
                [root, membership].iter().all(|threshold| (1..=able).contains(*threshold))
            }
            Act::Admit { domain, .. } => !self.organisations.contains_key(domain),
            Act::Evict { domain } | Act::Leave { domain } => self.organisations.contains_key(domain),
            Act::Keys { keys, .. } => !keys.is_empty(),
            Act::Anchors { anchors, .. } => (1..=MOST_ANCHORS).contains(&anchors.len()),
            Act::Invite { member, number, ends } => {
                let invited = self.invites.values().any(|(other, ends)| other == member && self.hour < *ends);
                *ends > self.hour && !self.members.contains_key(member) && open(number).is_none() && !invited
            }
            Act::Revoke { domain: of, number } => {
                self.invites.get(number).is_some_and(|(member, _)| domain(member) == *of)
            }
            Act::Join { member, number, .. } => {
                let by_invite = number.is_none_or(|number| open(&number).is_some_and(|(other, _)| other == member));
                self.organisations.contains_key(&domain(member)) && !self.members.contains_key(member) && by_invite
            }
            Act::Withdraw { member: id } => {
                let held = self.words.keys().any(|(subject, own)| !own && member(subject) == *id);
                self.members.contains_key(id) && !held
            }
            Act::Publish { node, .. } | Act::Unpublish { node } => {
                is_node(node) && self.members.contains_key(node) && self.standing(node, "none") == "active"
            }
            Act::Update { domain, .. } => self.organisations.contains_key(domain),
            Act::Accept { domain, of, version } => {
                let stated = self
                    .offers
                    .iter()
                    .any(|(node, (stated, _))| super::model::domain(node) == *of && stated == version);
                self.organisations.contains_key(domain) && self.organisations.contains_key(of) && *version > 0 && stated
            }
            Act::Unaccept { domain, of } => self.accepted.contains_key(&(domain.clone(), of.clone())),
            Act::Recognise { domain, until, .. } => self.organisations.contains_key(domain) && *until > self.hour,
            Act::Unrecognise { domain } => self.auditors.contains_key(domain),
            Act::Audit { domain: by, about, value, until: ends } => {
                let heard = self.auditors.get(by).is_some_and(|(of, until)| of == path(about) && self.hour < *until);
                let states = self.stated(about).as_ref() == Some(value);
                heard && !self.is_refused(by) && domain(about) != *by && *ends > self.hour && states
            }
            Act::Unaudit { domain, about } => self.audits.contains_key(&(about.clone(), domain.clone())),
            Act::Adopt { tables } => self.tables.as_ref() != Some(tables),
            Act::Suspend { subject, whose } => self.is_there(subject) && self.may_suspend(subject, *whose, signers),
            Act::Lift { subject, whose } => match self.words.get(&(subject.clone(), *whose == Whose::Own)) {
                None => false,
                Some(Some((_, who))) if *whose == Whose::One => !who.is_disjoint(signers),
                Some(None) if *whose == Whose::One => false,
                Some(_) => true,
            },
            Act::Lapse { subject } => {
                matches!(self.words.get(&(subject.clone(), false)), Some(Some((until, _))) if *until <= self.hour)
            }
        }
    }

    fn is_refused(&self, subject: &str) -> bool {
        [true, false].iter().any(|own| self.words.contains_key(&(subject.to_owned(), *own)))
    }

    /// The place that somebody states.
    pub(super) fn stated(&self, about: &str) -> Option<String> {
        if about.contains('/') {
            return self.offers.get(&node(about)).map(|(_, place)| place.clone());
        }
        self.seats.get(about).cloned()
    }

    /// The audits of somebody that count, with the hour at which each ends.
    pub(super) fn signed(&self, about: &str) -> BTreeMap<String, u64> {
        let of_it = self.audits.iter().filter(|((of, by), _)| of == about && !self.is_refused(by));
        of_it.map(|((_, by), (_, until))| (by.clone(), self.auditors[by].1.min(*until))).collect()
    }

    /// Audits of what is stated no longer, by who is recognised for it no longer.
    fn end_audits(&mut self) {
        let mut audits = std::mem::take(&mut self.audits);
        audits.retain(|(about, by), (value, _)| {
            let covered = self.auditors.get(by).is_some_and(|(of, _)| of == path(about));
            covered && self.stated(about).as_ref() == Some(value)
        });
        self.audits = audits;
    }

    fn may_suspend(&self, subject: &str, whose: Whose, signers: &Texts) -> bool {
        let stands = self.words.get(&(subject.to_owned(), whose == Whose::Own));
        let free = match whose {
            Whose::All => stands.is_none_or(Option::is_some),
            Whose::One | Whose::Own => stands.is_none(),
        };
        let one_of = |subject: &str| if subject.contains('#') { member(subject) + "#" } else { subject.to_owned() };
        let same = |spent: &str| one_of(spent) == one_of(subject);
        let spent = |one: &String| self.spent.iter().any(|(who, spent)| who == one && same(spent));
        let mut left = self.voters();
        left.remove(&member(subject));
        if whose == Whose::One {
            let shown = |one: &String| self.words.keys().any(|(held, own)| !own && member(held) == *one);
            left.retain(|one| !signers.contains(one) && !shown(one));
        }
        let counts = whose == Whose::One || whose == Whose::All && !subject.contains('#');
        let governs = counts && self.operators.contains(&member(subject)) && left.len() < self.highest();
        free && !governs && (whose != Whose::One || !signers.iter().any(spent))
    }

    fn change(&mut self, act: &Act, signers: &Texts) {
        match act.clone() {
            Act::Root { operators, root, membership } => {
                let gone: Vec<String> = self.operators.difference(&operators).cloned().collect();
                gone.iter().for_each(|id| self.forget(id));
                (self.operators, self.root, self.membership) = (operators, root, membership);
            }
            Act::Admit { domain: of, member } => {
                self.organisations.insert(of.clone(), texts([format!("{of} 0").as_str()]));
                self.gone.retain(|subject, _| domain(subject) != of);
                self.seat(member.clone(), member);
                self.anchors.insert(of.clone(), (vec!["anchor".into()], self.epoch));
                self.seats.insert(of, "DE".into());
            }
            Act::Evict { domain: of } | Act::Leave { domain: of } => {
                let gone = Gone { evicted: matches!(act, Act::Evict { .. }), epoch: self.epoch, held: self.held(&of) };
                self.organisations.remove(&of);
                let (left, stay): (BTreeMap<_, _>, _) =
                    std::mem::take(&mut self.members).into_iter().partition(|(id, _)| domain(id) == of);
                self.members = stay;
                self.former.extend(left.into_iter().map(|(id, key)| (key, id)));
                self.invites.retain(|_, (member, _)| domain(member) != of);
                self.words.retain(|(subject, _), _| domain(subject) != of);
                self.spent.retain(|(_, subject)| domain(subject) != of);
                self.gone.retain(|subject, _| domain(subject) != of);
                self.seats.remove(&of);
                self.anchors.remove(&of);
                self.offers.retain(|node, _| domain(node) != of);
                self.accepted.retain(|(one, other), _| *one != of && *other != of);
                self.auditors.remove(&of);
                self.gone.insert(of, gone);
            }
            Act::Keys { domain: of, keys } => {
                self.invites.retain(|_, (member, _)| domain(member) != of);
                drop(self.organisations.insert(of, keys));
            }
            Act::Anchors { domain, anchors } => drop(self.anchors.insert(domain, (anchors, self.epoch))),
            Act::Invite { member, number, ends } => {
                self.invites.retain(|_, (_, ends)| self.hour < *ends);
                self.invites.insert(number, (member, ends));
            }
            Act::Revoke { number, .. } => drop(self.invites.remove(&number)),
            Act::Join { member, key, .. } => {
                self.invites.retain(|_, (other, _)| *other != member);
                self.gone.remove(&member);
                self.seat(member, key);
            }
            Act::Withdraw { member } => {
                self.forget(&member);
                let key = self.members.remove(&member).unwrap();
                self.former.insert(key, member.clone());
                self.offers.remove(&member);
                let gone = Gone { evicted: false, epoch: self.epoch, held: BTreeMap::new() };
                self.gone.insert(member, gone);
            }
            Act::Publish { node, version, place } => drop(self.offers.insert(node, (version, place))),
            Act::Unpublish { node } => drop(self.offers.remove(&node)),
            Act::Update { domain, seat } => drop(self.seats.insert(domain, seat)),
            Act::Accept { domain, of, version } => drop(self.accepted.insert((domain, of), version)),
            Act::Unaccept { domain, of } => drop(self.accepted.remove(&(domain, of))),
            Act::Recognise { domain, until, path } => drop(self.auditors.insert(domain, (path, until))),
            Act::Unrecognise { domain } => drop(self.auditors.remove(&domain)),
            Act::Audit { domain, about, value, until } => drop(self.audits.insert((about, domain), (value, until))),
            Act::Unaudit { domain, about } => drop(self.audits.remove(&(about, domain))),
            Act::Adopt { tables } => self.tables = Some(tables),
            Act::Suspend { subject, whose } => self.suspend(&subject, whose, signers),
            Act::Lift { subject, whose } => {
                self.words.remove(&(subject.clone(), whose == Whose::Own));
                if whose == Whose::All {
                    self.spent.retain(|(_, other)| *other != subject);
                }
            }
            Act::Lapse { subject } => drop(self.words.remove(&(subject, false))),
        }
    }

    fn seat(&mut self, member: String, key: String) {
        self.former.remove(&key);
        self.members.insert(member, key);
    }

    /// What operators hold against an organisation and all that is its own.
    fn held(&self, of: &str) -> BTreeMap<String, Option<u64>> {
        let words = self.words.iter().filter(|((subject, own), _)| !own && domain(subject) == of);
        words.map(|((subject, _), word)| (subject.clone(), word.as_ref().map(|(until, _)| *until))).collect()
    }

    fn suspend(&mut self, subject: &str, whose: Whose, signers: &Texts) {
        let word = (whose == Whose::One).then(|| (self.hour + BRAKE_HOURS, signers.clone()));
        self.words.insert((subject.to_owned(), whose == Whose::Own), word);
        if whose != Whose::Own {
            self.since.insert(subject.to_owned(), self.hour);
        }
        match whose {
            Whose::All => self.spent.retain(|(_, other)| other != subject),
            Whose::One => self.spent.extend(signers.iter().map(|one| (one.clone(), subject.to_owned()))),
            Whose::Own => {}
        }
    }

    /// All that was said of a member, all that it spent, and that a brake is its own.
    fn forget(&mut self, id: &str) {
        self.words.values_mut().flatten().for_each(|(_, who)| who.retain(|one| one != id));
        self.words.retain(|(subject, _), _| member(subject) != id);
        self.spent.retain(|(one, subject)| one != id && member(subject) != id);
    }

    /// `active`, `unknown`, `suspended` or `departed` with whom it is about.
    pub(super) fn standing(&self, id: &str, certificate: &str) -> String {
        let of = domain(id);
        if self.is_there(id) {
            let said = |subject: &str| [true, false].iter().any(|own| self.words.contains_key(&(subject.into(), *own)));
            let held = [of.as_str(), id, certificate].into_iter().find(|subject| said(subject));
            return held.map_or_else(|| "active".into(), |subject| format!("suspended {subject}"));
        }
        let gone = [of.as_str(), id].into_iter().find(|subject| self.gone.contains_key(*subject));
        gone.map_or_else(|| "unknown".into(), |subject| format!("departed {subject}"))
    }
}
