//! What a case changes of its fixture.

use toml::{Table, Value};

use super::Case;
use crate::check;

/// Most changes, and most paths that are taken away, of one case.
pub const MAX_CHANGES: usize = 256;
/// Most parts of the path of a change: fields lie less deep, and each part is a table within another.
pub const MAX_PATH_PARTS: usize = 32;
/// Longest path of a change, in bytes.
pub const MAX_PATH_BYTES: usize = 1_024;
/// Most paths that the braces of one stand for.
pub const MAX_ALTERNATIVES: usize = 64;

/// Puts the changes of a case in: what is taken away first, then what is set. Of what is set, paths with braces come
/// first, so that a path without them says what one of several is instead.
pub(super) fn changed(mut table: Table, case: &Case) -> Result<Table, String> {
    for (field, found) in [("set", case.set.len()), ("unset", case.unset.len())] {
        if let Some(problem) = check::too_many(found, MAX_CHANGES) {
            return Err(format!("`{field}` {problem}"));
        }
    }
    if let Some(app) = &case.app {
        table.insert("app".to_owned(), Value::from(app.as_str()));
    }
    for path in &case.unset {
        for path in alternatives(path).map_err(|problem| format!("`unset`: {problem}"))? {
            remove(&mut table, &path).ok_or_else(|| format!("`unset`: the fixture has no {path}"))?;
        }
    }
    let (several, one): (Vec<_>, Vec<_>) = case.set.iter().partition(|(path, _)| path.contains('{'));
    for (path, value) in several.into_iter().chain(one) {
        for path in alternatives(path).map_err(|problem| format!("`set`: {problem}"))? {
            insert(&mut table, &path, value.clone())
                .ok_or_else(|| format!("`set`: {path} leads through something that is no table"))?;
        }
    }
    Ok(table)
}

/// `a.{b,c}_d` is `a.b_d` and `a.c_d`.
fn alternatives(path: &str) -> Result<Vec<String>, String> {
    let (bytes, parts) = (path.len(), path.split('.').count());
    if bytes > MAX_PATH_BYTES || parts > MAX_PATH_PARTS {
        return Err(format!(
            "a path has {bytes} bytes and {parts} parts, at most {MAX_PATH_BYTES} and {MAX_PATH_PARTS} are accepted"
        ));
    }
    let parts = path.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)));
    match parts {
        Some((before, (inside, after))) => {
            if let Some(problem) = check::too_many(inside.split(',').count(), MAX_ALTERNATIVES) {
                return Err(format!("{path}: in braces, it {problem}"));
            }
            Ok(inside.split(',').map(|one| format!("{before}{one}{after}")).collect())
        }
        None => Ok(vec![path.to_owned()]),
    }
}

fn remove(table: &mut Table, path: &str) -> Option<Value> {
    match path.split_once('.') {
        None => table.remove(path),
        Some((first, rest)) => remove(table.get_mut(first)?.as_table_mut()?, rest),
    }
}

fn insert(table: &mut Table, path: &str, value: Value) -> Option<()> {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
            Some(())
        }
        Some((first, rest)) => {
            let inner = table.entry(first).or_insert_with(|| Value::Table(Table::new()));
            insert(inner.as_table_mut()?, rest, value)
        }
    }
}

fn bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(all) => all.iter().map(bytes).fold(all.len(), usize::saturating_add),
        Value::Table(table) => bytes_of(table),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => size_of::<Value>(),
    }
}

/// Bytes of a table's keys and contents.
pub(super) fn bytes_of(table: &Table) -> usize {
    let entry = |(key, value): (&String, &Value)| key.len().saturating_add(bytes(value));
    table.iter().map(entry).fold(0, usize::saturating_add)
}
