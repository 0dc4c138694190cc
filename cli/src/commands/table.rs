//! The tables that verdicts are computed against: law and lists, as data. They are part of the program, or of the
//! folder that `--tables` names, so nobody is asked; a file or a folder of them is checked and compared here, before
//! anybody relies on it. What a federation has adopted is read from its log.

pub(crate) mod adoption;
mod check;
mod diff;
mod export;
mod list;
mod name;
mod rows;
mod show;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use comity_policy::tables::{Folder, TableName};
use comity_types::Timestamp;

use crate::args::Global;
use crate::error::CliError;
use crate::tables::InForce;

/// The tables that verdicts are computed against.
#[derive(Debug, Subcommand)]
pub(crate) enum Table {
    /// List them: which are the folder's, and how many rows were held against their source
    List {
        /// Those that the federation has adopted
        #[arg(long)]
        adopted: bool,
    },
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
        /// Of the tables that the federation has adopted
        #[arg(long)]
        adopted: bool,
    },
    /// Check files of tables, or the folder that --tables names: the row and the field of each mistake
    Check {
        /// The files; without any, all tables as they are with those of the folder
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Which table they are of; else the file's name says it, as in blocs.toml
        #[arg(long, value_name = "NAME", value_parser = name::parse, requires = "files")]
        table: Option<TableName>,
    },
    /// Compare a file, or the folder that --tables names, with the tables that ship: rows added, removed and changed
    Diff {
        /// Compare with the tables that the federation has adopted; without a file and a folder, those that ship
        #[arg(long)]
        adopted: bool,
        /// The file; without it, every table of the folder
        file: Option<PathBuf>,
        /// Which table it is of; else the file's name says it, as in blocs.toml
        #[arg(long, value_name = "NAME", value_parser = name::parse, requires = "file")]
        table: Option<TableName>,
    },
    /// Propose that the federation decides by tables: the files given, and for the rest those that it decides by now
    /// (operators)
    #[command(after_help = adoption::AFTER)]
    Adopt {
        /// Files of tables, named as in blocs.toml, or folders of them; without any, the folder that --tables names, or the
        /// tables that ship
        #[arg(value_name = "FILE|DIR")]
        paths: Vec<PathBuf>,
        /// Show what would change, and sign nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Write the tables that the federation has adopted into a folder, as --tables takes it; those that ship if it has
    /// adopted none
    Export {
        /// The folder; made if it is not there
        dir: PathBuf,
        /// Those of this epoch, by which a decision of that time was made [default: the last]
        #[arg(long, value_name = "N")]
        at_epoch: Option<u64>,
    },
}

/// Does what is asked.
pub(crate) async fn run(command: &Table, global: &Global) -> Result<(), CliError> {
    let output = global.output;
    match command {
        Table::List { adopted } => list::run(&in_force(*adopted, global).await?, output),
        Table::Show { name, row, as_of, adopted } => {
            show::run(*name, row.as_deref(), *as_of, &in_force(*adopted, global).await?, output)
        }
        Table::Adopt { paths, dry_run } => adoption::run(paths, *dry_run, global).await,
        Table::Export { dir, at_epoch } => export::run(dir, *at_epoch, global).await,
        Table::Diff { adopted: true, file, table } => adoption::diff(file.as_deref(), *table, global).await,
        Table::Check { files, .. } if files.is_empty() => check::folder(&named(global)?, output),
        Table::Check { files, table } => check::run(files, *table, &global.tables_in_force()?.folder, output),
        Table::Diff { file: None, .. } => diff::folder(&named(global)?, output),
        Table::Diff { file: Some(file), table, .. } => {
            diff::run(file, *table, &global.tables_in_force()?.folder, output)
        }
    }
}

/// The tables that a command is about.
async fn in_force(adopted: bool, global: &Global) -> Result<InForce, CliError> {
    if adopted { Ok(adoption::in_force(&adoption::of_log(None, global).await?)) } else { global.tables_in_force() }
}

/// The folder that the command line names, for a command that is about nothing else.
fn named(global: &Global) -> Result<Named<'_>, CliError> {
    let nothing = || CliError::Usage {
        problem: "neither a file nor a folder of tables is named".to_owned(),
        hint: "name files, or the folder with --tables DIR or COMITY_TABLES".to_owned(),
    };
    let path = global.tables.as_deref().ok_or_else(nothing)?;
    Ok(Named { path, folder: global.folder_of_tables()? })
}

/// A folder of tables, which may be malformed yet.
#[derive(Debug)]
struct Named<'a> {
    path: &'a Path,
    folder: Folder,
}

impl Named<'_> {
    /// The file of a table that is the folder's.
    fn file(&self, table: TableName) -> PathBuf {
        self.path.join(format!("{}.toml", table.as_str()))
    }
}
