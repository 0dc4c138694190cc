//! `comity receipt upgrade`.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use comity_client::decisions::{DecisionLog, DecisionsError, FilesError, FromBroker};
use comity_identity::Root;
use comity_runtime::chain;
use comity_transparency::CheckpointNote;
use comity_transparency::leaf::Leaf;
use comity_transparency::receipt::Receipt;

use super::show::{Told, believed, told};
use super::{read, write};
use crate::args::Global;
use crate::error::CliError;
use crate::output::say;
use crate::session::Session;

/// Most versions of the broker's that are kept beside a receipt.
const VERSIONS: u32 = 100;

/// Fetches the proof of the same decision anew; what is shown of it stays as it was. What goes against it replaces nothing.
pub(super) async fn run(file: &Path, save: Option<&Path>, global: &Global) -> Result<(), CliError> {
    let old = read(file)?;
    let leaf = Leaf::from_bytes(&old.decision.leaf).map_err(|error| CliError::BadFile {
        path: file.to_owned(),
        expected: "a receipt of this federation",
        source: Box::new(error),
    })?;
    let (session, decision) = (Session::open(global).await?, leaf.decision.to_string());
    let root = session.identity().root();
    believed(&old, &decision, root).map_err(|problem| CliError::Failed {
        problem: format!("{} is not to be believed: {problem}", file.display()),
        hint: "`comity receipt verify` says more; nothing was fetched".to_owned(),
    })?;
    let Told { receipt: new, .. } = told(&session, &decision).await?;
    let merged = merged(&old, &new, &decision, root).map_err(|problem| kept_beside(file, &new, &problem))?;
    if let Err(error) = continues(&session, &old, &new).await {
        // What connects the two could not be fetched: that says nothing against either.
        if let DecisionsError::Files(FilesError::Call(status)) = error {
            return Err(CliError::call("fetch what connects the checkpoints", *status));
        }
        return Err(kept_beside(file, &new, &chain::text(&error)));
    }
    let (before, after) = (signatures(&old), signatures(&merged));
    if after < before {
        return Err(CliError::Failed {
            problem: format!(
                "the broker's checkpoint has {after} signatures, and that of {} has {before}",
                file.display()
            ),
            hint: "nothing was changed; try again when the witnesses have cosigned".to_owned(),
        });
    }
    write(&merged, save.unwrap_or(file))?;
    say(&format!("the checkpoint has {after} signatures now, and had {before}; it is of the same log"));
    Ok(())
}

/// The broker's receipt with what the holder was shown before: as much and no less, whatever the broker shows or has erased
/// since. It holds, and says what the old one said.
fn merged(old: &Receipt, new: &Receipt, decision: &str, root: &Root) -> Result<Receipt, String> {
    believed(new, decision, root)?;
    if let Some(problem) = other_ends(old, new) {
        return Err(problem);
    }
    let mut merged = new.clone();
    merged.decision.record.clone_from(&old.decision.record);
    if let (Some(merged), Some(old)) = (&mut merged.outcome, &old.outcome) {
        merged.record.clone_from(&old.record);
    }
    believed(&merged, decision, root)?;
    Ok(merged)
}

/// What one receipt of a decision says that another does not: where its leaf is and what it says, and what became of it. One
/// that had no outcome yet may have one later.
pub(super) fn other_ends(old: &Receipt, new: &Receipt) -> Option<String> {
    let place = |leaf: &comity_transparency::receipt::Proven| (leaf.index, leaf.leaf.clone());
    if place(&old.decision) != place(&new.decision) {
        return Some(format!(
            "it has the decision at leaf {}, and the one that is kept has another at leaf {}",
            new.decision.index, old.decision.index
        ));
    }
    let old = old.outcome.as_ref()?;
    match &new.outcome {
        Some(new) if place(new) == place(old) => None,
        Some(new) => Some(format!(
            "it says at leaf {} what became of the decision, and the one that is kept says something else at leaf {}",
            new.index, old.index
        )),
        None => Some(format!("it says nothing of what became of the decision, which is leaf {} of the log", old.index)),
    }
}

/// Whether the log of the one checkpoint is that of the other, by proof.
async fn continues(session: &Session, old: &Receipt, new: &Receipt) -> Result<(), DecisionsError> {
    let log = DecisionLog::of(session.identity().root());
    let mut both = [log.signed(&old.checkpoint)?, log.signed(&new.checkpoint)?];
    // A cosigned checkpoint may be of fewer leaves than the one that an answer ended with.
    both.sort_by_key(|note| note.checkpoint().size);
    let [smaller, larger] = both;
    log.hold(&mut FromBroker::new(session.connection()), &larger, &[smaller], |_| {}).await
}

/// Keeps the broker's version beside the file that it goes against: together they prove what the broker did.
pub(super) fn kept_beside(file: &Path, receipt: &Receipt, problem: &str) -> CliError {
    let hint = match beside(file, receipt) {
        Ok(path) => format!(
            "{} is as it was, and the broker's version is kept in {}: show both to the operators of the federation",
            file.display(),
            path.display()
        ),
        Err(error) => format!(
            "{} is as it was, and the broker's version could not be kept beside it ({error}): tell the operators of the federation",
            file.display()
        ),
    };
    CliError::Failed { problem: format!("the broker's receipt is not to be believed: {problem}"), hint }
}

/// Writes it beside, over no other.
fn beside(file: &Path, receipt: &Receipt) -> std::io::Result<PathBuf> {
    let text = receipt.to_file().map_err(std::io::Error::other)?;
    for number in 1..=VERSIONS {
        let path = PathBuf::from(format!("{}.broker-{number}", file.display()));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => return file.write_all(text.as_bytes()).map(|()| path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(std::io::Error::other(format!("there are {VERSIONS} already")))
}

fn signatures(receipt: &Receipt) -> usize {
    CheckpointNote::parse(&receipt.checkpoint).map_or(0, |note| note.note().signatures().len())
}

#[cfg(test)]
mod tests;
