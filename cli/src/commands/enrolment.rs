//! Enrolments that wait for operators, and open invites.

pub(crate) mod approve;
pub(crate) mod list;
pub(crate) mod offers;
pub(crate) mod reject;
mod show;

use clap::Subcommand;

use crate::args::Global;
use crate::error::CliError;

/// Enrolments that wait for approval, and invites that nobody has taken up.
#[derive(Debug, Subcommand)]
pub(crate) enum Enrolment {
    /// List them: to operators those that wait first, the oldest at the head; to an organisation the open invites of its own
    List(list::ListArgs),
    /// Show one, with all that a new organisation states and demands, and the offers that it means to publish (operators)
    Show {
        /// Its id as `comity enrolment list` shows it
        id: String,
    },
}

/// Does what is asked.
pub(crate) async fn run(command: &Enrolment, global: &Global) -> Result<(), CliError> {
    match command {
        Enrolment::List(args) => list::run(args, global).await,
        Enrolment::Show { id } => show::run(id, global).await,
    }
}
