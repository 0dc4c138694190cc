//! `comity app show`.

use comity_proto::json::Canonical;
use comity_types::SpiffeId;

use super::list;
use crate::args::Global;
use crate::error::CliError;
use crate::session::Session;
use crate::view;

/// Shows one app.
pub(super) async fn run(id: &SpiffeId, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let found = list::all(&session).await?.apps.into_iter().find(|app| app.spiffe_id == id.as_str());
    let app = found.ok_or_else(|| CliError::NotFound { kind: "app", name: id.to_string(), list: "comity app list" })?;
    let standing = view::standing_and_reason(view::standing(app.standing), &app.suspension_reason);
    global.output.record(vec![("id", app.spiffe_id.clone()), ("standing", standing)], &Canonical(&app))
}
