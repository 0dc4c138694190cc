//! The function: an offer, a request and the facts of both sides in, a verdict out.
//!
//! | module | asks |
//! |---|---|
//! | `operational` | is the offer for this model, able, in force |
//! | `places` | where content is processed, stored, reached, and passes through |
//! | `control` | who operates, who controls, whose law reaches them |
//! | `data` | what happens to content |
//! | `assurance` | who stands behind it |
//! | `commercial` | licence, law, liability, price |
//! | `node` | the node's own terms, held against the caller |
//! | `licence` | what the model's licence demands of operator and caller |
//! | `statute` | what a law forbids |
//! | `stakes` | the arithmetic of ownership that several of them use |

mod assurance;
mod commercial;
mod control;
mod data;
mod findings;
#[cfg(test)]
mod laws;
mod licence;
mod node;
mod operational;
mod places;
mod stakes;
mod statute;

use comity_types::Timestamp;

pub(crate) use assurance::levels::PATHS as ASSURANCE_PATHS;
use findings::{Findings, Party};

use crate::{Offer, Organisation, Reason, Request, Tables};

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
}

/// One offer, held against one request.
#[derive(Clone, Copy)]
struct Question<'a> {
    offer: &'a Offer,
    operator: &'a Organisation,
    request: &'a Request<'a>,
}

impl<'a> Question<'a> {
    const fn operator(&self) -> Party<'a> {
        Party { role: "operator", organisation: self.operator }
    }

    const fn caller(&self) -> Party<'a> {
        Party { role: "caller", organisation: self.request.caller }
    }
}

/// Says whether `offer` of `operator` may serve `request`, with every reason if not.
///
/// Every side is asked, whatever another one said (VOCABULARY D1, D20).
#[must_use]
pub fn evaluate(offer: &Offer, operator: &Organisation, request: &Request<'_>, tables: &Tables) -> Verdict {
    let question = Question { offer, operator, request };
    let mut findings = Findings::new(tables, request.as_of);
    operational::check(&question, &mut findings);
    node::check(&question, &mut findings);
    licence::check(&question, &mut findings);
    statute::check(&question, &mut findings);
    places::check(&question, &mut findings);
    control::check(&question, &mut findings);
    data::check(&question, &mut findings);
    assurance::check(&question, &mut findings);
    commercial::check(&question, &mut findings);
    findings.verdict()
}

/// The node's veto: its own terms, its model's licence and the law. The caller's requirements are the broker's to
/// hold against all offers; the node's terms are the node's to hold against every caller.
#[must_use]
pub fn evaluate_node_side(offer: &Offer, operator: &Organisation, request: &Request<'_>, tables: &Tables) -> Verdict {
    let question = Question { offer, operator, request };
    let mut findings = Findings::new(tables, request.as_of);
    operational::check(&question, &mut findings);
    node::check(&question, &mut findings);
    licence::check(&question, &mut findings);
    statute::check(&question, &mut findings);
    findings.verdict()
}
