//! `comity.catalog.v1.Catalog`: what there is to ask for, and what the flow would decide. Judges with the very
//! function that the flow does.

use std::collections::{BTreeMap, BTreeSet};

use comity_membership::{Federation, Standing};
use comity_policy::rank::Preferences;
use comity_policy::{Capability, Claim, Demanded, Offer, Request as Question, Verdict};
use comity_proto::catalog::catalog_server::Catalog as Service;
use comity_proto::catalog::{
    ExplainRequest, ExplainResponse, ListModelsRequest, ListModelsResponse, ListOffersRequest, ListOffersResponse,
    Model, OfferEntry,
};
use comity_proto::convert::{self, Envelope};
use comity_proto::policy::Relaxation;
use comity_types::{ModelName, OfferName, Place, SpiffeId, Timestamp};
use tonic::{Request, Response, Status};

use super::{invalid, parse, timestamp};
use crate::access::choose;
use crate::access::decide::{self, Judged};
use crate::access::{Access, Parts};
use crate::edge::CallerIdentity;
use crate::links::LinkState;

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
            Standing::Suspended { .. } | Standing::Unknown => "suspended",
        }
    }

    fn explain(&self, caller: &CallerIdentity, request: ExplainRequest) -> Result<ExplainResponse, Status> {
        let capability = capability(request.capability)?;
        let envelope = request.envelope.ok_or_else(|| invalid("envelope", "must be set"))?;
        let envelope = Envelope::try_from(envelope)
            .map_err(|error| error.within("envelope"))
            .map_err(|error| invalid(&error.path, &error.problem))?;
        let parts = self.access.parts();
        let checked = envelope.check(&parts.tables).map_err(|error| error.within("envelope"));
        checked.map_err(|error| invalid(&error.path, &error.problem))?;
        let snapshot = parts.registry.snapshot();
        let (organisation, demanded) = decide::demanded(&snapshot.federation, caller.id(), &envelope.requirements)?;
        let question = Question {
            caller: organisation,
            model: Some(&envelope.model),
            capability,
            declared: &envelope.declared,
            requirements: &demanded.requirements,
            broker_places: Some(&parts.places),
            as_of: parts.clock.now(),
        };
        let judged = decide::judge(parts, &snapshot.federation, &question, |_| true);
        Ok(ExplainResponse {
            relaxations: relaxations(parts, &snapshot.federation, &question, &demanded),
            verdicts: self.in_order(judged, &envelope.prefer, question.as_of),
            epoch: snapshot.federation.epoch(),
            tables_sha256: parts.tables.digest().as_bytes().to_vec().into(),
            as_of: Some(timestamp(question.as_of)),
            layer_demands: decide::layer_demands(caller.id(), &demanded),
        })
    }

    /// Eligible offers first, in the order in which they would be tried; then those with the fewest reasons.
    fn in_order(
        &self,
        judged: Vec<Judged<'_>>,
        prefer: &Preferences,
        as_of: Timestamp,
    ) -> Vec<comity_proto::policy::Verdict> {
        let mut eligible = choose::candidates(&judged, prefer, &self.access.parts().tables, as_of);
        choose::order(&mut eligible, |node| self.access.parts().links.load(node));
        let place: BTreeMap<_, _> =
            eligible.into_iter().enumerate().map(|(place, candidate)| (candidate.name, place)).collect();
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
        for offer in snapshot.federation.nodes().flat_map(|(_, state)| &state.offers) {
            models.entry(&offer.model).or_default().push(offer);
        }
        let models = models.into_iter().map(|(name, offers)| model(name, &offers)).collect();
        Ok(Response::new(ListModelsResponse { models }))
    }

    async fn list_offers(&self, request: Request<ListOffersRequest>) -> Result<Response<ListOffersResponse>, Status> {
        let wanted = request.into_inner().model;
        let wanted: Option<ModelName> = if wanted.is_empty() { None } else { Some(parse("model", &wanted)?) };
        let snapshot = self.access.parts().registry.snapshot();
        let federation = &snapshot.federation;
        let offers = federation.nodes().flat_map(|(node, state)| state.offers.iter().map(move |offer| (node, offer)));
        let offers = offers.filter(|(_, offer)| wanted.as_ref().is_none_or(|model| offer.model == *model));
        let entry = |(node, offer): (&SpiffeId, &Offer)| OfferEntry {
            name: OfferName::new(node, &offer.id).to_string(),
            offer: Some(offer.into()),
            operator: federation.organisation(node.trust_domain()).map(|state| (&state.organisation).into()),
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
}

/// Most offers that a relaxation names.
const MAX_REGAINED: usize = 256;

/// What dropping one requirement alone would bring back, of the model's offers whose node takes part.
fn relaxations(
    parts: &Parts,
    federation: &Federation,
    question: &Question<'_>,
    demanded: &Demanded,
) -> Vec<Relaxation> {
    let of_model = |offer: &&Offer| question.model.is_none_or(|model| offer.model == *model);
    let offers: Vec<_> = federation
        .nodes()
        .filter(|(node, _)| federation.standing(node) == Standing::Active)
        .filter_map(|(node, state)| Some((state, &federation.organisation(node.trust_domain())?.organisation)))
        .flat_map(|(state, operator)| state.offers.iter().filter(of_model).map(move |offer| (offer, operator)))
        .collect();
    let name = |index: &usize| offers.get(*index).map(|(offer, _)| offer.name().to_string());
    let relaxed = comity_policy::relax::relaxations(&offers, question, &parts.tables);
    let wire = relaxed.into_iter().map(|one| Relaxation {
        constraint: one.constraint.to_owned(),
        offers: one.regained.iter().filter_map(name).take(MAX_REGAINED).collect(),
        layers: demanded.layers_of(one.constraint).into_iter().map(|layer| convert::wire_layer(layer).into()).collect(),
    });
    wire.collect()
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
