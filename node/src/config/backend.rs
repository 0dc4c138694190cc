//! `[backends.<name>]`: where a model is, and how long to wait for it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use comity_types::Secret;
use serde::Deserialize;
use url::Url;

use crate::backend::Backend;
use crate::backend::Fault;
use crate::backend::embedded_embeddings::EmbeddedEmbeddings;
use crate::backend::embedded_text::{EmbeddedText, LoadError};
use crate::backend::openai::{OpenAi, Patience, SetupError};

/// To the first byte of an answer: a big model may read a long prompt for minutes.
const DEFAULT_FIRST_SECONDS: u32 = 300;
/// Between two pieces of an answer: a token takes well under a second.
const DEFAULT_IDLE_SECONDS: u32 = 30;

/// Which kind of backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An HTTP server that speaks OpenAI's API.
    Openai,
    /// A GGUF file, run in this process.
    EmbeddedText,
    /// The embeddings that are in this program.
    EmbeddedEmbeddings,
}

/// A backend.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendConfig {
    /// Which kind.
    pub kind: Kind,
    /// openai: the server's base URL, with or without `/v1`.
    pub url: Option<Url>,
    /// openai: a file that holds the API key.
    pub api_key_file: Option<PathBuf>,
    /// openai: an environment variable that holds the API key.
    pub api_key_env: Option<String>,
    /// openai: PEM certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// openai: seconds to wait for an answer to begin.
    pub first_byte_seconds: Option<u32>,
    /// openai: seconds of silence after which an answer is given up.
    pub idle_seconds: Option<u32>,
    /// embedded-text: the GGUF file.
    pub path: Option<PathBuf>,
}

/// Why a backend cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// A field that its kind needs is missing, or one that it does not know is there.
    #[error("{problem}")]
    Fields {
        /// Which, and what to do.
        problem: String,
    },
    /// Everybody on this machine can read the API key.
    #[error("api_key_file: {} can be read by everybody, its mode is {mode:03o}\nhint: chmod 600 {}", path.display(), path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The API key cannot be had.
    #[error(
        "cannot read the API key from {place}\nhint: correct `api_key_file` or `api_key_env`, and see that the key is not empty"
    )]
    Key {
        /// The file or the variable.
        place: String,
    },
    /// The HTTP client cannot be set up.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The GGUF file cannot be loaded.
    // Says its cause itself, so that the hint stands last.
    #[error("{}\nhint: `comity-node model fetch smollm2` gets a model and prints its path", crate::error_chain(.0))]
    Load(LoadError),
    /// The embedded model does not start.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl BackendConfig {
    /// The fields that are missing or do not belong to the kind.
    #[must_use]
    pub fn misfits(&self) -> Vec<String> {
        let openai = [
            ("url", self.url.is_some()),
            ("api_key_file", self.api_key_file.is_some()),
            ("api_key_env", self.api_key_env.is_some()),
            ("ca_file", self.ca_file.is_some()),
            ("first_byte_seconds", self.first_byte_seconds.is_some()),
            ("idle_seconds", self.idle_seconds.is_some()),
        ];
        let text = [("path", self.path.is_some())];
        let stray = |fields: &[(&str, bool)]| {
            let set = fields.iter().filter(|(_, set)| *set);
            set.map(|(field, _)| format!("`{field}` does not belong to this kind: remove it")).collect::<Vec<_>>()
        };
        let missing = |field: &str, set: bool| (!set).then(|| format!("this kind needs `{field}`: add it"));
        let mut misfits = match self.kind {
            Kind::Openai => [stray(&text), missing("url", self.url.is_some()).into_iter().collect()].concat(),
            Kind::EmbeddedText => [stray(&openai), missing("path", self.path.is_some()).into_iter().collect()].concat(),
            Kind::EmbeddedEmbeddings => [stray(&openai), stray(&text)].concat(),
        };
        if self.api_key_file.is_some() && self.api_key_env.is_some() {
            misfits.push("`api_key_file` and `api_key_env` exclude each other: keep one".to_owned());
        }
        misfits
    }

    /// Sets the backend up. An embedded model loads, which takes seconds on the calling thread.
    ///
    /// # Errors
    /// If a field is missing, the key cannot be read or the model cannot be loaded.
    pub fn open(&self) -> Result<Arc<dyn Backend>, BackendError> {
        if let Some(problem) = self.misfits().into_iter().next() {
            return Err(BackendError::Fields { problem });
        }
        let needs = |field: &str| BackendError::Fields { problem: format!("this kind needs `{field}`: add it") };
        Ok(match self.kind {
            Kind::Openai => {
                let url = self.url.clone().ok_or_else(|| needs("url"))?;
                Arc::new(OpenAi::new(url, self.key()?.as_ref(), self.ca_file.as_deref(), self.patience())?)
            }
            Kind::EmbeddedText => {
                let path = self.path.as_deref().ok_or_else(|| needs("path"))?;
                Arc::new(EmbeddedText::load(path).map_err(BackendError::Load)?)
            }
            Kind::EmbeddedEmbeddings => Arc::new(EmbeddedEmbeddings::load()?),
        })
    }

    fn patience(&self) -> Patience {
        let seconds = |set: Option<u32>, default: u32| Duration::from_secs(set.unwrap_or(default).into());
        Patience {
            first: seconds(self.first_byte_seconds, DEFAULT_FIRST_SECONDS),
            idle: seconds(self.idle_seconds, DEFAULT_IDLE_SECONDS),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the variable's name is documented as `api_key_env`")]
    fn key(&self) -> Result<Option<Secret<String>>, BackendError> {
        if let Some((path, mode)) = self.api_key_file.as_ref().and_then(|path| Some((path, exposed(path)?))) {
            return Err(BackendError::Exposed { path: path.clone(), mode });
        }
        let (place, key) = match (&self.api_key_file, &self.api_key_env) {
            (Some(path), _) => (path.display().to_string(), std::fs::read_to_string(path).ok()),
            (None, Some(variable)) => (format!("the environment variable {variable}"), std::env::var(variable).ok()),
            (None, None) => return Ok(None),
        };
        let key = key.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
        key.map(Secret::new).map(Some).ok_or(BackendError::Key { place })
    }

    pub(super) fn anchor(&mut self, base: &Path) {
        for path in [&mut self.api_key_file, &mut self.ca_file, &mut self.path] {
            *path = path.take().map(|path| base.join(path));
        }
    }
}

/// The mode of a file that everybody on this machine can read. Its owner's group may: services share keys that way.
fn exposed(path: &Path) -> Option<u32> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o004 != 0).then_some(mode)
}
