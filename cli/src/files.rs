//! Files that people and programs write: TOML in the form of docs/policy.md, or the JSON form of a message.

use std::error::Error;
use std::path::Path;

use comity_proto::convert::WireError;
use comity_proto::json;
use prost::{Message, Name};

use crate::error::CliError;

/// Whether a file is JSON: by its name, or by how it begins, which no TOML does.
pub(crate) fn is_json(path: &Path, text: &str) -> bool {
    path.extension().is_some_and(|extension| extension == "json") || text.trim_start().starts_with('{')
}

/// A file's message.
pub(crate) fn message<M: Message + Name + Default>(
    path: &Path,
    expected: &'static str,
    text: &str,
) -> Result<M, CliError> {
    json::from_file(text).map_err(|error| wrong(path, expected, error))
}

/// A file's message, as what it means.
pub(crate) fn converted<M: Message + Name + Default, T>(
    path: &Path,
    expected: &'static str,
    text: &str,
    convert: impl FnOnce(M) -> Result<T, WireError>,
) -> Result<T, CliError> {
    convert(message(path, expected, text)?).map_err(|error| wrong(path, expected, error))
}

/// A file that is not what it should be.
pub(crate) fn wrong(path: &Path, expected: &'static str, error: impl Error + Send + Sync + 'static) -> CliError {
    CliError::BadFile { path: path.to_owned(), expected, source: Box::new(error) }
}
