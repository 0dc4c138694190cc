//! `comity log verify` and `export`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use comity_client::follow::kept::Evidence;
use comity_client::follow::{FollowError, Followed};
use comity_client::witnessed::{PolicyNotMet, cosigned_by};
use comity_identity::Root;
use comity_identity::store::ROOT_FILE;
use comity_membership::Log;
use comity_membership::equivocation::Evidence as Statements;
use comity_proto::membership::WatchResponse;
use comity_runtime::clock::SystemClock;
use comity_runtime::{chain, genesis};
use comity_transparency::CheckpointNote;
use comity_transparency::policy::{JudgeError, Policy};
use comity_transparency::witness::EVIDENCE_HEADER;
use comity_types::Digest;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::args::Global;
use crate::commands::receipt;
use crate::error::CliError;
use crate::output::say;
use crate::progress::Progress;
use crate::session::Session;

mod evidence;

/// What `--help` says about what is proven.
pub(super) const AFTER: &str = "\
What is proven: every statement was signed by those who had to sign it, in the state that all statements before it fold \
to; nothing was said twice, skipped or said of another federation; and the tree over the entries has the root that the \
broker signed; for a file, where the node's federation.checkpoint.json lies beside it. What is not: that the broker shows everybody the same log, unless enough witnesses of your own --policy have cosigned the \
checkpoint. Without one, compare epoch and root with another member, or keep a file and verify it again later.

Of a decision log every leaf is hashed, each end has to be the only one of a decision before it, and of a folder every tile \
has to be what its leaves make. What takes a while says on a terminal how far it is, on stderr.

Exit status: 0 verified; 1 not to be believed; 2 a mistake or a fault.";
/// What a node calls the checkpoint beside its log.
const CHECKPOINT_FILE: &str = "federation.checkpoint.json";
/// What is counted while a log of statements is verified.
const STATEMENTS: &str = "statements";
/// How long the witnesses of the newest checkpoint are waited for: some rounds of theirs, and the 5 s after which the broker
/// tells its checkpoint again.
const COSIGNED_WITHIN: Duration = Duration::from_secs(15);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Verifies what the broker shows.
pub(super) async fn online(policy: Option<&Path>, global: &Global) -> Result<(), CliError> {
    let Some(policy) = policy.map(Seen::by).transpose()? else {
        let followed = shown(&Session::open(global).await?, |_| {}).await?;
        return verified(followed.log(), Checkpoint::Agrees, global);
    };
    let session = Session::open(global).await?;
    let until = Instant::now() + COSIGNED_WITHIN;
    loop {
        let followed = shown(&session, |_| {}).await?;
        match policy.of(followed.checkpoint().unwrap_or_default(), session.identity().root()) {
            Ok(names) => return verified(followed.log(), Checkpoint::Cosigned(names), global),
            // The cosignatures of a change come a moment later than it.
            Err(PolicyNotMet::TooFew(_)) if Instant::now() < until => sleep(LOOK_AGAIN).await,
            Err(error) => return Err(policy.not_met(&error)),
        }
    }
}

/// What the broker shows, with how far that is. It says nowhere beforehand how much there is.
async fn shown(session: &Session, mut each: impl FnMut(&[u8])) -> Result<Followed, CliError> {
    let progress = Progress::of(None, STATEMENTS);
    let read = session.verified_log(|_, entry| {
        progress.inc();
        each(entry);
    });
    read.await
}

/// Verifies a file.
pub(super) fn offline(
    file: &Path,
    root: Option<&Path>,
    policy: Option<&Path>,
    global: &Global,
) -> Result<(), CliError> {
    let policy = policy.map(Seen::by).transpose()?;
    let (root, digest) = pinned(root, global)?;
    let mut followed = Followed::new(&root, digest, Arc::new(SystemClock));
    let text = read(file)?;
    if text.starts_with(EVIDENCE_HEADER.as_bytes()) {
        return evidence::verify_decisions(file, &text, &root, global);
    }
    if let Ok(evidence) = serde_json::from_slice::<Evidence>(&text) {
        return evidence::verify(file, &evidence, &root, followed, global);
    }
    if let Ok(evidence) = serde_json::from_slice::<Statements>(&text) {
        return evidence::verify_statements(file, &evidence, (&root, &followed), global);
    }
    let mut beside = Beside::of(file)?;
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let progress = Progress::of(Some(lines.len() as u64), STATEMENTS);
    for (place, line) in lines.iter().enumerate() {
        let epoch = followed.log().federation().epoch().saturating_add(1);
        let part = WatchResponse { epoch, entry: line.to_vec().into(), checkpoint: String::new() };
        if let Err(error) = followed.take(&part) {
            let convicted = followed.convict(lines.get(..place).unwrap_or_default(), line, &error);
            let problem = convicted.map_or_else(|| chain::text(&error), |(equivocation, _)| equivocation.to_string());
            return Err(unbelieved(file, &problem));
        }
        beside.hold_against(&mut followed).map_err(|error| unbelieved(file, &chain::text(&error)))?;
        progress.inc();
    }
    drop(progress);
    if let Beside::Awaits { size, .. } = beside {
        let problem = format!("it ends before the checkpoint beside it, which the broker signed for {size} entries");
        return Err(unbelieved(file, &problem));
    }
    let checkpoint = match (followed.checkpoint(), policy) {
        (None, None) => Checkpoint::Missing,
        (Some(_), None) => Checkpoint::Agrees,
        (note, Some(policy)) => {
            let names = policy.of(note.unwrap_or_default(), &root).map_err(|error| policy.not_met(&error))?;
            Checkpoint::Cosigned(names)
        }
    };
    verified(followed.log(), checkpoint, global)
}

pub(super) fn unbelieved(file: &Path, problem: &str) -> CliError {
    CliError::Failed {
        problem: format!("{} is not to be believed: {problem}", file.display()),
        hint: "an update of this program may know more kinds of statement; otherwise ask whoever gave you the file"
            .to_owned(),
    }
}

/// The checkpoint that a node keeps beside its log: without it nobody would notice that the last entries are missing, or
/// what of an entry its signers did not sign.
enum Beside {
    None,
    Awaits { note: String, size: u64 },
    Agrees,
}

impl Beside {
    /// The one beside a log, if there is one.
    fn of(log: &Path) -> Result<Self, CliError> {
        let path = log.with_file_name(CHECKPOINT_FILE);
        if !path.exists() {
            return Ok(Self::None);
        }
        let bytes = read(&path)?;
        let bad = |source: Box<dyn std::error::Error + Send + Sync>| CliError::BadFile {
            path: path.clone(),
            expected: "a checkpoint, as a node keeps it beside its log",
            source,
        };
        let Kept { checkpoint: note } = serde_json::from_slice(&bytes).map_err(|error| bad(error.into()))?;
        // Not believed yet: it says when to hold the note against the log.
        let size = note.lines().nth(1).and_then(|size| size.parse().ok());
        let size = size.ok_or_else(|| bad("its second line is no number of entries".into()))?;
        Ok(Self::Awaits { note, size })
    }

    /// Holds it against the log, where that has come as far.
    fn hold_against(&mut self, followed: &mut Followed) -> Result<(), FollowError> {
        if let Self::Awaits { note, size } = self
            && *size == followed.log().federation().epoch()
        {
            followed.agree(note)?;
            *self = Self::Agrees;
        }
        Ok(())
    }
}

/// What a node keeps.
#[derive(serde::Deserialize)]
struct Kept {
    checkpoint: String,
}

/// Writes the verified log to a file.
pub(super) async fn export(file: &Path, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let mut text = Vec::new();
    let followed = shown(&session, |entry| text.extend([entry, b"\n"].concat())).await?;
    fs::write(file, &text).map_err(|source| CliError::File { doing: "write", path: file.to_owned(), source })?;
    verified(followed.log(), Checkpoint::Agrees, global)
}

/// What was signed of the log as a whole.
enum Checkpoint {
    Missing,
    /// By the broker.
    Agrees,
    /// By enough witnesses as well, which are named.
    Cosigned(Vec<String>),
}

/// A policy of witnesses.
pub(super) struct Seen {
    path: PathBuf,
    pub(super) policy: Policy,
}

impl Seen {
    pub(super) fn by(path: &Path) -> Result<Self, CliError> {
        Ok(Self { path: path.to_owned(), policy: receipt::policy(path)? })
    }

    /// Who has cosigned this checkpoint of the federation's log: enough of them.
    fn of(&self, note: &str, root: &Root) -> Result<Vec<String>, PolicyNotMet> {
        let note = CheckpointNote::parse(note).map_err(JudgeError::from)?;
        // One that is none signed nothing.
        let keys: Vec<_> = genesis::log_key(root).into_iter().collect();
        cosigned_by(&self.policy, &root.federation, &keys, &note)
    }

    pub(super) fn not_met(&self, error: &PolicyNotMet) -> CliError {
        CliError::Failed {
            problem: format!("the policy {} is not met: {}", self.path.display(), chain::text(error)),
            hint: "is the broker's [witnesses] policy one with the same witnesses, and are they up? docs/witnesses.md"
                .to_owned(),
        }
    }
}

fn verified(log: &Log, checkpoint: Checkpoint, global: &Global) -> Result<(), CliError> {
    let federation = log.federation();
    let (epoch, root) = (federation.epoch(), log.tree().root());
    let name = federation.name().map(ToString::to_string).unwrap_or_default();
    let said = match &checkpoint {
        Checkpoint::Missing => "none was there".to_owned(),
        Checkpoint::Agrees => "the broker's agrees".to_owned(),
        Checkpoint::Cosigned(names) => format!("the broker's agrees, cosigned by {}", names.join(", ")),
    };
    let fields = vec![
        ("verified", name.clone()),
        ("epoch", epoch.to_string()),
        ("root", root.to_string()),
        ("checkpoint", said),
    ];
    let agrees = !matches!(checkpoint, Checkpoint::Missing);
    let cosigned_by = match checkpoint {
        Checkpoint::Cosigned(names) => Some(names),
        Checkpoint::Missing | Checkpoint::Agrees => None,
    };
    global.output.record(
        fields,
        &json!({
            "verified": name, "epoch": epoch, "root": root, "checkpointAgrees": agrees, "cosignedBy": cosigned_by,
        }),
    )?;
    say("every signature holds, and every statement follows from those before it");
    Ok(())
}

/// The root document that is named, or that of the identity, and its digest.
pub(super) fn pinned(root: Option<&Path>, global: &Global) -> Result<(Root, Digest), CliError> {
    let path = root_path(root, global)?;
    let bytes = read(&path)?;
    let root = Root::from_json(&bytes).map_err(|error| CliError::BadFile {
        path,
        expected: "a federation's root document",
        source: Box::new(error),
    })?;
    Ok((root, Root::digest(&bytes)))
}

/// Where the root document is that is named, or that of the identity.
pub(crate) fn root_path(root: Option<&Path>, global: &Global) -> Result<PathBuf, CliError> {
    let named = root.map(Path::to_owned).or_else(|| global.identity.as_ref().map(|dir| dir.join(ROOT_FILE)));
    named.ok_or_else(|| CliError::Usage {
        problem: "a file is verified from a root document, and none is named".to_owned(),
        hint: "name it with --root FILE, or an identity with --identity DIR".to_owned(),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    fs::read(path).map_err(|source| CliError::File { doing: "read", path: path.to_owned(), source })
}
