//! `comity receipt verify`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use comity_client::follow::Followed;
use comity_client::receipt::{Account, Against, check};
use comity_identity::Root;
use comity_membership::Log;
use comity_proto::membership::WatchResponse;
use comity_runtime::chain;
use comity_runtime::clock::SystemClock;
use comity_transparency::leaf::Leaf;
use comity_transparency::policy::Policy;
use serde_json::json;

use super::{read, show};
use crate::args::Global;
use crate::commands::log::root_path;
use crate::error::CliError;
use crate::output::{print_json, print_line};

/// What `--help` says about what is proven.
pub(super) const AFTER: &str = "\
Nothing is asked of anybody: what counts is the root document that you pinned, the federation's log if you have it \
(`comity log export`), and the policy that names the witnesses that you trust (c2sp.org/tlog-policy).

Exit status: 0 all that could be checked holds; 1 not to be believed; 2 a mistake or a fault.";

/// What a receipt is held against.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The receipt
    file: PathBuf,
    /// The root document [default: that of the identity]
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// The federation's log: a node's data/federation.log, or what `comity log export` wrote
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Whose cosignatures count, and how many are enough (c2sp.org/tlog-policy)
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

/// Checks it, and says what it proves.
pub(super) fn run(args: &VerifyArgs, global: &Global) -> Result<(), CliError> {
    let receipt = read(&args.file)?;
    let path = root_path(args.root.as_deref(), global)?;
    let bytes = fs::read(&path).map_err(|source| CliError::File { doing: "read", path: path.clone(), source })?;
    let root = Root::from_json(&bytes).map_err(|error| CliError::BadFile {
        path,
        expected: "a federation's root document",
        source: Box::new(error),
    })?;
    let policy = args.policy.as_deref().map(policy).transpose()?;
    let log = match &args.log {
        Some(file) => Some(log_at(file, &root, Root::digest(&bytes), epoch(&receipt.decision.leaf))?),
        None => None,
    };
    let tables = global.tables()?;
    let against = Against { root: &root, log: log.as_ref(), policy: policy.as_ref(), tables: &tables };
    let account = check(&receipt, &against).map_err(|error| CliError::Failed {
        problem: format!("{} is not to be believed: {}", args.file.display(), chain::text(&error)),
        hint: "ask whoever gave it to you; a receipt of another federation needs that one's --root".to_owned(),
    })?;
    report(&account, global)
}

fn report(account: &Account, global: &Global) -> Result<(), CliError> {
    if global.output == crate::output::Format::Json {
        let findings: Vec<_> =
            account.findings.iter().map(|finding| json!({ "proven": finding.proven, "what": finding.what })).collect();
        return print_json(&json!({ "verified": true, "findings": findings }));
    }
    show::print(&account.verified, global)?;
    print_line("")?;
    for (proven, head) in [(true, "Proven:"), (false, "Not proven:")] {
        let of_kind: Vec<_> = account.findings.iter().filter(|finding| finding.proven == proven).collect();
        if !of_kind.is_empty() {
            print_line(head)?;
            of_kind.iter().try_for_each(|finding| print_line(&format!("  - {}", finding.what)))?;
        }
    }
    Ok(())
}

/// Reads a policy of witnesses.
pub(crate) fn policy(path: &Path) -> Result<Policy, CliError> {
    let bytes = fs::read(path).map_err(|source| CliError::File { doing: "read", path: path.to_owned(), source })?;
    Policy::parse(&bytes).map_err(|error| CliError::BadFile {
        path: path.to_owned(),
        expected: "a policy (c2sp.org/tlog-policy)",
        source: Box::new(error),
    })
}

/// The epoch of a decision; what is no leaf is refused by the check.
fn epoch(leaf: &[u8]) -> u64 {
    Leaf::from_bytes(leaf).map_or(0, |leaf| leaf.epoch.size)
}

/// The federation's log up to an epoch, every signature checked.
fn log_at(file: &Path, root: &Root, digest: comity_types::Digest, epoch: u64) -> Result<Log, CliError> {
    let text = fs::read(file).map_err(|source| CliError::File { doing: "read", path: file.to_owned(), source })?;
    let mut followed = Followed::new(root, digest, Arc::new(SystemClock));
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    for (number, line) in (1..=epoch).zip(lines) {
        let part = WatchResponse { epoch: number, entry: line.to_vec().into(), checkpoint: String::new() };
        followed.take(&part).map_err(|error| CliError::Failed {
            problem: format!("{} is not to be believed: {}", file.display(), chain::text(&error)),
            hint: "`comity log verify` says more; fetch the log anew with `comity log export`".to_owned(),
        })?;
    }
    Ok(followed.log().clone())
}
