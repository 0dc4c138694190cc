//! `comity.catalog.v1.Catalog`: what there is to ask for, and what the flow would decide. Judges with the very
//! function that the flow does.

mod budgets;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use comity_membership::{Federation, Standing};
use comity_policy::disclosure;
use comity_policy::rank::Preferences;
use comity_policy::{Capability, Claim, Demanded, Offer, Request as Question, Verdict};
use comity_proto::catalog::catalog_server::Catalog as Service;
use comity_proto::catalog::{
    ExplainRequest, ExplainResponse, ListBudgetsRequest, ListBudgetsResponse, ListModelsRequest, ListModelsResponse,
    ListOffersRequest, ListOffersResponse, Model, OfferEntry,
};
use comity_proto::convert::{self, Envelope};
use comity_proto::policy::Relaxation;
use comity_types::{ModelName, OfferName, Place, SpiffeId, Timestamp, TrustDomain};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::{invalid, parse, timestamp, viewer};
use crate::access::decide::{self, Candidate, Judged, Scope};
use crate::access::{Access, choose, disclose, spend};
use crate::budgets::book::Call;
use crate::edge::CallerIdentity;
use crate::links::LinkState;
use crate::registry::Snapshot;

/// The service.
#[derive(Debug, Clone)]
pub struct Catalog {
    access: Access,
}

impl Catalog {
    /// Over this flow.
    #[must_use]
    pub const fn new(access: Access) -> Self {
        Self { access }
    }

    fn state(&self, federation: &Federation, node: &SpiffeId) -> &'static str {
        match federation.standing(node) {
            Standing::Active if self.access.parts().links.state(node) == LinkState::Unreachable => "unreachable",
            Standing::Active => "serving",
            Standing::Suspended { .. } | Standing::Departed { .. } | Standing::Unknown => "suspended",
        }
    }

    fn explain(&self, caller: &CallerIdentity, request: ExplainRequest) -> Result<ExplainResponse, Status> {
        let capability = capability(request.capability)?;
        let envelope = request.envelope.ok_or_else(|| invalid("envelope", "must be set"))?;
        let envelope = Envelope::try_from(envelope)
            .map_err(|error| error.within("envelope"))
            .map_err(|error| invalid(&error.path, &error.problem))?;
        let parts = self.access.parts();
        let as_of = as_of(request.as_of, parts.clock.now())?;
        let snapshot = parts.registry.snapshot();
        let tables = snapshot.tables();
        let checked = envelope.check(&tables).map_err(|error| error.within("envelope"));
        checked.map_err(|error| invalid(&error.path, &error.problem))?;
        let (organisation, demanded) = decide::demanded(&snapshot, caller.id(), &envelope.requirements)?;
        let used = parts.quotas.used(caller.organisation(), as_of);
        let question = Question {
            caller: organisation,
            model: Some(&envelope.model),
            capability,
            declared: &envelope.declared,
            requirements: &demanded.requirements,
            broker_places: Some(&parts.places),
            used: &used,
            as_of,
        };
        let judged = decide::judge(&snapshot, &question, Scope::Everything);
        let call = Call { caller: caller.id(), model: &envelope.model, at: as_of };
        let judged = spend::verdicts(parts, (call, &envelope), &snapshot, judged);
        let judged = disclose::verdicts(caller.organisation(), snapshot.federation(), judged);
        Ok(ExplainResponse {
            relaxations: relaxations(&snapshot, &question, &demanded),
            verdicts: self.in_order(&snapshot, caller.organisation(), judged, &envelope.prefer, as_of),
            epoch: snapshot.federation().epoch(),
            tables_sha256: tables.digest().as_bytes().to_vec().into(),
            as_of: Some(timestamp(as_of)),
            layer_demands: decide::layer_demands(caller.id(), &demanded),
        })
    }

    /// Eligible offers first, in the order in which they would be tried, of those that are equal by name; then those with
    /// the fewest reasons.
    fn in_order(
        &self,
        snapshot: &Snapshot,
        caller: &TrustDomain,
        judged: Vec<Judged<'_>>,
        prefer: &Preferences,
        as_of: Timestamp,
    ) -> Vec<comity_proto::policy::Verdict> {
        let (links, now) = (&self.access.parts().links, Instant::now());
        let candidate = |judged: &Judged<'_>| match judged.verdict {
            Verdict::Eligible { expires_at } => {
                let offer = Arc::new(decide::listed(snapshot, judged.place)?);
                let load = links.load(&offer.name, caller, now);
                Some(Candidate { offer, score: 0, load, expires_at })
            }
            Verdict::Rejected { .. } => None,
        };
        let mut eligible: Vec<_> = judged.iter().filter_map(candidate).collect();
        choose::score(&mut eligible, &snapshot.index, prefer, as_of);
        choose::sort(&mut eligible);
        let place: BTreeMap<_, _> =
            eligible.into_iter().enumerate().map(|(place, candidate)| (candidate.offer.name.clone(), place)).collect();
        let mut judged = judged;
        judged.sort_by_cached_key(|judged| {
            let reasons = match &judged.verdict {
                Verdict::Eligible { .. } => 0,
                Verdict::Rejected { reasons } => reasons.len(),
            };
            (place.get(&judged.name).copied().unwrap_or(usize::MAX), reasons, judged.name.clone())
        });
        judged.iter().map(|judged| convert::verdict(&judged.name, &judged.offer.model, &judged.verdict)).collect()
    }
}

#[tonic::async_trait]
impl Service for Catalog {
    async fn list_models(&self, _: Request<ListModelsRequest>) -> Result<Response<ListModelsResponse>, Status> {
        let snapshot = self.access.parts().registry.snapshot();
        let mut models: BTreeMap<&ModelName, Vec<&Offer>> = BTreeMap::new();
        for offer in snapshot.federation().nodes().flat_map(|(_, state)| &state.offers) {
            models.entry(&offer.model).or_default().push(offer);
        }
        let models = models.into_iter().map(|(name, offers)| model(name, &offers)).collect();
        Ok(Response::new(ListModelsResponse { models }))
    }

    async fn list_offers(&self, request: Request<ListOffersRequest>) -> Result<Response<ListOffersResponse>, Status> {
        let caller = CallerIdentity::of(&request)?.clone();
        let viewer = viewer(&caller);
        let wanted = request.into_inner().model;
        let wanted: Option<ModelName> = if wanted.is_empty() { None } else { Some(parse("model", &wanted)?) };
        let snapshot = self.access.parts().registry.snapshot();
        let federation = snapshot.federation();
        let offers = federation.nodes().flat_map(|(node, state)| state.offers.iter().map(move |offer| (node, offer)));
        let offers = offers.filter(|(_, offer)| wanted.as_ref().is_none_or(|model| offer.model == *model));
        let entry = |(node, offer): (&SpiffeId, &Offer)| OfferEntry {
            name: OfferName::new(node, &offer.id).to_string(),
            offer: Some((&*disclosure::offer(offer, viewer)).into()),
            operator: federation
                .organisation(node.trust_domain())
                .map(|state| (&*disclosure::organisation(&state.as_stated(), viewer)).into()),
            state: self.state(federation, node).to_owned(),
        };
        let mut offers: Vec<_> = offers.map(entry).collect();
        offers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Response::new(ListOffersResponse { offers }))
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        let caller = CallerIdentity::of(&request)?.clone();
        self.explain(&caller, request.into_inner()).map(Response::new)
    }

    async fn list_budgets(
        &self,
        request: Request<ListBudgetsRequest>,
    ) -> Result<Response<ListBudgetsResponse>, Status> {
        let caller = CallerIdentity::of(&request)?;
        let parts = self.access.parts();
        let list = |accounts| budgets::list(accounts, viewer(caller), parts.clock.now());
        let accounts = parts.budgets.as_ref().map(list).unwrap_or_default();
        Ok(Response::new(ListBudgetsResponse { accounts }))
    }
}

/// The instants for which a verdict may be asked, in milliseconds since 1970: from the year 2000, before which the
/// tables know of nothing, to before 2100, of which nobody can say what the law will be.
const AS_OF_MILLIS: Range<i64> = 946_684_800_000..4_102_444_800_000;

/// The instant to decide for: the one that is asked for, or now.
fn as_of(wire: Option<prost_types::Timestamp>, now: Timestamp) -> Result<Timestamp, Status> {
    let Some(wire) = wire else { return Ok(now) };
    let instant = convert::instant("as_of", wire).map_err(|error| invalid(&error.path, &error.problem))?;
    if AS_OF_MILLIS.contains(&instant.as_millis()) {
        Ok(instant)
    } else {
        Err(invalid("as_of", format_args!("{instant} is not from the year 2000 to before 2100")))
    }
}

/// Most offers that a relaxation names.
const MAX_REGAINED: usize = 256;

/// What dropping one requirement alone would bring back, of the offers whose node takes part, and who set it.
fn relaxations(snapshot: &Snapshot, question: &Question<'_>, demanded: &Demanded) -> Vec<Relaxation> {
    let takes_part = |offer: &&Offer| snapshot.federation().standing(&offer.node) == Standing::Active;
    let relaxed = comity_policy::relax::relaxations(&snapshot.index, question).into_iter();
    let wire = relaxed.map(|one| {
        let regained = one.regained.into_iter().filter_map(|place| snapshot.index.offer(place)).filter(takes_part);
        let offers: Vec<_> = regained.map(|offer| offer.name().to_string()).take(MAX_REGAINED).collect();
        let layers = demanded.layers_of(one.constraint).into_iter().map(|layer| convert::wire_layer(layer).into());
        Relaxation { constraint: one.constraint.to_owned(), offers, layers: layers.collect() }
    });
    let mut wire: Vec<_> = wire.filter(|one| !one.offers.is_empty()).collect();
    wire.sort_by_key(|one| std::cmp::Reverse(one.offers.len()));
    wire
}

/// What a method needs; the other capabilities are required in the envelope.
fn capability(number: i32) -> Result<Capability, Status> {
    match convert::capability_of(number) {
        Ok(capability @ (Capability::Chat | Capability::Embed | Capability::Forward)) => Ok(capability),
        Ok(_) => Err(invalid("capability", "CAPABILITY_CHAT, CAPABILITY_EMBED or CAPABILITY_FORWARD is accepted")),
        Err(error) => Err(invalid("capability", error.problem)),
    }
}

fn model(name: &ModelName, offers: &[&Offer]) -> Model {
    let capabilities: BTreeSet<_> = offers.iter().flat_map(|offer| &offer.capabilities).copied().collect();
    let places = offers
        .iter()
        .filter_map(|offer| offer.processing_locations.as_ref())
        .flat_map(Claim::statements)
        .flat_map(|statement| &statement.value);
    let places: BTreeSet<&Place> = places.collect();
    Model {
        name: name.to_string(),
        capabilities: capabilities.into_iter().map(convert::capability_number).collect(),
        offers: u32::try_from(offers.len()).unwrap_or(u32::MAX),
        processing_locations: places.into_iter().map(ToString::to_string).collect(),
    }
}

#[cfg(test)]
mod tests;
