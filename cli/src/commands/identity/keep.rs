//! `comity identity keep`: for programs that cannot renew by themselves.

use std::time::Duration;

use comity_client::Identity;
use comity_identity::lifetime::renewal_time;
use tokio::time::sleep;

use crate::args::Global;
use crate::commands::join;
use crate::error::CliError;
use crate::output::say;
use crate::render_error::in_one_line;
use crate::session;

/// Longest time between two looks: clocks jump, and machines sleep.
const LONGEST_LOOK: Duration = Duration::from_secs(60);
/// Shortest: a certificate of seconds, as tests have them, is looked at often enough.
const SHORTEST_LOOK: Duration = Duration::from_millis(200);
/// How many times to look between the renewal and the end, at least.
const LOOKS: u32 = 16;

/// Renews it whenever it is due, until somebody stops it.
pub(super) async fn run(global: &Global) -> Result<(), CliError> {
    join::complete(&session::dir(global)?, global.workload_api.as_ref()).await?;
    let identity = session::on_disk(global)?;
    say(&format!("keeping {} fresh: its certificate holds until {}", identity.id(), identity.leaf().not_after));
    tokio::select! {
        never = keep(&identity) => match never {},
        () = comity_runtime::shutdown::requested() => Ok(()),
    }
}

async fn keep(identity: &Identity) -> std::convert::Infallible {
    let mut said = String::new();
    loop {
        let before = identity.leaf().certificate;
        match identity.keep_fresh().await {
            Ok(()) if identity.leaf().certificate != before => {
                said.clear();
                say(&format!("renewed: the certificate holds until {}", identity.leaf().not_after));
            }
            Ok(()) => {}
            Err(error) => {
                let text = in_one_line(&error);
                // Said once: it is tried again for as long as it takes.
                if text != said {
                    say(&format!("warning: not renewed, and tried again (ends {}): {text}", identity.leaf().not_after));
                    said = text;
                }
            }
        }
        let leaf = identity.leaf();
        let spare = leaf.not_after.since(renewal_time(&leaf));
        sleep(LONGEST_LOOK.min(spare / LOOKS).max(SHORTEST_LOOK)).await;
    }
}
