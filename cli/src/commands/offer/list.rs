//! `comity offer list`.

use comity_policy::{Offer, Organisation};
use comity_proto::catalog::{ListOffersRequest, ListOffersResponse, OfferEntry};
use comity_proto::json::Canonical;
use comity_types::ModelName;

use crate::args::Global;
use crate::error::CliError;
use crate::output::joined;
use crate::session::Session;
use crate::view;

/// An offer and who makes it, as tables show them.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) operator: Organisation,
    pub(super) offer: Offer,
}

/// Lists the offers.
pub(super) async fn run(model: Option<&ModelName>, global: &Global) -> Result<(), CliError> {
    let listing = all(model, global).await?;
    let rows = listing.offers.iter().map(|entry| row(entry).map(|row| cells(&row))).collect::<Result<_, _>>()?;
    let header = ["offer", "model", "can", "processed in", "seat", "training", "state"];
    global.output.list(&header, rows, &Canonical(&listing))
}

/// All of them, or those of one model.
pub(super) async fn all(model: Option<&ModelName>, global: &Global) -> Result<ListOffersResponse, CliError> {
    let session = Session::open(global).await?;
    let request = ListOffersRequest { model: model.map(ToString::to_string).unwrap_or_default() };
    let answer = session.catalog().list_offers(request).await;
    Ok(answer.map_err(|status| CliError::call("list the offers", status))?.into_inner())
}

/// What tables show of an entry.
pub(super) fn row(entry: &OfferEntry) -> Result<Row, CliError> {
    let OfferEntry { name, offer, operator, state } = entry.clone();
    Ok(Row { name, state, operator: view::organisation(operator)?, offer: view::offer(offer)? })
}

fn cells(row: &Row) -> Vec<String> {
    let Row { name, state, operator, offer } = row;
    let training = offer.terms.as_ref().and_then(|terms| terms.training_use.as_ref());
    vec![
        name.clone(),
        offer.model.to_string(),
        joined(offer.capabilities.iter().map(view::word)),
        view::places(offer.processing_locations.as_ref()),
        view::claim(operator.seat.as_ref(), ToString::to_string),
        view::claim(training, view::word),
        state.clone(),
    ]
}
