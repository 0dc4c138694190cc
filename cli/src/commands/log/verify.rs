//! `comity log verify` and `export`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use comity_client::follow::Followed;
use comity_identity::Root;
use comity_identity::store::ROOT_FILE;
use comity_membership::Log;
use comity_proto::membership::WatchResponse;
use comity_runtime::clock::SystemClock;
use indicatif::ProgressBar;
use serde_json::json;

use crate::args::Global;
use crate::error::CliError;
use crate::output::say;
use crate::session::Session;

/// What `--help` says about what is proven.
pub(super) const AFTER: &str = "\
What is proven: every statement was signed by those who had to sign it, in the state that all statements before it fold \
to; nothing was said twice, skipped or said of another federation; and the tree over the entries has the root that the \
broker signed. What is not: that the broker shows everybody the same log. Compare epoch and root with another member, or \
keep a file and verify it again later.

Exit status: 0 verified; 1 not to be believed; 2 a mistake or a fault.";
/// From how many entries on progress is shown: fewer are done in an instant.
const SHOW_PROGRESS_FROM: usize = 2_000;

/// Verifies what the broker shows.
pub(super) async fn online(global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let followed = session.log().await?;
    verified(followed.log(), true, global)
}

/// Verifies a file.
pub(super) fn offline(file: &Path, root: Option<&Path>, global: &Global) -> Result<(), CliError> {
    let path = root_path(root, global)?;
    let bytes = read(&path)?;
    let root = Root::from_json(&bytes).map_err(|error| CliError::BadFile {
        path,
        expected: "a federation's root document",
        source: Box::new(error),
    })?;
    let mut followed = Followed::new(&root, Root::digest(&bytes), Arc::new(SystemClock));
    let text = read(file)?;
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let shown = lines.len() >= SHOW_PROGRESS_FROM;
    let progress = if shown { ProgressBar::new(lines.len() as u64) } else { ProgressBar::hidden() };
    for line in lines {
        let epoch = followed.log().federation().epoch().saturating_add(1);
        let part = WatchResponse { epoch, entry: line.to_vec().into(), checkpoint: String::new() };
        followed.take(&part).map_err(|error| CliError::Failed {
            problem: format!("{} is not to be believed: {}", file.display(), comity_runtime::chain::text(&error)),
            hint: "an update of this program may know more kinds of statement; otherwise ask whoever gave you the file"
                .to_owned(),
        })?;
        progress.inc(1);
    }
    progress.finish_and_clear();
    verified(followed.log(), false, global)
}

/// Writes the verified log to a file.
pub(super) async fn export(file: &Path, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let mut text = Vec::new();
    let followed = session.log_with(|_, entry| text.extend([entry, b"\n"].concat())).await?;
    fs::write(file, &text).map_err(|source| CliError::File { doing: "write", path: file.to_owned(), source })?;
    verified(followed.log(), true, global)
}

fn verified(log: &Log, checkpoint: bool, global: &Global) -> Result<(), CliError> {
    let federation = log.federation();
    let (epoch, root) = (federation.epoch(), log.tree().root());
    let name = federation.name().map(ToString::to_string).unwrap_or_default();
    let fields = vec![
        ("verified", name.clone()),
        ("epoch", epoch.to_string()),
        ("root", root.to_string()),
        ("checkpoint", if checkpoint { "the broker's agrees" } else { "none was given" }.to_owned()),
    ];
    global
        .output
        .record(fields, &json!({ "verified": name, "epoch": epoch, "root": root, "checkpointAgrees": checkpoint }))?;
    say("every signature holds, and every statement follows from those before it");
    Ok(())
}

/// The root document that is named, or that of the identity.
fn root_path(root: Option<&Path>, global: &Global) -> Result<PathBuf, CliError> {
    let named = root.map(Path::to_owned).or_else(|| global.identity.as_ref().map(|dir| dir.join(ROOT_FILE)));
    named.ok_or_else(|| CliError::Usage {
        problem: "a file is verified from a root document, and none is named".to_owned(),
        hint: "name it with --root FILE, or an identity with --identity DIR".to_owned(),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    fs::read(path).map_err(|source| CliError::File { doing: "read", path: path.to_owned(), source })
}
