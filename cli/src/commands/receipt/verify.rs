//! `comity receipt verify`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use comity_client::follow::Followed;
use comity_client::receipt::{Account, Against, AsOf, Finding, check};
use comity_identity::Root;
use comity_membership::Log;
use comity_proto::membership::WatchResponse;
use comity_runtime::chain;
use comity_runtime::clock::SystemClock;
use comity_transparency::leaf::Leaf;
use comity_transparency::policy::Policy;
use comity_transparency::receipt::Receipt;
use comity_transparency::record::Field;
use comity_types::{Clock as _, Digest, Timestamp};
use serde_json::json;

use super::{read, show, told};
use crate::args::Global;
use crate::commands::log::root_path;
use crate::error::CliError;
use crate::output::{print_json, print_line};
use crate::progress::Progress;

/// What `--help` says about what is proven.
pub(super) const AFTER: &str = "\
Nothing is asked of anybody: what counts is the root document that you pinned, the federation's log if you have it \
(`comity log export`), the policy that names the witnesses that you trust (c2sp.org/tlog-policy), and this machine's clock: \
what is of a later time is refused. Give the log as far as you have it: the entry behind the decision's epoch says until when \
that was the newest. That every field that is shown is what the log committed to is proven; whether it is true stands below \
`Proven` or `Not proven`, with what else would have to be shown. \
What was demanded is said in words; with --log also what the caller's organisation demanded besides, and the terms of the \
offer that answered, as they were published when it was decided.

Exit status: 0 all that could be checked holds; 1 not to be believed; 2 it could not be checked: a mistake or a fault, such as a \
--log that ends before the decision's epoch.";

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
    let (tables, now) = (global.tables()?, SystemClock.now());
    let against = Against { root: &root, log: None, policy: policy.as_ref(), tables: &tables, now };
    let (account, log) = match &args.log {
        Some(log) => held(&receipt, &args.file, (log, Root::digest(&bytes)), against)
            .map(|(account, log)| (account, Some(log)))?,
        None => (believed(&receipt, &args.file, &against)?, None),
    };
    report(&account, log.as_ref(), global)
}

/// The receipt of `file`, held against a federation's log of which this is the file, and the digest of the root document; and
/// that log up to the decision's epoch.
fn held(
    receipt: &Receipt,
    file: &Path,
    (log_file, digest): (&Path, Digest),
    against: Against<'_>,
) -> Result<(Account, Log), CliError> {
    let epoch = epoch(&receipt.decision.leaf);
    let (log, until) = state_at(log_file, against.root, digest, epoch)?;
    let found = log.tree().size();
    if found >= epoch {
        let account = believed(receipt, file, &Against { log: Some(AsOf { log: &log, until }), ..against })?;
        return Ok((account, log));
    }
    // What is forged is, whatever the log says; of all else a log that is too short says nothing.
    believed(receipt, file, &against)?;
    Err(CliError::Usage {
        problem: format!(
            "--log {} ends at epoch {found}, and the decision of {} was made at epoch {epoch}: whether the federation's log \
             goes against it could not be checked",
            log_file.display(),
            file.display()
        ),
        hint: "fetch a newer one, with `comity log export`; without --log, all is checked that needs none".to_owned(),
    })
}

fn believed(receipt: &Receipt, file: &Path, against: &Against<'_>) -> Result<Account, CliError> {
    check(receipt, against).map_err(|error| CliError::Failed {
        problem: format!("{} is not to be believed: {}", file.display(), chain::text(&error)),
        hint: "ask whoever gave it to you; a receipt of another federation needs that one's --root".to_owned(),
    })
}

fn report(account: &Account, log: Option<&Log>, global: &Global) -> Result<(), CliError> {
    if global.output == crate::output::Format::Json {
        let finding = |finding: &Finding| {
            let fields: Vec<_> = finding.fields.iter().copied().map(Field::name).collect();
            json!({ "proven": finding.proven, "what": finding.what, "fields": fields })
        };
        let findings: Vec<_> = account.findings.iter().map(finding).collect();
        let mut report = told::json(&account.verified, log);
        report.extend([("verified".to_owned(), json!(true)), ("findings".to_owned(), json!(findings))]);
        return print_json(&report);
    }
    show::print(&account.verified, &[], global)?;
    told::besides(&account.verified, log).iter().try_for_each(|section| print_line(&section.text()))?;
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

/// The federation's log up to an epoch, every signature checked; and when the entry behind it came into force, which is read
/// to see that the federation had not come further when something was decided.
fn state_at(file: &Path, root: &Root, digest: Digest, epoch: u64) -> Result<(Log, Option<Timestamp>), CliError> {
    let text = fs::read(file).map_err(|source| CliError::File { doing: "read", path: file.to_owned(), source })?;
    let mut followed = Followed::new(root, digest, Arc::new(SystemClock));
    let mut lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    // The entries up to the epoch, and the one behind.
    let progress = Progress::of(Some(epoch.saturating_add(1)), "statements");
    let mut take = |epoch: u64, line: &[u8]| {
        progress.inc();
        let part = WatchResponse { epoch, entry: line.to_vec().into(), checkpoint: String::new() };
        followed.take(&part).map_err(|error| CliError::Failed {
            problem: format!("{} is not to be believed: {}", file.display(), chain::text(&error)),
            hint: "`comity log verify` says more; fetch the log anew with `comity log export`".to_owned(),
        })?;
        Ok::<_, CliError>(followed.log().clone())
    };
    let mut log = None;
    for (number, line) in (1..=epoch).zip(&mut lines) {
        log = Some(take(number, line)?);
    }
    let next = lines.next().map(|line| take(epoch.saturating_add(1), line)).transpose()?;
    let log = log.unwrap_or_else(|| Followed::new(root, digest, Arc::new(SystemClock)).log().clone());
    Ok((log, next.and_then(|next| next.federation().at())))
}

#[cfg(test)]
mod tests;
