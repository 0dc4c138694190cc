//! Data on stdout, as a table or as JSON; talk on stderr. Colours only on terminals.

use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};
use comity_types::display::harmless;
use serde::Serialize;

use crate::error::CliError;

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// For programs: messages of the contract in their protobuf JSON form
    Json,
}

impl Format {
    /// Prints a list: its rows as a table, or `json`.
    pub(crate) fn list<T: Serialize>(self, header: &[&str], rows: Vec<Vec<String>>, json: &T) -> Result<(), CliError> {
        match self {
            Self::Json => print_json(json),
            Self::Table if rows.is_empty() => {
                say("none");
                Ok(())
            }
            Self::Table => print_line(&plain_table(header, rows)),
        }
    }

    /// Prints one thing: its fields, a line each, or `json`.
    pub(crate) fn record<T: Serialize>(self, fields: Vec<(&str, String)>, json: &T) -> Result<(), CliError> {
        match self {
            Self::Json => print_json(json),
            Self::Table => {
                let rows = fields.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
                print_line(&plain_table(&[], rows))
            }
        }
    }
}

/// Where a table is printed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Data.
    Stdout,
    /// Talk.
    Stderr,
}

impl Stream {
    /// How many characters a line has there; none where it is no terminal, and lines may have any length.
    pub(crate) fn width(self) -> Option<u16> {
        let mut table = Table::new();
        if self == Self::Stderr {
            table.use_stderr();
        }
        table.width()
    }
}

/// Prints `json` as indented JSON and a line end.
pub(crate) fn print_json<T: Serialize>(json: &T) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(json)
        .map_err(|source| CliError::System { doing: "write JSON", source: source.into() })?;
    print_line(&text)
}

/// Prints a line of data.
pub(crate) fn print_line(text: &str) -> Result<(), CliError> {
    print(&format!("{text}\n"))
}

/// Prints data as it is, at once. A reader that went away is no error.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(source) if source.kind() != io::ErrorKind::BrokenPipe => {
            Err(CliError::System { doing: "write to stdout", source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Says something to the person at the terminal. Where nobody can hear it, nothing can be done.
pub(crate) fn say(text: &str) {
    drop(writeln!(anstream::stderr().lock(), "{text}"));
}

/// Like [`say`], without the end of the line.
pub(crate) fn ask(text: &str) {
    let mut stderr = anstream::stderr().lock();
    drop(write!(stderr, "{text}").and_then(|()| stderr.flush()));
}

/// A table without lines, for lists.
pub(crate) fn plain_table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if !header.is_empty() {
        table.set_header(header.iter().map(|name| name.to_uppercase()));
    }
    table.add_rows(harmless_cells(rows));
    trimmed(&table)
}

/// Cells without what steers a terminal: much of what stands in them was written by others.
fn harmless_cells(rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    rows.into_iter().map(|row| row.iter().map(|cell| harmless(cell)).collect()).collect()
}

/// A table with lines, for cells of several lines, that is as wide as `width` or its content.
pub(crate) fn lined_table(header: &[&str], rows: Vec<Vec<String>>, width: Option<u16>) -> String {
    let mut table = Table::new();
    // Its caller knows which stream it goes to; left alone, the table would ask stdout.
    table.force_no_tty();
    if let Some(width) = width {
        table.set_width(width);
    }
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header).add_rows(harmless_cells(rows));
    for column in table.column_iter_mut() {
        column.set_padding((1, 1));
    }
    trimmed(&table)
}

/// The table without the blanks at the ends of its lines.
fn trimmed(table: &Table) -> String {
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// Values in one cell; a dash for none.
pub(crate) fn joined<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    if values.is_empty() { "-".to_owned() } else { values.join(" ") }
}

/// A value, or "unknown": what nobody stated is never shown as a blank.
pub(crate) fn known<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "unknown".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_row_a_line_and_no_blanks_at_its_ends() {
        let table = plain_table(
            &["name", "places"],
            vec![vec!["a".into(), "DE FR".into()], vec!["long-name".into(), "-".into()]],
        );
        assert_eq!(table, " NAME       PLACES\n a          DE FR\n long-name  -");
    }

    #[test]
    fn a_cell_cannot_steer_the_terminal() {
        let rows = || vec![vec!["\u{1b}[2J\u{7}a".to_owned(), "b".to_owned()]];
        assert_eq!(
            plain_table(&["x", "y"], rows()).lines().last().unwrap().split_whitespace().collect::<Vec<_>>(),
            ["[2Ja", "b"]
        );
        assert!(!lined_table(&["x", "y"], rows(), None).contains('\u{1b}'));
    }

    #[test]
    fn what_is_unknown_is_said_to_be_unknown() {
        assert_eq!(known(None::<&str>), "unknown");
        assert_eq!(joined(Vec::<String>::new()), "-");
    }
}
