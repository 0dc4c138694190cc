//! The function: an offer, a request and the facts of both sides in, a verdict out.
//!
//! | module | asks |
//! |---|---|
//! | `operational` | is the offer for this model, able, in force |
//! | `quota` | has the caller used up what it is granted |
//! | `places` | where content is processed, stored, reached, and passes through |
//! | `control` | who operates, who controls, whose law reaches them |
//! | `data` | what happens to content |
//! | `assurance` | who stands behind it |
//! | `commercial` | licence, law, liability, price |
//! | `node` | the node's own terms, held against the caller |
//! | `licence` | what the model's licence demands of operator and caller |
//! | `statute` | what a law forbids |
//! | `stakes` | the arithmetic of ownership that several of them use |
//! | `facet` | the list of all questions, and what each of them reads |
//! | `reading` | what a question reads of a claim, and when claims are alike to it |
//! | `findings`, `truth` | what was found so far, and how a question about facts is answered |
//! | `membership` | whether places are in sets, for whom, and until when |

mod assurance;
mod commercial;
mod control;
mod data;
pub(crate) mod facet;
pub(crate) mod findings;
#[cfg(test)]
pub(crate) mod laws;
mod licence;
pub(crate) mod membership;
mod node;
mod operational;
mod places;
mod quota;
mod reading;
pub(crate) mod stakes;
mod statute;
mod truth;

use comity_types::Timestamp;

pub(crate) use assurance::levels::PATHS as ASSURANCE_PATHS;
use facet::{AnyFacet, FACETS, Facet as _, Which};
use findings::Findings;

use crate::{Offer, Organisation, Reason, Request, Side, Tables, Usage};

/// The result for one offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing speaks against the offer.
    Eligible {
        /// When the first claim or row that was used ends, if one does.
        expires_at: Option<Timestamp>,
    },
    /// Something does.
    Rejected {
        /// Every reason, sorted; never empty.
        reasons: Vec<Reason>,
    },
}

impl Verdict {
    /// Every reason; none if the offer is eligible.
    #[must_use]
    pub fn reasons(&self) -> &[Reason] {
        match self {
            Self::Eligible { .. } => &[],
            Self::Rejected { reasons } => reasons,
        }
    }

    /// As [`Verdict::reasons`], to keep.
    #[must_use]
    pub fn into_reasons(self) -> Vec<Reason> {
        match self {
            Self::Eligible { .. } => Vec::new(),
            Self::Rejected { reasons } => reasons,
        }
    }
}

/// Says whether `offer` of `operator` may serve `request`, with every reason if not.
///
/// Every side is asked, whatever another one said (VOCABULARY D1, D20).
#[must_use]
pub fn evaluate(offer: &Offer, operator: &Organisation, request: &Request<'_>, tables: &Tables) -> Verdict {
    ask(FACETS.iter(), offer, operator, request, tables)
}

/// The node's veto: its own terms, its model's licence and the law. The caller's requirements are the broker's to
/// hold against all offers; the node's terms are the node's to hold against every caller.
#[must_use]
pub fn evaluate_node_side(offer: &Offer, operator: &Organisation, request: &Request<'_>, tables: &Tables) -> Verdict {
    ask(FACETS.iter().filter(|facet| facet.side != Side::Caller), offer, operator, request, tables)
}

/// What the offer's quota alone says to one more request of a caller that has used so much by now: for whoever counts
/// requests, at the moment at which it counts one.
#[must_use]
pub fn evaluate_quota(offer: &Offer, used: &Usage, as_of: Timestamp, tables: &Tables) -> Verdict {
    let mut findings = Findings::in_words(tables, as_of);
    findings.speak_for(quota::WithinQuota::SIDE);
    if let Some(granted) = quota::granted(offer) {
        quota::check(granted, used, &mut findings);
    }
    findings.verdict()
}

fn ask<'f>(
    facets: impl Iterator<Item = &'f AnyFacet>,
    offer: &Offer,
    operator: &Organisation,
    request: &Request<'_>,
    tables: &Tables,
) -> Verdict {
    let mut findings = Findings::in_words(tables, request.as_of);
    for facet in facets.filter(|facet| facet.is_asked(request)) {
        facet.check((offer, operator), Which::All, request, &mut findings);
    }
    findings.verdict()
}
