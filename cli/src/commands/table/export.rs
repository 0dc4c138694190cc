//! `comity table export`.

use std::path::Path;

use comity_membership::federation::Adopted;

use super::adoption::{Texts, of_log, texts};
use crate::args::Global;
use crate::error::CliError;
use crate::output::say;
use crate::session::Session;

/// Writes what the federation decides by: the tables that ship, where it has adopted none yet, to be edited and adopted. Of
/// an epoch before that it is not said: nobody knows by which tables its programs decided. Files of other names in the
/// folder stay.
pub(super) async fn run(dir: &Path, at_epoch: Option<u64>, global: &Global) -> Result<(), CliError> {
    let (texts, said) = match at_epoch {
        Some(_) => of_epoch(&of_log(at_epoch, global).await?),
        None => {
            let followed = Session::open(global).await?.log().await?;
            let federation = followed.log().federation();
            let ships = || (texts(federation), "the federation has adopted none: the tables that ship".to_owned());
            federation.adopted().map_or_else(ships, of_epoch)
        }
    };
    std::fs::create_dir_all(dir).map_err(|source| unwritten(dir, source))?;
    for (table, text) in &texts {
        let file = dir.join(format!("{table}.toml"));
        std::fs::write(&file, text).map_err(|source| unwritten(&file, source))?;
    }
    say(&format!("{said} are in {}", dir.display()));
    Ok(())
}

fn of_epoch(adopted: &Adopted) -> (Texts, String) {
    (adopted.texts.clone(), format!("the tables of epoch {}", adopted.epoch))
}

fn unwritten(path: &Path, source: std::io::Error) -> CliError {
    CliError::File { doing: "write", path: path.to_owned(), source }
}
