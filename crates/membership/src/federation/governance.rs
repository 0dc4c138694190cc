//! The founding, and who governs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use comity_transparency::PublicKey;
use comity_types::ids::Kind;
use comity_types::{SpiffeId, TrustDomain};

use super::{Federation, MemberState, Refused, Suspensions};
use crate::signed::Genesis;
use crate::statement::{Scope, TlsKey};

/// Most operators: each is a person who signs, and every statement may carry a signature of each.
pub const MAX_OPERATORS: usize = 32;

/// Who governs, and how many of them it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Governance {
    /// The operators, with the key of each.
    pub operators: BTreeMap<SpiffeId, PublicKey>,
    /// How many of them change this.
    pub root_threshold: u32,
    /// How many of them admit, suspend, lift and evict.
    pub membership_threshold: u32,
}

impl Governance {
    /// Checks that it can govern `federation`.
    fn check(&self, federation: &TrustDomain) -> Result<(), Refused> {
        let Self { operators, root_threshold, membership_threshold } = self;
        let unfit = |why| Err(Refused::Governance(why));
        if operators.is_empty() || operators.len() > MAX_OPERATORS {
            return unfit("there have to be 1 to 32 operators");
        }
        if operators.keys().any(|id| id.kind() != Kind::Operator || id.trust_domain() != federation) {
            return unfit("operators stand in the federation's own trust domain");
        }
        if operators.values().collect::<BTreeSet<_>>().len() != operators.len() {
            return unfit("no two operators have the same key: each key counts once");
        }
        let reachable = |threshold: &u32| {
            usize::try_from(*threshold).is_ok_and(|threshold| (1..=operators.len()).contains(&threshold))
        };
        if !reachable(root_threshold) || !reachable(membership_threshold) {
            return unfit("a threshold is at least 1, and at most the number of operators");
        }
        Ok(())
    }
}

impl Federation {
    pub(super) fn found(&mut self, genesis: &Genesis) -> Result<(), Refused> {
        let governance = Governance {
            operators: genesis.operators.clone(),
            root_threshold: genesis.root_threshold,
            membership_threshold: genesis.membership_threshold,
        };
        governance.check(&genesis.federation)?;
        self.name = Some(genesis.federation.clone());
        self.root_sha256 = Some(genesis.root_sha256);
        self.seat(governance);
        Ok(())
    }

    pub(super) fn change_root(
        &mut self,
        operators: &BTreeMap<SpiffeId, PublicKey>,
        root_threshold: u32,
        membership_threshold: u32,
    ) -> Result<(), Refused> {
        let governance = Governance { operators: operators.clone(), root_threshold, membership_threshold };
        governance.check(self.name.as_ref().ok_or(Refused::Founding)?)?;
        let highest = root_threshold.max(membership_threshold);
        if self.able(operators).count() < usize::try_from(highest).unwrap_or(usize::MAX) {
            return Err(Refused::Governance("too many of these operators are suspended to meet the threshold"));
        }
        self.seat(governance);
        Ok(())
    }

    /// Operators are members of the federation itself: those that stay keep their suspensions.
    fn seat(&mut self, governance: Governance) {
        let own = self.members.iter().filter(|(id, _)| self.name.as_ref() == Some(id.trust_domain()));
        let seated: BTreeMap<_, _> = own.map(|(id, state)| (id.clone(), Arc::clone(state))).collect();
        for id in seated.keys() {
            self.members.remove(id);
        }
        let gone = |id: &SpiffeId| seated.contains_key(id) && !governance.operators.contains_key(id);
        self.certificates.retain(|(id, _), _| !gone(id));
        self.brakes.retain(|(operator, braked), _| !gone(operator) && !braked.member().is_some_and(gone));
        let unseated = seated.iter().filter(|(id, member)| governance.operators.get(*id) != Some(&member.key));
        self.unseated.extend(unseated.map(|(_, member)| (member.key.id(), ())));
        for (id, key) in &governance.operators {
            let same = seated.get(id).filter(|member| member.key == *key);
            let suspensions = same.map_or_else(Suspensions::default, |member| member.suspensions.clone());
            let member = MemberState { key: key.clone(), tls_key: TlsKey::Admitted, suspensions };
            self.members.insert(id.clone(), Arc::new(member));
        }
        self.governance = Some(Arc::new(governance));
    }

    /// Those of these operators who are not suspended, or were under another key, which is not theirs any more.
    pub(crate) fn able<'a>(
        &self,
        operators: &'a BTreeMap<SpiffeId, PublicKey>,
    ) -> impl Iterator<Item = (&'a SpiffeId, &'a PublicKey)> {
        operators.iter().filter(|(id, key)| {
            let same = self.members.get(*id).filter(|member| member.key == **key);
            same.is_none_or(|member| member.suspensions.is_none())
        })
    }

    /// The operators whose signatures count: those that are not suspended.
    pub fn voters(&self) -> impl Iterator<Item = (&SpiffeId, &PublicKey)> {
        let operators = self.governance.iter().flat_map(|governance| &governance.operators);
        operators.filter(|(id, _)| self.members.get(*id).is_some_and(|member| member.suspensions.is_none()))
    }

    /// The root's version: that of the founding is 1.
    #[must_use]
    pub fn root_version(&self) -> u64 {
        self.next_version(&Scope::Root)
    }
}
