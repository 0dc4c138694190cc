//! From a span of bytes to what a person looks for: line, column, key and the line itself.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Mistake;

/// Longest piece of a line that is shown, in characters.
const MAX_SHOWN_CHARS: usize = 160;

pub(super) fn mistake(file: &Path, text: &str, error: &toml::de::Error) -> Mistake {
    let span = error.span().unwrap_or(0..0);
    let place = Place::of(text, span.start);
    Mistake {
        file: file.to_owned(),
        line: place.line,
        column: place.column,
        key: key_at(text, &span),
        problem: error.message().trim_end().replace('\n', ", "),
        frame: place.frame(text, &span),
    }
}

pub(super) fn line_of(text: &str, keys: &[&str]) -> Option<usize> {
    let (table, _) = DeTable::parse_recoverable(text);
    let mut spans = Vec::new();
    if let Some((first, rest)) = keys.split_first() {
        follow_key(table.get_ref(), first, rest, &mut spans);
    }
    spans.last().map(|span| Place::of(text, span.start).line)
}

/// The spans of the values on the way along `keys`, as far as they are there.
fn follow(value: &Spanned<DeValue<'_>>, keys: &[&str], spans: &mut Vec<Range<usize>>) {
    let Some((first, rest)) = keys.split_first() else { return };
    match value.get_ref() {
        DeValue::Table(table) => follow_key(table, first, rest, spans),
        DeValue::Array(array) => {
            let found = first.parse().ok().and_then(|index: usize| array.get(index));
            if let Some(item) = found {
                spans.push(item.span());
                follow(item, rest, spans);
            }
        }
        DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
    }
}

fn follow_key(table: &DeTable<'_>, key: &str, rest: &[&str], spans: &mut Vec<Range<usize>>) {
    let found = table.iter().find(|(name, _)| name.get_ref() == key);
    let Some((name, value)) = found else { return };
    spans.push(name.span());
    follow(value, rest, spans);
}

/// A place in a text.
struct Place<'a> {
    line: usize,
    column: usize,
    content: &'a str,
}

impl<'a> Place<'a> {
    fn of(text: &'a str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let content = text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let column = before.get(start..).unwrap_or_default().chars().count() + 1;
        Self { line: before.matches('\n').count() + 1, column, content }
    }

    fn frame(&self, text: &str, span: &Range<usize>) -> String {
        let (number, gutter) = (self.line, " ".repeat(self.line.to_string().len()));
        let shown: String = self.content.chars().take(MAX_SHOWN_CHARS).collect();
        let left = self.content.chars().count().saturating_sub(self.column - 1).max(1);
        let marks = text.get(span.clone()).map_or(1, |marked| marked.chars().count()).clamp(1, left);
        let (indent, marks) = (" ".repeat(self.column - 1), "^".repeat(marks));
        let below = if self.column > MAX_SHOWN_CHARS { String::new() } else { format!("\n{gutter} | {indent}{marks}") };
        format!("{gutter} |\n{number} | {shown}{below}")
    }
}

/// The path of the innermost key whose value, or whose own name, contains the span.
fn key_at(text: &str, span: &Range<usize>) -> String {
    let (table, _) = DeTable::parse_recoverable(text);
    let mut path = String::new();
    descend_table(table.get_ref(), span, &mut path);
    path
}

fn descend_table(table: &DeTable<'_>, span: &Range<usize>, path: &mut String) {
    let found = table.iter().find(|(key, value)| contains(&key.span(), span) || holds(value, span));
    let Some((key, value)) = found else { return };
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key.get_ref());
    descend(value, span, path);
}

fn descend(value: &Spanned<DeValue<'_>>, span: &Range<usize>, path: &mut String) {
    match value.get_ref() {
        DeValue::Table(table) => descend_table(table, span, path),
        DeValue::Array(array) => {
            let found = array.iter().enumerate().find(|(_, item)| holds(item, span));
            if let Some((index, item)) = found {
                path.push_str(&format!("[{index}]"));
                descend(item, span, path);
            }
        }
        DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
    }
}

/// A table's own span is that of its header alone, so what it holds is asked as well.
fn holds(value: &Spanned<DeValue<'_>>, span: &Range<usize>) -> bool {
    contains(&value.span(), span)
        || match value.get_ref() {
            DeValue::Table(table) => table.iter().any(|(key, value)| contains(&key.span(), span) || holds(value, span)),
            DeValue::Array(array) => array.iter().any(|item| holds(item, span)),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => false,
        }
}

fn contains(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    !outer.is_empty() && outer.start <= inner.start && inner.end <= outer.end
}
