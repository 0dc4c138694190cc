//! The broker of a Comity federation: it decides which node may have a request, and relays it there.
//!
//! ```text
//! accept (TLS) ─▶ edge ─▶ rpc ─┬─▶ access ─▶ links ─▶ nodes      a request for inference
//!                              └─▶ registry                      everything about members
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`broker`] | the broker as a whole: built, run, drained |
//! | [`bundles`] | every organisation's authorities, for whoever asks |
//! | [`config`] | `broker.toml` |
//! | [`data_dir`] | its files, and whether a broker can be started from them |
//! | [`founding`] | what the data directory was founded with |
//! | [`certificate`] | the broker's own certificate |
//! | [`edge`] | who may call what, before a message is read |
//! | [`rpc`] | one thin file per service |
//! | [`registry`] | members, enrolments, hosted authorities |
//! | [`access`] | the life of one request |
//! | `health` | whether anybody can believe who the broker is, and it can decide |
//! | [`ledger`] | what is kept for good |
//! | [`links`] | the connections to nodes |
//! | [`reload`] | what of `broker.toml` can change while it runs |
//! | [`metrics`] | every metric: name, labels, unit |
//! | `steady` | the time that is stamped |

pub mod access;
pub mod broker;
pub mod budgets;
pub mod bundles;
pub mod certificate;
pub mod config;
pub mod data_dir;
pub mod edge;
pub mod founding;
mod health;
pub mod ledger;
pub mod links;
pub mod memory;
pub mod metrics;
pub mod registry;
pub mod reload;
mod routes;
pub mod rpc;
mod steady;
#[cfg(test)]
mod testing;

pub use broker::{Broker, BrokerError};
pub use config::Config;
