//! The tables that a program decides by: those that ship, or those of a federation's own folder.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use comity_policy::Tables;
use comity_policy::tables::{Folder, MAX_TABLE_BYTES, TableError, TableName, UnknownTable};

use crate::config::{Mistake, mistake, unreadable_hint};

/// Why a folder of tables cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TablesError {
    /// The folder or a file in it cannot be read.
    #[error("cannot read {} (hint: {})", .path.display(), unreadable_hint(.source.kind()))]
    Unreadable {
        /// The folder, or the file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file ends as tables do, and is named like none.
    #[error("{}", .file.display())]
    Unknown {
        /// The file.
        file: PathBuf,
        /// The names that there are.
        #[source]
        source: UnknownTable,
    },
    /// There is no table in it.
    #[error("{} has no table in it (hint: name the folder with the tables, or leave it out to decide by those that ship)", .0.display())]
    Empty(PathBuf),
    /// A file is larger than [`MAX_TABLE_BYTES`].
    #[error("{} has more than {MAX_TABLE_BYTES} bytes, which is the most that a table may have", .0.display())]
    TooLarge(PathBuf),
    /// A file is not of its table's form: the line, the row and the field.
    #[error(transparent)]
    Malformed(Box<Mistake>),
    /// A row contradicts itself or another one.
    #[error("{}: {row}: {problem} (hint: `comity table check` checks a table after you mended it)", .file.display())]
    Row {
        /// The file.
        file: PathBuf,
        /// The row's name.
        row: String,
        /// What is wrong, with the field.
        problem: String,
    },
    /// The tables that ship cannot be read, which a test refutes.
    #[error("the tables that ship cannot be read")]
    Shipped(#[source] TableError),
}

/// The tables of `folder`, or those that ship where there is none.
///
/// # Errors
/// The folder cannot be used: the file, the row and the field.
pub fn load(folder: Option<&Path>) -> Result<Arc<Tables>, TablesError> {
    match folder {
        None => Folder::default().parse().map(Arc::new).map_err(TablesError::Shipped),
        Some(path) => tables(path, &read(path)?).map(Arc::new),
    }
}

/// The texts of a folder's tables. What is not named `*.toml` is passed over.
///
/// # Errors
/// A file cannot be read, is too large, or is named like no table; or there is none.
pub fn read(path: &Path) -> Result<Folder, TablesError> {
    let unreadable = |source| TablesError::Unreadable { path: path.to_owned(), source };
    let mut folder = Folder::default();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match Folder::table_of(&name) {
            Ok(Some(table)) => folder.put(table, text(&file)?),
            Ok(None) => {}
            Err(source) => return Err(TablesError::Unknown { file, source }),
        }
    }
    if folder.is_empty() { Err(TablesError::Empty(path.to_owned())) } else { Ok(folder) }
}

/// The tables of a folder that was read from `path`.
///
/// # Errors
/// A table is malformed: the file, the row and the field.
pub fn tables(path: &Path, folder: &Folder) -> Result<Tables, TablesError> {
    let file = |table: &str| path.join(format!("{table}.toml"));
    folder.parse().map_err(|error| match error {
        TableError::Row { table, row, problem } => TablesError::Row { file: file(table), row, problem },
        TableError::Malformed { table, source } => {
            let text = TableName::ALL.iter().find(|name| name.as_str() == table).map_or("", |name| folder.text(*name));
            TablesError::Malformed(Box::new(mistake(&file(table), text, &source)))
        }
    })
}

/// Says in the log which tables are in force. Whoever compares two programs' logs sees whether they decide alike.
pub fn announce(tables: &Tables) {
    let changed: Vec<_> = tables.changed().map(TableName::as_str).collect();
    tracing::info!(tables.sha256 = %tables.digest(), tables.own = changed.join(","), "tables are in force");
}

fn text(file: &Path) -> Result<String, TablesError> {
    let unreadable = |source| TablesError::Unreadable { path: file.to_owned(), source };
    let mut bytes = Vec::new();
    // One byte more than is accepted, so that what is too long is seen, and nothing beyond it is read.
    let mut bounded = File::open(file).map_err(unreadable)?.take(MAX_TABLE_BYTES.saturating_add(1));
    let length = bounded.read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(length).is_ok_and(|length| length <= MAX_TABLE_BYTES) {
        let not_text = |error| unreadable(io::Error::new(io::ErrorKind::InvalidData, error));
        return String::from_utf8(bytes).map_err(not_text);
    }
    Err(TablesError::TooLarge(file.to_owned()))
}

#[cfg(test)]
mod tests;
