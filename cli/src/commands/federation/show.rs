//! `comity federation show`: the state at an epoch, folded here from the log.

use comity_membership::{Federation, Log, NotTaken, Standing};
use comity_runtime::genesis;
use serde_json::json;

use crate::args::Global;
use crate::error::CliError;
use crate::output::{Format, print_json, say};
use crate::session::Session;

/// Shows the state.
pub(super) async fn run(at_epoch: Option<u64>, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let mut entries = Vec::new();
    let followed = session.log_with(|_, entry| entries.push(entry.to_vec())).await?;
    let last = followed.log().federation().epoch();
    let epoch = at_epoch.unwrap_or(last);
    if epoch == 0 || epoch > last {
        return Err(CliError::Usage {
            problem: format!("there is no epoch {epoch}"),
            hint: format!("the log has epochs 1 to {last}"),
        });
    }
    let mut log = Log::new(genesis::genesis(session.identity().root(), session.federation_root()));
    for entry in entries.iter().take(usize::try_from(epoch).unwrap_or(usize::MAX)) {
        log.take(entry).map_err(unproven)?;
    }
    show(&log, global)
}

fn unproven(error: NotTaken) -> CliError {
    CliError::Client { doing: "believe the federation's log", source: Box::new(error), hint: None }
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
            "members": members(federation).map(|[id, standing]| json!({ "id": id, "standing": standing })).collect::<Vec<_>>(),
            "departed": federation.departures().map(|(subject, how)| json!({ "subject": subject, "evicted": how.evicted, "reason": how.reason, "epoch": how.epoch })).collect::<Vec<_>>(),
        }));
    }
    let name = federation.name().map(ToString::to_string).unwrap_or_default();
    say(&format!("{name} at epoch {} ({at}), root {root}", federation.epoch()));
    global.output.list(&["member", "standing"], members(federation).map(Vec::from).collect(), &json!({}))
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

fn standing(standing: Standing) -> String {
    match standing {
        Standing::Active => "active".to_owned(),
        Standing::Suspended { reason, .. } => format!("suspended: {reason}"),
        Standing::Departed { .. } | Standing::Unknown => "gone".to_owned(),
    }
}
