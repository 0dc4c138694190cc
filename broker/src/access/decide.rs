//! Every offer's verdict, and the decision that follows from them.
//!
//! [`decide`] is the one maker of a [`Decision`]. The same [`demanded`] and [`judge`] answer `Catalog.Explain`.

use std::sync::Arc;

use comity_membership::{Federation, Standing};
use comity_policy::{
    Demanded, Offer, Organisation, Reason, ReasonCode, Request, Requirements, Side, Verdict, evaluate,
};
use comity_proto::convert::{self, WireError};
use comity_proto::error::Failure;
use comity_proto::policy::LayerDemands;
use comity_types::{DecisionId, OfferName, Price, SpiffeId, Timestamp};
use tonic::Code;

use super::request::Admitted;
use super::{Parts, choose};
use crate::registry::Snapshot;

/// An offer and the verdict on it.
#[derive(Debug)]
pub struct Judged<'a> {
    /// Its name.
    pub name: OfferName,
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
    /// What had to hold, and who demanded it.
    pub(super) demanded: Demanded,
    /// The eligible set, in the order of preference.
    pub(super) eligible: Vec<Candidate>,
    pub(super) rejected: Vec<Rejected>,
}

/// An eligible offer.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its name.
    pub name: OfferName,
    /// What it costs, where that is known.
    pub price: Option<Price>,
    /// How far it is what the caller prefers; 0 where nothing is preferred.
    pub score: u64,
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
/// The envelope speaks of something that no table has, or nobody offers the model. That nothing is eligible is a decision too, and becomes a refusal once it is kept.
pub fn decide(parts: &Parts, admitted: &Admitted) -> Result<Decision, Failure> {
    admitted.envelope.check(&parts.tables).map_err(|error| invalid(&error.within("envelope")))?;
    let snapshot = parts.registry.snapshot();
    let at = parts.clock.now();
    let (caller, demanded) = demanded(&snapshot.federation, &admitted.caller, &admitted.envelope.requirements)?;
    let request = Request {
        caller,
        model: Some(&admitted.envelope.model),
        capability: admitted.method.capability(),
        declared: &admitted.envelope.declared,
        requirements: &demanded.requirements,
        broker_places: Some(&parts.places),
        as_of: at,
    };
    // Offers of other models would be refused for that alone; they are left out, so that a refusal stays readable.
    let offered = |offer: &Offer| offer.model == admitted.envelope.model;
    let judged = judge(parts, &snapshot.federation, &request, offered);
    if judged.is_empty() {
        return Err(model_not_offered(admitted));
    }
    let mut eligible = choose::candidates(&judged, &admitted.envelope.prefer, &parts.tables, at);
    let refused = judged.into_iter().filter_map(|Judged { name, verdict, .. }| match verdict {
        Verdict::Eligible { .. } => None,
        Verdict::Rejected { reasons } => Some(Rejected { name, reasons }),
    });
    let mut rejected: Vec<_> = refused.collect();
    choose::order(&mut eligible, |node| parts.links.load(node));
    // The fewest reasons first: those are the easiest to mend.
    rejected.sort_by(|a, b| (a.reasons.len(), &a.name).cmp(&(b.reasons.len(), &b.name)));
    Ok(Decision { id: new_id()?, at, demanded, eligible, rejected, snapshot: Arc::clone(&snapshot) })
}

/// The organisation of `caller`, and what has to hold for a request of it: what its organisation demands of all its
/// requests, and of this app, with what the request itself demands. The one place where they come together.
///
/// # Errors
/// The caller is of no organisation.
pub fn demanded<'a>(
    federation: &'a Federation,
    caller: &SpiffeId,
    request: &Requirements,
) -> Result<(&'a Organisation, Demanded), Failure> {
    let state = federation.organisation(caller.trust_domain()).ok_or_else(|| unknown_caller(caller))?;
    Ok((&state.organisation, state.layers.demanded(Some(caller.name()), request)))
}

/// What the organisation's layers add to a request of `caller`, on its way out.
pub fn layer_demands(caller: &SpiffeId, demanded: &Demanded) -> Vec<LayerDemands> {
    convert::layer_demands(caller.trust_domain(), Some(caller.name()), demanded)
}

/// The verdict on every offer that `wanted` picks, sorted by name.
pub fn judge<'a>(
    parts: &Parts,
    federation: &'a Federation,
    request: &Request<'_>,
    wanted: impl Fn(&Offer) -> bool,
) -> Vec<Judged<'a>> {
    let offers = federation.nodes().flat_map(|(node, state)| state.offers.iter().map(move |offer| (node, offer)));
    let judged = offers.filter(|(_, offer)| wanted(offer)).map(|(node, offer)| Judged {
        name: OfferName::new(node, &offer.id),
        offer,
        verdict: verdict(parts, federation, request, node, offer),
    });
    let mut judged: Vec<_> = judged.collect();
    judged.sort_by(|a, b| a.name.cmp(&b.name));
    judged
}

/// The policy's verdict, and the federation's: whoever is suspended serves nobody.
fn verdict(parts: &Parts, federation: &Federation, request: &Request<'_>, node: &SpiffeId, offer: &Offer) -> Verdict {
    let Some(operator) = federation.organisation(node.trust_domain()) else {
        return Verdict::Rejected { reasons: vec![out_of_standing(node.as_str(), "unknown")] };
    };
    let verdict = evaluate(offer, &operator.organisation, request, &parts.tables);
    let standing = match federation.standing(node) {
        Standing::Active => return verdict,
        Standing::Suspended { subject, .. } => out_of_standing(&subject.to_string(), "suspended"),
        Standing::Unknown => out_of_standing(node.as_str(), "unknown"),
    };
    let mut reasons = match verdict {
        Verdict::Eligible { .. } => Vec::new(),
        Verdict::Rejected { reasons } => reasons,
    };
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
