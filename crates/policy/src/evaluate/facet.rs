//! Facets: questions that read few facts of an offer and one part of a request.
//!
//! [`evaluate`](super::evaluate) asks them one after the other. The index asks each of them once for all offers with
//! the same facts, which is what makes it fast: a facet cannot read what its [`Facts`](Facet::Facts) leave out, so
//! that offers which the index takes for the same are the same. What a facet reads comes in pieces where each is judged
//! for itself, as the places of a list are: offers have many lists, and these have few places.
//!
//! Adding a facet: 1 a type beside the check, with its [`Facet`]; 2 a row in [`FACETS`]; 3 what it reads in the
//! generators of `laws/`.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use comity_types::{ModelName, Place};

use super::findings::Findings;
use super::membership::Lists;
use super::{assurance, commercial, control, data, licence, node, operational, places, quota, statute};
use crate::{Capability, Claim, Declared, Offer, Organisation, Request, Requirements, Side, Tables, Usage};

/// A question that reads few facts.
pub(super) trait Facet {
    /// On whose behalf it is asked.
    const SIDE: Side;
    /// A piece of what it reads of an offer and its operator.
    type Facts<'a>: Copy + Eq + Hash;
    /// What it reads of a request.
    type Part: Part;

    /// The pieces that it reads of this offer and its operator: what speaks against the offer is what speaks against
    /// one of them. An offer without any passes. What the tables make no difference by can be left out.
    fn facts<'a>(
        offer: &'a Offer,
        operator: &'a Organisation,
        tables: &Tables,
    ) -> impl IntoIterator<Item = Self::Facts<'a>>;

    /// Whether the request asks at all. If not, every offer passes, whatever its facts.
    fn is_asked(asked: &<Self::Part as Part>::Of<'_>) -> bool;

    /// Where a piece stands, if it is a number that is held against a bound and no more: of pieces on one scale, those
    /// between two that have the same answer have it, too.
    fn on_scale(_: &Self::Facts<'_>) -> Option<OnScale> {
        None
    }

    /// The place that a piece is, if nothing but the request's [`lists`](Facet::lists) is held against it.
    fn place(_: &Self::Facts<'_>) -> Option<Place> {
        None
    }

    /// What the places among the pieces are held against. Requirements are of [`OfDemand`]: no other facet has lists.
    fn lists(_: &Requirements) -> Option<Lists<'_>> {
        None
    }

    /// Gives every reason that speaks against a piece.
    fn check<'t>(facts: &Self::Facts<'t>, asked: &<Self::Part as Part>::Of<'t>, findings: &mut Findings<'t>);
}

/// A place on a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OnScale {
    /// Which scale: any number, the same for the same scale of one facet.
    pub(super) scale: u64,
    /// Where on it.
    pub(super) at: u64,
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
    /// What the caller has used: another with every request, so that nobody remembers the answer.
    Usage,
}

/// Nothing but the instant.
pub(super) struct AtAnyTime;

/// The model.
pub(super) struct OfModel;

/// Who asks, and what for.
pub(super) struct OfUse;

/// Who asks, and what is demanded.
pub(super) struct OfDemand;

/// What the caller has used.
pub(super) struct OfUsage;

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

impl Part for OfUsage {
    const NAME: PartName = PartName::Usage;
    type Of<'r> = &'r Usage;

    fn of<'r>(request: &Request<'r>) -> Self::Of<'r> {
        request.used
    }
}

/// A facet whose types are put away, so that facets stand in a list.
pub(crate) struct AnyFacet {
    pub(crate) part: PartName,
    pub(super) side: Side,
    sort: for<'a> fn(&mut dyn Iterator<Item = Subject<'a>>, &Tables) -> Sorted,
    is_asked: fn(&Request<'_>) -> bool,
    lists: fn(&Requirements) -> Option<Lists<'_>>,
    check: for<'t> fn(Subject<'t>, Which, &Request<'t>, &mut Findings<'t>),
}

/// An offer, and who operates it.
pub(crate) type Subject<'a> = (&'a Offer, &'a Organisation);

/// Which pieces of what a facet reads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Which {
    /// Every one.
    All,
    /// One, by its place among those of the offer.
    One(usize),
}

/// Offers, sorted by what a facet reads of them.
pub(crate) struct Sorted {
    /// Of each offer, in their order, the numbers of its pieces.
    pub(crate) pieces: Vec<Vec<usize>>,
    /// Of each piece where it was first met.
    pub(crate) first: Vec<Piece>,
    /// Where the pieces of one scale end, in their order; any other piece stands alone.
    pub(crate) runs: Vec<usize>,
}

/// Where a piece stands.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    /// The offer.
    pub(crate) offer: usize,
    /// Its number among those of the offer.
    pub(crate) number: usize,
    /// The place that it is, as [`Facet::place`] has it.
    pub(crate) place: Option<Place>,
}

impl AnyFacet {
    const fn of<F: Facet>() -> Self {
        Self {
            part: F::Part::NAME,
            side: F::SIDE,
            sort: sort::<F>,
            is_asked: |request| F::is_asked(&F::Part::of(request)),
            lists: F::lists,
            check: |(offer, operator), which, request, findings| {
                findings.speak_for(F::SIDE);
                let (skip, take) = match which {
                    Which::All => (0, usize::MAX),
                    Which::One(place) => (place, 1),
                };
                for facts in F::facts(offer, operator, findings.tables).into_iter().skip(skip).take(take) {
                    F::check(&facts, &F::Part::of(request), findings);
                }
            },
        }
    }

    /// Sorts offers by what it reads of them.
    pub(crate) fn sort<'a>(&self, mut offers: impl Iterator<Item = Subject<'a>>, tables: &Tables) -> Sorted {
        (self.sort)(&mut offers, tables)
    }

    /// Whether the request asks it at all.
    pub(crate) fn is_asked(&self, request: &Request<'_>) -> bool {
        (self.is_asked)(request)
    }

    /// What the places among its pieces are held against, if it is held against nothing else.
    pub(crate) fn lists<'t>(&self, request: &Request<'t>) -> Option<Lists<'t>> {
        (self.lists)(request.requirements)
    }

    /// Gives every reason that it has against the offer, or against a piece of it.
    pub(crate) fn check<'t>(
        &self,
        subject: Subject<'t>,
        which: Which,
        request: &Request<'t>,
        findings: &mut Findings<'t>,
    ) {
        (self.check)(subject, which, request, findings);
    }
}

fn sort<'a, F: Facet>(offers: &mut dyn Iterator<Item = Subject<'a>>, tables: &Tables) -> Sorted {
    let (mut numbers, mut scales) = (HashMap::new(), Vec::new());
    let mut sorted = Sorted { pieces: Vec::new(), first: Vec::new(), runs: Vec::new() };
    for (offer, (facts, operator)) in offers.enumerate() {
        let mut own = Vec::new();
        for (number, piece) in F::facts(facts, operator, tables).into_iter().enumerate() {
            let class = *numbers.entry(piece).or_insert_with(|| {
                scales.push(F::on_scale(&piece));
                sorted.first.push(Piece { offer, number, place: F::place(&piece) });
                sorted.first.len().saturating_sub(1)
            });
            own.push(class);
        }
        sorted.pieces.push(own);
    }
    sorted.by_scale(&scales)
}

impl Sorted {
    /// With the pieces of each scale one after the other.
    fn by_scale(mut self, scales: &[Option<OnScale>]) -> Self {
        let mut order: Vec<usize> = (0..self.first.len()).collect();
        let of = |piece: &usize| scales.get(*piece).copied().flatten();
        order.sort_by_key(of);
        let mut places = vec![0; order.len()];
        for (place, piece) in order.iter().enumerate() {
            if let Some(slot) = places.get_mut(*piece) {
                *slot = place;
            }
        }
        for piece in self.pieces.iter_mut().flatten() {
            *piece = places.get(*piece).copied().unwrap_or(usize::MAX);
        }
        self.first = order.iter().filter_map(|piece| self.first.get(*piece).cloned()).collect();
        let is_end = |place: &usize| {
            let scale = |place: usize| order.get(place).and_then(of).map(|on| on.scale);
            scale(*place).is_none() || scale(*place) != scale(place.saturating_add(1))
        };
        self.runs = (0..order.len()).filter(is_end).map(|place| place.saturating_add(1)).collect();
        self
    }
}

/// Every facet. Their order decides nothing: reasons are sorted.
pub(crate) static FACETS: [AnyFacet; 34] = [
    AnyFacet::of::<operational::InForce>(),
    AnyFacet::of::<operational::Model>(),
    AnyFacet::of::<operational::Capabilities>(),
    AnyFacet::of::<quota::WithinQuota>(),
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
    AnyFacet::of::<places::Readers>(),
    AnyFacet::of::<places::BrokerPath>(),
    AnyFacet::of::<places::Transfer>(),
    AnyFacet::of::<places::TransferOnwards>(),
    AnyFacet::of::<places::TransferToBroker>(),
    AnyFacet::of::<control::OperatorSeat>(),
    AnyFacet::of::<control::Controllers>(),
    AnyFacet::of::<control::ForeignOwners>(),
    AnyFacet::of::<control::OperatorExposure>(),
    AnyFacet::of::<control::SubProcessorExposure>(),
    AnyFacet::of::<data::Handling>(),
    AnyFacet::of::<data::Training>(),
    AnyFacet::of::<data::TrainingByChoice>(),
    AnyFacet::of::<assurance::Certificates>(),
    AnyFacet::of::<assurance::Ratings>(),
    AnyFacet::of::<assurance::Levels>(),
    AnyFacet::of::<commercial::AllowedLicence>(),
    AnyFacet::of::<commercial::Contract>(),
    AnyFacet::of::<commercial::MaxPrice>(),
];

/// A piece of a claim of several things.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum Among<'a, T> {
    /// One of them: the claim says so for all time, so that each is judged for itself.
    One(&'a T),
    /// The claim, where it is missing, says that there are none, or says other things at other times.
    Whole(Option<&'a Claim<BTreeSet<T>>>),
}

impl<T> Clone for Among<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Among<'_, T> {}

/// The pieces of a claim of several things.
pub(super) fn each_of<T>(claim: Option<&Claim<BTreeSet<T>>>) -> impl Iterator<Item = Among<'_, T>> {
    let all = claim.and_then(Claim::timeless).filter(|all| !all.is_empty());
    let whole = all.is_none().then_some(Among::Whole(claim));
    all.into_iter().flatten().map(Among::One).chain(whole)
}

#[cfg(test)]
mod tests;
