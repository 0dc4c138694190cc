//! `comity operator list`.

use comity_membership::Standing;
use serde_json::json;

use crate::args::Global;
use crate::error::CliError;
use crate::output::say;
use crate::session::Session;

/// Lists the operators, as the log proves them.
pub(super) async fn run(global: &Global) -> Result<(), CliError> {
    let followed = Session::open(global).await?.log().await?;
    let federation = followed.log().federation();
    let Some(governance) = federation.governance() else { return Ok(()) };
    let standing = |id| if federation.standing(id) == Standing::Active { "active" } else { "suspended" };
    let rows =
        governance.operators.iter().map(|(id, key)| vec![id.to_string(), standing(id).into(), key.id().fingerprint()]);
    let operators: Vec<_> = governance
        .operators
        .iter()
        .map(|(id, key)| json!({ "id": id, "standing": standing(id), "key": key, "fingerprint": key.id().fingerprint() }))
        .collect();
    let json = json!({
        "operators": operators,
        "rootThreshold": governance.root_threshold,
        "membershipThreshold": governance.membership_threshold,
        "epoch": federation.epoch(),
    });
    global.output.list(&["operator", "standing", "fingerprint"], rows.collect(), &json)?;
    say(&format!(
        "{} of {} change who governs; {} admit, suspend, lift and evict",
        governance.root_threshold,
        governance.operators.len(),
        governance.membership_threshold
    ));
    Ok(())
}
