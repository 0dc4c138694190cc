//! The skeleton that the broker and the node share: how a program starts, logs, listens, dials and stops.
//!
//! ```text
//! config::load ─▶ telemetry::init ─▶ accept::Listener ─▶ (the program's own service) ─▶ shutdown::requested ─▶ Tasks::close
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`clock`] | the system's time |
//! | [`config`] | TOML files, with errors that show the line |
//! | [`tables`] | the tables that a program decides by, from its folder |
//! | [`genesis`] | the founding of the membership log, from the root document |
//! | [`health`] | what a node says of itself, in a file |
//! | [`fair`] | places that many share, and nobody takes all of |
//! | [`metrics`] | what a program counts, for whoever watches it |
//! | [`quotas`] | what callers have used today of offers that state a quota |
//! | [`observe`] | what is told of a call that has ended |
//! | [`access_log`] | the same as a line |
//! | [`traces`] | the same as spans, on their way to a collector |
//! | [`telemetry`] | logging to stderr |
//! | [`executor`] | what tasks run on |
//! | [`tasks`] | the only place where tasks are spawned |
//! | [`shutdown`] | the signals that end a program |
//! | [`accept`] | connections that are taken, over TLS |
//! | [`dial`] | connections that are made, over TLS |
//! | [`until`] | connections that end at an instant |
//! | [`socket`] | TCP below TLS, which reads ahead |
//! | [`batched`] | what is written in one turn leaves together |
//! | [`calm`] | what a peer may ask of HTTP/2 beside its calls |
//! | [`trailers`] | trailing metadata that a handler adds |
//! | [`web`] | plain HTTP, beside gRPC |
//! | [`files`] | files that are whole or absent after a crash |
//! | [`chain`] | an error and all that caused it, as text |

pub mod accept;
pub mod access_log;
pub mod batched;
pub mod calm;
pub mod chain;
pub mod clock;
pub mod config;
pub mod dial;
pub mod executor;
pub mod fair;
pub mod files;
pub mod genesis;
pub mod health;
pub mod metrics;
pub mod observe;
pub mod quotas;
pub mod shutdown;
pub mod socket;
pub mod tables;
pub mod tasks;
pub mod telemetry;
pub mod traces;
pub mod trailers;
pub mod until;
pub mod web;

#[cfg(test)]
mod testing;
