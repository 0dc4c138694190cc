//! Tries the nodes of the eligible set, and of no other, until one begins to answer.
//!
//! A try may be followed by another only while not one byte of an answer has gone to the caller. No node runs anything
//! without a [`Permit`], and the request's bytes go nowhere without one either, unless the operator has them travel to the
//! first node of the eligible set while the decision becomes durable (`Ahead`).

mod attempt;
mod tries;

use comity_proto::error::Failure;
use http::Response;
use tonic::Code;
use tonic::body::Body;

pub(super) use self::attempt::{Ahead, Answer, Upstream};
use self::tries::Tries;
use super::commit::{Permit, ledger_failed};
use super::request::Admitted;
use super::settle::Settlement;
use super::{Parts, body};
use crate::edge::cut;

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
        tried = Tries::new(parts, admitted, permit, &mut settlement, ahead).run() => tried,
    };
    match ended {
        Ok(Some(answer)) => Ok(Relayed::Answer(body::respond(parts, admitted, permit, answer, settlement))),
        Ok(None) => {
            // Nobody is told of this one; the request is decided anew.
            let settling = settlement.end(Code::Unavailable, None);
            if parts.budgets.is_some() {
                // What is reserved for it is given back with its outcome: until then it would stand in its own way.
                let _on_record = settling.receipt().await.is_some();
            }
            Ok(Relayed::Expired)
        }
        Err(failure) => {
            let receipt = settlement.end(failure.code, None).receipt().await;
            let receipt = receipt.ok_or_else(ledger_failed)?;
            Err(failure.with("decision_id", permit.id()).with_receipt(receipt))
        }
    }
}
