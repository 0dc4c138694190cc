//! `comity log show --decisions` and `comity log verify --decisions`.

use std::path::Path;

use comity_client::decisions::{DecisionLog, Files, Folder, FromBroker, Seen};
use comity_client::witnessed::cosigned_by;
use comity_proto::convert::wire_instant;
use comity_proto::transparency::ListReceiptsRequest;
use comity_transparency::leaf::Kind;
use comity_transparency::receipt::VerifiedLeaf;
use comity_types::Timestamp;
use serde_json::json;

use super::verify::{Seen as ByPolicy, pinned};
use super::watch::{disbelieved, verified};
use crate::args::Global;
use crate::commands::audit::{Listed, list, row::Row};
use crate::error::CliError;
use crate::output::say;
use crate::progress::Progress;
use crate::session::Session;

/// A decision in a list.
pub(super) struct Line {
    row: Row,
    /// The leaf that it ended with: its outcome's, or its own where it is a refusal; none while it runs.
    pub(super) end: Option<u64>,
    /// What is wrong with it, if something is.
    problem: Option<String>,
}

impl Line {
    fn of(listed: Listed) -> Self {
        let row = Row::listed(&listed);
        let outcome = listed.proven.as_ref().and_then(|(_, verified)| verified.outcome()).map(VerifiedLeaf::index);
        // Of one whose record is erased or damaged nobody can tell whether something is to become of it.
        let ended = matches!(row.result, "refused" | "erased" | "damaged" | "unproven").then_some(row.leaf);
        Self { row, end: outcome.or(ended), problem: listed.problem }
    }

    /// What is wrong with it, with its leaf.
    pub(super) fn problem(&self) -> Option<String> {
        Some(format!("leaf {}: {}", self.row.leaf, self.problem.as_ref()?))
    }

    /// For people: what counts most.
    pub(super) fn cells(&self) -> Vec<String> {
        let Row { at, decision, result, caller, model, offer, jurisdiction, leaf, .. } = &self.row;
        let known = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        let leaf = leaf.to_string();
        [&leaf, at, *result, decision, caller, model, offer, jurisdiction].map(known).to_vec()
    }

    /// For programs: a line, with those columns of `comity audit` that say what is recorded: nothing is held against the
    /// federation's log here.
    pub(super) fn json(&self) -> Result<String, CliError> {
        let json = serde_json::to_string(&self.row);
        json.map_err(|source| CliError::System { doing: "write JSON", source: source.into() })
    }
}

/// The decisions that the caller may see, with a leaf at `first` or behind it, each proven, oldest first.
pub(super) async fn receipts(session: &Session, first: u64) -> Result<Vec<Line>, CliError> {
    let begin = Timestamp::from_millis(0).ok().map(wire_instant);
    let request = ListReceiptsRequest { from: begin, to: None, organisation: String::new(), first_leaf: first };
    let mut lines = Vec::new();
    list(session, request, |listed| lines.push(Line::of(listed))).await?;
    lines.sort_by_key(|line: &Line| line.row.leaf);
    Ok(lines)
}

/// Lists decisions.
pub(super) async fn show(first: u64, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let lines = receipts(&session, first).await?;
    let header = ["leaf", "at", "result", "decision", "caller", "model", "offer", "jurisdiction"];
    let rows = lines.iter().map(Line::cells).collect();
    let json: Vec<&Row> = lines.iter().map(|line| &line.row).collect();
    global.output.list(&header, rows, &json)?;
    let problems: Vec<_> = lines.iter().filter_map(Line::problem).collect();
    if problems.is_empty() {
        return Ok(());
    }
    Err(CliError::Failed {
        problem: format!(
            "{} of {} decisions are not as the log commits to them: {}",
            problems.len(),
            lines.len(),
            problems.join("; ")
        ),
        hint: "tell the broker's operators; whoever kept a receipt has what was recorded still".to_owned(),
    })
}

/// Verifies the broker's decision log from its first leaf on.
pub(super) async fn verify(global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let log = DecisionLog::of(session.identity().root());
    all_of(&log, &mut FromBroker::new(session.connection())).await?.report(None, global)
}

/// Verifies a copy of its folder, with its tiles; by a policy, also that enough witnesses cosigned its checkpoint.
pub(super) async fn verify_folder(
    dir: &Path,
    root: Option<&Path>,
    policy: Option<&Path>,
    global: &Global,
) -> Result<(), CliError> {
    let policy = policy.map(ByPolicy::by).transpose()?;
    let (root, _) = pinned(root, global)?;
    let (log, mut files) = (DecisionLog::of(&root), Folder::new(dir.to_owned()));
    let all = all_of(&log, &mut files).await?;
    let hint = || format!("copy it anew, with `comity log export --decisions DIR`: {} is damaged", dir.display());
    let progress = Progress::of(Some(all.seen.checkpoint().size), "leaves held against the tiles");
    let held = log.tiles(&mut files, &all.seen, || progress.inc()).await;
    drop(progress);
    held.map_err(|error| disbelieved(error, hint()))?;
    let cosigned = policy.map(|policy| {
        let names = cosigned_by(&policy.policy, &root.federation, &root.decision_log, all.seen.note());
        names.map_err(|error| policy.not_met(&error))
    });
    all.report(cosigned.transpose()?.as_deref(), global)?;
    say("every tile is what the leaves make of it");
    Ok(())
}

/// A log, every leaf of which was hashed.
struct All {
    seen: Seen,
    decisions: u64,
    outcomes: u64,
    aborts: u64,
}

async fn all_of(log: &DecisionLog, files: &mut impl Files) -> Result<All, CliError> {
    let (mut decisions, mut outcomes, mut aborts) = (0, 0, 0);
    let seen = verified(log, files, None, |_, leaf| match leaf.kind {
        Kind::Decision => decisions += 1,
        Kind::Outcome { .. } => outcomes += 1,
        Kind::Abort { .. } => aborts += 1,
    });
    let seen = seen.await.map_err(|error| disbelieved(error, "tell the operators of the federation".to_owned()))?;
    Ok(All { seen, decisions, outcomes, aborts })
}

impl All {
    fn report(self, cosigned_by: Option<&[String]>, global: &Global) -> Result<(), CliError> {
        let Self { seen, decisions, outcomes, aborts } = self;
        let (size, root, origin) = (seen.checkpoint().size, seen.checkpoint().root, &seen.checkpoint().origin);
        let mut fields = vec![
            ("verified", origin.clone()),
            ("leaves", size.to_string()),
            ("decisions", decisions.to_string()),
            ("outcomes", outcomes.to_string()),
            ("aborted", aborts.to_string()),
            ("root", root.to_string()),
        ];
        fields.extend(cosigned_by.map(|names| ("cosigned by", names.join(", "))));
        let json = json!({
            "verified": origin, "leaves": size, "decisions": decisions, "outcomes": outcomes, "aborted": aborts, "root": root,
            "cosignedBy": cosigned_by,
        });
        global.output.record(fields, &json)?;
        say("every leaf was hashed, and they lead to the root that the log's key signed; no decision has two ends");
        Ok(())
    }
}
