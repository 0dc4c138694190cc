//! Organisations: admitted, updated, gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use comity_policy::{Layers, Organisation};
use comity_transparency::{Envelope, PublicKey};
use comity_types::ids::Kind;
use comity_types::{Digest, TrustDomain};

use super::offers::check_offers;
use super::{Departure, Federation, OrganisationState, Place, Refused, Suspensions};
use crate::signed::Application;
use crate::statement::{By, Subject};

/// Most keys that sign for one organisation: some people, and some that are going.
pub const MAX_KEYS: usize = 16;
/// Most certificate authorities of one organisation: one in use, one to come, one going, and some for separate sites.
pub const MAX_ANCHORS: usize = 8;

impl Federation {
    /// Whether an organisation was admitted by the application with this digest, which brings nobody back.
    #[must_use]
    pub fn was_admitted_by(&self, application: &Digest) -> bool {
        self.applications.contains_key(application)
    }

    pub(super) fn admit_organisation(&mut self, envelope: &Envelope, place: Place) -> Result<(), Refused> {
        let application = Application::open(envelope).map_err(|error| Refused::Unreadable(error.to_string()))?;
        let Application {
            federation, organisation, layers, anchors, keys, member, member_key, tls_key, offers, ..
        } = application;
        if Some(federation) != self.root_sha256 {
            return Err(Refused::OtherFederation);
        }
        let domain = organisation.trust_domain.clone();
        if self.organisations.contains_key(&domain) || self.name() == Some(&domain) {
            return Err(Refused::AlreadyAMember(Subject::Organisation(domain)));
        }
        if *member.trust_domain() != domain {
            return Err(Refused::WrongDomain { id: member, why: "an organisation's first member is its own" });
        }
        check_facts(&organisation)?;
        check_keys(&keys)?;
        check_anchors(&anchors)?;
        check_kind(&member)?;
        // They are kept by the log alone: what is in force is what the node publishes.
        check_offers(&member, &offers)?;
        // Who has left comes back by its own word alone, and not by what it said before it left.
        if self.was_admitted_by(&envelope.payload_digest()) {
            return Err(Refused::ApplicationUsed(domain));
        }
        self.applications.insert(envelope.payload_digest(), ());
        let state = OrganisationState {
            facts: Arc::new(organisation.clone()),
            organisation,
            accepted: BTreeMap::new(),
            layers,
            anchors,
            anchors_epoch: place.epoch,
            keys,
            suspensions: Suspensions::default(),
        };
        self.organisations.insert(domain.clone(), Arc::new(state));
        self.departed.retain(|subject, _| *subject.trust_domain() != domain);
        self.seat_member(&member, &member_key, tls_key);
        self.weigh_organisation(&domain);
        Ok(())
    }

    pub(super) fn update_organisation(&mut self, organisation: &Organisation, layers: &Layers) -> Result<(), Refused> {
        check_facts(organisation)?;
        let state = self.organisation_mut(&organisation.trust_domain)?;
        (state.organisation, state.layers) = (organisation.clone(), layers.clone());
        self.end_audits_of_organisation(organisation);
        self.weigh_organisation(&organisation.trust_domain);
        Ok(())
    }

    pub(super) fn change_anchors(
        &mut self,
        domain: &TrustDomain,
        anchors: &[String],
        epoch: u64,
    ) -> Result<(), Refused> {
        check_anchors(anchors)?;
        let state = self.organisation_mut(domain)?;
        (state.anchors, state.anchors_epoch) = (anchors.to_vec(), epoch);
        Ok(())
    }

    pub(super) fn change_keys(&mut self, domain: &TrustDomain, keys: &[PublicKey]) -> Result<(), Refused> {
        check_keys(keys)?;
        keys.clone_into(&mut self.organisation_mut(domain)?.keys);
        // Whoever has a copy of the old key may have made them.
        self.invites.retain(|_, invite| invite.member.trust_domain() != domain);
        Ok(())
    }

    /// An organisation leaves with all that is its own. What was said of it once can never be said again, since the
    /// versions of its scopes stay.
    pub(super) fn depart(
        &mut self,
        domain: &TrustDomain,
        evicted: bool,
        reason: &str,
        epoch: u64,
    ) -> Result<(), Refused> {
        if reason.len() > super::MAX_REASON_BYTES {
            return Err(Refused::Reason { found: reason.len() });
        }
        let subject = Subject::Organisation(domain.clone());
        let held =
            self.suspended().into_iter().filter(|(of, by, _)| of.trust_domain() == domain && *by != By::Organisation);
        let held = held.map(|(of, _, suspension)| (of, suspension.clone())).collect();
        if !self.organisations.remove(domain) {
            return Err(Refused::NotAMember(subject));
        }
        let of_it = self.members().filter(|(id, _)| id.trust_domain() == domain);
        let former: Vec<_> = of_it.map(|(id, member)| (member.key.id(), id.clone())).collect();
        self.former.extend(former);
        self.members.retain(|id, _| id.trust_domain() != domain);
        self.used_invites.retain(|_, used| used.member.trust_domain() != domain);
        self.nodes.retain(|id, _| id.trust_domain() != domain);
        self.invites.retain(|_, invite| invite.member.trust_domain() != domain);
        self.certificates.retain(|(id, _), _| id.trust_domain() != domain);
        self.brakes.retain(|(_, subject), _| subject.trust_domain() != domain);
        self.departed.retain(|subject, _| subject.trust_domain() != domain);
        self.departed.insert(subject, Departure { evicted, reason: reason.to_owned(), epoch, held });
        self.forget_terms_of(domain);
        self.forget_audits_of(domain);
        Ok(())
    }

    pub(super) fn organisation_mut(&mut self, domain: &TrustDomain) -> Result<&mut OrganisationState, Refused> {
        let unknown = || Refused::NotAMember(Subject::Organisation(domain.clone()));
        self.organisations.get_mut(domain).map(Arc::make_mut).ok_or_else(unknown)
    }
}

/// What an organisation may have as members: brokers belong to the federation.
pub(super) fn check_kind(id: &comity_types::SpiffeId) -> Result<(), Refused> {
    match id.kind() {
        Kind::Node | Kind::App | Kind::Operator => Ok(()),
        Kind::Broker => Err(Refused::WrongDomain { id: id.clone(), why: "brokers are named by the root" }),
    }
}

/// What an organisation accepts, it says by a statement that names whose terms at which version, and what it read.
fn check_facts(facts: &Organisation) -> Result<(), Refused> {
    let none = facts.accepted_terms.is_empty();
    none.then_some(()).ok_or_else(|| Refused::AcceptedInFacts(facts.trust_domain.clone()))
}

fn check_keys(keys: &[PublicKey]) -> Result<(), Refused> {
    let distinct = keys.iter().collect::<BTreeSet<_>>().len();
    if keys.is_empty() || keys.len() > MAX_KEYS || distinct != keys.len() {
        return Err(Refused::Keys { found: keys.len() });
    }
    Ok(())
}

fn check_anchors(anchors: &[String]) -> Result<(), Refused> {
    if anchors.is_empty() || anchors.len() > MAX_ANCHORS {
        return Err(Refused::Anchors { found: anchors.len() });
    }
    Ok(())
}
