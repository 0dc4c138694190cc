//! `comity log show --decisions` and `comity log verify --decisions`.

use std::path::Path;

use comity_client::decisions::{DecisionLog, Files, Folder, FromBroker};
use comity_proto::convert::wire_instant;
use comity_proto::transparency::ListReceiptsRequest;
use comity_transparency::leaf::Kind;
use comity_transparency::receipt::{Verified, VerifiedLeaf};
use comity_types::Timestamp;
use serde_json::json;

use super::verify::pinned;
use super::watch::{disbelieved, verified};
use crate::args::Global;
use crate::commands::audit::{list, row::Row};
use crate::error::CliError;
use crate::output::say;
use crate::session::Session;

/// A decision in a list.
pub(super) struct Line {
    row: Row,
    /// The leaf that it ended with: its outcome's, or its own where it is a refusal; none while it runs.
    pub(super) end: Option<u64>,
}

impl Line {
    fn of(verified: &Verified) -> Self {
        let row = Row::of(verified);
        let outcome = verified.outcome().map(VerifiedLeaf::index);
        // Of one whose record is erased nobody can tell whether something is to become of it.
        let ended = matches!(row.result, "refused" | "erased").then_some(row.leaf);
        Self { row, end: outcome.or(ended) }
    }

    /// For people: what counts most.
    pub(super) fn cells(&self) -> Vec<String> {
        let Row { at, decision, result, caller, model, offer, jurisdiction, leaf, .. } = &self.row;
        let known = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        let leaf = leaf.to_string();
        [&leaf, at, *result, decision, caller, model, offer, jurisdiction].map(known).to_vec()
    }

    /// For programs: a line, with the columns of `comity audit` but its `contradiction`: nothing is held against the
    /// federation's log here.
    pub(super) fn json(&self) -> Result<String, CliError> {
        let json = serde_json::to_string(&self.row);
        json.map_err(|source| CliError::System { doing: "write JSON", source: source.into() })
    }
}

/// Lists the decisions that the caller may see, with a leaf at `first` or behind it, each proven.
pub(super) async fn receipts(session: &Session, first: u64, mut each: impl FnMut(Line)) -> Result<(), CliError> {
    let begin = Timestamp::from_millis(0).ok().map(wire_instant);
    let request = ListReceiptsRequest { from: begin, to: None, organisation: String::new(), first_leaf: first };
    list(session, request, |_, verified| each(Line::of(verified))).await
}

/// Lists decisions.
pub(super) async fn show(first: u64, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let mut lines = Vec::new();
    receipts(&session, first, |line| lines.push(line)).await?;
    let header = ["leaf", "at", "result", "decision", "caller", "model", "offer", "jurisdiction"];
    let rows = lines.iter().map(Line::cells).collect();
    let json: Vec<&Row> = lines.iter().map(|line| &line.row).collect();
    global.output.list(&header, rows, &json)
}

/// Verifies the broker's decision log from its first leaf on.
pub(super) async fn verify(global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let log = DecisionLog::of(session.identity().root());
    all_of(&log, &mut FromBroker::new(session.connection()), global).await
}

/// Verifies a copy of its folder.
pub(super) async fn verify_folder(dir: &Path, root: Option<&Path>, global: &Global) -> Result<(), CliError> {
    let (root, _) = pinned(root, global)?;
    all_of(&DecisionLog::of(&root), &mut Folder::new(dir.to_owned()), global).await
}

async fn all_of(log: &DecisionLog, files: &mut impl Files, global: &Global) -> Result<(), CliError> {
    let (mut decisions, mut outcomes, mut aborts) = (0_u64, 0_u64, 0_u64);
    let seen = verified(log, files, None, |_, leaf| match leaf.kind {
        Kind::Decision => decisions += 1,
        Kind::Outcome { .. } => outcomes += 1,
        Kind::Abort { .. } => aborts += 1,
    });
    let seen = seen.await.map_err(|error| disbelieved(error, "tell the operators of the federation".to_owned()))?;
    let (size, root, origin) = (seen.checkpoint().size, seen.checkpoint().root, &seen.checkpoint().origin);
    let fields = vec![
        ("verified", origin.clone()),
        ("leaves", size.to_string()),
        ("decisions", decisions.to_string()),
        ("outcomes", outcomes.to_string()),
        ("aborted", aborts.to_string()),
        ("root", root.to_string()),
    ];
    let json = json!({ "verified": origin, "leaves": size, "decisions": decisions, "outcomes": outcomes, "aborted": aborts, "root": root });
    global.output.record(fields, &json)?;
    say("every leaf was hashed, and they lead to the root that the log's key signed");
    Ok(())
}
