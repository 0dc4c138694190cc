//! `comity model list`.

use comity_proto::catalog::{ListModelsRequest, Model};
use comity_proto::convert::capability_of;
use comity_proto::json::Canonical;

use crate::args::Global;
use crate::error::CliError;
use crate::output::joined;
use crate::session::Session;
use crate::view;

/// Lists the models.
pub(crate) async fn run(global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let answer = session.catalog().list_models(ListModelsRequest {}).await;
    let answer = answer.map_err(|status| CliError::call("list the models", status))?.into_inner();
    let rows = answer.models.iter().map(cells).collect();
    global.output.list(&["model", "capabilities", "offers", "processed in"], rows, &Canonical(&answer))
}

/// A capability that this version does not know is left out: it could not be asked for.
fn cells(model: &Model) -> Vec<String> {
    let capabilities = model.capabilities.iter().filter_map(|number| capability_of(*number).ok());
    vec![
        model.name.clone(),
        joined(capabilities.map(|capability| view::word(&capability))),
        model.offers.to_string(),
        joined(&model.processing_locations),
    ]
}
