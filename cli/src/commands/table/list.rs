//! `comity table list`.

use comity_policy::tables::TableName;
use serde_json::json;

use super::rows;
use crate::error::CliError;
use crate::output::{Format, say};
use crate::tables::InForce;

/// Lists the tables.
pub(super) fn run(in_force: &InForce, output: Format) -> Result<(), CliError> {
    let (mut lines, mut views) = (Vec::new(), Vec::new());
    for table in TableName::ALL {
        let rows = of_text(*table, in_force.folder.text(*table))?;
        let origin = if in_force.folder.has(*table) { in_force.from } else { "program" };
        let verified = rows.iter().filter(|row| row.is_verified()).count();
        let unverified = rows.len().saturating_sub(verified);
        let counts = [rows.len(), verified, unverified].map(|count| count.to_string());
        lines
            .push([&[table.as_str().to_owned(), origin.to_owned()], &counts[..], &[table.about().to_owned()]].concat());
        views.push(json!({
            "table": table.as_str(),
            "about": table.about(),
            "from": origin,
            "rows": rows.len(),
            "verified": verified,
            "unverified": unverified,
        }));
    }
    let digest = in_force.tables.digest().to_string();
    if output == Format::Table {
        say(&format!("SHA-256 of all: {digest}"));
    }
    output.list(
        &["table", "from", "rows", "verified", "unverified", "about"],
        lines,
        &json!({ "tables_sha256": digest, "tables": views }),
    )
}

/// The rows of a table that was read already.
pub(super) fn of_text(table: TableName, text: &str) -> Result<Vec<rows::Row>, CliError> {
    let broken = |error| CliError::Client { doing: "read the tables", source: Box::new(error), hint: None };
    rows::of(table, text).map_err(broken)
}
