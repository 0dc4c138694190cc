//! `comity table export`.

use std::path::Path;

use super::adoption::of_log;
use crate::args::Global;
use crate::error::CliError;
use crate::output::say;

/// Writes what the federation decides by. Files of other names in the folder stay.
pub(super) async fn run(dir: &Path, at_epoch: Option<u64>, global: &Global) -> Result<(), CliError> {
    let adopted = of_log(at_epoch, global).await?;
    std::fs::create_dir_all(dir).map_err(|source| unwritten(dir, source))?;
    for (table, text) in &adopted.texts {
        let file = dir.join(format!("{table}.toml"));
        std::fs::write(&file, text).map_err(|source| unwritten(&file, source))?;
    }
    say(&format!("the tables of epoch {} are in {}", adopted.epoch, dir.display()));
    Ok(())
}

fn unwritten(path: &Path, source: std::io::Error) -> CliError {
    CliError::File { doing: "write", path: path.to_owned(), source }
}
