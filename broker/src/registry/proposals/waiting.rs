//! How a proposal stands in a state of the federation: who has signed whose signature counts, and what it still takes.

use std::collections::BTreeSet;

use comity_membership::authority::{Authority, Count};
use comity_membership::{Federation, Payload, Scope, Statement};
use comity_transparency::{Envelope, PublicKey};
use comity_types::{Digest, SpiffeId};

use super::{Proposal, said};

/// A proposal, as operators are shown it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// What it is known by.
    pub id: Digest,
    /// What waits.
    pub proposal: Proposal,
    /// Who signed: of those in office, and then of those who are to govern.
    pub signed_by: Vec<SpiffeId>,
    /// How many have to at least.
    pub needed: usize,
    /// How many of whom: a change of operators takes the threshold of the old and that of the new.
    pub quorums: Vec<Count>,
}

/// Takes out the signatures of operators who have lost their vote since: one of them would spoil those that count.
pub(super) fn keep_voters(federation: &Federation, envelope: &mut Envelope) {
    let Ok(statement) = Payload::peek(envelope).map(|payload| payload.statement) else { return };
    let Ok(authority) = Authority::of(&statement, federation) else { return };
    let keys: BTreeSet<_> = authority.keys().map(PublicKey::id).collect();
    envelope.signatures.retain(|signature| keys.contains(&signature.keyid));
}

/// A proposal as it stands in a state; `None` where it can never come into force any more, is not for operators, or
/// nobody in office has signed it: whoever is to govern has no say until somebody who governs wants that.
pub(super) fn waiting(federation: &Federation, id: Digest, proposal: Proposal) -> Option<Waiting> {
    let mut proposal = proposal;
    keep_voters(federation, &mut proposal.envelope);
    let payload = Payload::peek(&proposal.envelope).ok()?;
    match payload.statement.scope()? {
        Scope::Root | Scope::Governance(_) | Scope::Tables => {}
        Scope::Brake(_) | Scope::Organisation(_) | Scope::Member(_) => return None,
    }
    let signers = federation.endorsed(&proposal.envelope).ok()?;
    let authority = Authority::of(&payload.statement, federation).ok()?;
    let (needed, quorums) = (authority.fewest(), authority.count(&signers));
    let mut signed_by: Vec<_> = federation.voters().filter(|(_, key)| signers.contains(&key.id())).collect();
    if signed_by.is_empty() {
        return None;
    }
    if let Statement::RootChanged { operators, .. } = &payload.statement {
        // Those who are to govern sign as well.
        signed_by.extend(
            operators
                .iter()
                .filter(|(id, key)| signers.contains(&key.id()) && federation.voters().all(|(known, _)| known != *id)),
        );
    }
    let signed_by = signed_by.into_iter().map(|(operator, _)| operator.clone()).collect();
    Some(Waiting { id, proposal, signed_by, needed, quorums })
}

/// Whether somebody has signed, and those who have not said no are enough.
pub(super) fn can_still_pass(federation: &Federation, proposal: &Proposal) -> bool {
    let Some(statement) = said(proposal) else { return false };
    let Ok(authority) = Authority::of(&statement, federation) else { return false };
    let noes: BTreeSet<_> = proposal.refused_by.iter().filter_map(|id| Some(federation.member(id)?.key.id())).collect();
    let left = authority.keys().map(PublicKey::id).filter(|key| !noes.contains(key)).collect();
    !proposal.envelope.signatures.is_empty() && authority.check(&left).is_ok()
}
