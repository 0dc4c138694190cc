//! Who is refused, by whom, since when and why, as the log proves it.

use clap::Subcommand;
use comity_membership::{By, Federation, Subject, federation::Suspension};
use serde_json::json;

use crate::args::Global;
use crate::error::CliError;
use crate::session::Session;

/// Who is refused.
#[derive(Debug, Subcommand)]
pub(crate) enum SuspensionCommand {
    /// List organisations, members and certificates that are suspended, brakes with when they lapse
    List,
}

/// Lists them.
pub(crate) async fn run(_: &SuspensionCommand, global: &Global) -> Result<(), CliError> {
    let followed = Session::open(global).await?.log().await?;
    let federation = followed.log().federation();
    let all = federation.suspended();
    let rows = all.iter().map(|(subject, by, why)| row(federation, subject, *by, why)).collect();
    let json: Vec<_> = all
        .iter()
        .map(|(subject, by, why)| {
            json!({
                "subject": subject,
                "by": by,
                "brakedBy": (*by == By::Brake).then(|| federation.braked_by(subject)).flatten(),
                "reason": why.reason,
                "epoch": why.epoch,
                "since": why.at,
                "lapsesAt": why.lapses_at,
            })
        })
        .collect();
    let header = ["subject", "by", "since", "epoch", "reason", "lapses"];
    global.output.list(&header, rows, &json!({ "suspensions": json, "epoch": federation.epoch() }))
}

fn row(federation: &Federation, subject: &Subject, by: By, why: &Suspension) -> Vec<String> {
    let by = match by {
        By::Federation => "operators".to_owned(),
        By::Organisation => "its organisation".to_owned(),
        By::Brake => {
            let who = federation.braked_by(subject).map_or_else(|| "an operator".to_owned(), ToString::to_string);
            format!("{who} (brake)")
        }
    };
    let lapses = why.lapses_at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    vec![subject.to_string(), by, why.at.to_string(), why.epoch.to_string(), why.reason.clone(), lapses]
}
