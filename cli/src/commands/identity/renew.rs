//! `comity identity renew`.

use comity_client::enrol::{self, EnrolError};

use super::show;
use crate::args::Global;
use crate::commands::join;
use crate::error::CliError;
use crate::session;

/// Renews it, due or not.
pub(super) async fn run(global: &Global) -> Result<(), CliError> {
    join::complete(&session::dir(global)?, global.workload_api.as_ref()).await?;
    let identity = session::on_disk(global)?;
    Box::pin(enrol::renew(&identity)).await.map_err(failed)?;
    show::record(&identity, global)
}

fn failed(error: EnrolError) -> CliError {
    if let EnrolError::Call(status) = error {
        return CliError::call("renew the identity", *status);
    }
    CliError::Client { doing: "renew the identity", source: Box::new(error), hint: None }
}
