//! `comity man`: the manual page of the program or of one of its commands.

use clap::{Args, Command, CommandFactory};

use crate::args::Cli;
use crate::error::CliError;
use crate::output::print;

/// Print the manual page.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The command to print it of, such as `offer list`; none for the program
    command: Vec<String>,
}

/// Prints it.
pub(crate) fn run(args: &ManArgs) -> Result<(), CliError> {
    let mut program = Cli::command();
    program.build();
    let command = args.command.iter().try_fold(&program, |command, name| command.find_subcommand(name));
    let missing = || CliError::NotFound { kind: "command", name: args.command.join(" "), list: "comity --help" };
    print(&page(command.ok_or_else(missing)?)?)
}

fn page(command: &Command) -> Result<String, CliError> {
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(command.clone()).render(&mut page);
    rendered.map_err(|source| CliError::System { doing: "write the manual page", source })?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
