//! Evidence of a witness: two checkpoints that a log signed, and that cannot both be true (`comity/log-evidence@v1`).

use std::path::Path;

use comity_identity::Root;
use comity_membership::log;
use comity_transparency::witness::{Evidence, Finding};
use comity_transparency::{Kind, Verifier};
use serde_json::json;

use super::unbelieved;
use crate::args::Global;
use crate::error::CliError;
use crate::output::say;

/// Verifies it from a root document, and believes nobody.
pub(super) fn verify(file: &Path, evidence: &Evidence, root: &Root, global: &Global) -> Result<(), CliError> {
    let membership = log::origin(&root.federation);
    let keys = if evidence.origin() == membership {
        Verifier::new(&membership, Kind::Note, &root.log_key).map(|key| vec![key]).unwrap_or_default()
    } else {
        root.decision_log.to_vec()
    };
    let finding = evidence.check(&keys).map_err(|error| unbelieved(file, &error.to_string()))?;
    let (word, said) = match finding {
        Finding::Fork => ("fork", "the log signed two histories: two roots at one size, by its own key"),
        Finding::Impossible => ("impossible", "the log signed a root of nothing that is not the root of nothing"),
        Finding::Unconnected => {
            return Err(unbelieved(
                file,
                "the log signed both checkpoints, and the proof beside them does not connect them: anybody can send a wrong one. Ask the log for the right one; if it has none, it signed two histories",
            ));
        }
    };
    let fields = vec![("verified", word.to_owned()), ("log", evidence.origin().to_owned())];
    global.output.record(fields, &json!({ "verified": word, "log": evidence.origin() }))?;
    say(said);
    Ok(())
}
