//! `comity app show`.

use comity_types::SpiffeId;

use super::list;
use crate::args::Global;
use crate::error::CliError;
use crate::session::Session;
use crate::view;

/// Shows one app.
pub(super) async fn run(id: &SpiffeId, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let found = list::all(&session).await?.into_iter().find(|row| row.spiffe_id == id.as_str());
    let row = found.ok_or_else(|| CliError::NotFound { kind: "app", name: id.to_string(), list: "comity app list" })?;
    let standing = view::standing_and_reason(row.standing, &row.suspension_reason);
    global.output.record(vec![("id", row.spiffe_id.clone()), ("standing", standing)], &row)
}
