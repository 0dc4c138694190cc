//! `comity federation show`: the state at an epoch, folded here from the log.

use comity_membership::{Federation, Log, Standing};
use serde_json::json;

use super::state;
use crate::args::Global;
use crate::error::CliError;
use crate::output::{Format, print_json, say};
use crate::session::Session;

/// Shows the state.
pub(super) async fn run(at_epoch: Option<u64>, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    show(&session.log_at(at_epoch).await?, global)
}

fn show(log: &Log, global: &Global) -> Result<(), CliError> {
    let federation = log.federation();
    let root = log.tree().root();
    let at = federation.at().map(|at| at.to_string()).unwrap_or_default();
    if global.output == Format::Json {
        return print_json(&json!({
            "federation": federation.name(),
            "epoch": federation.epoch(),
            "root": root,
            "at": at,
            "operators": federation.governance().map(|all| all.operators.keys().collect::<Vec<_>>()),
            "rootThreshold": federation.governance().map(|all| all.root_threshold),
            "membershipThreshold": federation.governance().map(|all| all.membership_threshold),
            "tablesSha256": federation.adopted().map(|adopted| adopted.tables.digest()),
            "members": members(federation).map(|[id, standing]| json!({ "id": id, "standing": standing })).collect::<Vec<_>>(),
            "departed": federation.departures().map(|(subject, how)| json!({ "subject": subject, "evicted": how.evicted, "reason": how.reason, "epoch": how.epoch })).collect::<Vec<_>>(),
            "state": state::fields(federation),
        }));
    }
    let name = federation.name().map(ToString::to_string).unwrap_or_default();
    say(&format!("{name} at epoch {} ({at}), root {root}", federation.epoch()));
    let left = federation.departures().map(|(subject, how)| {
        let what = if how.evicted { "evicted" } else { "withdrawn" };
        [subject.to_string(), format!("{what} at epoch {}: {}", how.epoch, how.reason)]
    });
    let rows = members(federation).chain(left).map(Vec::from).collect();
    global.output.list(&["member", "standing"], rows, &json!({}))
}

/// Organisations and members, each with its standing.
fn members(federation: &Federation) -> impl Iterator<Item = [String; 2]> {
    let organisations = federation.organisations().map(|state| {
        let standing =
            state.suspensions.first().map_or_else(|| "active".to_owned(), |why| format!("suspended: {}", why.reason));
        [state.organisation.trust_domain.to_string(), standing]
    });
    let members = federation.members().map(|(id, _)| [id.to_string(), standing(federation.standing(id))]);
    organisations.chain(members)
}

pub(super) fn standing(standing: Standing) -> String {
    match standing {
        Standing::Active => "active".to_owned(),
        Standing::Suspended { reason, .. } => format!("suspended: {reason}"),
        Standing::Departed { .. } | Standing::Unknown => "gone".to_owned(),
    }
}
