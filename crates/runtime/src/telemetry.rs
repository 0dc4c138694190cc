//! Logs, on standard error: standard output is for data.

use std::str::FromStr;

use comity_types::Invalid;
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

impl FromStr for LogFormat {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(Invalid::new(text, "a log format: text or json")),
        }
    }
}

/// Starts logging; a second call changes nothing. `filter` is as of the `RUST_LOG` convention, such as `info`.
///
/// # Errors
/// If the filter cannot be read.
pub fn init(format: LogFormat, filter: &str) -> Result<(), Invalid> {
    let filter = EnvFilter::try_new(filter).map_err(|_| Invalid::new(filter, "a log filter such as info or comity_broker=debug"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let already_logging = match format {
        LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    drop(already_logging);
    Ok(())
}
