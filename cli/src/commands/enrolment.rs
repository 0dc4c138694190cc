//! Enrolments that wait for operators, and open invites.

pub(crate) mod approve;
pub(crate) mod list;
pub(crate) mod reject;

use clap::Subcommand;

/// Enrolments that wait for approval, and invites that nobody has taken up.
#[derive(Debug, Subcommand)]
pub(crate) enum Enrolment {
    /// List them: those that wait first, the oldest at the head (operators)
    List,
}
