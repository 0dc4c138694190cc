//! The rows of a table, of whatever kind: a name and fields each.
//!
//! A table that says once where all its rows come from (places, purposes) is read as if each row said it.

use comity_policy::tables::TableName;
use serde_json::json;
use toml::{Table, Value};

/// The fields that say where a row comes from.
pub(super) const PROVENANCE: [&str; 4] = ["instrument", "source", "recorded_at", "verified"];

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// What it is called; unique in its table.
    pub(super) name: String,
    /// The table that it is an entry of, in the file: `bloc`, `rule`, ...
    pub(super) kind: &'static str,
    /// Everything that it says.
    pub(super) fields: Table,
}

impl Row {
    /// True if somebody held it against its source.
    pub(super) fn is_verified(&self) -> bool {
        self.fields.get("verified").and_then(Value::as_bool) == Some(true)
    }

    /// A field as people read it; a dash for none.
    pub(super) fn text(&self, field: &str) -> String {
        self.fields.get(field).map_or_else(|| "-".to_owned(), text)
    }

    /// As a program reads it.
    pub(super) fn json(&self) -> serde_json::Value {
        let fields: serde_json::Map<_, _> =
            self.fields.iter().map(|(key, value)| (key.clone(), to_json(value))).collect();
        json!({ "row": self.name, "kind": self.kind, "fields": fields })
    }
}

/// What the entries of a table are called in its file, and which fields name one.
pub(super) fn kinds(table: TableName) -> &'static [(&'static str, &'static [&'static str])] {
    match table {
        TableName::Places => &[],
        TableName::Blocs => &[("bloc", &["bloc", "member"])],
        TableName::Purposes => &[("purpose", &["id"])],
        TableName::Sectors => &[("section", &["id"])],
        TableName::Regimes => &[("regime", &["id"])],
        TableName::Statutes => &[("use", &["tag"])],
        TableName::Licences => &[("rule", &["licence"])],
        TableName::Certifications => &[("scheme", &["scheme"])],
        TableName::Classifications => {
            &[("scheme", &["scheme"]), ("equivalence", &["scheme", "level", "same_as_scheme", "same_as_level"])]
        }
        TableName::Issuers => &[("issuer", &["id"])],
        TableName::Presets => &[("preset", &["name"])],
    }
}

/// Every row of a table's TOML, in the order of the file. What is no row of the table's form is left to its parser.
pub(super) fn of(table: TableName, text: &str) -> Result<Vec<Row>, toml::de::Error> {
    let file: Table = toml::from_str(text)?;
    let mut rows = if table == TableName::Places { places(&file) } else { Vec::new() };
    for (kind, key) in kinds(table) {
        for entry in file.get(*kind).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table) {
            rows.push(Row { name: name(entry, key), kind, fields: with_provenance(entry.clone(), &file) });
        }
    }
    number(&mut rows);
    Ok(rows)
}

/// What an entry is called.
pub(super) fn name(entry: &Table, key: &[&str]) -> String {
    let parts: Vec<_> = key.iter().filter_map(|field| entry.get(*field)).map(text).collect();
    if parts.is_empty() { "a row without a name".to_owned() } else { parts.join(" ") }
}

fn with_provenance(mut entry: Table, file: &Table) -> Table {
    for (field, value) in file.get("provenance").and_then(Value::as_table).into_iter().flatten() {
        entry.entry(field.clone()).or_insert_with(|| value.clone());
    }
    entry
}

/// A country a row, with its subdivisions; then those subdivisions that have a country's code of their own.
fn places(file: &Table) -> Vec<Row> {
    let table = |key: &str| file.get(key).and_then(Value::as_table);
    let codes = |value: Option<&Value>| -> Vec<Value> {
        value.and_then(Value::as_str).into_iter().flat_map(str::split_whitespace).map(Value::from).collect()
    };
    let row = |kind, name: &str, field: &str, value: Value| {
        let fields = Table::from_iter([("code".to_owned(), name.into()), (field.to_owned(), value)]);
        Row { name: name.to_owned(), kind, fields: with_provenance(fields, file) }
    };
    let country = |code: &Value| {
        let code = code.as_str().unwrap_or_default();
        let parts = table("subdivisions").and_then(|all| all.get(code));
        let parts = parts.map_or_else(|| "every one".into(), |parts| Value::Array(codes(Some(parts))));
        row("country", code, "subdivisions", parts)
    };
    let countries: Vec<_> = codes(file.get("countries")).iter().map(country).collect();
    let aliases = table("alias").into_iter().flatten();
    let aliases = aliases.map(|(code, of)| row("alias", code, "stands_for", of.clone()));
    countries.into_iter().chain(aliases).collect()
}

/// Rows of one name, such as two memberships of one place, are told apart by a number.
fn number(rows: &mut [Row]) {
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    for row in rows {
        let count = seen.entry(row.name.clone()).or_default();
        *count = count.saturating_add(1);
        if *count > 1 {
            row.name.push_str(&format!(" #{count}"));
        }
    }
}

/// A value for people: lists without brackets, dates without quotes.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) if values.is_empty() => "none".to_owned(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Table(table) => {
            let fields = table.iter().map(|(key, value)| match value {
                Value::Array(_) => format!("{key} [{}]", text(value)),
                Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {
                    format!("{key} {}", text(value))
                }
                Value::Table(_) => format!("{key} ({})", text(value)),
            });
            fields.collect::<Vec<_>>().join(" ")
        }
        Value::Datetime(date) => date.to_string(),
        Value::Boolean(true) => "yes".to_owned(),
        Value::Boolean(false) => "no".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
    }
}

/// A value for programs: dates are strings.
pub(super) fn to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::String(text) => json!(text),
        Value::Integer(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::Boolean(flag) => json!(flag),
        Value::Datetime(date) => json!(date.to_string()),
        Value::Array(values) => values.iter().map(to_json).collect(),
        Value::Table(table) => table.iter().map(|(key, value)| (key.clone(), to_json(value))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_every_table_has_a_name_of_its_own_and_says_where_it_comes_from() {
        for table in TableName::ALL {
            let rows = of(*table, table.builtin()).unwrap();
            assert!(!rows.is_empty(), "{}", table.as_str());
            let names: std::collections::BTreeSet<_> = rows.iter().map(|row| &row.name).collect();
            assert_eq!(names.len(), rows.len(), "{}", table.as_str());
            for row in &rows {
                let missing: Vec<_> = PROVENANCE.iter().filter(|field| !row.fields.contains_key(**field)).collect();
                assert!(missing.is_empty(), "{} {}: {missing:?}", table.as_str(), row.name);
            }
        }
    }

    #[test]
    fn values_are_written_for_people() {
        let row: Table = toml::from_str("a = [{ from = 2020-01-31 }]\nb = true\nc = []").unwrap();
        let texts: Vec<_> = ["a", "b", "c"].iter().map(|key| text(&row[*key])).collect();
        assert_eq!(texts, ["from 2020-01-31", "yes", "none"]);
    }
}
