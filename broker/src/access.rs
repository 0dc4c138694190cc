//! The main flow of the broker: the life of one request, top to bottom in `Access::serve`.
//!
//! ```text
//! admit ─▶ Admitted ─▶ decide ─▶ Decision ─▶ reserve ─▶ commit ─▶ Permit ─▶ relay ─▶ settle
//! ```
//! The order is the types': [`relay`] takes a [`Permit`], which is made from a durable [`Decision`] alone, which
//! is made by [`decide`] alone.
//!
//! | module | holds |
//! |---|---|
//! | [`request`] | the one message of a request, its envelope and its deadline |
//! | [`decide`] | every offer's verdict, and the decision that follows |
//! | [`spend`] | what is reserved of budgets |
//! | [`choose`] | in which order eligible offers are tried |
//! | [`commit`] | the permit |
//! | [`relay`] | tries, inside the eligible set |
//! | [`retries`] | how many tries beyond the first there may be |
//! | [`body`] | the answer as it passes |
//! | `framing` | whether its messages are whole |
//! | [`settle`] | the outcome, once |

pub mod body;
pub mod choose;
pub mod commit;
pub mod decide;
pub mod disclose;
mod framing;
pub mod relay;
pub mod request;
pub mod retries;
pub mod settle;
pub mod spend;

use std::collections::BTreeSet;
use std::sync::Arc;

use comity_proto::error::Failure;
use comity_runtime::quotas::Quotas;
use comity_runtime::tasks::Tasks;
use comity_types::{Clock, Digest, Place, SpiffeId};
use http::{Request, Response};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::budgets::accounts::Accounts;
use crate::config::Commit;
use crate::edge::CallerIdentity;
use crate::edge::cut;
use crate::edge::deciding::Deciding;
use crate::edge::stop::Stop;
use crate::ledger::decisions::Ledger;
use crate::links::Links;
use crate::metrics::Metrics;
use crate::registry::Registry;

use commit::Permit;
use decide::Decision;
use relay::{Ahead, Relayed};
use request::{Admitted, Envelopes, Method};
use retries::Retries;
use settle::Settlement;

/// How often a request may be decided anew, because its decision ended before a node answered: once is
/// enough for a claim that ends in the meantime, and an endless loop helps nobody.
const MAX_DECISIONS: usize = 3;

/// What the flow works with.
#[derive(Debug)]
pub struct Parts {
    /// The federation.
    pub registry: Registry,
    /// Where decisions and outcomes are kept.
    pub ledger: Ledger,
    /// The connections to nodes.
    pub links: Links,
    /// What callers have used today of offers that state a quota.
    pub quotas: Quotas,
    /// How many further tries are left.
    pub retries: Retries,
    /// What organisations, apps, models and offers may use, where that is limited.
    pub budgets: Option<Accounts>,
    /// The envelopes that were read before.
    pub envelopes: Envelopes,
    /// Where this broker runs.
    pub places: BTreeSet<Place>,
    /// What waits for a decision to be durable.
    pub commit: Commit,
    /// Largest request, in bytes.
    pub request_bytes: usize,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where outcomes are written.
    pub tasks: Tasks,
    /// How many requests are decided at once.
    pub deciding: Deciding,
    /// Ends the requests that still run.
    pub stop: Stop,
    /// What is counted.
    pub metrics: Metrics,
}

/// Decides on requests and relays them. Clones are handles to the same.
#[derive(Debug, Clone)]
pub struct Access(Arc<Parts>);

impl Access {
    /// Puts the flow together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Answers one call of `Inference`.
    pub async fn handle(&self, caller: &CallerIdentity, method: Method, request: Request<Body>) -> Response<Body> {
        let answer = self.serve(caller.id(), caller.peer.certificate(), method, request).await;
        answer.unwrap_or_else(|failure| Status::from(failure).into_http())
    }

    /// What the flow works with, for those who answer questions about it.
    #[must_use]
    pub fn parts(&self) -> &Parts {
        &self.0
    }

    /// The life of one request.
    async fn serve(
        &self,
        caller: &SpiffeId,
        certificate: Digest,
        method: Method,
        request: Request<Body>,
    ) -> Result<Response<Body>, Failure> {
        let admitted = tokio::select! {
            // Nobody who has lost their place goes on to send a request.
            biased;
            suspended = cut::of_member(&self.0.registry, caller, Some(certificate)) => return Err(suspended),
            admitted = request::admit(caller, certificate, method, request, &self.0) => admitted?,
        };
        // Before anything is decided or written for it.
        let mut turn = Some(self.0.deciding.enter(caller.trust_domain())?);
        for _ in 0..MAX_DECISIONS {
            let (mut decision, begun): (Decision, _) = (decide::decide(&self.0, &admitted)?, Instant::now());
            // Before anything is kept or sent: what runs at the same time has reserved its own.
            let spending = spend::reserve(&self.0, &admitted, &mut decision)?;
            self.0.metrics.decided(!decision.eligible.is_empty());
            let ahead = self.ahead(&admitted, &decision);
            let committed = commit::commit(&self.0, &admitted, decision, spending).await;
            self.0.metrics.committed(begun.elapsed());
            let (permit, settlement): (Permit, Settlement) = committed?;
            if let Some(turn) = turn.take() {
                turn.decided();
            }
            match relay::relay(&self.0, &admitted, &permit, settlement, ahead).await? {
                Relayed::Answer(response) => return Ok(response),
                // What made an offer eligible has ended meanwhile: what held then may not hold now.
                Relayed::Expired => {}
            }
        }
        Err(expired(&admitted))
    }

    /// The request on its way to the first node of the eligible set, where it need not wait for the decision to be durable.
    fn ahead(&self, admitted: &Admitted, decision: &Decision) -> Option<Ahead> {
        let first = decision.eligible.first().filter(|_| self.0.commit == Commit::Overlapped)?;
        Some(Ahead::send(&self.0, admitted, first))
    }
}

fn expired(admitted: &Admitted) -> Failure {
    let message = "no node answered before the decision ended (hint: try again)";
    Failure::new(Code::Unavailable, "DECISION_EXPIRED", message).with("model", &admitted.envelope.model)
}

#[cfg(test)]
pub(crate) mod tests;
