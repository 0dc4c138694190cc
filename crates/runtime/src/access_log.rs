//! The access log: a line for each call that has ended, to stderr or to a file, for whoever asks for it.
//!
//! Lines are written by a thread of their own, from a bounded queue: a disk that is full, or slow, costs lines, which are
//! counted, and one warning; it costs no call anything. What a line says is [`crate::observe`]'s.

#[cfg(test)]
mod tests;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use serde::Deserialize;

use self::writer::Writer;
use crate::metrics::Labels;

/// What a program's file says of its access log; none is written without it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where: a file, which is appended to; stderr if absent. Relative to the configuration.
    pub file: Option<PathBuf>,
    /// How lines look.
    #[serde(default)]
    pub format: Format,
}

/// How lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `key=value`, with spaces between.
    Text,
    /// One JSON object a line.
    #[default]
    Json,
}

impl Config {
    /// Takes a path that is relative as one below `folder`.
    pub fn anchor(&mut self, folder: &Path) {
        self.file = self.file.take().map(|file| folder.join(file));
    }
}

/// Counts lines by `outcome`: `written`, or `dropped`.
pub type Lines = Family<Labels<1>, Counter>;

/// The access log cannot be written from the start.
#[derive(Debug, thiserror::Error)]
#[error("access_log.file: cannot append to {} (hint: check the folder, whose it is, and its mode)", file.display())]
pub struct Unwritable {
    /// The file.
    pub file: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Takes lines. Clones are handles to the same.
#[derive(Debug, Clone)]
pub struct AccessLog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    format: Format,
    writer: Writer,
}

impl AccessLog {
    /// Opens the file, if there is one.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn start(config: &Config, lines: Lines) -> Result<Self, Unwritable> {
        let writer = Writer::start(config.file.clone(), lines);
        let writer = writer.map_err(|source| Unwritable { file: config.file.clone().unwrap_or_default(), source })?;
        Ok(Self(Arc::new(Inner { format: config.format, writer })))
    }

    /// Has a line written, or drops and counts it where too many wait.
    pub(crate) fn tell(&self, line: impl FnOnce(Format) -> String) {
        self.0.writer.tell(line(self.0.format));
    }

    /// Opens the file anew: it was moved away by whoever keeps it small.
    pub fn reopen(&self) {
        self.0.writer.reopen();
    }

    /// Waits until what was told so far is written, for no longer than `deadline`.
    pub async fn flush(&self, deadline: Duration) {
        self.0.writer.flush(deadline).await;
    }
}
