//! A node: serves an organisation's models to the federation it belongs to.
//!
//! ```text
//! broker ──mTLS──▶ serve: guard (permit, own terms) ─▶ backend ─▶ meter ──▶ broker
//!    ▲ └──statements──▶ replica
//!    └──offers── link, renewal
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`node`] | the node as a whole: built, run, drained |
//! | [`serve`] | the main flow of a request |
//! | [`guard`] | whether a request comes with a permit for exactly it |
//! | [`replica`] | the node's own copy of the federation's state |
//! | [`link`] | publishing offers |
//! | [`health`] | whether the node serves, and why not |
//! | [`renewal`] | fresh certificates, in time |
//! | [`workload`] | certificates that a Workload API hands out |
//! | [`backend`] | model servers and embedded models behind one trait |
//! | [`config`] | `node.toml` |
//! | [`reload`] | what of it can change while the node runs |
//! | [`join`] | taking up an invite |
//! | [`check`] | what is wrong, before anybody else sees it |
//! | [`model`] | fetching and keeping GGUF files |
//! | [`witness`] | the node as a witness of the federation's logs |
//! | [`retry`] | when to ask the broker again, and whether to speak of it |

pub mod backend;
pub mod check;
pub mod config;
mod files;
pub mod guard;
pub mod health;
pub mod join;
pub mod link;
pub mod log_watch;
pub mod metrics;
pub mod model;
pub mod node;
pub mod reload;
pub mod renewal;
pub mod replica;
pub mod retry;
pub mod serve;
#[cfg(test)]
mod testing;
pub mod witness;
pub mod workload;

pub use config::Config;
pub use node::{Node, NodeError};

pub(crate) use comity_runtime::chain::text as error_chain;
