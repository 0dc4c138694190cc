//! What may be used, and what is left of it.

pub(crate) mod list;

use clap::Subcommand;

/// What may be used, and what is left of it.
#[derive(Debug, Subcommand)]
pub(crate) enum Budget {
    /// List the accounts of your organisation; all of them, for operators of the federation
    List,
}
