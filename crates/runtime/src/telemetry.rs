//! Logging to stderr, for people or for programs.

use std::sync::Arc;

use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// What is left out unless it is asked for: the h2 crate warns of every odd frame of a peer, which is as many lines as a
/// stranger likes to send.
const BY_STRANGERS: &str = "h2=error";

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One line for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logging cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not in the syntax of tracing's `EnvFilter`.
    #[error("{filter:?} is not a log filter (hint: write a level such as \"info\", or \"info,comity_broker=debug\")")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: ParseError,
    },
    /// Something in the process logs already.
    #[error("logging was set up already")]
    Twice(#[from] TryInitError),
}

/// Sends what passes `filter` to stderr, from here to the end of the process.
///
/// # Errors
/// The filter cannot be read, or logging was set up before.
pub fn init(format: LogFormat, filter: &str) -> Result<Filter, TelemetryError> {
    let lines = fmt().with_env_filter(parse(filter)?).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => {
            let lines = lines.with_ansi(false).with_filter_reloading();
            let (handle, lines) = (lines.reload_handle(), lines.finish());
            lines.try_init()?;
            Ok(Filter::new(move |filter| handle.reload(filter).is_ok()))
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_filter_reloading();
            let (handle, lines) = (lines.reload_handle(), lines.finish());
            lines.try_init()?;
            Ok(Filter::new(move |filter| handle.reload(filter).is_ok()))
        }
    }
}

/// Says whether a filter can be read.
///
/// # Errors
/// It cannot.
pub fn check(filter: &str) -> Result<(), TelemetryError> {
    parse(filter).map(drop)
}

/// The filter that was asked for, which has the last word.
fn parse(filter: &str) -> Result<EnvFilter, TelemetryError> {
    let parsed = format!("{BY_STRANGERS},{filter}").parse();
    parsed.map_err(|source| TelemetryError::Filter { filter: filter.to_owned(), source })
}

/// Changes what is logged. That of [`Default`] changes nothing: for programs that do not log by [`init`].
#[derive(Clone, Default)]
pub struct Filter(Option<Arc<dyn Fn(EnvFilter) -> bool + Send + Sync>>);

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Filter").finish_non_exhaustive()
    }
}

impl Filter {
    fn new(set: impl Fn(EnvFilter) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(set)))
    }

    /// Logs what passes `filter` from here on.
    ///
    /// # Errors
    /// It cannot be read; nothing has changed.
    pub fn set(&self, filter: &str) -> Result<(), TelemetryError> {
        let parsed = parse(filter)?;
        // It is refused only where the subscriber is gone, and nobody logs any more.
        let _set = self.0.as_ref().is_some_and(|set| set(parsed));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_write_no_warnings_into_the_log_unless_it_is_asked_for() {
        assert_eq!(parse("info").unwrap().to_string(), "h2=error,info");
        assert_eq!(parse("info,h2=debug").unwrap().to_string(), "h2=debug,info");
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_named() {
        for refused in [
            init(LogFormat::Text, "info,[broken").map(drop),
            check("info,[broken"),
            Filter::default().set("info,[broken"),
        ] {
            let refused = refused.unwrap_err();
            assert!(refused.to_string().starts_with("\"info,[broken\" is not a log filter"), "{refused}");
        }
    }
}
