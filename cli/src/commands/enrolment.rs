//! Enrolments that wait for operators.

pub(crate) mod approve;
pub(crate) mod list;
pub(crate) mod reject;

use clap::Subcommand;

/// Enrolments that wait for approval.
#[derive(Debug, Subcommand)]
pub(crate) enum Enrolment {
    /// List them, oldest first (operators)
    List,
}
