//! `comity demo`: a federation on this machine, and a story.

use std::path::PathBuf;

use clap::Args;

use crate::error::CliError;

/// Show a whole federation on this machine.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// End after the story; 0 if every step went as it should
    #[arg(long)]
    once: bool,
    /// Keep everything in this directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Plays the story.
pub(crate) async fn run(args: DemoArgs) -> Result<(), CliError> {
    let DemoArgs { once: _, dir: _ } = args;
    let problem = "this build of comity has no demo yet".to_owned();
    Err(CliError::Usage { problem, hint: "see the README for the commands that it will run".to_owned() })
}
