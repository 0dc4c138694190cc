//! The three programs: this one, and the two beside it. In a source tree, cargo builds what is missing.

use std::env::{current_exe, var_os};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::DemoError;
use crate::output::say;

/// The package of this program, as cargo names it to what it runs.
const OWN_PACKAGE: &str = env!("CARGO_PKG_NAME");

/// Where the programs are.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    comity: PathBuf,
    broker: PathBuf,
    node: PathBuf,
}

impl Programs {
    /// Finds them, or has cargo build them.
    pub(super) async fn find() -> Result<Self, DemoError> {
        let comity = current_exe().map_err(DemoError::system("tell where this program is"))?;
        let beside = |name: &str| comity.with_file_name(format!("{name}{}", std::env::consts::EXE_SUFFIX));
        let found = Self { broker: beside("comity-broker"), node: beside("comity-node"), comity };
        if let Some(cargo) =
            Cargo::of_this_run(&found.comity).filter(|cargo| cargo.runs_this || found.missing().is_some())
        {
            cargo.build().await?;
        }
        match found.missing() {
            Some(path) => Err(DemoError::Missing { path }),
            None => Ok(found),
        }
    }

    /// `comity`.
    pub(super) fn comity(&self) -> Command {
        Command::new(&self.comity)
    }

    /// `comity-broker`.
    pub(super) fn broker(&self) -> Command {
        Command::new(&self.broker)
    }

    /// `comity-node`.
    pub(super) fn node(&self) -> Command {
        Command::new(&self.node)
    }

    /// The folder that they stand in.
    pub(super) fn folder(&self) -> &Path {
        self.comity.parent().unwrap_or_else(|| Path::new("."))
    }

    fn missing(&self) -> Option<PathBuf> {
        [&self.broker, &self.node].into_iter().find(|path| !path.exists()).cloned()
    }
}

/// The cargo that runs this program, or a test that runs it.
#[derive(Debug)]
struct Cargo {
    program: PathBuf,
    package: PathBuf,
    profile: String,
    /// It has just built this program, so the others may be older.
    runs_this: bool,
}

impl Cargo {
    fn of_this_run(comity: &Path) -> Option<Self> {
        let (program, package) = (var_os("CARGO")?.into(), var_os("CARGO_MANIFEST_DIR")?.into());
        let folder = comity.parent()?.file_name()?.to_str()?;
        let runs_this = var_os("CARGO_PKG_NAME").is_some_and(|name| name == OWN_PACKAGE);
        Some(Self { program, package, profile: profile(folder).to_owned(), runs_this })
    }

    async fn build(&self) -> Result<(), DemoError> {
        say("Building comity-broker and comity-node with cargo; the first time takes minutes ...");
        let mut command = Command::new(&self.program);
        command.args(["build", "--profile", &self.profile, "-p", "comity-broker", "-p", "comity-node"]);
        command.current_dir(&self.package).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        let status = command.status().await.map_err(DemoError::system("run cargo"))?;
        if status.success() {
            return Ok(());
        }
        let said = "cargo's own messages stand above".to_owned();
        Err(DemoError::Failed { command: "cargo build".to_owned(), status: status.to_string(), said })
    }
}

/// The profile whose programs cargo puts into this folder.
fn profile(folder: &str) -> &str {
    if folder == "debug" { "dev" } else { folder }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_are_built_like_this_one() {
        assert_eq!([profile("debug"), profile("release"), profile("bench-like")], ["dev", "release", "bench-like"]);
    }
}
