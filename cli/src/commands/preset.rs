//! Requirements that have a name; they are part of the program, so nobody is asked.

mod list;
mod show;

use clap::Subcommand;

use crate::error::CliError;
use crate::output::Format;

/// Requirements that have a name.
#[derive(Debug, Subcommand)]
pub(crate) enum Preset {
    /// List them
    List,
    /// Show what one demands, as a file of requirements: TOML, or with `-o json` an Envelope
    Show {
        /// Its name
        name: String,
    },
}

/// Does what is asked.
pub(crate) fn run(command: &Preset, output: Format) -> Result<(), CliError> {
    match command {
        Preset::List => list::run(output),
        Preset::Show { name } => show::run(name, output),
    }
}
