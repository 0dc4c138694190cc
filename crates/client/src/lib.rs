//! The Rust SDK of Comity: an identity, a connection to the federation's broker, and errors that people can read.
//!
//! ```text
//! invite ──enrol::join──▶ directory ──Identity::open──▶ Connection::open ──▶ channel() ──▶ any generated stub
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`identity`] | who this program is, read from a directory |
//! | [`workload_api`] | an identity that SPIRE, or another implementation of SPIFFE, hands out |
//! | [`connection`] | the way to the broker, as generated stubs take it |
//! | [`decisions`] | the broker's decision log, every leaf of it hashed here |
//! | [`enrol`] | taking up an invite, and fresh certificates |
//! | [`follow`] | the federation's log, every signature in it checked here |
//! | [`probe`] | the way to the broker, a step at a time, for whoever looks for what is wrong |
//! | [`receipt`] | receipts, checked here: what is proven and what is not |
//! | [`say`] | statements, signed here |
//! | [`error`] | what a status means, and how to mend it |
//! | [`founding`] | the files of a new federation |

pub mod connection;
pub mod decisions;
pub mod enrol;
pub mod error;
pub mod follow;
pub mod founding;
pub mod identity;
pub mod probe;
pub mod receipt;
pub mod say;
pub mod workload_api;

#[cfg(test)]
mod testing;

pub use connection::Connection;
pub use error::{Cause, Explanation, explain, split_hint};
pub use identity::Identity;
pub use workload_api::WorkloadApi;
