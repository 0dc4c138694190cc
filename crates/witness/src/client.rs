//! One witness, as a log calls it.

use std::time::Duration;

use comity_runtime::chain;
use comity_transparency::CheckpointNote;
use comity_transparency::note::MAX_NOTE_BYTES;
use comity_transparency::witness::{AddCheckpoint, conflict_size, monitoring_path};
use reqwest::{Client, Response, StatusCode};
use tokio::time::timeout;
use url::Url;

/// Longest that a witness may take to answer: one on another continent, which syncs its disk, takes a third of it.
const DEADLINE: Duration = Duration::from_secs(2);
/// Most bytes of an answer: a note with many cosignatures.
const MAX_ANSWER_BYTES: usize = MAX_NOTE_BYTES;
/// Most characters of a refusal that are shown.
const MAX_SHOWN: usize = 200;

/// A witness's address.
#[derive(Debug, Clone)]
pub struct WitnessClient {
    http: Client,
    base: Url,
}

/// What a witness answered to `add-checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Lines of signatures, not looked at yet.
    Cosigned(String),
    /// It has another size.
    Conflict(u64),
    /// It does not cosign.
    Refused {
        /// The status of HTTP.
        status: u16,
        /// What it says, in part.
        text: String,
    },
}

/// Why a witness did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// It cannot be reached, or breaks off.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// It takes too long.
    #[error("it did not answer within {} s", DEADLINE.as_secs())]
    Late,
    /// It says too much, or no text.
    #[error("its answer is no text of at most {MAX_ANSWER_BYTES} bytes")]
    Answer,
}

/// No address of a witness.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address of a witness (hint: http:// or https://, and what the witness says)")]
pub struct NotAnAddress(pub String);

impl WitnessClient {
    /// The witness whose submission prefix `url` is.
    ///
    /// # Errors
    /// It is no address.
    pub fn new(http: Client, url: &str) -> Result<Self, NotAnAddress> {
        let wrong = || NotAnAddress(url.to_owned());
        let mut base: Url = url.parse().map_err(|_| wrong())?;
        if !matches!(base.scheme(), "http" | "https") || base.query().is_some() || base.fragment().is_some() {
            return Err(wrong());
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        Ok(Self { http, base })
    }

    /// Asks it to cosign.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn add_checkpoint(&self, request: &AddCheckpoint) -> Result<Reply, CallError> {
        let sent = self.http.post(self.url("add-checkpoint")).body(request.to_string());
        let (status, text) = answer(sent.send()).await?;
        Ok(match (status, conflict_size(&text)) {
            (StatusCode::OK, _) => Reply::Cosigned(text),
            (StatusCode::CONFLICT, Some(size)) => Reply::Conflict(size),
            (status, _) => Reply::Refused { status: status.as_u16(), text: shown(&text) },
        })
    }

    /// The checkpoint that it shows to monitors, not verified; none if it shows none.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn latest(&self, origin: &str) -> Result<Option<CheckpointNote>, CallError> {
        let (status, text) = answer(self.http.get(self.url(&monitoring_path(origin))).send()).await?;
        Ok(if status == StatusCode::OK { CheckpointNote::parse(&text).ok() } else { None })
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path()));
        url
    }
}

/// Status and text, within the bounds of time and size.
async fn answer(sent: impl Future<Output = reqwest::Result<Response>>) -> Result<(StatusCode, String), CallError> {
    let broken = |error: reqwest::Error| CallError::Unreachable(chain::text(&error.without_url()));
    let read = async {
        let mut answer = sent.await.map_err(broken)?;
        let (status, mut bytes) = (answer.status(), Vec::new());
        while let Some(chunk) = answer.chunk().await.map_err(broken)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_ANSWER_BYTES {
                return Err(CallError::Answer);
            }
        }
        Ok((status, String::from_utf8(bytes).map_err(|_| CallError::Answer)?))
    };
    timeout(DEADLINE, read).await.map_err(|_| CallError::Late)?
}

/// What a stranger says, without what would disturb a terminal or a log.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_SHOWN).collect()
}
