//! Whose terms an organisation accepts: its own word, at a version, with the digests of what it read.

use std::collections::BTreeSet;

use comity_types::{Digest, TrustDomain};

use super::{Federation, Refused};
use crate::statement::{Subject, terms_digest};

/// Most organisations whose terms one accepts: as many as a file of facts may name.
pub const MAX_ACCEPTED: usize = comity_policy::limits::MAX_LIST;
/// Most terms that one acceptance names: an organisation has a few, and as many offers state each.
pub const MAX_TERMS: usize = 256;

/// That an organisation accepts terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acceptance {
    /// The version that it accepts.
    pub version: u32,
    /// The digests of what it read.
    pub terms: BTreeSet<Digest>,
    /// The epoch at which it said so.
    pub epoch: u64,
}

impl Federation {
    /// The digests of the terms that the offers of an organisation state at a version.
    #[must_use]
    pub fn terms_of(&self, domain: &TrustDomain, version: u32) -> BTreeSet<Digest> {
        self.stated_terms(domain).filter(|terms| terms.version == version).map(terms_digest).collect()
    }

    /// The highest version of terms that the offers of an organisation state; `None` if they state none.
    #[must_use]
    pub fn newest_terms_of(&self, domain: &TrustDomain) -> Option<u32> {
        self.stated_terms(domain).map(|terms| terms.version).max().filter(|version| *version > 0)
    }

    fn stated_terms(&self, domain: &TrustDomain) -> impl Iterator<Item = &comity_policy::Terms> {
        let nodes = self.nodes.iter().filter(move |(node, _)| node.trust_domain() == domain);
        nodes.flat_map(|(_, state)| &state.offers).filter_map(|offer| offer.terms.as_ref())
    }

    pub(super) fn accept_terms(
        &mut self,
        domain: &TrustDomain,
        of: &TrustDomain,
        version: u32,
        terms: &BTreeSet<Digest>,
        epoch: u64,
    ) -> Result<(), Refused> {
        let refuse = |why| Err(Refused::Terms { of: of.clone(), why });
        if !self.organisations.contains_key(of) {
            return Err(Refused::NotAMember(Subject::Organisation(of.clone())));
        }
        if terms.len() > MAX_TERMS {
            return refuse("an acceptance names at most 256 terms");
        }
        let stated = self.terms_of(of, version);
        // What nobody states yet could become anything.
        if version == 0 || stated.is_empty() {
            return refuse("no offer of it states this version (hint: `comity terms list` shows those that are)");
        }
        if !terms.is_subset(&stated) {
            return refuse("no offer of it states these terms at this version any more (hint: read them again)");
        }
        let state = self.organisation_mut(domain)?;
        if state.accepted.len() >= MAX_ACCEPTED && !state.accepted.contains_key(of) {
            return refuse("the terms of 256 organisations are accepted already (hint: withdraw some)");
        }
        state.accepted.insert(of.clone(), Acceptance { version, terms: terms.clone(), epoch });
        self.weigh_organisation(domain);
        Ok(())
    }

    pub(super) fn withdraw_terms(&mut self, domain: &TrustDomain, of: &TrustDomain) -> Result<(), Refused> {
        let missing = || Refused::NotAccepted { organisation: domain.clone(), of: of.clone() };
        self.organisation_mut(domain)?.accepted.remove(of).ok_or_else(missing)?;
        self.weigh_organisation(domain);
        Ok(())
    }

    /// Whoever comes back comes with other terms, which nobody has accepted.
    pub(super) fn forget_terms_of(&mut self, gone: &TrustDomain) {
        let accepting = self.organisations.iter().filter(|(_, state)| state.accepted.contains_key(gone));
        let accepting: Vec<TrustDomain> = accepting.map(|(domain, _)| domain.clone()).collect();
        for domain in accepting {
            if let Ok(state) = self.organisation_mut(&domain) {
                state.accepted.remove(gone);
            }
            self.weigh_organisation(&domain);
        }
    }
}
