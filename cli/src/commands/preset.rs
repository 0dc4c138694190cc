//! Requirements that have a name; they are a table, so nobody is asked.

mod list;
mod show;

use clap::Subcommand;

use crate::args::Global;
use crate::error::CliError;

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
pub(crate) fn run(command: &Preset, global: &Global) -> Result<(), CliError> {
    match command {
        Preset::List => list::run(&*global.tables()?, global.output),
        Preset::Show { name } => show::run(name, &*global.tables()?, global.output),
    }
}
