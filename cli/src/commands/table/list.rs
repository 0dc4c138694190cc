//! `comity table list`.

use comity_policy::tables::TableName;
use serde_json::json;

use super::rows;
use crate::error::CliError;
use crate::output::Format;
use crate::requirements::tables;

/// Lists the tables.
pub(super) fn run(output: Format) -> Result<(), CliError> {
    let (mut lines, mut views) = (Vec::new(), Vec::new());
    for table in TableName::ALL {
        let rows = built_in(*table)?;
        let verified = rows.iter().filter(|row| row.is_verified()).count();
        let unverified = rows.len().saturating_sub(verified);
        let counts = [rows.len(), verified, unverified].map(|count| count.to_string());
        lines.push([&[table.as_str().to_owned()], &counts[..], &[table.about().to_owned()]].concat());
        views.push(json!({
            "table": table.as_str(),
            "about": table.about(),
            "rows": rows.len(),
            "verified": verified,
            "unverified": unverified,
        }));
    }
    let digest = tables()?.digest().to_string();
    output.list(
        &["table", "rows", "verified", "unverified", "about"],
        lines,
        &json!({ "tables_sha256": digest, "tables": views }),
    )
}

/// The rows of a table that ships.
pub(super) fn built_in(table: TableName) -> Result<Vec<rows::Row>, CliError> {
    let broken = |error| CliError::Client { doing: "read the built-in tables", source: Box::new(error), hint: None };
    rows::of(table, table.builtin()).map_err(broken)
}
