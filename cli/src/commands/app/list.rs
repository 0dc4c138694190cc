//! `comity app list`.

use comity_proto::membership::{AppEntry, ListAppsRequest};
use serde::Serialize;

use crate::args::Global;
use crate::error::CliError;
use crate::session::Session;
use crate::view;

#[derive(Serialize)]
struct Listing {
    apps: Vec<Row>,
}

/// An app, as it is printed.
#[derive(Serialize)]
pub(super) struct Row {
    pub(super) spiffe_id: String,
    pub(super) standing: &'static str,
    pub(super) suspension_reason: String,
}

/// Lists the apps.
pub(super) async fn run(global: &Global) -> Result<(), CliError> {
    let apps = all(&Session::open(global).await?).await?;
    let rows = apps.iter().map(|row| vec![row.spiffe_id.clone(), row.standing.to_owned()]).collect();
    global.output.list(&["id", "standing"], rows, &Listing { apps })
}

/// All of them.
pub(super) async fn all(session: &Session) -> Result<Vec<Row>, CliError> {
    let answer = session.membership().list_apps(ListAppsRequest {}).await;
    let answer = answer.map_err(|status| CliError::call("list the apps", status))?.into_inner();
    Ok(answer.apps.into_iter().map(row).collect())
}

fn row(entry: AppEntry) -> Row {
    let AppEntry { spiffe_id, standing, suspension_reason } = entry;
    Row { spiffe_id, standing: view::standing(standing), suspension_reason }
}
