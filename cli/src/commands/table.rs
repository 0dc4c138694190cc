//! The tables that verdicts are computed against: law and lists, as data. They are part of the program, so nobody is
//! asked; a file of one of them is checked and compared here, before anybody relies on it.

mod check;
mod diff;
mod list;
mod name;
mod rows;
mod show;

use std::path::PathBuf;

use clap::Subcommand;
use comity_policy::tables::TableName;
use comity_types::Timestamp;

use crate::error::CliError;
use crate::output::Format;

/// The tables that verdicts are computed against.
#[derive(Debug, Subcommand)]
pub(crate) enum Table {
    /// List them, with how many rows were held against their source
    List,
    /// Show a table, or rows of it, each with where it comes from
    Show {
        /// Its name, such as blocs, regimes or licences; the singular will do
        #[arg(value_parser = name::parse)]
        name: TableName,
        /// One row, such as US-CLOUD-ACT; of blocs: a bloc, or a place to see what it belongs to
        row: Option<String>,
        /// Only what holds at this instant or day (blocs, regimes, statutes)
        #[arg(long, value_name = "T")]
        as_of: Option<Timestamp>,
    },
    /// Check files of tables: the row and the field of each mistake
    Check {
        /// The files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Which table they are of; else the file's name says it, as in blocs.toml
        #[arg(long, value_name = "NAME", value_parser = name::parse)]
        table: Option<TableName>,
    },
    /// Compare a file with the table that ships: rows added, removed and changed
    Diff {
        /// The file
        file: PathBuf,
        /// Which table it is of; else the file's name says it, as in blocs.toml
        #[arg(long, value_name = "NAME", value_parser = name::parse)]
        table: Option<TableName>,
    },
}

/// Does what is asked.
pub(crate) fn run(command: &Table, output: Format) -> Result<(), CliError> {
    match command {
        Table::List => list::run(output),
        Table::Show { name, row, as_of } => show::run(*name, row.as_deref(), *as_of, output),
        Table::Check { files, table } => check::run(files, *table, output),
        Table::Diff { file, table } => diff::run(file, *table, output),
    }
}
