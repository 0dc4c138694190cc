//! Whose word counts on what others claim, and what they signed.
//!
//! Operators recognise auditors, by the threshold; an auditor signs for itself. An audit is of one value: it is over when
//! another is stated, when its auditor is recognised no longer or has left, and it is void while its auditor is suspended.

use std::collections::BTreeSet;
use std::sync::Arc;

use comity_policy::claim::{Assurance, ClaimPath};
use comity_policy::{Offer, Organisation};
use comity_types::{Digest, OfferName, SpiffeId, Timestamp, TrustDomain};

use super::{Audits, Federation, Place, Refused, check_reason};
use crate::statement::{Audit, Claimant, Subject};

/// Most auditors: each is somebody whom operators look at, and every claim may have an audit of each.
pub const MAX_AUDITORS: usize = 64;
/// Most audits of one auditor that stand at once: everybody keeps all of them.
pub const MAX_AUDITS: usize = 10_000;

/// How far the word of an auditor counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auditor {
    /// On which claims.
    pub paths: BTreeSet<ClaimPath>,
    /// The highest level that its word has.
    pub up_to: Assurance,
    /// The first instant at which it counts no longer.
    pub until: Timestamp,
    /// The epoch at which operators said so.
    pub epoch: u64,
}

impl Auditor {
    fn covers(&self, audit: &Audit) -> bool {
        self.paths.contains(&audit.path) && audit.level <= self.up_to
    }
}

/// An audit that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditState {
    /// What was signed.
    pub audit: Audit,
    /// The epoch at which it was.
    pub epoch: u64,
}

impl Federation {
    /// The auditors that are recognised, expired or not, sorted.
    pub fn auditors(&self) -> impl Iterator<Item = (&TrustDomain, &Auditor)> {
        self.auditors.iter()
    }

    /// One auditor.
    #[must_use]
    pub fn auditor(&self, domain: &TrustDomain) -> Option<&Auditor> {
        self.auditors.get(domain)
    }

    /// The audits that stand of one claimant's claims, each with its path and who signed it.
    pub fn audits_of(&self, about: &Claimant) -> impl Iterator<Item = (ClaimPath, &TrustDomain, &AuditState)> {
        self.audits.get(about).into_iter().flatten().map(|((path, auditor), state)| (*path, auditor, state))
    }

    /// Whether an auditor's word counts now, whatever the time: recognised, a member, and suspended by nobody.
    #[must_use]
    pub fn is_heard(&self, auditor: &TrustDomain) -> bool {
        let takes_part = self.organisation(auditor).is_some_and(|state| state.suspensions.is_none());
        takes_part && self.auditors.contains_key(auditor)
    }

    pub(super) fn recognise(&mut self, domain: &TrustDomain, auditor: Auditor, now: Timestamp) -> Result<(), Refused> {
        let refuse = |why| Err(Refused::Auditor { auditor: domain.clone(), why });
        if !self.organisations.contains_key(domain) {
            return Err(Refused::NotAMember(Subject::Organisation(domain.clone())));
        }
        if auditor.paths.is_empty() {
            return refuse("its word has to count on at least one claim");
        }
        if auditor.up_to == Assurance::SelfDeclared {
            return refuse("a word up to self-declared is everybody's own");
        }
        if auditor.until <= now {
            return refuse("it would have ended already");
        }
        if self.auditors.len() >= MAX_AUDITORS && !self.auditors.contains_key(domain) {
            return refuse("there are 64 auditors already (hint: revoke some)");
        }
        self.keep_audits(|_, by, audit| by != domain || auditor.covers(audit));
        Arc::make_mut(&mut self.auditors).insert(domain.clone(), auditor);
        self.weigh_audited_by(&Subject::Organisation(domain.clone()));
        Ok(())
    }

    pub(super) fn revoke_auditor(&mut self, domain: &TrustDomain, reason: &str) -> Result<(), Refused> {
        check_reason(reason)?;
        let unknown = || Refused::NotAnAuditor { auditor: domain.clone(), why: "nobody has recognised it" };
        Arc::make_mut(&mut self.auditors).remove(domain).ok_or_else(unknown)?;
        self.keep_audits(|_, by, _| by != domain);
        Ok(())
    }

    pub(super) fn audit(&mut self, domain: &TrustDomain, audit: &Audit, place: Place) -> Result<(), Refused> {
        let Audit { about, path, level, from, until, .. } = audit;
        let refuse = |why| Err(Refused::Audit { about: Box::new(about.clone()), path: *path, why });
        self.check_heard(domain, audit, place.at)?;
        if about.trust_domain() == domain {
            return refuse("it is the auditor's own");
        }
        if *level == Assurance::SelfDeclared {
            return refuse("self-declared is everybody's own word, and needs no audit");
        }
        if from >= until || *until <= place.at {
            return refuse("it would never hold, or has ended already");
        }
        if !self.stated_digests(about, *path).contains(&audit.value) {
            return refuse("another value is stated, or none (hint: `comity claim list` shows what is)");
        }
        let key = (*path, domain.clone());
        let standing = self.audits.values().flat_map(|all| all.keys()).filter(|(_, by)| by == domain).count();
        let replaces = self.audits.get(about).is_some_and(|all| all.contains_key(&key));
        if standing >= MAX_AUDITS && !replaces {
            return refuse("its auditor has 10000 that stand (hint: withdraw some)");
        }
        let state = AuditState { audit: audit.clone(), epoch: place.epoch };
        Arc::make_mut(&mut self.audits).entry(about.clone()).or_default().insert(key, state);
        self.weigh(about);
        Ok(())
    }

    fn check_heard(&self, domain: &TrustDomain, audit: &Audit, now: Timestamp) -> Result<(), Refused> {
        let refuse = |why| Err(Refused::NotAnAuditor { auditor: domain.clone(), why });
        match self.auditors.get(domain) {
            None => refuse("nobody has recognised it"),
            Some(auditor) if auditor.until <= now => refuse("its recognition has ended"),
            Some(auditor) if !auditor.covers(audit) => refuse("not for this claim, or not up to this level"),
            Some(_) if !self.is_heard(domain) => refuse("it is suspended"),
            Some(_) => Ok(()),
        }
    }

    pub(super) fn withdraw_audit(
        &mut self,
        domain: &TrustDomain,
        about: &Claimant,
        path: ClaimPath,
        reason: &str,
    ) -> Result<(), Refused> {
        if reason.len() > super::MAX_REASON_BYTES {
            return Err(Refused::Reason { found: reason.len() });
        }
        if !self.audits_of(about).any(|(of, by, _)| of == path && by == domain) {
            return Err(Refused::NoAudit { auditor: domain.clone(), about: Box::new(about.clone()), path });
        }
        self.keep_audits(|other, by, audit| (other, by, audit.path) != (about, domain, path));
        Ok(())
    }

    /// The digests of the values that are stated.
    fn stated_digests(&self, about: &Claimant, path: ClaimPath) -> Vec<Digest> {
        match about {
            Claimant::Organisation(domain) => {
                self.organisation(domain).map(|state| state.organisation.claim_digests(path)).unwrap_or_default()
            }
            Claimant::Offer(name) => self.offer(name).map(|offer| offer.claim_digests(path)).unwrap_or_default(),
        }
    }

    /// Ends the audits of an organisation whose values it states no longer.
    pub(super) fn end_audits_of_organisation(&mut self, facts: &Organisation) {
        let about = Claimant::Organisation(facts.trust_domain.clone());
        if self.audits.contains_key(&about) {
            self.keep_audits(|other, _, audit| {
                *other != about || facts.claim_digests(audit.path).contains(&audit.value)
            });
        }
    }

    /// Ends the audits of a node's offers whose values they state no longer, and of those that are no more.
    pub(super) fn end_audits_of_offers(&mut self, node: &SpiffeId, offers: &[Offer]) {
        let of_node = |name: &OfferName| name.node() == node;
        if !self.audits.keys().any(|about| matches!(about, Claimant::Offer(name) if of_node(name))) {
            return;
        }
        self.keep_audits(|about, _, audit| {
            let Claimant::Offer(name) = about else { return true };
            let stated = || offers.iter().find(|offer| offer.id == *name.id());
            !of_node(name) || stated().is_some_and(|offer| offer.claim_digests(audit.path).contains(&audit.value))
        });
    }

    /// Ends what is about an organisation that is gone, and what it signed.
    pub(super) fn forget_audits_of(&mut self, gone: &TrustDomain) {
        if self.auditors.contains_key(gone) {
            Arc::make_mut(&mut self.auditors).remove(gone);
        }
        self.keep_audits(|about, by, _| about.trust_domain() != gone && by != gone);
    }

    /// Ends every audit but those that are to stay, and weighs again what they were of.
    fn keep_audits(&mut self, stays: impl Fn(&Claimant, &TrustDomain, &Audit) -> bool) {
        let ends = |about: &Claimant, all: &Audits| all.iter().any(|((_, by), state)| !stays(about, by, &state.audit));
        let ended: Vec<_> =
            self.audits.iter().filter(|(about, all)| ends(about, all)).map(|(about, _)| about.clone()).collect();
        if ended.is_empty() {
            return;
        }
        let audits = Arc::make_mut(&mut self.audits);
        audits.iter_mut().for_each(|(about, all)| all.retain(|(_, by), state| stays(about, by, &state.audit)));
        audits.retain(|_, all| !all.is_empty());
        ended.iter().for_each(|about| self.weigh(about));
    }
}
