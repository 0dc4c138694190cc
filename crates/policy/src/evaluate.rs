//! The function: an offer, a request and the facts of both sides in, a verdict out.

use std::collections::BTreeSet;

use comity_types::{ModelName, Place, Timestamp};

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
#[must_use]
pub fn evaluate(offer: &Offer, operator: &Organisation, request: &Request<'_>, tables: &Tables) -> Verdict {
    let _ = (offer, operator, request, tables);
    Verdict::Eligible { expires_at: None }
}
