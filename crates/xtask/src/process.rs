//! Starting other programs: every step says what it does, how long it took and,
//! where it fails, which command failed.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Does one named step and says how long it took.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("xtask: {name}");
    #[expect(clippy::disallowed_methods, reason = "a developer's stopwatch, nothing depends on it")]
    let started = std::time::Instant::now();
    let done = work().with_context(|| format!("step failed: {name}"))?;
    eprintln!("xtask: {name}: done in {:.1} s", started.elapsed().as_secs_f64());
    Ok(done)
}

/// Cargo, as it started this program, in the workspace's root.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    command.current_dir(root);
    command
}

/// Runs a program, its output on ours.
///
/// # Errors
/// If it cannot be started or does not succeed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    if !status.success() {
        bail!("{status}: {command:?}");
    }
    Ok(())
}

/// Runs a program and gives its standard output.
///
/// # Errors
/// If it cannot be started or does not succeed; its standard error is on ours.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        bail!("{}: {command:?}", output.status);
    }
    Ok(output.stdout)
}
