//! An `organisation.toml`, read: the facts, and what the organisation demands of its own requests.

use std::path::Path;

use comity_policy::organisation::OrganisationTable;
use comity_policy::{OrganisationFile, Tables, check};
use comity_runtime::config;

use crate::error::CliError;
use crate::files::wrong;

/// Reads the file, as it is signed.
pub(crate) fn read(path: &Path, tables: &Tables) -> Result<OrganisationFile, CliError> {
    let broken =
        |error| CliError::Client { doing: "read the organisation's facts", source: Box::new(error), hint: None };
    let file = expanded(path, config::load(path).map_err(broken)?, tables)?;
    if file.facts.accepted_terms.is_empty() {
        return Ok(file);
    }
    Err(CliError::Usage {
        problem: format!("{} states accepted_terms, which an organisation signs one by one", path.display()),
        hint: "take the field out of the file, and say `comity terms accept ORGANISATION`".to_owned(),
    })
}

/// Puts the presets in, and checks what the layers in the file say.
pub(crate) fn expanded(path: &Path, table: OrganisationTable, tables: &Tables) -> Result<OrganisationFile, CliError> {
    const EXPECTED: &str = "the facts of an organisation";
    let file = table.expand(tables).map_err(|error| wrong(path, EXPECTED, error))?;
    check::organisation_file(&file.facts, tables).map_err(|error| wrong(path, EXPECTED, error))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_an_organisation_is_accepted_and_says_everything() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/organisation.example.toml");
        let OrganisationFile { facts, layers } = read(&path, Tables::builtin().unwrap()).unwrap();
        assert!(facts.seat.is_some() && facts.ultimate_controllers.is_some(), "{facts:?}");
        assert!(!layers.organisation.keys().is_empty() && !layers.apps.is_empty(), "{layers:?}");
    }
}
