//! Facets: questions that read few facts of an offer and one part of a request.
//!
//! [`evaluate`](super::evaluate) asks them one after the other. The index asks each of them once for all offers with
//! the same facts, which is what makes it fast: a facet cannot read what its [`Facts`](Facet::Facts) leave out, so
//! that offers which the index takes for the same are the same.
//!
//! Adding a facet: 1 a type beside the check, with its [`Facet`]; 2 a row in [`FACETS`]; 3 what it reads in the
//! generators of `laws/`.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash};

use comity_types::{ModelName, Place};

use super::findings::Findings;
use super::{assurance, commercial, control, data, licence, node, operational, places, statute};
use crate::{Capability, Declared, Offer, Organisation, Request, Requirements, Side};

/// A question that reads few facts.
pub(super) trait Facet {
    /// On whose behalf it is asked.
    const SIDE: Side;
    /// What it reads of an offer and its operator.
    type Facts<'a>: Copy + Eq + Hash;
    /// What it reads of a request.
    type Part: Part;

    /// What it reads of this offer and its operator.
    fn facts<'a>(offer: &'a Offer, operator: &'a Organisation) -> Self::Facts<'a>;

    /// Whether the request asks at all. If not, every offer passes, whatever its facts.
    fn is_asked(asked: &<Self::Part as Part>::Of<'_>) -> bool;

    /// Gives every reason that speaks against the facts.
    fn check(facts: &Self::Facts<'_>, asked: &<Self::Part as Part>::Of<'_>, findings: &mut Findings<'_>);
}

/// A part of a request.
pub(super) trait Part {
    /// The part.
    const NAME: PartName;
    /// What is in it.
    type Of<'r>: Copy;

    /// The part of this request.
    fn of<'r>(request: &Request<'r>) -> Self::Of<'r>;
}

/// The parts of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PartName {
    /// Nothing but its instant.
    Instant,
    /// The model.
    Model,
    /// Who asks, and what for.
    Use,
    /// Who asks, and what is demanded.
    Demand,
}

/// Nothing but the instant.
pub(super) struct AtAnyTime;

/// The model.
pub(super) struct OfModel;

/// Who asks, and what for.
pub(super) struct OfUse;

/// Who asks, and what is demanded.
pub(super) struct OfDemand;

/// Who asks, and what for.
#[derive(Clone, Copy)]
pub(super) struct Use<'r> {
    pub(super) caller: &'r Organisation,
    pub(super) declared: &'r Declared,
}

/// Who asks, and what is demanded.
#[derive(Clone, Copy)]
pub(super) struct Demand<'r> {
    pub(super) caller: &'r Organisation,
    pub(super) capability: Capability,
    pub(super) requirements: &'r Requirements,
    pub(super) broker_places: Option<&'r BTreeSet<Place>>,
}

impl Part for AtAnyTime {
    const NAME: PartName = PartName::Instant;
    type Of<'r> = ();

    fn of<'r>(_: &Request<'r>) {}
}

impl Part for OfModel {
    const NAME: PartName = PartName::Model;
    type Of<'r> = Option<&'r ModelName>;

    fn of<'r>(request: &Request<'r>) -> Self::Of<'r> {
        request.model
    }
}

impl Part for OfUse {
    const NAME: PartName = PartName::Use;
    type Of<'r> = Use<'r>;

    fn of<'r>(request: &Request<'r>) -> Self::Of<'r> {
        Use { caller: request.caller, declared: request.declared }
    }
}

impl Part for OfDemand {
    const NAME: PartName = PartName::Demand;
    type Of<'r> = Demand<'r>;

    fn of<'r>(request: &Request<'r>) -> Self::Of<'r> {
        let Request { caller, capability, requirements, broker_places, .. } = *request;
        Demand { caller, capability, requirements, broker_places }
    }
}

/// A facet whose types are put away, so that facets stand in a list.
pub(crate) struct AnyFacet {
    pub(crate) part: PartName,
    pub(super) side: Side,
    hash: fn(&Offer, &Organisation, &mut DefaultHasher),
    same: fn((&Offer, &Organisation), (&Offer, &Organisation)) -> bool,
    is_asked: fn(&Request<'_>) -> bool,
    check: fn(&Offer, &Organisation, &Request<'_>, &mut Findings<'_>),
}

impl AnyFacet {
    const fn of<F: Facet>() -> Self {
        Self {
            part: F::Part::NAME,
            side: F::SIDE,
            hash: |offer, operator, hasher| F::facts(offer, operator).hash(hasher),
            same: |one, other| F::facts(one.0, one.1) == F::facts(other.0, other.1),
            is_asked: |request| F::is_asked(&F::Part::of(request)),
            check: |offer, operator, request, findings| {
                findings.speak_for(F::SIDE);
                F::check(&F::facts(offer, operator), &F::Part::of(request), findings);
            },
        }
    }

    /// Feeds what it reads of an offer to a hasher.
    pub(crate) fn hash(&self, offer: &Offer, operator: &Organisation, hasher: &mut DefaultHasher) {
        (self.hash)(offer, operator, hasher);
    }

    /// Whether two offers are the same to it.
    pub(crate) fn same(&self, one: (&Offer, &Organisation), other: (&Offer, &Organisation)) -> bool {
        (self.same)(one, other)
    }

    /// Whether the request asks it at all.
    pub(crate) fn is_asked(&self, request: &Request<'_>) -> bool {
        (self.is_asked)(request)
    }

    /// Gives every reason that it has against the offer.
    pub(crate) fn check(
        &self,
        offer: &Offer,
        operator: &Organisation,
        request: &Request<'_>,
        findings: &mut Findings<'_>,
    ) {
        (self.check)(offer, operator, request, findings);
    }
}

/// Every facet. Their order decides nothing: reasons are sorted.
pub(crate) static FACETS: [AnyFacet; 27] = [
    AnyFacet::of::<operational::InForce>(),
    AnyFacet::of::<operational::Model>(),
    AnyFacet::of::<operational::Capabilities>(),
    AnyFacet::of::<node::Callers>(),
    AnyFacet::of::<node::Agreement>(),
    AnyFacet::of::<node::CallerOwnership>(),
    AnyFacet::of::<node::Purposes>(),
    AnyFacet::of::<node::Content>(),
    AnyFacet::of::<licence::Licence>(),
    AnyFacet::of::<statute::Statute>(),
    AnyFacet::of::<places::Processing>(),
    AnyFacet::of::<places::Storage>(),
    AnyFacet::of::<places::Access>(),
    AnyFacet::of::<places::SubProcessors>(),
    AnyFacet::of::<places::BrokerPath>(),
    AnyFacet::of::<places::Transfer>(),
    AnyFacet::of::<control::Operator>(),
    AnyFacet::of::<control::OperatorExposure>(),
    AnyFacet::of::<control::SubProcessorExposure>(),
    AnyFacet::of::<data::Handling>(),
    AnyFacet::of::<data::Training>(),
    AnyFacet::of::<assurance::Certificates>(),
    AnyFacet::of::<assurance::Ratings>(),
    AnyFacet::of::<assurance::Levels>(),
    AnyFacet::of::<commercial::AllowedLicence>(),
    AnyFacet::of::<commercial::Contract>(),
    AnyFacet::of::<commercial::MaxPrice>(),
];

/// Facts that are the whole of an organisation: the same if it is the same record.
#[derive(Clone, Copy)]
pub(super) struct Whole<'a>(pub(super) &'a Organisation);

impl PartialEq for Whole<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Whole<'_> {}

impl Hash for Whole<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.trust_domain.hash(state);
    }
}
