//! A policy in the making, definition by definition: every rule is checked here, for files and for code alike.

use std::collections::{BTreeMap, BTreeSet};

use super::fault::PolicyFault;
use super::{Group, MAX_GROUPS, MAX_LOGS, MAX_WITNESSES, Member, NONE, Octets, Policy, PolicyLog, PolicyWitness};
use crate::verifier::{Kind, Verifier};

/// Takes definitions in their order; what names something comes after it.
#[derive(Debug, Clone, Default)]
pub struct PolicyDraft {
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<Group>,
    names: BTreeMap<Octets, Member>,
    members: BTreeSet<Octets>,
    /// `Some(None)` is `quorum none`.
    quorum: Option<Option<Member>>,
}

/// How many members of a group have to have cosigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    /// One.
    Any,
    /// All.
    All,
    /// So many.
    Of(usize),
}

impl PolicyDraft {
    /// A log.
    ///
    /// # Errors
    /// Its key is of a witness, or stands already.
    pub fn log(&mut self, key: Verifier, url: Option<Octets>) -> Result<(), PolicyFault> {
        room(self.logs.len(), "logs", MAX_LOGS)?;
        if key.kind() == Kind::Ed25519Cosignature {
            return Err(PolicyFault::NoLogKey);
        }
        if let Some(same) = self.logs.iter().find(|log| log.key.is_same_key(&key)) {
            return Err(PolicyFault::SameLog(same.key.name().to_owned()));
        }
        if let Some(witness) = self.witnesses.iter().find(|witness| is_the_log(&witness.key, &key)) {
            return Err(PolicyFault::LogAsWitness(witness.name.clone()));
        }
        self.logs.push(PolicyLog { key, url });
        Ok(())
    }

    /// A witness.
    ///
    /// # Errors
    /// Its name is taken, or its key is a log's, another witness's, or makes no cosignatures.
    pub fn witness(&mut self, name: Octets, key: Verifier, url: Option<Octets>) -> Result<(), PolicyFault> {
        room(self.witnesses.len(), "witnesses", MAX_WITNESSES)?;
        if key.kind() == Kind::Note {
            return Err(PolicyFault::NoWitnessKey);
        }
        if let Some(same) = self.witnesses.iter().find(|witness| witness.key.is_same_key(&key)) {
            return Err(PolicyFault::SameWitness(same.name.clone()));
        }
        if self.logs.iter().any(|log| is_the_log(&key, &log.key)) {
            return Err(PolicyFault::LogAsWitness(name));
        }
        self.define(&name, Member::Witness(self.witnesses.len()))?;
        self.witnesses.push(PolicyWitness { name, key, url });
        Ok(())
    }

    /// A group of witnesses and groups.
    ///
    /// # Errors
    /// Its name is taken, a member is not defined or is a member already, or the threshold is none.
    pub fn group(&mut self, name: Octets, threshold: Threshold, members: &[Octets]) -> Result<(), PolicyFault> {
        room(self.groups.len(), "groups", MAX_GROUPS)?;
        let needed = match threshold {
            Threshold::Any => 1,
            Threshold::All => members.len(),
            Threshold::Of(needed) => needed,
        };
        if !(1..=members.len()).contains(&needed) {
            return Err(PolicyFault::Threshold { members: members.len() });
        }
        let mut joined = self.members.clone();
        let places = members.iter().map(|member| {
            let place = self.place(member)?;
            if joined.insert(member.clone()) { Ok(place) } else { Err(PolicyFault::MemberTwice(member.clone())) }
        });
        let members = places.collect::<Result<_, _>>()?;
        self.define(&name, Member::Group(self.groups.len()))?;
        self.groups.push(Group { name, needed, members });
        self.members = joined;
        Ok(())
    }

    /// The quorum: a witness, a group, or `none`.
    ///
    /// # Errors
    /// There is one already, or the name is not defined.
    pub fn quorum(&mut self, name: &Octets) -> Result<(), PolicyFault> {
        if self.quorum.is_some() {
            return Err(PolicyFault::SecondQuorum);
        }
        self.quorum = Some(if name.as_bytes() == NONE { None } else { Some(self.place(name)?) });
        Ok(())
    }

    /// The policy.
    ///
    /// # Errors
    /// It has no quorum.
    pub fn finish(self) -> Result<Policy, PolicyFault> {
        let Self { logs, witnesses, groups, names: _, members: _, quorum } = self;
        let quorum = quorum.ok_or(PolicyFault::NoQuorum)?;
        Ok(Policy { logs, witnesses, groups, quorum })
    }

    fn place(&self, name: &Octets) -> Result<Member, PolicyFault> {
        if name.as_bytes() == NONE {
            return Err(PolicyFault::NoneIsReserved);
        }
        self.names.get(name).copied().ok_or_else(|| PolicyFault::Undefined(name.clone()))
    }

    fn define(&mut self, name: &Octets, member: Member) -> Result<(), PolicyFault> {
        if name.as_bytes() == NONE {
            return Err(PolicyFault::NoneIsReserved);
        }
        if self.names.contains_key(name) {
            return Err(PolicyFault::Defined(name.clone()));
        }
        self.names.insert(name.clone(), member);
        Ok(())
    }
}

/// A key of the log, or any key under its name: logs have keys that a policy may not list.
pub(super) fn is_the_log(witness: &Verifier, log: &Verifier) -> bool {
    witness.is_same_key(log) || witness.name() == log.name()
}

const fn room(have: usize, what: &'static str, limit: usize) -> Result<(), PolicyFault> {
    if have < limit { Ok(()) } else { Err(PolicyFault::TooMany { what, limit }) }
}
