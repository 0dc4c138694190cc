//! `comity table diff`.

use std::collections::BTreeMap;
use std::path::Path;

use comity_policy::tables::{Folder, TableName};
use serde_json::json;
use toml::Value;

use super::list::built_in;
use super::rows::{self, Row};
use super::{Named, check, name};
use crate::error::CliError;
use crate::output::{Format, print_json, print_line, say};
use crate::requirements::read_text;

/// A field that says something else: before, and now.
type Change<'a> = (&'a str, Option<&'a Value>, Option<&'a Value>);

/// Compares a file with the table that ships.
pub(super) fn run(path: &Path, said: Option<TableName>, others: &Folder, output: Format) -> Result<(), CliError> {
    let (table, text) = (name::of_file(path, said)?, read_text(path)?);
    check::required(path, table, &text, others)?;
    let view = compared(path, table, &text, output)?;
    if output == Format::Json { print_json(&view) } else { Ok(()) }
}

/// Compares every table of a folder with the one that ships.
pub(super) fn folder(named: &Named<'_>, output: Format) -> Result<(), CliError> {
    let mut views = Vec::new();
    for (table, text) in named.folder.iter() {
        let path = named.file(table);
        check::required(&path, table, text, &named.folder)?;
        if output == Format::Table {
            print_line(&format!("{}:", table.as_str()))?;
        }
        views.push(compared(&path, table, text, output)?);
    }
    if output == Format::Json { print_json(&json!({ "tables": views })) } else { Ok(()) }
}

/// What a text has that the table that ships has not, and the other way round: printed for people, given for programs.
fn compared(path: &Path, table: TableName, text: &str, output: Format) -> Result<serde_json::Value, CliError> {
    let unreadable = |error| CliError::BadFile { path: path.to_owned(), expected: "a table", source: Box::new(error) };
    let (ours, theirs) = (built_in(table)?, rows::of(table, text).map_err(unreadable)?);
    let (before, after) = (by_name(&ours), by_name(&theirs));
    let added: Vec<_> = after.iter().filter(|(name, _)| !before.contains_key(*name)).map(|(_, row)| *row).collect();
    let removed: Vec<_> = before.iter().filter(|(name, _)| !after.contains_key(*name)).map(|(_, row)| *row).collect();
    let both = before.iter().filter_map(|(name, row)| Some((*name, changes(row, after.get(name)?))));
    let changed: Vec<_> = both.filter(|(_, changes)| !changes.is_empty()).collect();
    let view = json!({
        "table": table.as_str(),
        "added": added.iter().map(|row| row.json()).collect::<Vec<_>>(),
        "removed": removed.iter().map(|row| row.json()).collect::<Vec<_>>(),
        "changed": changed.iter().map(|(name, changes)| changed_json(name, changes)).collect::<Vec<_>>(),
    });
    if output == Format::Json {
        return Ok(view);
    }
    for (sign, rows) in [('-', &removed), ('+', &added)] {
        for row in rows {
            print_line(&format!("{sign} {}", row.name))?;
        }
    }
    for (name, changes) in &changed {
        print_line(&format!("~ {name}"))?;
        for (field, old, new) in changes {
            print_line(&format!("    {field}: {} -> {}", shown(*old), shown(*new)))?;
        }
    }
    say(&format!("{} added, {} removed, {} changed", added.len(), removed.len(), changed.len()));
    Ok(view)
}

fn by_name(rows: &[Row]) -> BTreeMap<&str, &Row> {
    rows.iter().map(|row| (row.name.as_str(), row)).collect()
}

fn changes<'a>(old: &'a Row, new: &'a Row) -> Vec<Change<'a>> {
    let mut fields: Vec<_> = old.fields.keys().chain(new.fields.keys()).map(String::as_str).collect();
    fields.sort_unstable();
    fields.dedup();
    let change = |field| (field, old.fields.get(field), new.fields.get(field));
    fields.into_iter().map(change).filter(|(_, old, new)| old != new).collect()
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), rows::text)
}

fn changed_json(name: &str, changes: &[Change<'_>]) -> serde_json::Value {
    let side = |value: Option<&Value>| value.map(rows::to_json);
    let field = |(field, old, new): &Change<'_>| json!({ "field": field, "from": side(*old), "to": side(*new) });
    json!({ "row": name, "fields": changes.iter().map(field).collect::<Vec<_>>() })
}
