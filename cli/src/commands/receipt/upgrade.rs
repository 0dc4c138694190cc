//! `comity receipt upgrade`.

use std::path::Path;

use comity_transparency::CheckpointNote;
use comity_transparency::leaf::Leaf;
use comity_transparency::receipt::Receipt;

use super::show::fetch;
use super::{read, write};
use crate::args::Global;
use crate::error::CliError;
use crate::output::say;
use crate::session::Session;

/// Fetches the proof of the same decision anew; what is shown of it stays as it was.
pub(super) async fn run(file: &Path, save: Option<&Path>, global: &Global) -> Result<(), CliError> {
    let old = read(file)?;
    let leaf = Leaf::from_bytes(&old.decision.leaf).map_err(|error| CliError::BadFile {
        path: file.to_owned(),
        expected: "a receipt of this federation",
        source: Box::new(error),
    })?;
    let session = Session::open(global).await?;
    let (new, verified) = fetch(&session, &leaf.decision.to_string()).await?;
    if verified.decision().leaf() != &leaf || verified.decision().index() != old.decision.index {
        return Err(CliError::Failed {
            problem: "the broker's log has another decision at that place now".to_owned(),
            hint: "keep both files: together they prove that the log was changed".to_owned(),
        });
    }
    let new = with_what_was_shown(new, &old);
    write(&new, save.unwrap_or(file))?;
    let (before, after) = (signatures(&old), signatures(&new));
    say(&format!("the checkpoint has {after} signatures now, and had {before}"));
    Ok(())
}

/// The new proof of what the holder was shown before: as much and no less, whatever the broker shows or has erased since.
fn with_what_was_shown(mut new: Receipt, old: &Receipt) -> Receipt {
    new.decision.record.clone_from(&old.decision.record);
    if let (Some(new), Some(old)) = (&mut new.outcome, &old.outcome)
        && new.leaf == old.leaf
    {
        new.record.clone_from(&old.record);
    }
    new
}

fn signatures(receipt: &Receipt) -> usize {
    CheckpointNote::parse(&receipt.checkpoint).map_or(0, |note| note.note().signatures().len())
}
