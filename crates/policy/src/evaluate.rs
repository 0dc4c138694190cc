//! The function: an offer, a request and the facts of both sides in, a verdict out.

mod commercial;
mod control;
mod data;
mod findings;
mod node;
mod operational;
mod places;

use std::collections::BTreeSet;

use comity_types::{ModelName, Place, Timestamp};

use findings::Findings;

use crate::{Capability, Offer, Organisation, Reason, Requirements, Tables};

/// What is asked, by whom, when.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The organisation that calls.
    pub caller: &'a Organisation,
    /// Where the call comes from, besides the caller's seat.
    pub access_origins: &'a BTreeSet<Place>,
    /// The model; `None` asks about every model.
    pub model: Option<&'a ModelName>,
    /// What the method needs.
    pub capability: Capability,
    /// Why the caller asks.
    pub purposes: &'a BTreeSet<String>,
    /// What the caller demands.
    pub requirements: &'a Requirements,
    /// Where the broker runs that ends the caller's TLS.
    pub broker_places: &'a BTreeSet<Place>,
    /// The instant of the decision.
    pub as_of: Timestamp,
}

/// The result for one offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing speaks against the offer.
    Eligible {
        /// When the first claim or bloc row that was used ends, if one does.
        expires_at: Option<Timestamp>,
    },
    /// Something does.
    Rejected {
        /// Every reason, sorted; never empty.
        reasons: Vec<Reason>,
    },
}

/// Says whether `offer` of `operator` may serve `request`, with every reason if not.
///
/// Every side is asked, whatever another one said (VOCABULARY D1, D20).
#[must_use]
pub fn evaluate(offer: &Offer, operator: &Organisation, request: &Request<'_>, tables: &Tables) -> Verdict {
    let mut findings = Findings::new(tables, request.as_of);
    operational::check(offer, request, &mut findings);
    node::check(offer, request, &mut findings);
    places::check(offer, request, &mut findings);
    control::check(operator, request.requirements, &mut findings);
    data::check(offer, request.requirements, &mut findings);
    commercial::check(offer, request.requirements, &mut findings);
    findings.verdict()
}

/// The node's veto: only what its own offer demands of `request`. The caller's requirements are the
/// broker's to hold against all offers; the node's terms are the node's to hold against every caller.
#[must_use]
pub fn evaluate_node_side(offer: &Offer, request: &Request<'_>, tables: &Tables) -> Verdict {
    let mut findings = Findings::new(tables, request.as_of);
    operational::check(offer, request, &mut findings);
    node::check(offer, request, &mut findings);
    findings.verdict()
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod worked_cases;
