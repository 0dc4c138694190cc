//! What the policy is handed: facts and offers as they count. Made anew where something changes that they rest on, and
//! never where a request is decided; what comes out as before stays the same value, so that whoever keeps something of
//! it sees by a pointer that nothing changed.

use std::collections::BTreeSet;
use std::sync::Arc;

use comity_policy::Offer;
use comity_policy::claim::{ClaimPath, Countersignature};
use comity_types::{Interval, OfferName, SpiffeId, TrustDomain};

use super::Federation;
use crate::statement::{Claimant, Subject};

impl Federation {
    /// Whether the policy is handed the same facts, offers and tables as in another state of the same federation.
    #[must_use]
    pub fn judges_as(&self, other: &Self) -> bool {
        let tables = match (&self.adopted, &other.adopted) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let facts = |state: &Self| state.organisations.values().map(|one| Arc::as_ptr(&one.facts)).collect::<Vec<_>>();
        // A node without offers makes no difference.
        let offering = |state: &Self| {
            let all = state.nodes.values().filter(|one| !one.weighed.is_empty());
            all.map(|one| Arc::as_ptr(&one.weighed)).collect::<Vec<_>>()
        };
        tables && facts(self) == facts(other) && offering(self) == offering(other)
    }

    /// The offers of all nodes, as they count.
    pub fn offers(&self) -> impl Iterator<Item = &Offer> {
        self.nodes.values().flat_map(|state| state.weighed.iter())
    }

    pub(super) fn weigh(&mut self, about: &Claimant) {
        match about {
            Claimant::Organisation(domain) => self.weigh_organisation(domain),
            Claimant::Offer(name) => self.weigh_node(name.node()),
        }
    }

    pub(super) fn weigh_organisation(&mut self, domain: &TrustDomain) {
        let Some(state) = self.organisations.get(domain) else { return };
        let about = Claimant::Organisation(domain.clone());
        let mut facts = state.organisation.weighed(&|path| self.countersignatures(&about, path));
        facts.accepted_terms = state.accepted.iter().map(|(of, one)| (of.clone(), one.version)).collect();
        if let Some(state) = self.organisations.get_mut(domain)
            && *state.facts != facts
        {
            Arc::make_mut(state).facts = Arc::new(facts);
        }
    }

    pub(super) fn weigh_node(&mut self, node: &SpiffeId) {
        let Some(state) = self.nodes.get(node) else { return };
        let weighed = |offer: &Offer| {
            let about = Claimant::Offer(OfferName::new(node, &offer.id));
            offer.weighed(&|path| self.countersignatures(&about, path))
        };
        let weighed: Vec<Offer> = state.offers.iter().map(weighed).collect();
        if let Some(state) = self.nodes.get_mut(node)
            && *state.weighed != *weighed
        {
            Arc::make_mut(state).weighed = weighed.into();
        }
    }

    /// Weighs again all that a subject has audited, if it is an organisation: it may be heard, or not any more.
    pub(super) fn weigh_audited_by(&mut self, subject: &Subject) {
        let Subject::Organisation(domain) = subject else { return };
        let by = |all: &std::collections::BTreeMap<(ClaimPath, TrustDomain), _>| all.keys().any(|(_, by)| by == domain);
        let audited = self.audits.iter().filter(|(_, all)| by(all)).map(|(about, _)| about.clone());
        let audited: BTreeSet<Claimant> = audited.collect();
        audited.iter().for_each(|about| self.weigh(about));
    }

    /// The audits of a claim that count, for as long as their auditors are recognised.
    fn countersignatures(&self, about: &Claimant, path: ClaimPath) -> Vec<Countersignature> {
        let of_path = self.audits_of(about).filter(|(of, auditor, _)| *of == path && self.is_heard(auditor));
        let signed = of_path.filter_map(|(_, auditor, state)| {
            let until = self.auditors.get(auditor)?.until.min(state.audit.until);
            Some(Countersignature {
                auditor: auditor.to_string(),
                value: state.audit.value,
                level: state.audit.level,
                evidence: state.audit.evidence,
                validity: Interval { from: Some(state.audit.from), until: Some(until) },
            })
        });
        signed.collect()
    }
}

#[cfg(test)]
impl Federation {
    /// Whether what is kept is what comes out when everything is weighed anew.
    pub(super) fn is_weighed(&self) -> bool {
        let mut anew = self.clone();
        let domains: Vec<_> = anew.organisations.keys().cloned().collect();
        let nodes: Vec<_> = anew.nodes.keys().cloned().collect();
        domains.iter().for_each(|domain| anew.weigh_organisation(domain));
        nodes.iter().for_each(|node| anew.weigh_node(node));
        self.judges_as(&anew)
    }
}
