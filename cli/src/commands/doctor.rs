//! `comity doctor`: what is wrong between an identity and its federation, and how to mend it.
//!
//! ```text
//! facts (files, network, broker) ──▶ verdict (pure) ──▶ Finding ──▶ table or JSON
//! ```
//! It changes nothing: nothing is renewed, no tunnel is opened. Each check fails by itself; what cannot be checked
//! because something else is wrong is skipped, and says so.
//!
//! | module | holds |
//! |---|---|
//! | `finding` | one check's result |
//! | `verdict` | what facts mean, and what mends them |
//! | `directory` | the identity on disk |
//! | `network` | the way to each of the broker's addresses |
//! | `broker` | what the broker says: its time, our standing, the log |
//! | `node` | a node's own copy of the state, and how the broker reaches it |

mod broker;
mod directory;
mod finding;
mod network;
mod node;
#[cfg(test)]
mod tests;
mod verdict;

use std::path::PathBuf;

use clap::Args;

use self::finding::{Finding, Outcome};
use crate::args::Global;
use crate::error::CliError;
use crate::output::{Format, Stream, lined_table, print_json, print_line};
use crate::session::no_identity;

/// What `--help` says about the results.
const AFTER: &str = "\
Results: ok; warn: it works and will not for long, or waits for somebody; fail; skipped: cannot be told before something else is mended.

Exit status: 0 nothing failed; 1 something did; 2 a mistake in the command.";

/// What the command takes.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct DoctorArgs {
    /// A node's node.toml: its own state is looked at as well, and its identity is the one to act as unless another is
    /// named
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Checks everything, prints what was found, and fails if something did.
pub(crate) async fn run(args: &DoctorArgs, global: &Global) -> Result<(), CliError> {
    let config = args.config.as_deref().map(node::Config::read);
    let configured = config.as_ref().and_then(|config| config.as_ref().ok()).map(node::Config::identity_dir);
    let dir = global.identity.clone().or(configured);
    let mut findings = Vec::new();
    match (dir, config) {
        (None, Some(Err(unreadable))) => findings.push(unreadable),
        (None, _) => return Err(no_identity()),
        (Some(dir), config) => {
            let mut patient = directory::examine(&dir, global.workload_api.as_ref(), &mut findings).await;
            network::examine(&mut patient, &mut findings).await;
            let told = broker::examine(&patient, &mut findings).await;
            node::examine(&patient, config, &told, &mut findings);
        }
    }
    print(&findings, global.output)?;
    conclude(&findings)
}

fn print(findings: &[Finding], output: Format) -> Result<(), CliError> {
    if output == Format::Json {
        return print_json(&findings);
    }
    let rows = findings.iter().map(Finding::row).collect();
    print_line(&lined_table(&["check", "result", "found", "how to mend it"], rows, Stream::Stdout.width()))
}

fn conclude(findings: &[Finding]) -> Result<(), CliError> {
    let failed: Vec<&str> =
        findings.iter().filter(|one| one.result == Outcome::Fail).map(|one| one.check.as_str()).collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(CliError::Failed {
        problem: format!("{} of {} checks failed: {}", failed.len(), findings.len(), failed.join(", ")),
        hint: "mend the first of them first: those below may follow from it".to_owned(),
    })
}
