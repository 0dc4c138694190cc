//! `comity app list`.

use comity_proto::json::Canonical;
use comity_proto::membership::{AppEntry, ListAppsRequest, ListAppsResponse};

use crate::args::Global;
use crate::error::CliError;
use crate::session::Session;
use crate::view;

/// Lists the apps.
pub(super) async fn run(global: &Global) -> Result<(), CliError> {
    let listing = all(&Session::open(global).await?).await?;
    let standing = |app: &AppEntry| view::standing_and_reason(view::standing(app.standing), &app.suspension_reason);
    let cells = |app: &AppEntry| vec![app.spiffe_id.clone(), standing(app)];
    global.output.list(&["id", "standing"], listing.apps.iter().map(cells).collect(), &Canonical(&listing))
}

/// All of them.
pub(super) async fn all(session: &Session) -> Result<ListAppsResponse, CliError> {
    let answer = session.membership().list_apps(ListAppsRequest {}).await;
    Ok(answer.map_err(|status| CliError::call("list the apps", status))?.into_inner())
}
