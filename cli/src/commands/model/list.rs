//! `comity model list`.

use comity_policy::Capability;
use comity_proto::catalog::{ListModelsRequest, Model};
use comity_proto::convert::capability_of;
use serde::Serialize;

use crate::args::Global;
use crate::error::CliError;
use crate::output::joined;
use crate::session::Session;
use crate::view;

#[derive(Serialize)]
struct Listing {
    models: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    capabilities: Vec<Capability>,
    offers: u32,
    processing_locations: Vec<String>,
}

/// Lists the models.
pub(crate) async fn run(global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let answer = session.catalog().list_models(ListModelsRequest {}).await;
    let answer = answer.map_err(|status| CliError::call("list the models", status))?.into_inner();
    let models: Vec<Row> = answer.models.into_iter().map(row).collect();
    let rows = models.iter().map(cells).collect();
    global.output.list(&["model", "capabilities", "offers", "processed in"], rows, &Listing { models })
}

/// A capability that this version does not know is left out: it could not be asked for.
fn row(model: Model) -> Row {
    let capabilities = model.capabilities.into_iter().filter_map(|number| capability_of(number).ok()).collect();
    Row { name: model.name, capabilities, offers: model.offers, processing_locations: model.processing_locations }
}

fn cells(row: &Row) -> Vec<String> {
    vec![
        row.name.clone(),
        joined(row.capabilities.iter().map(view::word)),
        row.offers.to_string(),
        joined(&row.processing_locations),
    ]
}
