//! `comity table diff`.

use std::collections::BTreeMap;
use std::path::Path;

use comity_policy::tables::{Folder, TableName};
use serde_json::json;
use toml::Value;

use super::rows::{self, Row};
use super::{Named, check, name};
use crate::error::CliError;
use crate::output::{Format, print_json, print_line, say};
use crate::requirements::read_text;

/// Compares a file with the table that ships.
pub(super) fn run(path: &Path, said: Option<TableName>, others: &Folder, output: Format) -> Result<(), CliError> {
    let (table, text) = (name::of_file(path, said)?, read_text(path)?);
    check::required(path, table, &text, others)?;
    let difference = Difference::between(table, table.builtin(), &text).map_err(|error| unreadable(path, error))?;
    difference.print(output)?;
    if output == Format::Json { print_json(&difference.json()) } else { Ok(()) }
}

/// Compares every table of a folder with the one that ships.
pub(super) fn folder(named: &Named<'_>, output: Format) -> Result<(), CliError> {
    let mut all = Vec::new();
    for (table, text) in named.folder.iter() {
        let path = named.file(table);
        check::required(&path, table, text, &named.folder)?;
        all.push(Difference::between(table, table.builtin(), text).map_err(|error| unreadable(&path, error))?);
    }
    print_all(&all, output)
}

/// Prints several, each under the name of its table.
pub(super) fn print_all(all: &[Difference], output: Format) -> Result<(), CliError> {
    if output == Format::Json {
        return print_json(&json!({ "tables": all.iter().map(Difference::json).collect::<Vec<_>>() }));
    }
    for one in all {
        print_line(&format!("{}:", one.table))?;
        one.print(output)?;
    }
    Ok(())
}

fn unreadable(path: &Path, error: toml::de::Error) -> CliError {
    CliError::BadFile { path: path.to_owned(), expected: "a table", source: Box::new(error) }
}

/// What one text of a table has that another has not, and the other way round.
pub(super) struct Difference {
    table: TableName,
    added: Vec<Row>,
    removed: Vec<Row>,
    /// By the name of the row.
    changed: Vec<(String, Vec<Change>)>,
}

/// A field that says something else: before, and now.
struct Change {
    field: String,
    from: Option<Value>,
    to: Option<Value>,
}

impl Difference {
    /// What changes from one text to another.
    pub(super) fn between(table: TableName, before: &str, after: &str) -> Result<Self, toml::de::Error> {
        let (before, after) = (by_name(rows::of(table, before)?), by_name(rows::of(table, after)?));
        let only = |here: &BTreeMap<String, Row>, there: &BTreeMap<String, Row>| {
            here.iter().filter(|(name, _)| !there.contains_key(*name)).map(|(_, row)| row.clone()).collect()
        };
        let both = before.iter().filter_map(|(name, row)| Some((name.clone(), changes(row, after.get(name)?))));
        let changed = both.filter(|(_, changes)| !changes.is_empty()).collect();
        Ok(Self { table, added: only(&after, &before), removed: only(&before, &after), changed })
    }

    /// True if no row differs.
    pub(super) const fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    /// Which table it is of.
    pub(super) const fn table(&self) -> TableName {
        self.table
    }

    /// A line for each row, and for each field of one that changed.
    pub(super) fn lines(&self) -> Vec<String> {
        let of = |sign, rows: &[Row]| rows.iter().map(|row| format!("{sign} {}", row.name)).collect::<Vec<_>>();
        let changed = self.changed.iter().flat_map(|(name, changes)| {
            let fields = changes.iter().map(Change::line);
            std::iter::once(format!("~ {name}")).chain(fields).collect::<Vec<_>>()
        });
        [of('-', &self.removed), of('+', &self.added), changed.collect()].concat()
    }

    /// How much there is of it.
    pub(super) fn summary(&self) -> String {
        format!("{} added, {} removed, {} changed", self.added.len(), self.removed.len(), self.changed.len())
    }

    fn print(&self, output: Format) -> Result<(), CliError> {
        if output == Format::Json {
            return Ok(());
        }
        self.lines().iter().try_for_each(|line| print_line(line))?;
        say(&self.summary());
        Ok(())
    }

    /// For programs.
    pub(super) fn json(&self) -> serde_json::Value {
        let rows = |rows: &[Row]| rows.iter().map(Row::json).collect::<Vec<_>>();
        let changed = self.changed.iter().map(
            |(name, changes)| json!({ "row": name, "fields": changes.iter().map(Change::json).collect::<Vec<_>>() }),
        );
        json!({
            "table": self.table,
            "added": rows(&self.added),
            "removed": rows(&self.removed),
            "changed": changed.collect::<Vec<_>>(),
        })
    }
}

impl Change {
    fn line(&self) -> String {
        let shown = |value: &Option<Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), rows::text);
        format!("    {}: {} -> {}", self.field, shown(&self.from), shown(&self.to))
    }

    fn json(&self) -> serde_json::Value {
        let side = |value: &Option<Value>| value.as_ref().map(rows::to_json);
        json!({ "field": self.field, "from": side(&self.from), "to": side(&self.to) })
    }
}

fn by_name(rows: Vec<Row>) -> BTreeMap<String, Row> {
    rows.into_iter().map(|row| (row.name.clone(), row)).collect()
}

fn changes(old: &Row, new: &Row) -> Vec<Change> {
    let mut fields: Vec<_> = old.fields.keys().chain(new.fields.keys()).cloned().collect();
    fields.sort_unstable();
    fields.dedup();
    let change = |field: String| {
        let (from, to) = (old.fields.get(&field).cloned(), new.fields.get(&field).cloned());
        Change { field, from, to }
    };
    fields.into_iter().map(change).filter(|change| change.from != change.to).collect()
}
