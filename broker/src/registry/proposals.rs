//! Statements that operators have signed, and not enough of them yet: a pure fold over events, in a journal.
//!
//! A proposal is known by the digest of its payload: to sign it is to bring the same payload with one more signature.
//!
//! | module | holds |
//! |---|---|
//! | `waiting` | how a proposal stands in a state |
//! | `room` | how much may wait, and of whom |
//! | `error` | why a statement is neither in force nor a proposal |

mod error;
mod room;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use comity_membership::{By, Federation, Payload, Prepared, Refused, Scope, Statement};
use comity_transparency::{Envelope, KeyId};
use comity_types::{Clock, Digest, SpiffeId, Timestamp, TrustDomain};
use serde::{Deserialize, Serialize};

pub use self::error::ProposalError;
use self::room::Room;
#[cfg(test)]
pub(crate) use self::room::{MAX_PROPOSALS_OF_ONE, MAX_TABLES_OF_ONE, MAX_TABLES_PROPOSAL_BYTES};
pub use self::waiting::Waiting;
use self::waiting::{can_still_pass, keep_voters, waiting};
use super::budget::{Budget, Rate, Spends};
use super::lane::{Lane, Urgency};
use super::{Registry, RegistryError};
use crate::ledger::journal::Journal;

/// How long a proposal waits: whoever has not signed in a month does not want it.
pub const PROPOSAL_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// A statement that waits for more operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// The statement, with the signatures that it has.
    pub envelope: Envelope,
    /// When it was first proposed.
    pub at: Timestamp,
    /// The operators who said no to it, and have not signed it since.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub refused_by: BTreeSet<SpiffeId>,
}

/// Something that happened to proposals. Serde's JSON of it is a journal frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Event {
    /// A proposal stands so, new or with another signature.
    Stands(Proposal),
    /// It is one no more: in force, outlived or overtaken.
    Ended { id: Digest },
}

/// What became of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// It is in force from this epoch on.
    InForce(u64),
    /// More operators have to sign.
    Waits(Waiting),
}

/// The proposals of one data directory, and the way of a statement into the log.
#[derive(Debug, Clone)]
pub struct Proposals(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    journal: Journal,
    current: ArcSwap<BTreeMap<Digest, Proposal>>,
    lane: Lane,
    clock: Arc<dyn Clock>,
    budget: Budget<TrustDomain>,
    brakes: Budget<SpiffeId>,
    signatures: Budget<SpiffeId>,
}

impl Proposals {
    /// Opens or makes the journal and folds what is in it.
    ///
    /// # Errors
    /// The journal is damaged or in use.
    pub fn open(path: &Path, registry: Registry, clock: Arc<dyn Clock>) -> Result<Self, ProposalError> {
        let (journal, frames) = Journal::open(path)?;
        let current = ArcSwap::from_pointee(fold(&frames)?);
        let (budget, brakes) = (Budget::new(Rate::STATEMENTS), Budget::new(Rate::BRAKES));
        let (lane, signatures) = (Lane::default(), Budget::new(Rate::PROPOSALS));
        Ok(Self(Arc::new(Inner { registry, journal, current, lane, clock, budget, brakes, signatures })))
    }

    /// Reads the journal at `path` as a start would, and changes nothing.
    ///
    /// # Errors
    /// The journal is damaged.
    pub fn check(path: &Path) -> Result<(), ProposalError> {
        let mut frames = Vec::new();
        Journal::read(path, |frame| frames.push(frame))?;
        fold(&frames).map(drop)
    }

    /// Says a statement: it is in force when this returns, or kept until enough have signed. Not to be cancelled
    /// midway: see `registry::run_to_end`.
    ///
    /// # Errors
    /// It does not follow from the state, a signature does not hold, or it cannot be kept.
    pub async fn submit(&self, prepared: Prepared) -> Result<Submitted, ProposalError> {
        let inner = &self.0;
        // What one signer says never waits for others, so it takes no turn here: behind those who propose, it would.
        if !concerns_operators(prepared.statement()) {
            return inner.said(inner.append_charged(prepared).await);
        }
        inner.govern(prepared).await
    }

    /// Ends what waits and says what `is_meant`, which enough operators turned down.
    ///
    /// # Errors
    /// The journal has failed.
    pub(super) async fn turn_down(&self, is_meant: impl Fn(&Statement) -> bool + Send) -> Result<(), ProposalError> {
        let inner = &self.0;
        let _turn = inner.lane.turn(Urgency::Governance).await;
        let current = inner.current.load_full();
        let meant: Vec<_> =
            current.iter().filter(|(_, proposal)| said(proposal).is_some_and(|said| is_meant(&said))).collect();
        for (id, _) in meant {
            inner.append(Event::Ended { id: *id }).await?;
        }
        Ok(())
    }

    /// Those that wait and say what `is_meant`.
    pub(super) fn waiting_for(&self, is_meant: impl Fn(&Statement) -> bool) -> Vec<Waiting> {
        let mut waiting = self.waiting();
        waiting.retain(|waiting| said(&waiting.proposal).is_some_and(|said| is_meant(&said)));
        waiting
    }

    /// An operator says no to a proposal: their signature is taken off it, if they had signed. It ends when nobody's is
    /// left, or when those who have not said no are too few to bring it into force. Not to be cancelled midway.
    ///
    /// Who says no alone takes nothing off the table that enough others want. A no is this broker's note, and no
    /// statement: whoever has a copy of a signed envelope can hand it in again.
    ///
    /// # Errors
    /// There is no such proposal, the operator has no vote, or it cannot be kept.
    pub async fn refuse(&self, id: Digest, by: &SpiffeId) -> Result<Option<Waiting>, ProposalError> {
        let inner = &self.0;
        let _turn = inner.lane.turn(Urgency::Governance).await;
        let mut proposal = inner.current.load().get(&id).cloned().ok_or(ProposalError::Unknown { id })?;
        let snapshot = inner.registry.snapshot();
        let federation = snapshot.federation();
        let key = federation.voters().find(|(voter, _)| *voter == by).map(|(_, key)| key.id());
        let key = key.ok_or_else(|| ProposalError::NoVote { operator: by.clone() })?;
        proposal.envelope.signatures.retain(|signature| signature.keyid != key);
        proposal.refused_by.insert(by.clone());
        if !can_still_pass(federation, &proposal) {
            inner.append(Event::Ended { id }).await?;
            return Ok(None);
        }
        let shown = waiting(federation, id, proposal.clone());
        if shown.is_some() {
            inner.charge_proposal(by, &proposal)?;
        }
        inner.append(if shown.is_some() { Event::Stands(proposal) } else { Event::Ended { id } }).await?;
        Ok(shown)
    }

    /// Those that wait, the oldest first.
    #[must_use]
    pub fn waiting(&self) -> Vec<Waiting> {
        let (current, snapshot, now) = (self.0.current.load(), self.0.registry.snapshot(), self.0.clock.now());
        let mut waiting: Vec<_> = current
            .iter()
            .filter(|(_, proposal)| proposal.at.plus(PROPOSAL_LIFE) > now)
            .filter_map(|(id, proposal)| waiting(snapshot.federation(), *id, proposal.clone()))
            .collect();
        waiting.sort_by_key(|waiting| (waiting.proposal.at, waiting.id));
        waiting
    }

    /// Resolves when the journal has failed.
    pub async fn failed(&self) -> Arc<str> {
        self.0.journal.failed().await
    }
}

impl Inner {
    /// A statement of operators: in force, or kept until enough have signed.
    async fn govern(self: &Arc<Self>, brought: Prepared) -> Result<Submitted, ProposalError> {
        // Nobody takes a turn from operators by what none of them has signed.
        let snapshot = self.registry.snapshot();
        let signers = match snapshot.federation().endorsers(&brought) {
            Ok(signers) => signers,
            Err(refused) => return self.said(Err(RegistryError::Refused(Box::new(refused)).into())),
        };
        // A new operator signs what one in office has proposed. Alone, they are keys that anybody can make.
        if !self.current.load().contains_key(&brought.digest()) {
            check_in_office(snapshot.federation(), &brought, &signers)?;
        }
        let _turn = self.lane.turn(Urgency::of(brought.statement())).await;
        let (id, now) = (brought.digest(), self.clock.now());
        let known = self.current.load().get(&id).cloned();
        let (proposal, prepared) = match &known {
            None => (Proposal { envelope: brought.envelope().clone(), at: now, refused_by: BTreeSet::new() }, brought),
            Some(known) => {
                let proposal = self.joined(known, &brought)?;
                let prepared = self.registry.prepare(proposal.envelope.clone())?;
                (proposal, prepared)
            }
        };
        // What cannot come into force takes no turn from what can, and holds nobody up here meanwhile.
        let next = self.registry.snapshot().federation().check_next(&prepared, now);
        let appended = match next {
            Ok(()) => self.append_charged(prepared).await,
            Err(refused) => Err(RegistryError::Refused(Box::new(refused)).into()),
        };
        match appended {
            Ok(epoch) => {
                self.end_stale(Some(id)).await?;
                self.end_overtaken(&proposal, &signers).await?;
                Ok(Submitted::InForce(epoch))
            }
            Err(ProposalError::Registry(RegistryError::Refused(refused)))
                if matches!(*refused, Refused::TooFew { .. }) =>
            {
                self.keep(id, proposal, known, *refused).await
            }
            Err(other) => self.said(Err(other)),
        }
    }

    /// Said once, it stands: whoever lost the answer asks again.
    fn said(&self, appended: Result<u64, ProposalError>) -> Result<Submitted, ProposalError> {
        match appended {
            Ok(epoch) => Ok(Submitted::InForce(epoch)),
            Err(ProposalError::Registry(RegistryError::Refused(refused)))
                if matches!(*refused, Refused::Said { .. }) =>
            {
                Ok(Submitted::InForce(self.registry.snapshot().federation().epoch()))
            }
            Err(other) => Err(other),
        }
    }

    /// A proposal with what was brought. What it has of a signer stays: who signs again, differently, changes nothing.
    fn joined(&self, known: &Proposal, brought: &Prepared) -> Result<Proposal, RegistryError> {
        let (snapshot, refused) = (self.registry.snapshot(), |refused| RegistryError::Refused(Box::new(refused)));
        // Believed first: a forged signature must not take the place of a true one.
        snapshot.federation().endorsers(brought).map_err(refused)?;
        let mut proposal = known.clone();
        keep_voters(snapshot.federation(), &mut proposal.envelope);
        proposal.envelope.merge(brought.envelope());
        let signed: BTreeSet<_> = brought.envelope().signatures.iter().map(|signature| signature.keyid).collect();
        let signs = |id: &SpiffeId| {
            snapshot.federation().voters().any(|(voter, key)| voter == id && signed.contains(&key.id()))
        };
        proposal.refused_by.retain(|id| !signs(id));
        Ok(proposal)
    }

    /// Gives a statement its place, and takes it out of its signer's budget in the same turn: what comes into force is
    /// charged, and nothing else. Before the turn, nobody knows what it is that comes.
    async fn append_charged(self: &Arc<Self>, prepared: Prepared) -> Result<u64, ProposalError> {
        let inner = Arc::clone(self);
        let plan = move |federation: &Federation, prepared: &Prepared| {
            let now = inner.clock.now();
            // What is refused is refused by the registry, which says why. Nobody spends another's budget by it.
            if federation.check_next(prepared, now).is_ok() {
                inner.charge(federation, prepared, now)?;
            }
            Ok(true)
        };
        self.registry.append_if(prepared, plan).await
    }

    /// Takes a statement that comes into force out of the budget of who signed it.
    fn charge(&self, federation: &Federation, prepared: &Prepared, now: Timestamp) -> Result<(), ProposalError> {
        let (statement, bytes) = (prepared.statement(), prepared.envelope().payload.len());
        let on = if matches!(statement, Statement::Suspended { .. }) { Spends::Stop } else { Spends::Ordinary };
        let organisation = match (statement.scope(), statement) {
            // Who takes up an invite was paid for when it was made: one for each, and no longer than a few of them.
            (_, Statement::MemberAdmitted { invite: Some(_), .. }) => return Ok(()),
            (Some(Scope::Organisation(organisation)), _) => organisation,
            (Some(Scope::Member(id)), _) => id.trust_domain().clone(),
            (Some(Scope::Brake(_)), _) => return self.charge_brake(federation, prepared, on, now),
            // What the operators want together, they read before they sign it.
            (Some(Scope::Root | Scope::Governance(_) | Scope::Tables) | None, _) => return Ok(()),
        };
        self.budget
            .take(&organisation, on, bytes, now)
            .map_err(|retry_after| ProposalError::TooOften { organisation, retry_after })
    }

    /// Takes a brake out of the budget of every operator who signed it.
    fn charge_brake(
        &self,
        federation: &Federation,
        prepared: &Prepared,
        on: Spends,
        now: Timestamp,
    ) -> Result<(), ProposalError> {
        let refused = |refused| RegistryError::Refused(Box::new(refused));
        let signers = federation.endorsers(prepared).map_err(refused)?;
        let bytes = prepared.envelope().payload.len();
        for (operator, _) in federation.voters().filter(|(_, key)| signers.contains(&key.id())) {
            self.brakes
                .take(operator, on, bytes, now)
                .map_err(|retry_after| ProposalError::TooManyBrakes { operator: operator.clone(), retry_after })?;
        }
        Ok(())
    }

    /// Keeps what operators have signed, and nobody else's.
    async fn keep(
        &self,
        id: Digest,
        proposal: Proposal,
        known: Option<Proposal>,
        refused: Refused,
    ) -> Result<Submitted, ProposalError> {
        let snapshot = self.registry.snapshot();
        let federation = snapshot.federation();
        let Some(shown) = waiting(federation, id, proposal.clone()) else {
            return Err(ProposalError::NobodyInOffice { refused: Box::new(refused) });
        };
        if known.as_ref() != Some(&proposal) {
            self.end_stale(None).await?;
            if known.is_none() {
                let prepared = self.registry.prepare(proposal.envelope.clone())?;
                let refused = |refused| RegistryError::Refused(Box::new(refused));
                federation.check_proposed(&prepared, proposal.at).map_err(refused)?;
                Room::of(federation, self.current.load().values()).check(&proposal)?;
            }
            for operator in newly_signed(federation, known.as_ref(), &proposal) {
                self.charge_proposal(&operator, &proposal)?;
            }
            self.append(Event::Stands(proposal)).await?;
        }
        Ok(Submitted::Waits(shown))
    }

    /// Takes what a proposal costs on disk out of the budget of an operator by whose hand it changes: it is written whole
    /// each time, and whoever signs and takes back again and again would fill the disk.
    fn charge_proposal(&self, operator: &SpiffeId, proposal: &Proposal) -> Result<(), ProposalError> {
        let bytes = proposal.envelope.payload.len();
        let taken = self.signatures.take(operator, Spends::Ordinary, bytes, self.clock.now());
        taken.map_err(|retry_after| ProposalError::SignsTooOften { operator: operator.clone(), retry_after })
    }

    /// Ends `done`, and all that can never come into force any more.
    async fn end_stale(&self, done: Option<Digest>) -> Result<(), ProposalError> {
        let (snapshot, now) = (self.registry.snapshot(), self.clock.now());
        let stale = |id: &Digest, proposal: &Proposal| {
            done == Some(*id)
                || proposal.at.plus(PROPOSAL_LIFE) <= now
                || waiting(snapshot.federation(), *id, proposal.clone()).is_none()
        };
        let current = self.current.load_full();
        for id in current.iter().filter(|(id, proposal)| stale(id, proposal)).map(|(id, _)| *id) {
            self.append(Event::Ended { id }).await?;
        }
        Ok(())
    }

    /// Once operators have lifted somebody, what was proposed against them before, or to lift them, has to be proposed anew:
    /// those who signed it saw another state, and a vote that is left over would count against the next suspension. One who
    /// takes their own brake back speaks for nobody else: what others have signed against the subject stays. What an
    /// organisation lifts of its own overtakes nothing: it would end by it what operators propose against it.
    async fn end_overtaken(&self, by: &Proposal, lifters: &BTreeSet<KeyId>) -> Result<(), ProposalError> {
        let Some(Statement::Lifted { subject: lifted, by: whose }) = said(by) else { return Ok(()) };
        let snapshot = self.registry.snapshot();
        // By those in office: what cannot be read or counted is nobody's to end.
        let is_theirs = |id: &Digest, proposal: &Proposal| {
            let shown = waiting(snapshot.federation(), *id, proposal.clone());
            let signed = shown.and_then(|shown| snapshot.federation().endorsed(&shown.proposal.envelope).ok());
            signed.is_some_and(|signed| !signed.is_empty() && signed.is_subset(lifters))
        };
        let is_overtaken = |id: &Digest, proposal: &Proposal| match (said(proposal), whose) {
            (_, By::Organisation) => false,
            (Some(Statement::Lifted { subject, .. }), By::Federation | By::Brake) => subject == lifted,
            (Some(Statement::Suspended { subject, .. }), By::Federation) => subject == lifted,
            (Some(Statement::Suspended { subject, .. }), By::Brake) => subject == lifted && is_theirs(id, proposal),
            _ => false,
        };
        let current = self.current.load_full();
        for (id, _) in current.iter().filter(|(id, proposal)| is_overtaken(id, proposal)) {
            self.append(Event::Ended { id: *id }).await?;
        }
        Ok(())
    }

    async fn append(&self, event: Event) -> Result<(), ProposalError> {
        let mut next = BTreeMap::clone(&self.current.load());
        let frame = serde_json::to_vec(&event)?;
        apply(&mut next, event);
        self.journal.append(frame).await?;
        self.current.store(Arc::new(next));
        Ok(())
    }
}

/// True for what operators sign, any of whom may propose it, and for what ends proposals.
fn concerns_operators(statement: &Statement) -> bool {
    match statement.scope() {
        Some(Scope::Root | Scope::Governance(_) | Scope::Tables) => true,
        Some(Scope::Brake(_)) => matches!(statement, Statement::Lifted { .. }),
        Some(Scope::Organisation(_) | Scope::Member(_)) | None => false,
    }
}

/// Checks that somebody signed who has a vote now, by the rule by which votes count.
fn check_in_office(
    federation: &Federation,
    brought: &Prepared,
    signers: &BTreeSet<KeyId>,
) -> Result<(), ProposalError> {
    if federation.voters().any(|(_, key)| signers.contains(&key.id())) {
        return Ok(());
    }
    match federation.check_signed(brought) {
        Err(refused) => Err(ProposalError::NobodyInOffice { refused: Box::new(refused) }),
        Ok(()) => Ok(()),
    }
}

/// The operators in office by whose signature a proposal is another than it was; where only somebody signed who is to
/// govern, all of those who want that.
fn newly_signed(federation: &Federation, known: Option<&Proposal>, proposal: &Proposal) -> Vec<SpiffeId> {
    let signed = |proposal: &Proposal, key: &KeyId| proposal.envelope.signatures.iter().any(|one| one.keyid == *key);
    let signers: Vec<_> = federation.voters().filter(|(_, key)| signed(proposal, &key.id())).collect();
    let is_new = |key: &KeyId| known.is_none_or(|known| !signed(known, key));
    let new: Vec<_> = signers.iter().filter(|(_, key)| is_new(&key.id())).map(|(id, _)| (*id).clone()).collect();
    if new.is_empty() { signers.into_iter().map(|(id, _)| id.clone()).collect() } else { new }
}

fn said(proposal: &Proposal) -> Option<Statement> {
    Payload::peek(&proposal.envelope).ok().map(|payload| payload.statement)
}

fn fold(frames: &[Vec<u8>]) -> Result<BTreeMap<Digest, Proposal>, ProposalError> {
    let mut proposals = BTreeMap::new();
    for (position, frame) in frames.iter().enumerate() {
        let damaged = |error: serde_json::Error| ProposalError::Damaged { position, problem: error.to_string() };
        apply(&mut proposals, serde_json::from_slice(frame).map_err(damaged)?);
    }
    Ok(proposals)
}

fn apply(proposals: &mut BTreeMap<Digest, Proposal>, event: Event) {
    match event {
        Event::Stands(proposal) => drop(proposals.insert(proposal.envelope.payload_digest(), proposal)),
        Event::Ended { id } => drop(proposals.remove(&id)),
    }
}
