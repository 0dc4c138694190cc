//! `comity operator show`.

use comity_membership::Standing;

use super::{list, named, unknown};
use crate::args::Global;
use crate::error::CliError;
use crate::session::Session;
use crate::view;

/// Shows one operator, as the log proves it.
pub(super) async fn run(operator: &str, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let id = named(operator, &session.identity().root().federation)?;
    let followed = session.log().await?;
    let federation = followed.log().federation();
    let governance = federation.governance();
    let key = governance.and_then(|all| all.operators.get(&id)).ok_or_else(|| unknown(operator))?;
    let stands = federation.standing(&id);
    let reason = match &stands {
        Standing::Suspended { reason, .. } => reason.as_str(),
        Standing::Active | Standing::Departed { .. } | Standing::Unknown => "",
    };
    let fields = vec![
        ("operator", id.to_string()),
        ("standing", view::standing_and_reason(list::standing(&stands), reason)),
        ("fingerprint", key.id().fingerprint()),
    ];
    let mut json = list::json(&id, list::standing(&stands), key);
    if let Some(json) = json.as_object_mut() {
        json.insert("suspensionReason".to_owned(), reason.into());
        json.insert("epoch".to_owned(), federation.epoch().into());
    }
    global.output.record(fields, &json)
}
