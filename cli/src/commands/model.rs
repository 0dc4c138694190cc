//! The models of the federation.

pub(crate) mod list;

use clap::Subcommand;

/// The models of the federation.
#[derive(Debug, Subcommand)]
pub(crate) enum Model {
    /// List them, as your organisation may see them
    List,
}
