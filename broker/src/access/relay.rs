//! Tries the nodes of the eligible set, and of no other, until one begins to answer.
//!
//! A try may be followed by another only while not one byte of an answer has gone to the caller. No node runs anything
//! without a [`Permit`], and the request's bytes go nowhere without one either, unless the operator has them travel to the
//! first node of the eligible set while the decision becomes durable (`Ahead`).

mod attempt;

use std::collections::VecDeque;

use comity_proto::error::Failure;
use comity_transparency::record::MAX_TRIES;
use comity_types::TrustDomain;
use http::Response;
use tonic::Code;
use tonic::body::Body;

pub(super) use self::attempt::{Ahead, Answer, Upstream};
use self::attempt::{Outcome, Rejection};
use super::commit::{Permit, ledger_failed};
use super::decide::Candidate;
use super::request::Admitted;
use super::settle::Settlement;
use super::{Parts, body};
use crate::edge::cut;

/// What the record says of a request that had travelled ahead, and got no permit.
const WITHDRAWN: &str = "withdrawn";

/// How relaying went.
#[derive(Debug)]
pub enum Relayed {
    /// A node answers.
    Answer(Response<Body>),
    /// The permit ended before one did, or the state that it was decided by.
    Expired,
}

/// Relays the request to the first node of the eligible set that answers it.
///
/// # Errors
/// None does, the deadline has passed, the caller no longer takes part, or the broker stops.
pub(super) async fn relay(
    parts: &Parts,
    admitted: &Admitted,
    permit: &Permit,
    mut settlement: Settlement,
    ahead: Option<Ahead>,
) -> Result<Relayed, Failure> {
    if let Some(there) = ahead.as_ref().and_then(|ahead| permit.candidates().find(|(_, one)| ahead.is_for(one))) {
        // Whatever becomes of the request, this node has its message.
        settlement.trying(permit, there, 1);
    }
    let ended = tokio::select! {
        biased;
        suspended = cut::of_member(&parts.registry, &admitted.caller, Some(admitted.certificate)) => Err(suspended),
        () = tokio::time::sleep_until(admitted.deadline) => Err(body::deadline_passed()),
        stopped = parts.stop.clone().reached() => Err(stopped),
        tried = tries(parts, admitted, permit, &mut settlement, ahead) => tried,
    };
    match ended {
        Ok(Some(answer)) => Ok(Relayed::Answer(body::respond(parts, admitted, permit, answer, settlement))),
        Ok(None) => {
            // Nobody is told of this one; the request is decided anew.
            drop(settlement.end(Code::Unavailable, None));
            Ok(Relayed::Expired)
        }
        Err(failure) => {
            let receipt = settlement.end(failure.code, None).receipt().await;
            let receipt = receipt.ok_or_else(ledger_failed)?;
            Err(failure.with("decision_id", permit.id()).with_receipt(receipt))
        }
    }
}

/// One try after another; `None` if the permit ended.
async fn tries(
    parts: &Parts,
    admitted: &Admitted,
    permit: &Permit,
    settlement: &mut Settlement,
    mut ahead: Option<Ahead>,
) -> Result<Option<Answer>, Failure> {
    let mut waiting: VecDeque<(usize, &Candidate)> = permit.candidates().collect();
    let (mut last, mut failed) = (None, Vec::new());
    for attempt in 1..=MAX_TRIES {
        let Some((rank, candidate)) = next(&mut waiting, &failed) else { break };
        let ahead = ahead.take().filter(|ahead| ahead.is_for(candidate));
        let now = parts.clock.now();
        let newest = parts.registry.snapshot().federation().epoch();
        if now >= permit.expires_at(candidate) || permit.is_overtaken(newest, now) {
            withdraw(settlement, ahead.is_some());
            return Ok(None);
        }
        if !takes(parts, admitted, permit, candidate) {
            withdraw(settlement, ahead.is_some());
            continue;
        }
        if ahead.is_none() {
            settlement.trying(permit, (rank, candidate), attempt);
        }
        let outcome = tokio::select! {
            biased;
            suspended = cut::of_member(&parts.registry, candidate.offer.name.node(), None) => Outcome::Rejected(Rejection::Suspended(suspended)),
            outcome = attempt::attempt(parts, admitted, permit, (rank, candidate), attempt, ahead) => outcome?,
        };
        parts.metrics.tried(matches!(outcome, Outcome::Answered(_)));
        match outcome {
            Outcome::Answered(answer) => return Ok(Some(*answer)),
            Outcome::Rejected(rejection) => {
                tracing::warn!(decision.id = %permit.id(), offer.id = %candidate.offer.name, attempt, reason = %rejection, "a try failed");
                settlement.failed(rejection.word());
                failed.push(candidate.offer.name.node().trust_domain());
                // A connection that broke says little about the node; it may have another chance, after the others.
                if rejection.is_accident() {
                    waiting.push_back((rank, candidate));
                }
                last = Some((candidate, rejection));
            }
        }
    }
    match last {
        Some((candidate, rejection)) => rejection.conclude(candidate).map(Some),
        // Nothing was tried: other requests have used up what every offer grants, so that this one is decided anew.
        None => Ok(None),
    }
}

/// Whom to try next: the first of those whose organisation has not `failed` this request, or else the first. So no organisation
/// can use up the tries of a request by offers that are cheap and answer nothing.
fn next<'a>(waiting: &mut VecDeque<(usize, &'a Candidate)>, failed: &[&TrustDomain]) -> Option<(usize, &'a Candidate)> {
    let untried = |(_, one): &(usize, &Candidate)| !failed.contains(&one.offer.name.node().trust_domain());
    waiting.remove(waiting.iter().position(untried).unwrap_or_default())
}

/// Records that a node has the message of this request, if it does, and gets no permit for it.
fn withdraw(settlement: &mut Settlement, is_there: bool) {
    if is_there {
        settlement.failed(WITHDRAWN.to_owned());
    }
}

/// Counts a try against the quota of its offer. False if other requests have used that up since the decision: the offer
/// then gets none of this one.
fn takes(parts: &Parts, admitted: &Admitted, permit: &Permit, candidate: &Candidate) -> bool {
    let (caller, tables) = (admitted.caller.trust_domain(), parts.registry.tables());
    let Some(offer) = permit.offer(candidate) else { return false };
    let taken = parts.quotas.take(caller, offer, parts.clock.now(), &tables);
    if taken.is_err() {
        tracing::info!(decision.id = %permit.id(), offer.id = %candidate.offer.name, "a quota was used up after the decision");
    }
    taken.is_ok()
}
