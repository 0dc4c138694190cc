//! Logging to stderr, for people or for programs.

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
pub fn init(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let parsed = read(filter)?;
    let lines = fmt().with_env_filter(parsed).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.with_ansi(false).finish().try_init()?,
        LogFormat::Json => lines.json().flatten_event(true).finish().try_init()?,
    }
    Ok(())
}

/// The filter that was asked for, which has the last word.
fn read(filter: &str) -> Result<EnvFilter, TelemetryError> {
    let parsed = format!("{BY_STRANGERS},{filter}").parse::<EnvFilter>();
    parsed.map_err(|source| TelemetryError::Filter { filter: filter.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_write_no_warnings_into_the_log_unless_it_is_asked_for() {
        assert_eq!(read("info").unwrap().to_string(), "h2=error,info");
        assert_eq!(read("info,h2=debug").unwrap().to_string(), "h2=debug,info");
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_named() {
        let refused = init(LogFormat::Text, "info,[broken").unwrap_err();
        assert!(refused.to_string().starts_with("\"info,[broken\" is not a log filter"), "{refused}");
    }
}
