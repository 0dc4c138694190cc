//! `comity table check`.

use std::path::{Path, PathBuf};

use comity_policy::Tables;
use comity_policy::requirements::RequirementsError;
use comity_policy::tables::licences::LicenceRule;
use comity_policy::tables::places::{looks_like_one, not_assigned};
use comity_policy::tables::presets::Preset;
use comity_policy::tables::{Folder, TableError, TableName, not_listed};
use comity_runtime::config;
use comity_types::{Place, Timestamp};
use serde_json::json;
use toml::Value;

use super::{Named, name, rows};
use crate::error::CliError;
use crate::output::{Format, print_json, print_line};
use crate::requirements::read_text;

/// The fields of rows that hold places or blocs.
const PLACES: [&str; 3] = ["member", "places", "territory"];

/// What is wrong with a table: the row and the field, where they are known, and what would be right.
#[derive(Debug, PartialEq)]
pub(super) struct Mistake {
    row: Option<String>,
    field: Option<String>,
    problem: String,
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for part in [&self.row, &self.field].into_iter().flatten() {
            write!(f, "{part}: ")?;
        }
        f.write_str(&self.problem)
    }
}

/// A table that was looked at.
struct Checked {
    /// Its file; none of a table that ships.
    file: Option<PathBuf>,
    table: TableName,
    rows: usize,
    mistake: Option<Mistake>,
}

/// Checks every file; all of their mistakes are said.
pub(super) fn run(files: &[PathBuf], said: Option<TableName>, others: &Folder, output: Format) -> Result<(), CliError> {
    let of = |path: &PathBuf| Ok(checked(Some(path.clone()), name::of_file(path, said)?, &read_text(path)?, others));
    report(&files.iter().map(of).collect::<Result<Vec<_>, CliError>>()?, output)
}

/// Checks a folder: its own tables, and what those that ship become beside them.
pub(super) fn folder(named: &Named<'_>, output: Format) -> Result<(), CliError> {
    let of = |table: &TableName| {
        let file = named.folder.has(*table).then(|| named.file(*table));
        checked(file, *table, named.folder.text(*table), &named.folder)
    };
    let all = TableName::ALL.iter().map(of).filter(|one| one.file.is_some() || one.mistake.is_some());
    report(&all.collect::<Vec<_>>(), output)
}

fn checked(file: Option<PathBuf>, table: TableName, text: &str, others: &Folder) -> Checked {
    let rows = rows::of(table, text).map(|rows| rows.len()).unwrap_or_default();
    Checked { file, table, rows, mistake: mistake(table, text, others) }
}

fn report(all: &[Checked], output: Format) -> Result<(), CliError> {
    match output {
        Format::Table => all.iter().try_for_each(|one| print_line(&one.line()))?,
        Format::Json => print_json(&json!({ "files": all.iter().map(Checked::json).collect::<Vec<_>>() }))?,
    }
    let wrong = all.iter().filter(|one| one.mistake.is_some()).count();
    if wrong == 0 { Ok(()) } else { Err(failed(wrong, all.len())) }
}

impl Checked {
    fn line(&self) -> String {
        let table = self.table.as_str();
        let place =
            self.file.as_ref().map_or_else(|| format!("{table} as it ships"), |file| file.display().to_string());
        match &self.mistake {
            Some(mistake) => format!("{place}: {table}: {mistake}"),
            None => format!("{place}: {} rows of {table} are well-formed", self.rows),
        }
    }

    fn json(&self) -> serde_json::Value {
        let error = self.mistake.as_ref();
        let error =
            error.map(|Mistake { row, field, problem }| json!({ "row": row, "field": field, "problem": problem }));
        json!({ "file": self.file, "table": self.table.as_str(), "rows": self.rows, "error": error })
    }
}

fn failed(wrong: usize, of: usize) -> CliError {
    CliError::Failed {
        problem: format!("{wrong} of {of} tables cannot be used"),
        hint: "mend the row and the field that are named; `comity table show NAME ROW` shows rows that are right"
            .to_owned(),
    }
}

/// The text of a file, which has to be a table.
pub(super) fn required(path: &Path, table: TableName, text: &str, others: &Folder) -> Result<(), CliError> {
    match mistake(table, text, others) {
        None => Ok(()),
        Some(mistake) => Err(CliError::Failed {
            problem: format!("{} is not a table of {}: {mistake}", path.display(), table.as_str()),
            hint: "`comity table check FILE...` checks a file after you mended it".to_owned(),
        }),
    }
}

/// The first thing that is wrong with the text of a table: its form, then what it names that no table has. `others` are
/// the tables beside it; while one of them is malformed, nobody can say what they have.
pub(super) fn mistake(table: TableName, text: &str, others: &Folder) -> Option<Mistake> {
    match Tables::parse(|name| if name == table { text } else { name.builtin() }) {
        Ok(_) => {
            let all = Tables::parse(|name| if name == table { text } else { others.text(name) });
            let dangling = || all.ok().and_then(|all| dangling(table, text, &all));
            twice(table, text).or_else(|| unsourced(table, text)).or_else(dangling)
        }
        Err(TableError::Row { row, problem, .. }) => {
            let field = problem.split('`').nth(1).map(str::to_owned);
            Some(Mistake { row: Some(row), field, problem })
        }
        Err(TableError::Malformed { source, .. }) => Some(located(table, text, &source)),
    }
}

/// Something that stands twice in a list of a row.
fn twice(table: TableName, text: &str) -> Option<Mistake> {
    let config::ConfigError::Mistake(found) = config::parse::<toml::Table>(Path::new(""), text).err()? else {
        return None;
    };
    // The path of the key is such as `rule[0].excluded_purposes[7]`.
    let (place, field) = found.key.split_once("].").unwrap_or_default();
    let row = place.split_once('[').and_then(|(kind, index)| {
        let (_, key) = rows::kinds(table).iter().find(|(one, _)| *one == kind)?;
        let file: toml::Table = toml::from_str(text).ok()?;
        Some(rows::name(file.get(kind)?.as_array()?.get(index.parse::<usize>().ok()?)?.as_table()?, key))
    });
    let field = field.rsplit_once('[').map_or(field, |(list, _)| list);
    Some(Mistake { row, field: Some(field.to_owned()), problem: found.problem })
}

/// A row that does not say where it comes from.
fn unsourced(table: TableName, text: &str) -> Option<Mistake> {
    let rows = rows::of(table, text).ok()?;
    let is_empty = |row: &rows::Row, field: &str| row.text(field).trim().is_empty();
    let found = rows.iter().find_map(|row| {
        let field = ["instrument", "source"].into_iter().find(|field| is_empty(row, field))?;
        Some((row.name.clone(), field))
    });
    let (row, field) = found?;
    let problem = "is empty: say where the row comes from".to_owned();
    Some(Mistake { row: Some(row), field: Some(field.to_owned()), problem })
}

/// Puts the row and the field beside what the TOML parser says, which knows lines alone.
fn located(table: TableName, text: &str, error: &toml::de::Error) -> Mistake {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.get(..start).unwrap_or_default();
    let line = text.get(before.rfind('\n').map_or(0, |end| end.saturating_add(1))..).unwrap_or_default();
    let line = line.lines().next().unwrap_or_default();
    let in_line = line.split_once('=').map(|(key, _)| key.trim().to_owned());
    let named = error.message().split('`').nth(1).filter(|_| error.message().contains("field `"));
    // A row's header stands before what is wrong with it, or is what lacks a field.
    let up_to = text.get(..start.saturating_add(line.len())).unwrap_or(text);
    let entry = rows::kinds(table).iter().find_map(|(kind, key)| {
        let header = format!("[[{kind}]]");
        let index = up_to.lines().filter(|line| line.trim() == header).count().checked_sub(1)?;
        let file: toml::Table = toml::from_str(text).ok()?;
        let entry = file.get(*kind).and_then(Value::as_array)?.get(index)?.as_table()?.clone();
        Some((rows::name(&entry, key), entry))
    });
    let of_type = || entry.as_ref().and_then(|(_, entry)| of_another_type(table, entry));
    let field = named.map(str::to_owned).or(in_line).or_else(of_type);
    Mistake { row: entry.as_ref().map(|(row, _)| row.clone()), field, problem: error.to_string().trim_end().to_owned() }
}

/// The first field of an entry whose type no row has that ships: the parser forgets where such a mistake stands.
fn of_another_type(table: TableName, entry: &toml::Table) -> Option<String> {
    let ours = rows::of(table, table.builtin()).ok()?;
    let is_usual = |field: &str, value: &Value| {
        let mut types = ours.iter().filter_map(|row| row.fields.get(field)).map(Value::type_str).peekable();
        let is_date = rows::text(value).parse::<Timestamp>().is_ok();
        types.peek().is_none() || types.any(|one| one == value.type_str() || (one == "datetime" && is_date))
    };
    entry.iter().find(|(field, value)| !is_usual(field, value)).map(|(field, _)| field.clone())
}

/// Rows that speak of something that no table has: they would be read, and never hold.
fn dangling(table: TableName, text: &str, tables: &Tables) -> Option<Mistake> {
    let rows = rows::of(table, text).ok()?;
    let wrong = |row: &str, field: &str, problem: String| Mistake {
        row: Some(row.to_owned()),
        field: Some(field.to_owned()),
        problem,
    };
    if let Some(mistake) =
        tables.presets.iter().filter(|_| table == TableName::Presets).find_map(|it| unusable(it, tables))
    {
        return Some(mistake);
    }
    let excluded = |rule: &LicenceRule| {
        let granted = rule.grants.iter().flat_map(|grant| &grant.purposes).map(|one| ("grants.purposes", one));
        let mut purposes = rule.excluded_purposes.iter().map(|one| ("excluded_purposes", one)).chain(granted);
        if let Some((field, lost)) = purposes.find(|(_, purpose)| !tables.purposes.knows(purpose)) {
            return Some(wrong(&rule.licence, field, not_listed(lost, TableName::Purposes)));
        }
        let mut seats = rule.grants.iter().flat_map(|grant| &grant.seats);
        let lost = seats.find(|seat| !is_place(seat.as_str(), tables))?;
        Some(wrong(&rule.licence, "grants.seats", no_place(lost.as_str())))
    };
    if let Some(mistake) = tables.licences.iter().filter(|_| table == TableName::Licences).find_map(excluded) {
        return Some(mistake);
    }
    let of_row = |row: &rows::Row, field: &str| {
        let lost = codes(row.fields.get(field)?).into_iter().find(|code| !is_place(code, tables))?;
        Some(wrong(&row.name, field, no_place(&lost)))
    };
    PLACES.iter().find_map(|field| rows.iter().find_map(|row| of_row(row, field)))
}

/// A preset that no requirements file could name.
fn unusable(preset: &Preset, tables: &Tables) -> Option<Mistake> {
    let error = preset.requirements.clone().expand(tables).err()?;
    let (field, problem) = match error {
        RequirementsError::Field { path, problem } => (Some(path), problem),
        RequirementsError::Needs { key, .. } => (Some(key.to_owned()), error.to_string()),
        RequirementsError::Malformed(_) | RequirementsError::UnknownPreset { .. } => (None, error.to_string()),
    };
    Some(Mistake { row: Some(preset.name.clone()), field, problem })
}

/// The codes of a field: one, several, or those that a licence's territory excludes.
fn codes(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().map(rows::text).collect(),
        Value::Table(territory) => territory.get("excluded").map(codes).unwrap_or_default(),
        Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {
            vec![rows::text(value)]
        }
    }
}

/// What is wrong with a code that is neither: a bloc has no form that a place could have.
fn no_place(code: &str) -> String {
    if code.parse::<Place>().is_ok() || looks_like_one(code) {
        return not_assigned(code);
    }
    format!("{code:?} is in no table of blocs, and no place (hint: `comity table show blocs`, or a place such as DE)")
}

/// True if it is an assigned place, or a bloc.
fn is_place(code: &str, tables: &Tables) -> bool {
    tables.blocs.knows(code) || code.parse().is_ok_and(|place| tables.places.knows(&place))
}

#[cfg(test)]
mod tests;
