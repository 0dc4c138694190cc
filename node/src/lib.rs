//! A node: serves an organisation's models to the federation it belongs to.
//!
//! ```text
//! broker ──mTLS──▶ serve: guard (permit, own terms) ─▶ backend ─▶ meter ──▶ broker
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`backend`] | model servers and embedded models behind one trait |
//! | [`config`] | `node.toml` |
//! | [`guard`] | whether a request comes with a permit for exactly it |
//! | [`model`] | fetching and keeping GGUF files |

pub mod backend;
pub mod config;
pub mod guard;
pub mod model;
