//! The programs of other makers that the tests call, each installed into a folder
//! of its own below the cache and reused as long as its pins are the same.
//!
//! ```text
//! <cache>/clients/   Python: grpcio, its tools, reflection, health checking
//! <cache>/llama/     Python: xllamacpp, which ships llama.cpp's server prebuilt
//! <cache>/verifiers/ Python: readers of transparency logs
//! <cache>/go/        a verifier that rests on Go's golang.org/x/mod
//! <cache>/npm/       Node.js: grpc-js, proto-loader, buf, tsx, TypeScript
//! <cache>/models/    SmolLM2-135M-Instruct as a GGUF file
//! <cache>/peer-*/    proxies that the data plane is measured against: nginx, HAProxy, Envoy
//! ```

mod debian;
mod go;
mod interpreters;
mod peers;
#[cfg(test)]
mod tests;
pub(crate) mod wanting;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{output, run, step};

/// The pins of the Python clients.
const CLIENT_PINS: &str = "tests/clients/python/requirements.txt";
/// The pins of llama.cpp's server.
const LLAMA_PINS: &str = "tests/clients/llama/requirements.txt";
/// The pins of the verifiers.
const VERIFIER_PINS: &str = "tests/verifiers/python/requirements.txt";
/// The interpreters that verifiers may run on, best first: some of them want 3.12, which a system has beside its own more
/// often than as its own.
const VERIFIER_PYTHONS: &[&str] = &["python3.14", "python3.13", "python3.12", "python3"];
/// The pins of the Node.js clients.
const NPM_PINS: &[&str] = &["tests/clients/node/package.json", "tests/clients/node/package-lock.json"];
/// The model that `comity-node model fetch` knows by this name.
const MODEL: &str = "smollm2";

/// Where the tools are.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    cache: PathBuf,
}

impl Tools {
    /// The tools in this folder, installed or not.
    pub(crate) fn at(cache: &Path) -> Self {
        Self { cache: cache.to_owned() }
    }

    /// The folder.
    pub(crate) fn cache(&self) -> &Path {
        &self.cache
    }

    /// The `buf` program.
    pub(crate) fn buf(&self) -> PathBuf {
        self.cache.join("npm/node_modules/.bin/buf")
    }

    /// Installs the Python clients, llama.cpp's server and the verifiers.
    ///
    /// # Errors
    /// If a virtual environment cannot be made or its package installer fails.
    pub(crate) fn python(&self, root: &Path) -> Result<()> {
        let newest = interpreters::best(VERIFIER_PYTHONS)?;
        // Installed again when there is a newer one: what wants that is left out until then.
        let by_newest = format!("# Python {}\n", interpreters::version(&newest)?);
        for (name, pins, python, by) in [
            ("clients", CLIENT_PINS, Path::new("python3"), ""),
            ("llama", LLAMA_PINS, Path::new("python3"), ""),
            ("verifiers", VERIFIER_PINS, newest.as_path(), by_newest.as_str()),
        ] {
            let pins = root.join(pins);
            self.ensure(name, &format!("{by}{}", read(&[&pins])?), |folder| {
                let interpreter = folder.join("bin/python");
                run(Command::new(python).args(["-m", "venv"]).arg(folder))
                    .context("Python could not make a virtual environment: see above")?;
                run(Command::new(interpreter).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(&pins))
                    .context("pip could not install the pinned packages: check the network or pip's configuration, then run this again")
            })?;
        }
        Ok(())
    }

    /// The packages that want a newer Python than there is, and what is said of them.
    ///
    /// # Errors
    /// If the verifiers were not installed.
    pub(crate) fn wanting(&self) -> Result<(Vec<wanting::Wanting>, String)> {
        let environment = self.cache.join("verifiers");
        let python = format!("Python {}", interpreters::version(&environment.join("bin/python"))?);
        let missing = wanting::missing(&environment);
        let said = wanting::said(&missing, &python);
        Ok((missing, said))
    }

    /// Installs the Node.js clients and `buf`.
    ///
    /// # Errors
    /// If the package installer fails.
    pub(crate) fn node(&self, root: &Path) -> Result<()> {
        let pins: Vec<PathBuf> = NPM_PINS.iter().map(|pin| root.join(pin)).collect();
        let paths: Vec<&PathBuf> = pins.iter().collect();
        self.ensure("npm", &read(&paths)?, |folder| {
            std::fs::create_dir_all(folder)?;
            for pin in &pins {
                std::fs::copy(pin, folder.join(pin.file_name().context("a pin is a file")?))?;
            }
            // Not `npm ci`: it demands that the lock names the packages of every other platform too.
            // What the lock does name is installed as it says, checked against its digests.
            let quietly = ["install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"];
            run(Command::new("npm").args(quietly).current_dir(folder))
                .context("npm could not install the pinned packages: check the network or npm's configuration, then run this again")
        })
    }

    /// Fetches the model through the node's own command.
    ///
    /// # Errors
    /// If the node's program cannot fetch it.
    pub(crate) fn model(&self, root: &Path) -> Result<()> {
        self.ensure("models", MODEL, |folder| {
            let node = root.join("target/debug/comity-node");
            std::fs::create_dir_all(folder)?;
            run(Command::new(node).args(["model", "fetch", MODEL, "--cache-dir"]).arg(folder))
                .context("the model could not be fetched: see above for how to bring the file yourself")
        })
    }

    /// Makes `<cache>/<name>` by `install`, unless it was made with the same pins.
    fn ensure(&self, name: &str, pins: &str, install: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let folder = self.cache.join(name);
        let stamp = self.cache.join(format!("{name}.stamp"));
        if folder.exists() && std::fs::read_to_string(&stamp).is_ok_and(|made| made == pins) {
            return Ok(());
        }
        step(&format!("install {name} into {}", folder.display()), || {
            // The stamp first: whatever is interrupted from here on must not look installed.
            remove(std::fs::remove_file(&stamp)).with_context(|| format!("cannot remove {}", stamp.display()))?;
            remove(std::fs::remove_dir_all(&folder)).with_context(|| format!("cannot remove {}", folder.display()))?;
            std::fs::create_dir_all(&self.cache).with_context(|| format!("cannot make {}", self.cache.display()))?;
            install(&folder)?;
            std::fs::write(&stamp, pins).context("cannot write the stamp")
        })
    }
}

/// Checks that the programs which cannot be installed here are there.
///
/// # Errors
/// If one is missing or too old, with what to do.
pub(crate) fn prerequisites() -> Result<()> {
    for (program, arguments, needed) in NEEDED {
        let found = output(Command::new(program).args(*arguments));
        let found = found.with_context(|| format!("{needed} is needed: install it, then run this again"))?;
        check_version(&String::from_utf8_lossy(&found), needed)?;
    }
    Ok(())
}

/// The programs, what makes them print their version, and the oldest that will do. Python's own packages for virtual
/// environments are asked for as well: Debian leaves them out.
const NEEDED: &[(&str, &[&str], Needed)] = &[
    (
        "python3",
        &["-c", "import ensurepip, venv, platform; print(platform.python_version())"],
        Needed { what: "Python with its venv module (on Debian: apt install python3-venv)", oldest: (3, 10) },
    ),
    ("node", &["--version"], Needed { what: "Node.js", oldest: (20, 0) }),
    ("npm", &["--version"], Needed { what: "npm, which comes with Node.js,", oldest: (9, 0) }),
];

/// A program that the tests need.
#[derive(Debug, Clone, Copy)]
struct Needed {
    what: &'static str,
    /// Major and minor version.
    oldest: (u32, u32),
}

impl std::fmt::Display for Needed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}.{} or newer", self.what, self.oldest.0, self.oldest.1)
    }
}

/// Checks a version that a program printed, such as `v20.20.2`.
fn check_version(printed: &str, needed: &Needed) -> Result<()> {
    let printed = printed.trim();
    let mut numbers = printed.trim_start_matches('v').split('.').map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        bail!("{needed} is needed, and what is installed calls its version {printed:?}")
    };
    if (major, minor) < needed.oldest {
        bail!("{needed} is needed, and {printed} is installed: install a newer one, then run this again");
    }
    Ok(())
}

/// What is not there needs no removing.
fn remove(removed: std::io::Result<()>) -> std::io::Result<()> {
    removed.or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// Some files, joined: they are what a tool's folder was made from.
fn read(paths: &[&PathBuf]) -> Result<String> {
    paths
        .iter()
        .map(|path| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display())))
        .collect()
}
