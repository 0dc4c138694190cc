//! The state of a federation: a fold over its statements. `refused` says why one does not fit.

mod refused;

use std::collections::{BTreeMap, BTreeSet};

use comity_policy::{Layers, Offer, Organisation};
use comity_types::ids::Kind;
use comity_types::{Digest, OfferName, SpiffeId, Timestamp, TrustDomain};

pub use refused::Refused;

use crate::statement::{Entry, Statement, Subject};

/// Most offers of one node: more belong on more nodes.
pub const MAX_OFFERS_PER_NODE: usize = 256;
/// Longest reason of a suspension, in bytes: a sentence or two for the member.
pub const MAX_REASON_BYTES: usize = 1024;

/// Who belongs to the federation, what they offer, and who is suspended, at one epoch.
#[derive(Debug, Clone, Default)]
pub struct Federation {
    epoch: u64,
    founding: Option<Founding>,
    organisations: BTreeMap<TrustDomain, OrganisationState>,
    members: BTreeMap<SpiffeId, MemberState>,
    nodes: BTreeMap<SpiffeId, NodeState>,
}

#[derive(Debug, Clone)]
struct Founding {
    federation: TrustDomain,
    root_sha256: Digest,
    operators: BTreeSet<SpiffeId>,
}

/// An admitted organisation.
#[derive(Debug, Clone)]
pub struct OrganisationState {
    /// Its facts.
    pub organisation: Organisation,
    /// What it demands of its own requests.
    pub layers: Layers,
    /// Its certificate authorities: DER in base64.
    pub anchors: Vec<String>,
    /// Why it is refused, if it is.
    pub suspension: Option<Suspension>,
}

/// An admitted node, app or operator.
#[derive(Debug, Clone)]
pub struct MemberState {
    /// SHA-256 of its public key; unknown for the founding operators, whom the root names.
    pub key_sha256: Option<Digest>,
    /// Why it is refused, if it is.
    pub suspension: Option<Suspension>,
}

/// What a node published; nothing until it has run.
#[derive(Debug, Clone, Default)]
pub struct NodeState {
    /// Where the broker reaches it.
    pub address: Option<String>,
    /// Its offers.
    pub offers: Vec<Offer>,
}

/// Why and since when somebody is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// Why.
    pub reason: String,
    /// The epoch of the statement.
    pub epoch: u64,
    /// Its time.
    pub at: Timestamp,
}

/// Whether a member takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Active,
    /// It, or its organisation, is suspended.
    Suspended {
        /// Which of the two.
        subject: Subject,
        /// Why.
        reason: String,
        /// Since which epoch.
        epoch: u64,
    },
    /// It was never admitted.
    Unknown,
}

impl Federation {
    /// Takes the next statement in.
    ///
    /// # Errors
    /// If it does not fit, and then nothing has changed.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), Refused> {
        if entry.epoch != self.epoch + 1 {
            return Err(Refused::OutOfOrder { current: self.epoch, found: entry.epoch });
        }
        let founding = matches!(entry.statement, Statement::Founded { .. });
        if founding != self.founding.is_none() {
            return Err(Refused::Founding);
        }
        self.take_in(entry)?;
        self.epoch = entry.epoch;
        Ok(())
    }

    fn take_in(&mut self, entry: &Entry) -> Result<(), Refused> {
        match &entry.statement {
            Statement::Founded { federation, root_sha256, operators } => {
                self.found(federation, *root_sha256, operators)
            }
            Statement::OrganisationAdmitted { organisation, layers, anchors } => {
                self.admit_organisation(organisation, layers, anchors)
            }
            Statement::OrganisationUpdated { organisation, layers } => self.update_organisation(organisation, layers),
            Statement::MemberAdmitted { id, key_sha256 } => self.admit_member(id, *key_sha256),
            Statement::Suspended { subject, reason } => self.suspend(subject, reason, entry),
            Statement::Lifted { subject } => self.lift(subject),
            Statement::OffersPublished { node, address, offers } => self.publish(node, address, offers),
        }
    }

    fn found(
        &mut self,
        federation: &TrustDomain,
        root_sha256: Digest,
        operators: &BTreeSet<SpiffeId>,
    ) -> Result<(), Refused> {
        for id in operators {
            if id.kind() != Kind::Operator || id.trust_domain() != federation {
                return Err(Refused::WrongDomain {
                    id: id.clone(),
                    why: "operators stand in the federation's own trust domain",
                });
            }
        }
        self.members =
            operators.iter().map(|id| (id.clone(), MemberState { key_sha256: None, suspension: None })).collect();
        self.founding = Some(Founding { federation: federation.clone(), root_sha256, operators: operators.clone() });
        Ok(())
    }

    fn admit_organisation(
        &mut self,
        organisation: &Organisation,
        layers: &Layers,
        anchors: &[String],
    ) -> Result<(), Refused> {
        let domain = &organisation.trust_domain;
        if self.organisations.contains_key(domain) || self.name() == Some(domain) {
            return Err(Refused::AlreadyAMember(Subject::Organisation(domain.clone())));
        }
        let state = OrganisationState {
            organisation: organisation.clone(),
            layers: layers.clone(),
            anchors: anchors.to_vec(),
            suspension: None,
        };
        self.organisations.insert(domain.clone(), state);
        Ok(())
    }

    fn update_organisation(&mut self, organisation: &Organisation, layers: &Layers) -> Result<(), Refused> {
        let domain = &organisation.trust_domain;
        let unknown = || Refused::NotAMember(Subject::Organisation(domain.clone()));
        let state = self.organisations.get_mut(domain).ok_or_else(unknown)?;
        (state.organisation, state.layers) = (organisation.clone(), layers.clone());
        Ok(())
    }

    fn admit_member(&mut self, id: &SpiffeId, key_sha256: Digest) -> Result<(), Refused> {
        if self.members.contains_key(id) {
            return Err(Refused::AlreadyAMember(Subject::Member(id.clone())));
        }
        let own = self.name() == Some(id.trust_domain());
        match id.kind() {
            Kind::Broker => return Err(Refused::WrongDomain { id: id.clone(), why: "brokers are named by the root" }),
            Kind::Operator if !own => {
                return Err(Refused::WrongDomain {
                    id: id.clone(),
                    why: "operators stand in the federation's own trust domain",
                });
            }
            Kind::Node | Kind::App if own => {
                return Err(Refused::WrongDomain {
                    id: id.clone(),
                    why: "nodes and apps belong to organisations, not to the federation",
                });
            }
            Kind::Node | Kind::App if !self.organisations.contains_key(id.trust_domain()) => {
                return Err(Refused::NotAMember(Subject::Organisation(id.trust_domain().clone())));
            }
            Kind::Node => {
                self.nodes.insert(id.clone(), NodeState::default());
            }
            Kind::App | Kind::Operator => {}
        }
        self.members.insert(id.clone(), MemberState { key_sha256: Some(key_sha256), suspension: None });
        Ok(())
    }

    fn suspend(&mut self, subject: &Subject, reason: &str, entry: &Entry) -> Result<(), Refused> {
        if reason.is_empty() || reason.len() > MAX_REASON_BYTES {
            return Err(Refused::Reason { found: reason.len() });
        }
        if self.is_last_operator(subject) {
            return Err(Refused::LastOperator(subject.clone()));
        }
        let place = self.suspension_of(subject)?;
        if place.is_some() {
            return Err(Refused::AlreadySuspended(subject.clone()));
        }
        *place = Some(Suspension { reason: reason.to_owned(), epoch: entry.epoch, at: entry.at });
        Ok(())
    }

    fn lift(&mut self, subject: &Subject) -> Result<(), Refused> {
        self.suspension_of(subject)?.take().map(drop).ok_or_else(|| Refused::NotSuspended(subject.clone()))
    }

    fn suspension_of(&mut self, subject: &Subject) -> Result<&mut Option<Suspension>, Refused> {
        let place = match subject {
            Subject::Organisation(domain) => self.organisations.get_mut(domain).map(|state| &mut state.suspension),
            Subject::Member(id) => self.members.get_mut(id).map(|state| &mut state.suspension),
        };
        place.ok_or_else(|| Refused::NotAMember(subject.clone()))
    }

    fn is_last_operator(&self, subject: &Subject) -> bool {
        let mut active =
            self.members.iter().filter(|(id, state)| id.kind() == Kind::Operator && state.suspension.is_none());
        matches!((active.next(), active.next()), (Some((only, _)), None) if *subject == Subject::Member(only.clone()))
    }

    fn publish(&mut self, node: &SpiffeId, address: &str, offers: &[Offer]) -> Result<(), Refused> {
        let state = self.nodes.get_mut(node).ok_or_else(|| Refused::NotAMember(Subject::Member(node.clone())))?;
        if offers.len() > MAX_OFFERS_PER_NODE {
            return Err(Refused::TooManyOffers { node: node.clone(), found: offers.len() });
        }
        let mut ids = BTreeSet::new();
        for offer in offers {
            let refuse = |why| Err(Refused::Offer { node: node.clone(), offer: Box::new(offer.name()), why });
            if offer.node != *node {
                return refuse("the offer names another node");
            }
            if !ids.insert(&offer.id) {
                return refuse("the node has two offers of this id");
            }
        }
        *state = NodeState { address: Some(address.to_owned()), offers: offers.to_vec() };
        Ok(())
    }

    /// The number of statements that were taken in.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The federation's trust domain, once it is founded.
    #[must_use]
    pub fn name(&self) -> Option<&TrustDomain> {
        self.founding.as_ref().map(|founding| &founding.federation)
    }

    /// SHA-256 of the root document, once the federation is founded.
    #[must_use]
    pub fn root_sha256(&self) -> Option<Digest> {
        self.founding.as_ref().map(|founding| founding.root_sha256)
    }

    /// The operators that the root names.
    pub fn founding_operators(&self) -> impl Iterator<Item = &SpiffeId> {
        self.founding.iter().flat_map(|founding| &founding.operators)
    }

    /// The organisations, sorted.
    pub fn organisations(&self) -> impl Iterator<Item = &OrganisationState> {
        self.organisations.values()
    }

    /// One organisation.
    #[must_use]
    pub fn organisation(&self, domain: &TrustDomain) -> Option<&OrganisationState> {
        self.organisations.get(domain)
    }

    /// Nodes, apps and operators, sorted.
    pub fn members(&self) -> impl Iterator<Item = (&SpiffeId, &MemberState)> {
        self.members.iter()
    }

    /// One member.
    #[must_use]
    pub fn member(&self, id: &SpiffeId) -> Option<&MemberState> {
        self.members.get(id)
    }

    /// The nodes, sorted.
    pub fn nodes(&self) -> impl Iterator<Item = (&SpiffeId, &NodeState)> {
        self.nodes.iter()
    }

    /// One node.
    #[must_use]
    pub fn node(&self, id: &SpiffeId) -> Option<&NodeState> {
        self.nodes.get(id)
    }

    /// One offer.
    #[must_use]
    pub fn offer(&self, name: &OfferName) -> Option<&Offer> {
        self.node(name.node())?.offers.iter().find(|offer| offer.id == *name.id())
    }

    /// Whether a member takes part: itself, and its organisation.
    #[must_use]
    pub fn standing(&self, id: &SpiffeId) -> Standing {
        let Some(member) = self.member(id) else { return Standing::Unknown };
        let organisation = self.organisation(id.trust_domain()).and_then(|state| state.suspension.as_ref());
        let suspended = |subject, suspension: &Suspension| Standing::Suspended {
            subject,
            reason: suspension.reason.clone(),
            epoch: suspension.epoch,
        };
        match (organisation, &member.suspension) {
            (Some(suspension), _) => suspended(Subject::Organisation(id.trust_domain().clone()), suspension),
            (None, Some(suspension)) => suspended(Subject::Member(id.clone()), suspension),
            (None, None) => Standing::Active,
        }
    }
}

#[cfg(test)]
mod tests;
