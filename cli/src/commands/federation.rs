//! Federations.

pub(crate) mod init;

use clap::Subcommand;

/// Found a federation.
#[derive(Debug, Subcommand)]
pub(crate) enum Federation {
    /// Make the files of a new federation: its broker's, and its first operator's identity
    Init(init::InitArgs),
}
