//! The skeleton that Comity's programs share: what surrounds their main flow.
//!
//! | module | holds |
//! |---|---|
//! | [`accept`] | listening, the TLS handshake, and the connections that come of it |
//! | [`clock`] | the system's clock, the only place that reads it |
//! | [`config`] | TOML files with errors that name line and field |
//! | [`dial`] | connections to others |
//! | [`shutdown`] | the wish of an operator that the program end |
//! | [`tasks`] | the only spawn, so that shutdown can wait |
//! | [`telemetry`] | logs |
//! | [`trailers`] | metadata after the last message |

pub mod accept;
pub mod clock;
pub mod config;
pub mod dial;
pub mod shutdown;
pub mod tasks;
pub mod telemetry;
pub mod trailers;
