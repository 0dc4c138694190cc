//! `comity table show`.

use comity_policy::Tables;
use comity_policy::tables::TableName;
use comity_types::time::Phase;
use comity_types::{Interval, Place, Timestamp};
use serde_json::json;
use toml::Value;

use super::list::of_text;
use super::rows::{PROVENANCE, Row, kinds, text};
use crate::error::CliError;
use crate::output::{Format, say};
use crate::tables::InForce;

/// Shows a table, or rows of it.
pub(super) fn run(
    table: TableName,
    wanted: Option<&str>,
    as_of: Option<Timestamp>,
    in_force: &InForce,
    output: Format,
) -> Result<(), CliError> {
    let dated = matches!(table, TableName::Blocs | TableName::Regimes | TableName::Statutes);
    if as_of.is_some() && !dated {
        return Err(CliError::Usage {
            problem: format!("the rows of {} do not hold for a time of their own", table.as_str()),
            hint: "leave --as-of out; it is for blocs, regimes and statutes".to_owned(),
        });
    }
    let mut rows = of_text(table, in_force.folder.text(table))?;
    if let Some(wanted) = wanted {
        rows = chosen(table, rows, wanted, &in_force.tables)?;
    }
    if let Some(as_of) = as_of {
        rows.retain(|row| holds(row, as_of));
    }
    if table == TableName::Blocs && as_of.is_none() && output == Format::Table {
        say("memberships of all times; --as-of DAY shows those of a day");
    }
    let view = json!({
        "table": table.as_str(),
        "as_of": as_of,
        "rows": rows.iter().map(Row::json).collect::<Vec<_>>(),
    });
    match (wanted, rows.as_slice()) {
        (Some(_), [row]) if table != TableName::Blocs => output.record(record(row), &view),
        _ if table == TableName::Blocs => output.list(&BLOC_HEADER, rows.iter().map(bloc_cells).collect(), &view),
        _ => output.list(&["row", "says"], rows.iter().map(|row| cells(table, row)).collect(), &view),
    }
}

/// The rows that are meant.
fn chosen(table: TableName, rows: Vec<Row>, wanted: &str, tables: &Tables) -> Result<Vec<Row>, CliError> {
    if let (TableName::Places, Ok(place)) = (table, wanted.parse::<Place>())
        && let Some((country, _)) = wanted.split_once('-').filter(|_| !rows.iter().any(|row| row.name == wanted))
    {
        let known = tables.places.knows(&place);
        let row = rows.into_iter().find(|row| known && row.name == country);
        return row.map(|row| vec![subdivision(row, wanted)]).ok_or_else(|| missing(table, wanted));
    }
    let by: &[&str] = if table == TableName::Blocs { &["bloc", "member"] } else { &["scheme"] };
    let is_meant = |row: &Row| row.name == wanted || by.iter().any(|field| row.text(field) == wanted);
    let found: Vec<_> = rows.into_iter().filter(is_meant).collect();
    if found.is_empty() { Err(missing(table, wanted)) } else { Ok(found) }
}

/// A subdivision has no row of its own: it says whose it is, and comes from where the country's row does.
fn subdivision(country: Row, code: &str) -> Row {
    let Row { name, mut fields, .. } = country;
    fields.remove("subdivisions");
    fields.insert("code".to_owned(), code.into());
    fields.insert("within".to_owned(), name.into());
    Row { name: code.to_owned(), kind: "subdivision", fields }
}

fn missing(table: TableName, wanted: &str) -> CliError {
    CliError::NoRow { table: table.as_str(), row: wanted.to_owned() }
}

/// Whether a row holds at an instant: by its own bounds, or within one of its intervals.
fn holds(row: &Row, as_of: Timestamp) -> bool {
    let within = |from: Option<&Value>, until: Option<&Value>| {
        let instant = |value: Option<&Value>| value.and_then(|value| text(value).parse().ok());
        Interval { from: instant(from), until: instant(until) }.phase(as_of) == Phase::Within
    };
    let interval = |value: &Value| within(value.get("from"), value.get("until"));
    match row.fields.get("in_force") {
        Some(Value::Array(intervals)) => intervals.iter().any(interval),
        Some(one) => interval(one),
        None => within(row.fields.get("from"), row.fields.get("to")),
    }
}

const BLOC_HEADER: [&str; 7] = ["bloc", "member", "from", "to", "scope", "instrument", "verified"];

fn bloc_cells(row: &Row) -> Vec<String> {
    BLOC_HEADER.iter().map(|field| row.text(field)).collect()
}

/// A row: its name; beside it what it says besides, and where it comes from.
fn cells(table: TableName, row: &Row) -> Vec<String> {
    let kind = kinds(table).iter().find(|(kind, _)| *kind == row.kind);
    let in_name = |field: &str| kind.map_or(field == "code", |(_, key)| key.contains(&field));
    let own = row.fields.iter().filter(|(key, _)| !PROVENANCE.contains(&key.as_str()) && !in_name(key));
    let mut lines: Vec<_> = own.map(|(key, value)| format!("{key}: {}", text(value))).collect();
    let verified = if row.is_verified() { "verified" } else { "not verified" };
    let [instrument, source, recorded] = ["instrument", "source", "recorded_at"].map(|field| row.text(field));
    lines.push(format!("{instrument} (from {source}; recorded {recorded}, {verified})"));
    vec![row.name.clone(), lines.join("\n")]
}

/// A row, a field a line; where it comes from stands last.
fn record(row: &Row) -> Vec<(&str, String)> {
    let own = row.fields.keys().map(String::as_str).filter(|key| !PROVENANCE.contains(key));
    own.chain(PROVENANCE).map(|field| (field, row.text(field))).collect()
}
