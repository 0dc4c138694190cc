//! The receipt of an answer, held against the federation's state that it was decided by, for whoever follows that: then it is the
//! node's own word too, and not the broker's alone.

use comity_membership::Log;
use comity_transparency::receipt::Verified;
use tonic::Code;

use super::{Account, CheckError, Unproven};

/// Whether the federation's log goes against nothing of what is on record, and the node that answered signed that.
///
/// # Errors
/// It does, or no node signed an answer. What failed may have failed before a node could sign anything.
pub(super) fn held(verified: Verified, log: &Log, code: Code) -> Result<(), Unproven> {
    let signed = signed(verified, log).map_err(|error| Unproven::AgainstFederation(Box::new(error)))?;
    if signed || code != Code::Ok { Ok(()) } else { Err(Unproven::NotSigned) }
}

/// Whether a node's word is part of it; every part is held against the log.
fn signed(verified: Verified, log: &Log) -> Result<bool, CheckError> {
    let (mut account, log) = (Account { verified, findings: Vec::new() }, Some(log));
    account.epoch(log)?;
    account.standing(log)?;
    let node = account.outcome(log)?;
    account.offer(log, node.as_ref())?;
    account.repeated(log)?;
    Ok(node.is_some())
}
