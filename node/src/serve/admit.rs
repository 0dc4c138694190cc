//! Lets a request in: a permit for exactly it, this node's own terms, and a place.

use std::sync::Arc;
use std::time::Duration;

use comity_membership::{Federation, Standing};
use comity_policy::disclosure::{Sources, Viewer};
use comity_policy::node_file::MAX_IN_FLIGHT;
use comity_policy::{Reason, Request as Question, Tables, Verdict, evaluate_node_side};
use comity_proto::convert::{Envelope, WireError};
use comity_proto::error::Failure;
use comity_proto::permit::Load;
use comity_proto::{inference as wire, metadata};
use comity_runtime::observe::Account;
use comity_runtime::quotas::Quotas;
use comity_types::Digest;
use prost::Message;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status};

use super::outcome::LetInBy;
use super::{Method, OutcomeSigner, Parts, Places, Route, Routes, Server, deadline, failure};
use crate::backend::payload::needs::Needs;
use crate::backend::{Backend, Fault};
use crate::guard::{Guard, Lie, VerifiedPermit};
use crate::metrics::Metrics;

/// The whole of a share, to compare two by.
const FULL: u64 = 1 << 20;
/// How long a request waits for the statement that it was decided on. It usually is a round trip behind.
const PATIENCE_WITH_REPLICA: Duration = Duration::from_secs(2);

/// What requests are held against besides their permits.
#[derive(Debug)]
pub(super) struct Rules {
    /// Those of the node's own, until the federation adopts some.
    tables: Arc<Tables>,
    places: Places,
    quotas: Quotas,
}

impl Rules {
    #[cfg(test)]
    pub(super) const fn places(&self) -> &Places {
        &self.places
    }
}

/// What the metadata of a call says.
#[derive(Debug)]
pub(super) struct Call {
    method: Method,
    permit: Option<Vec<u8>>,
    deadline: Instant,
    account: Account,
}

/// Proof that a request may run: it has a permit, the node's own terms allow it, and there is a place for it.
#[derive(Debug)]
pub struct Admitted {
    permit: VerifiedPermit,
    /// Most tokens that the caller wants in the answer, where its envelope says so.
    most: Option<u32>,
    state: LetInBy,
    route: Arc<Route>,
    deadline: Instant,
    signer: OutcomeSigner,
    metrics: Metrics,
    account: Account,
    /// All places of the node.
    places: Places,
    /// Where it stands that the decision was answered.
    parts: Arc<Parts>,
    /// One of the node's, and one of the offer's.
    _held: [OwnedSemaphorePermit; 2],
}

/// Proof that it is on file that the decision is answered here: made by [`Admitted::answers`], and nowhere else. Nothing of an
/// answer is handed over without it, or signed as done.
#[derive(Debug)]
pub(super) struct OnFile(());

impl Call {
    pub(super) fn of<T>(method: Method, request: &Request<T>) -> Self {
        let permit = request.metadata().get_bin(metadata::PERMIT).and_then(|value| value.to_bytes().ok());
        let (deadline, account) = (deadline::of(request.metadata()), Account::of(request.extensions()));
        Self { method, permit: permit.map(|bytes| bytes.to_vec()), deadline, account }
    }
}

impl Server {
    /// A server of `routes`, by the rules of `tables` until the federation adopts some, whose outcomes `signer` signs.
    #[must_use]
    pub fn new(guard: Guard, routes: Routes, tables: Arc<Tables>, signer: OutcomeSigner) -> Self {
        let rules = Rules { tables, places: Places::new(MAX_IN_FLIGHT), quotas: Quotas::default() };
        Self { parts: Arc::new(Parts { guard, routes, rules, signer, metrics: Metrics::default() }) }
    }

    /// Lets a request in, or says why not.
    pub(super) async fn admit(&self, call: Call, envelope: Option<wire::Envelope>) -> Result<Admitted, Status> {
        let method = call.method.name();
        self.try_admit(call, envelope.unwrap_or_default()).await.map_err(|failure| {
            tracing::info!(method, reason = failure.reason, "refused a request");
            failure.into()
        })
    }

    async fn try_admit(&self, call: Call, envelope: wire::Envelope) -> Result<Admitted, Failure> {
        let Parts { guard, routes, rules, signer, metrics } = &*self.parts;
        let place = rules.places.take().ok_or_else(|| failure::full(&rules.places))?;
        let digest = Digest::of(&envelope.encode_to_vec());
        guard.catch_up().await;
        let permit = guard.verify(call.permit.as_deref(), digest, call.method.name())?;
        let route = routes.of(&permit).ok_or(Lie::UnknownOffer)?;
        call.account.caller(permit.caller());
        call.account.decided(permit.decision(), permit.epoch(), &route.offer.model);
        call.account.offer(permit.offer());
        let of_offer = route.places.take().ok_or_else(|| failure::offer_full(permit.offer(), &route.places))?;
        let envelope = Envelope::try_from(envelope)
            .map_err(|WireError { path, problem }| failure::invalid(&format!("envelope.{path}"), &problem))?;
        let left = call.deadline.saturating_duration_since(Instant::now());
        let replica = &signer.replica;
        let federation = replica.wait_for(permit.epoch(), PATIENCE_WITH_REPLICA.min(left)).await?;
        if !replica.is_of_log(permit.epoch(), permit.epoch_root()) {
            return Err(Lie::OtherFederation.into());
        }
        // What the newer state forbids, an older one would let through.
        let (decided, known) = (permit.epoch(), replica.oldest_epoch());
        if decided < known {
            return Err(Lie::OldEpoch { decided, known }.into());
        }
        let state = signer.state(&federation);
        replica.check_class(&route.offer.id, permit.caller())?;
        accept(rules, &federation, &permit, &route, call.method, &envelope).map_err(|failure| *failure)?;
        replica.served(permit.caller());
        let (signer, metrics, places) = (signer.clone(), metrics.clone(), rules.places.clone());
        let (Call { deadline, account, .. }, held) = (call, [place, of_offer]);
        let (most, parts) = (envelope.max_output_tokens, Arc::clone(&self.parts));
        Ok(Admitted { permit, most, state, route, deadline, signer, metrics, account, places, parts, _held: held })
    }
}

/// The node's own word on the request: whatever the broker decided, its terms hold. What it accepts is counted against
/// the offer's quota.
fn accept(
    rules: &Rules,
    federation: &Federation,
    permit: &VerifiedPermit,
    route: &Route,
    method: Method,
    envelope: &Envelope,
) -> Result<(), Box<Failure>> {
    let caller = permit.caller();
    match federation.standing(caller) {
        Standing::Active => {}
        Standing::Suspended { .. } => return Err(failure::stranger(caller, "is suspended").into()),
        Standing::Departed { .. } => return Err(failure::stranger(caller, "is a member no more").into()),
        Standing::Unknown => return Err(failure::stranger(caller, "is not a member").into()),
    }
    let organisation = federation.organisation(caller.trust_domain());
    let organisation = organisation.ok_or_else(|| failure::stranger(caller, "belongs to no member"))?;
    let used = rules.quotas.used(caller.trust_domain(), permit.arrived_at());
    let question = Question {
        caller: &organisation.facts,
        model: Some(&envelope.model),
        capability: method.capability(),
        declared: &envelope.declared,
        requirements: &envelope.requirements,
        // Read only on the caller's side, which is the broker's to check.
        broker_places: None,
        used: &used,
        as_of: permit.issued_at(),
    };
    let operator = federation.organisation(route.offer.node.trust_domain());
    let operator = operator.ok_or_else(|| failure::stranger(&route.offer.node, "belongs to no member"))?;
    let tables = federation.tables_or(&rules.tables);
    let verdict = evaluate_node_side(&route.offer, &operator.facts, &question, tables);
    let Err(reasons) = settled(verdict).and_then(|()| count(rules, tables, permit, route)) else { return Ok(()) };
    let sources = Sources { offer: &route.offer, operator: &operator.facts, caller: &organisation.facts };
    // The broker passes them on: what the terms keep to themselves must not leave the node.
    let reasons = sources.shown_to(Viewer::Member(caller.trust_domain()), &reasons);
    Err(failure::veto(permit.offer(), &envelope.model, permit.decision(), reasons).into())
}

fn settled(verdict: Verdict) -> Result<(), Vec<Reason>> {
    match verdict {
        Verdict::Eligible { .. } => Ok(()),
        Verdict::Rejected { reasons } => Err(reasons),
    }
}

/// Counts the request against the offer's quota, from whichever broker it came: others may have been let in since the
/// terms were looked at.
fn count(rules: &Rules, tables: &Tables, permit: &VerifiedPermit, route: &Route) -> Result<(), Vec<Reason>> {
    rules.quotas.take(permit.caller().trust_domain(), &route.offer, permit.arrived_at(), tables)
}

impl Admitted {
    /// The backend that the permit opens.
    pub(super) fn backend(&self) -> &dyn Backend {
        &*self.route.backend
    }

    /// The backend's own name for the offer's model.
    pub(super) fn model(&self) -> &str {
        &self.route.backend_model
    }

    /// Most tokens that the caller wants in the answer, where its envelope says so.
    pub(super) const fn most(&self) -> Option<u32> {
        self.most
    }

    /// Holds what a payload needs against what the offer says that the model can do: the broker, which does not read
    /// payloads, cannot.
    pub(super) fn offers(&self, needs: &Needs) -> Result<(), Status> {
        let (offer, permit) = (&self.route.offer, &self.permit);
        let lacking: Vec<_> = needs.iter().filter(|(needed, _)| !offer.capabilities.contains(needed)).collect();
        let Some((missing, field)) = lacking.first() else { return Ok(()) };
        tracing::debug!(offer = %permit.offer(), decision = %permit.decision(), %field, "the offer lacks a capability");
        let reasons = lacking.iter().map(|(missing, _)| failure::missing(**missing)).collect();
        let (offer, decision, model) = (permit.offer(), permit.decision(), &offer.model);
        Err(self.signed(failure::incapable(offer, model, decision, (**missing, field), reasons)))
    }

    /// An answer used this much.
    pub(super) fn used(&self, usage: &wire::Usage) {
        self.metrics.used(usage);
        self.account.used(usage.input_tokens, usage.output_tokens);
    }

    /// Waits for the backend to begin its answer, until the call's deadline.
    pub(super) async fn run<T>(&self, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Status> {
        let begun = Instant::now();
        let watched = async {
            let done = work.await;
            // What the backend says of the request is an answer, too.
            let failed = |fault: &Fault| matches!(fault.code(), Code::Unavailable | Code::Internal);
            self.metrics.asked(&self.route.offer, begun.elapsed(), !done.as_ref().is_err_and(failed));
            done
        };
        self.wait(watched).await
    }

    async fn wait<T>(&self, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Status> {
        let done = timeout_at(self.deadline, work).await.map_err(|_| self.signed(failure::late()))?;
        done.map_err(|fault| self.failed(&fault))
    }

    /// Waits for the next piece, until the call's deadline.
    pub(super) async fn next<T>(
        &self,
        piece: impl Future<Output = Option<Result<T, Fault>>>,
    ) -> Result<Option<T>, Status> {
        self.wait(async { piece.await.transpose() }).await
    }

    /// What the caller gets for a fault; what is wrong with the backend is the log's as well.
    pub(super) fn failed(&self, fault: &Fault) -> Status {
        let (offer, decision, reason) = (self.permit.offer(), self.permit.decision(), fault.reason());
        if matches!(fault.code(), Code::InvalidArgument | Code::Unimplemented)
            && !matches!(fault, Fault::Refused { .. })
        {
            tracing::debug!(%offer, %decision, reason, "refused a payload");
        } else {
            tracing::warn!(%offer, %decision, reason, error = %fault, "the backend failed");
        }
        self.signed(failure::of_fault(fault, offer))
    }

    /// How busy the node is with the offer: by its places, or by the node's own where fewer of those are free.
    pub(super) fn load(&self) -> Load {
        let of = |places: &Places| Load { in_flight: places.taken(), limit: places.limit() };
        let share = |load: &Load| u64::from(load.in_flight).saturating_mul(FULL) / u64::from(load.limit).max(1);
        let (offer, node) = (of(&self.route.places), of(&self.places));
        if share(&node) > share(&offer) { node } else { offer }
    }

    /// Writes down that the decision is answered, whatever the broker tries again: once, before the first piece of the answer is
    /// handed over. An honest broker tries no more once it has that; one that breaks off before the end has had it all the same.
    pub(super) fn answers(&self) -> Result<OnFile, Status> {
        match self.parts.guard.answered(&self.permit) {
            Ok(()) => Ok(OnFile(())),
            Err(lie) => {
                tracing::info!(decision = %self.permit.decision(), reason = lie.reason(), "an answer is not handed over");
                Err(Failure::from(lie).into())
            }
        }
    }

    /// What the node signs of the request that ended well.
    pub(super) fn outcome(&self, _answered: &OnFile, usage: Option<wire::Usage>) -> Option<Vec<u8>> {
        self.signer.outcome(&self.permit, self.state, Code::Ok, usage)
    }

    /// A failure of what was admitted, with the node's word on it.
    fn signed(&self, failure: Failure) -> Status {
        let mut status = Status::from(failure);
        let load = self.load().encode_to_vec();
        status.metadata_mut().insert_bin(metadata::LOAD, MetadataValue::from_bytes(&load));
        if let Some(outcome) = self.signer.outcome(&self.permit, self.state, status.code(), None) {
            status.metadata_mut().insert_bin(metadata::OUTCOME, MetadataValue::from_bytes(&outcome));
        }
        status
    }
}
