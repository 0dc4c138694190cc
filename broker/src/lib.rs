//! The broker of a Comity federation: it decides which node may have a request, and relays it there.

pub mod access;
pub mod config;
pub mod edge;
pub mod ledger;
pub mod links;
pub mod metrics;
pub mod registry;
pub mod rpc;
