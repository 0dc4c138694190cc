//! The programs of other makers that the tests call, each installed into a folder
//! of its own below the cache and reused as long as its pins are the same.
//!
//! ```text
//! <cache>/clients/   Python: grpcio, its tools, reflection, health checking
//! <cache>/llama/     Python: xllamacpp, which ships llama.cpp's server prebuilt
//! <cache>/npm/       Node.js: grpc-js, proto-loader, buf, tsx, TypeScript
//! <cache>/models/    SmolLM2-135M-Instruct as a GGUF file
//! ```

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{output, run, step};

/// The pins of the Python clients.
const CLIENT_PINS: &str = "tests/clients/python/requirements.txt";
/// The pins of llama.cpp's server.
const LLAMA_PINS: &str = "tests/clients/llama/requirements.txt";
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

    /// Installs the Python clients and llama.cpp's server.
    ///
    /// # Errors
    /// If Python 3 with venv is missing or its package installer fails.
    pub(crate) fn python(&self, root: &Path) -> Result<()> {
        for (name, pins) in [("clients", CLIENT_PINS), ("llama", LLAMA_PINS)] {
            let pins = root.join(pins);
            self.ensure(name, &read(&[&pins])?, |folder| {
                let interpreter = folder.join("bin/python");
                run(Command::new("python3").args(["-m", "venv"]).arg(folder))
                    .context("Python 3 with its venv module is needed (on Debian: apt install python3-venv)")?;
                run(Command::new(interpreter).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(&pins))
                    .context("pip could not install the pinned packages: check the network or pip's configuration, then run this again")
            })?;
        }
        Ok(())
    }

    /// Installs the Node.js clients and `buf`.
    ///
    /// # Errors
    /// If Node.js is missing or its package installer fails.
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
                .context("Node.js 20 or newer with npm is needed, and npm must reach its registry; then run this again")
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
            if folder.exists() {
                std::fs::remove_dir_all(&folder)?;
            }
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
    for (program, why) in
        [("python3", "the Python clients"), ("node", "the Node.js clients"), ("npm", "the Node.js clients")]
    {
        if let Err(error) = output(Command::new(program).arg("--version")) {
            bail!("`{program}` is needed for {why} and does not run ({error:#}): install it, then run this again");
        }
    }
    Ok(())
}

/// Some files, joined: they are what a tool's folder was made from.
fn read(paths: &[&PathBuf]) -> Result<String> {
    paths
        .iter()
        .map(|path| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("comity-xtask-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_tool_is_installed_once_for_its_pins_and_again_when_they_change() {
        let cache = scratch("stamp");
        let tools = Tools::at(&cache);
        let mut installs = 0;
        for pins in ["a==1", "a==1", "a==2"] {
            tools
                .ensure("tool", pins, |folder| {
                    installs += 1;
                    Ok(std::fs::create_dir_all(folder)?)
                })
                .unwrap();
        }
        assert_eq!(installs, 2);
        std::fs::remove_dir_all(cache).unwrap();
    }

    #[test]
    fn a_failed_installation_names_its_step_and_is_tried_again() {
        let cache = scratch("failed");
        let tools = Tools::at(&cache);
        let error = tools.ensure("tool", "a==1", |_| bail!("no network")).unwrap_err();
        assert!(format!("{error:#}").contains("install tool"), "{error:#}");
        let mut installed = false;
        tools
            .ensure("tool", "a==1", |folder| {
                installed = true;
                Ok(std::fs::create_dir_all(folder)?)
            })
            .unwrap();
        assert!(installed);
        std::fs::remove_dir_all(cache).unwrap();
    }
}
