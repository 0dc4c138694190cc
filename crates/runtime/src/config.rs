//! TOML files, read into types that refuse what they do not know, with errors that show the place.

mod locate;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use comity_types::Distinct;
use serde::de::DeserializeOwned;

/// Largest configuration file, in bytes: far above any that a person writes.
pub const MAX_CONFIG_BYTES: u64 = 1024 * 1024;

/// Why a configuration file is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {} (hint: {})", .file.display(), unreadable_hint(.source.kind()))]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is larger than [`MAX_CONFIG_BYTES`].
    #[error("{} has {bytes} bytes where at most {MAX_CONFIG_BYTES} are allowed", .file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// Something in it is wrong.
    #[error(transparent)]
    Mistake(Box<Mistake>),
}

/// What is wrong in a configuration file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// The path of the key, such as `backend[0].url`; empty at the top of the file.
    pub key: String,
    /// What is wrong and what was expected.
    pub problem: String,
    /// The line itself, with a mark below, to be printed as it is.
    pub frame: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file.display(), self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}\n{}", self.problem, self.frame)
    }
}

impl std::error::Error for Mistake {}

/// What mends most failures to read a file that a person wrote.
#[must_use]
pub fn unreadable_hint(kind: io::ErrorKind) -> &'static str {
    const HINTS: &[(io::ErrorKind, &str)] = &[
        (io::ErrorKind::PermissionDenied, "check whose it is, and its mode"),
        (io::ErrorKind::IsADirectory, "that is a folder: name the file in it"),
        (io::ErrorKind::InvalidData, "it has to be text in UTF-8"),
    ];
    let known = HINTS.iter().find(|(known, _)| *known == kind);
    known.map_or("check the path: it is relative to the folder that the program was started in", |(_, hint)| hint)
}

/// The line of a value in `text`, counted from 1. `keys` leads to it; of an array of tables, the key is the index.
/// Where the last of the keys are not there, the line of the table that lacks them; `None` where nothing is.
#[must_use]
pub fn line_of(text: &str, keys: &[&str]) -> Option<usize> {
    locate::line_of(text, keys)
}

/// Reads `path`.
///
/// # Errors
/// It cannot be read, is not TOML, is not a `T`, or has something twice in one of its lists.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { file: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > MAX_CONFIG_BYTES {
        return Err(ConfigError::TooLarge { file: path.to_owned(), bytes });
    }
    parse(path, &std::fs::read_to_string(path).map_err(unreadable)?)
}

/// Where in `text`, which stands in `file`, the parser found something wrong, and what.
#[must_use]
pub fn mistake(file: &Path, text: &str, error: &toml::de::Error) -> Mistake {
    locate::mistake(file, text, error)
}

/// Reads `text`, which stands in `file`.
///
/// # Errors
/// It is not TOML, is not a `T`, or has something twice in one of its lists.
pub fn parse<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T, ConfigError> {
    let read = || {
        let value = toml::from_str(text)?;
        toml::from_str::<Distinct>(text)?;
        Ok(value)
    };
    read().map_err(|error| ConfigError::Mistake(Box::new(locate::mistake(file, text, &error))))
}
