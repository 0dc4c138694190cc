//! Every offer's verdict, and the decision that follows from them.
//!
//! [`decide`] is the one maker of a [`Decision`]. Reasons are written where somebody reads them: for a refusal, and for
//! `Catalog.Explain`, both by [`judge`]; whether it is eligible, and until when, the index says of an offer without a word.

use std::sync::Arc;

use comity_membership::{Federation, Standing};
use comity_policy::{Demanded, Offer, Organisation, Reason, ReasonCode, Request, Requirements, Side, Usage, Verdict};
use comity_proto::convert::{self, WireError};
use comity_proto::error::Failure;
use comity_proto::policy::LayerDemands;
use comity_types::{DecisionId, OfferName, SpiffeId, Timestamp};
use tokio::time::Instant;
use tonic::Code;

use super::choose::Draws;
use super::request::Admitted;
use super::{Parts, choose, spend};
use crate::edge::cut;
use crate::links::Load;
use crate::registry::Snapshot;
use crate::registry::deciding::Undecidable;
use crate::registry::memory::{Eligible, Listed};

/// An offer and the verdict on it.
#[derive(Debug)]
pub struct Judged<'a> {
    /// Its name.
    pub name: OfferName,
    /// Its place in the index.
    pub place: usize,
    /// The offer.
    pub offer: &'a Offer,
    /// The verdict.
    pub verdict: Verdict,
}

/// Which offers may have a request, at one instant and one epoch.
#[derive(Debug)]
pub struct Decision {
    pub(super) id: DecisionId,
    pub(super) at: Timestamp,
    pub(super) snapshot: Arc<Snapshot>,
    /// How many offers were judged.
    pub(super) considered: usize,
    /// The eligible set, in the order of preference.
    pub(super) eligible: Vec<Candidate>,
    /// Why it is empty, if it is.
    pub(super) refused: Option<Box<Refused>>,
}

/// Why nothing is eligible.
#[derive(Debug)]
pub struct Refused {
    /// What had to hold, and who demanded it.
    pub(super) demanded: Demanded,
    /// The fewest reasons first: those are the easiest to mend.
    pub(super) rejected: Vec<Rejected>,
}

/// An eligible offer.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The offer.
    pub offer: Arc<Listed>,
    /// How far it is what the caller prefers; 0 where nothing is preferred.
    pub score: u64,
    /// How it and its node do.
    pub load: Load,
    /// When what made it eligible ends, if it does.
    pub expires_at: Option<Timestamp>,
}

/// An offer that may not have the request.
#[derive(Debug, Clone)]
pub struct Rejected {
    /// Its name.
    pub name: OfferName,
    /// Why.
    pub reasons: Vec<Reason>,
}

/// Judges every offer of the request's model, and puts those that are eligible in order.
///
/// # Errors
/// Nothing can be decided now, the caller has lost its place since it was let in, the envelope speaks of something that no table has, or nobody offers the
/// model. That nothing is eligible is a decision too, and becomes a refusal once it is kept.
pub fn decide(parts: &Parts, admitted: &Admitted) -> Result<Decision, Failure> {
    let (snapshot, at) = parts.registry.to_decide_by().map_err(undecidable)?;
    // By the state that the decision will name: whoever holds it against that finds a caller who took part in it.
    if let Some(lost) = cut::out_of(snapshot.federation(), &admitted.caller, Some(admitted.certificate)) {
        return Err(lost);
    }
    let found = eligible(&snapshot, parts, admitted, at)?;
    let used = parts.quotas.used(admitted.caller.trust_domain(), at);
    let within_quota = found.eligible(&snapshot.index, &used, at);
    let (id, now) = (new_id()?, Instant::now());
    let candidate = |(offer, expires_at): (&Arc<Listed>, _)| {
        let load = parts.links.load(&offer.name, admitted.caller.trust_domain(), now);
        Candidate { offer: Arc::clone(offer), score: 0, load, expires_at }
    };
    let mut eligible: Vec<_> = within_quota.map(candidate).collect();
    spend::leave(parts, admitted, at, &mut eligible);
    choose::score(&mut eligible, &snapshot.index, &admitted.envelope.prefer, at);
    choose::order(&mut eligible, admitted.envelope.prefer.session.as_ref(), &mut Draws::of(id));
    let refused =
        if eligible.is_empty() { Some(Box::new(refused(&snapshot, parts, admitted, &used, at)?)) } else { None };
    let considered = snapshot.index.of_model(&admitted.envelope.model).len();
    Ok(Decision { id, at, considered, eligible, refused, snapshot })
}

/// The offers that are eligible, as far as the caller's quotas let it: what was found before in this state, if it still stands.
fn eligible(snapshot: &Snapshot, parts: &Parts, admitted: &Admitted, at: Timestamp) -> Result<Arc<Eligible>, Failure> {
    let question = admitted.question();
    if let Some(found) = snapshot.memory.get(&question, at) {
        return Ok(found);
    }
    let checked = admitted.envelope.check(&snapshot.tables());
    checked.map_err(|error| invalid(&error.within("envelope")))?;
    let (caller, demanded) = demanded(snapshot, &admitted.caller, &admitted.envelope.requirements)?;
    // Offers of other models would be refused for that alone; they are left out, so that a refusal stays readable.
    let of_model = snapshot.index.of_model(&admitted.envelope.model);
    if of_model.is_empty() {
        return Err(model_not_offered(admitted));
    }
    let request = request(parts, admitted, caller, &demanded.requirements, Usage::none(), at);
    let found = snapshot.index.lasting(&request, of_model, |place| listed(snapshot, place).map(Arc::new));
    let found = Arc::new(found);
    snapshot.memory.keep(question, &found);
    Ok(found)
}

/// The offer at a place of the index; none if its node serves nobody.
pub fn listed(snapshot: &Snapshot, place: usize) -> Option<Listed> {
    let (name, offer) = snapshot.index.name(place).zip(snapshot.index.offer(place))?;
    let active = snapshot.federation().standing(&offer.node) == Standing::Active;
    let sha256 = snapshot.federation().offer_sha256(name).filter(|_| active)?;
    Some(Listed { name: name.clone(), place, sha256, price: offer.price.clone() })
}

/// Why nothing is eligible, by the same index.
fn refused(
    snapshot: &Snapshot,
    parts: &Parts,
    admitted: &Admitted,
    used: &Usage,
    at: Timestamp,
) -> Result<Refused, Failure> {
    let (caller, demanded) = demanded(snapshot, &admitted.caller, &admitted.envelope.requirements)?;
    let request = request(parts, admitted, caller, &demanded.requirements, used, at);
    let judged = judge(snapshot, &request, Scope::OfItsModel).into_iter();
    let reject = |one: Judged<'_>| {
        let reasons = match &one.verdict {
            // Policy lets it have the request, and a budget does not.
            Verdict::Eligible { .. } => spend::against(parts, admitted, at, &one),
            Verdict::Rejected { reasons } => reasons.clone(),
        };
        Rejected { name: one.name, reasons }
    };
    let mut rejected: Vec<_> = judged.map(reject).collect();
    rejected.sort_by(|a, b| (a.reasons.len(), &a.name).cmp(&(b.reasons.len(), &b.name)));
    Ok(Refused { demanded, rejected })
}

fn request<'a>(
    parts: &'a Parts,
    admitted: &'a Admitted,
    caller: &'a Organisation,
    requirements: &'a Requirements,
    used: &'a Usage,
    as_of: Timestamp,
) -> Request<'a> {
    let (model, declared) = (Some(&admitted.envelope.model), &admitted.envelope.declared);
    let (capability, broker_places) = (admitted.method.capability(), Some(&parts.places));
    Request { caller, model, capability, declared, requirements, broker_places, used, as_of }
}

/// The organisation of `caller`, and what has to hold for a request of it: what its organisation demands of all its
/// requests, and of this app, with what the request itself demands. The one place where they come together. The facts
/// are the index's own record, of which it remembers what it answered.
///
/// # Errors
/// The caller is of no organisation.
pub fn demanded<'a>(
    snapshot: &'a Snapshot,
    caller: &SpiffeId,
    request: &Requirements,
) -> Result<(&'a Organisation, Demanded), Failure> {
    let domain = caller.trust_domain();
    let known = snapshot.federation().organisation(domain).zip(snapshot.index.organisation(domain));
    let (state, facts) = known.ok_or_else(|| unknown_caller(caller))?;
    Ok((facts, state.layers.demanded(Some(caller.name()), request)))
}

/// What the organisation's layers add to a request of `caller`, on its way out.
pub fn layer_demands(caller: &SpiffeId, demanded: &Demanded) -> Vec<LayerDemands> {
    convert::layer_demands(caller.trust_domain(), Some(caller.name()), demanded)
}

/// Which offers are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Those of the model that is asked for.
    OfItsModel,
    /// All of them.
    Everything,
}

/// The verdict on every offer within `scope`, sorted by name.
#[must_use]
pub fn judge<'a>(snapshot: &'a Snapshot, request: &Request<'_>, scope: Scope) -> Vec<Judged<'a>> {
    let answer = snapshot.index.ask(request);
    let judged = |place: usize| {
        let (name, offer) = snapshot.index.name(place).zip(snapshot.index.offer(place))?;
        let verdict = with_standing(answer.verdict(place, request), snapshot.federation(), &offer.node);
        Some(Judged { name: name.clone(), place, offer, verdict })
    };
    let mut judged: Vec<_> = match (scope, request.model) {
        (Scope::OfItsModel, Some(model)) => {
            snapshot.index.of_model(model).iter().filter_map(|place| judged(*place)).collect()
        }
        (Scope::OfItsModel, None) | (Scope::Everything, _) => (0..snapshot.index.len()).filter_map(judged).collect(),
    };
    judged.sort_by(|a, b| a.name.cmp(&b.name));
    judged
}

/// The policy's verdict, and the federation's: whoever is suspended serves nobody.
fn with_standing(verdict: Verdict, federation: &Federation, node: &SpiffeId) -> Verdict {
    let standing = match federation.standing(node) {
        Standing::Active => return verdict,
        Standing::Suspended { subject, .. } => out_of_standing(&subject.to_string(), "suspended"),
        Standing::Departed { subject, .. } => out_of_standing(&subject.to_string(), "departed"),
        Standing::Unknown => out_of_standing(node.as_str(), "unknown"),
    };
    let mut reasons = verdict.into_reasons();
    reasons.push(standing);
    reasons.sort();
    Verdict::Rejected { reasons }
}

fn out_of_standing(subject: &str, actual: &str) -> Reason {
    Reason {
        code: ReasonCode::FederationPolicy,
        subject: subject.to_owned(),
        side: Side::Federation,
        path: "operator.standing".to_owned(),
        party: "operator".to_owned(),
        expected: "active".to_owned(),
        actual: actual.to_owned(),
        rule: String::new(),
    }
}

/// A decision of now would contradict the membership log: another broker, or a later try, does better.
fn undecidable(error: Undecidable) -> Failure {
    let reason = match error {
        Undecidable::Behind { .. } => "CLOCK_BEHIND_LOG",
        Undecidable::Stalled { .. } => "MEMBERSHIP_LOG_STALLED",
    };
    Failure::new(Code::Unavailable, reason, error.to_string())
}

/// A field that speaks of something that no table has.
fn invalid(error: &WireError) -> Failure {
    Failure::new(Code::InvalidArgument, "INVALID_FIELD", error.to_string()).with("field", &error.path)
}

/// 128 random bits.
fn new_id() -> Result<DecisionId, Failure> {
    let mut bytes = [0; 16];
    let filled = aws_lc_rs::rand::fill(&mut bytes);
    filled.map_err(|_| Failure::new(Code::Internal, "BROKER_FAILED", "the broker has no randomness"))?;
    Ok(DecisionId::from_bytes(bytes))
}

fn unknown_caller(caller: &SpiffeId) -> Failure {
    let message = format!("{caller} is of no organisation of this federation");
    Failure::new(Code::PermissionDenied, "UNKNOWN_MEMBER", message)
}

fn model_not_offered(admitted: &Admitted) -> Failure {
    let model = &admitted.envelope.model;
    let message = format!("no node offers the model {model} (hint: `comity model list` shows those that are offered)");
    Failure::new(Code::NotFound, "MODEL_NOT_OFFERED", message).with("model", model)
}
