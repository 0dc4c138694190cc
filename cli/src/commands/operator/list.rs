//! `comity operator list`.

use comity_membership::Standing;
use comity_transparency::PublicKey;
use comity_types::SpiffeId;
use serde_json::{Value, json};

use crate::args::Global;
use crate::error::CliError;
use crate::output::say;
use crate::session::Session;

/// Lists the operators, as the log proves them.
pub(super) async fn run(global: &Global) -> Result<(), CliError> {
    let followed = Session::open(global).await?.log().await?;
    let federation = followed.log().federation();
    let Some(governance) = federation.governance() else { return Ok(()) };
    let standing = |id| standing(&federation.standing(id));
    let rows =
        governance.operators.iter().map(|(id, key)| vec![id.to_string(), standing(id).into(), key.id().fingerprint()]);
    let operators: Vec<_> = governance.operators.iter().map(|(id, key)| json(id, standing(id), key)).collect();
    let all = json!({
        "operators": operators,
        "rootThreshold": governance.root_threshold,
        "membershipThreshold": governance.membership_threshold,
        "epoch": federation.epoch(),
    });
    global.output.list(&["operator", "standing", "fingerprint"], rows.collect(), &all)?;
    say(&format!(
        "{} of {} change who governs; {} admit, suspend, lift and evict",
        governance.root_threshold,
        governance.operators.len(),
        governance.membership_threshold
    ));
    Ok(())
}

/// The word for whether an operator's signature counts.
pub(super) const fn standing(standing: &Standing) -> &'static str {
    if matches!(standing, Standing::Active) { "active" } else { "suspended" }
}

/// One operator, for programs.
pub(super) fn json(id: &SpiffeId, standing: &str, key: &PublicKey) -> Value {
    json!({ "id": id, "standing": standing, "key": key, "fingerprint": key.id().fingerprint() })
}
