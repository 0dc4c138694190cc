//! Operators say no to who asks to be let in. One no is a vote, as it is of a proposal: whoever says it alone turns down
//! nobody whom enough others want. An invite that nobody has taken up, one operator revokes.

use std::collections::BTreeSet;

use comity_membership::{Federation, Statement};
use comity_types::SpiffeId;

use super::{AdmissionError, Inner};
use crate::registry::enrolments::{Enrolment, Event, InviteId, Request, State};
use crate::registry::proposals::ProposalError;

impl Inner {
    /// Says no, or revokes. Every step can be repeated: a no that was kept is counted by the next call.
    pub(super) async fn reject(
        &self,
        by: SpiffeId,
        id: InviteId,
        reason: String,
    ) -> Result<Option<Enrolment>, AdmissionError> {
        let enrolment = self.enrolments.current().find(&id)?.clone();
        let (member, at) = (enrolment.invite.member.clone(), self.clock.now());
        if self.registry.snapshot().federation().member(&member).is_some() {
            return Err(AdmissionError::Exists { member });
        }
        let State::Requested(request) = &enrolment.state else {
            // Also where it is rejected, which the events refuse.
            self.record(Event::Rejected { id, by, reason, at }).await?;
            return Ok(None);
        };
        if !self.registry.snapshot().federation().voters().any(|(voter, _)| *voter == by) {
            return Err(ProposalError::NoVote { operator: by }.into());
        }
        if !enrolment.refused_by.contains_key(&by) {
            let (id, by, reason) = (id.clone(), by.clone(), reason.clone());
            self.record(Event::Refused { id, by, reason, at }).await?;
        }
        // Counted before it is taken off proposals: those that end by it forget who else said no.
        let snapshot = self.registry.snapshot();
        let mut stands = self.enrolments.current().find(&id)?.clone();
        self.count_refusals(snapshot.federation(), &mut stands);
        stands.refused_by.entry(by.clone()).or_insert_with(|| reason.clone());
        let lets_in = |statement: &Statement| lets_in(statement, &member, request);
        for waiting in self.proposals.waiting_for(lets_in) {
            match self.proposals.refuse(waiting.id, &by).await {
                // It has ended meanwhile, by whatever was signed or said.
                Ok(_) | Err(ProposalError::Unknown { .. }) => {}
                Err(other) => return Err(other.into()),
            }
        }
        if !is_final(snapshot.federation(), request, &stands) {
            return Ok(Some(stands));
        }
        self.proposals.turn_down(lets_in).await?;
        // Whoever signed before that was first.
        if self.registry.snapshot().federation().member(&member).is_some() {
            return Err(AdmissionError::Exists { member });
        }
        self.record(Event::Rejected { id, by, reason, at }).await?;
        Ok(None)
    }

    /// Leaves of the no's those that count: of operators in office who have not signed since. A no to the proposal that
    /// would let it in is one as well, and has no reason.
    pub(super) fn count_refusals(&self, federation: &Federation, enrolment: &mut Enrolment) {
        let State::Requested(request) = &enrolment.state else { return };
        for waiting in self.proposals.waiting_for(|statement| lets_in(statement, &enrolment.invite.member, request)) {
            for operator in waiting.proposal.refused_by {
                enrolment.refused_by.entry(operator).or_default();
            }
            enrolment.refused_by.retain(|operator, _| !waiting.signed_by.contains(operator));
        }
        let voters: BTreeSet<_> = federation.voters().map(|(id, _)| id).collect();
        enrolment.refused_by.retain(|operator, _| voters.contains(operator));
    }
}

/// Whether a statement would let in who asks.
fn lets_in(statement: &Statement, member: &SpiffeId, request: &Request) -> bool {
    match (statement, &request.application) {
        (Statement::OrganisationAdmitted { application }, Some(asked)) => application.payload == asked.payload,
        (Statement::RootChanged { operators, .. }, None) => operators.get(member) == Some(&request.key),
        _ => false,
    }
}

/// Whether as many have said no as could have let it in, or those who have not are too few to.
fn is_final(federation: &Federation, request: &Request, enrolment: &Enrolment) -> bool {
    let governance = federation.governance();
    let needed = governance.map_or(1, |all| match request.application {
        Some(_) => all.membership_threshold,
        None => all.root_threshold,
    });
    let (needed, noes) = (usize::try_from(needed).unwrap_or(usize::MAX), enrolment.refused_by.len());
    let left = federation.voters().filter(|(id, _)| !enrolment.refused_by.contains_key(*id)).count();
    noes >= needed || left < needed
}
