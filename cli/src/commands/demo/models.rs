//! Which model the story asks: a small chat model where this machine has it or gets it, else embeddings, whose
//! weights are inside the node.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::DemoError;
use super::programs::Programs;
use crate::output::say;

/// What `comity-node model fetch` calls the chat model.
const FETCHED: &str = "smollm2";
/// Longest that its 98 MB may take: beyond, the story is worth more than the model.
const FETCH_TIME: Duration = Duration::from_secs(300);

/// What the story asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    /// Chat, by the model in this GGUF file.
    Chat {
        /// Where it is.
        gguf: PathBuf,
    },
    /// Embeddings.
    Embed,
}

impl Ask {
    /// The model's name, and the id of its offers.
    pub(super) fn model(&self) -> &'static str {
        match self {
            Self::Chat { .. } => CHAT_MODEL,
            Self::Embed => EMBED_MODEL,
        }
    }

    /// The method, as `comity explain --for` takes it, and the id of the offers.
    pub(super) fn method(&self) -> &'static str {
        match self {
            Self::Chat { .. } => "chat",
            Self::Embed => "embed",
        }
    }
}

/// What callers call the chat model.
pub(super) const CHAT_MODEL: &str = "smollm2-135m-instruct";
/// What callers call the embedding model.
pub(super) const EMBED_MODEL: &str = "paraphrase-minilm-l3-v2";

/// Chat if the model can be had.
pub(super) async fn choose(programs: &Programs) -> Result<Ask, DemoError> {
    let mut fetch = programs.node();
    fetch.args(["model", "fetch", FETCHED]);
    match timeout(FETCH_TIME, path_of(fetch)).await {
        Ok(Ok(Some(gguf))) => Ok(Ask::Chat { gguf }),
        Ok(Ok(None)) | Err(_) => {
            say(
                "The chat model SmolLM2 is not to be had here, so the story is told with embeddings; the message above says why.",
            );
            Ok(Ask::Embed)
        }
        Ok(Err(error)) => Err(error),
    }
}

/// The path that a fetch prints, if it succeeds. Its progress and its complaints go to the terminal.
async fn path_of(mut fetch: Command) -> Result<Option<PathBuf>, DemoError> {
    fetch.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
    let child = fetch.spawn().map_err(DemoError::system("run comity-node model fetch"))?;
    let output = child.wait_with_output().await.map_err(DemoError::system("run comity-node model fetch"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let path = text.lines().map(str::trim).map(PathBuf::from).rfind(|path| path.is_file());
    Ok(path.filter(|_| output.status.success()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_fetch_that_fails_or_prints_no_file_gives_no_model() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().display();
        let shell = |script: String| {
            let mut command = Command::new("sh");
            command.args(["-c", &script]);
            command
        };
        assert_eq!(path_of(shell(format!("echo {path}"))).await.unwrap(), Some(file.path().to_owned()));
        assert_eq!(path_of(shell(format!("echo {path}; exit 1"))).await.unwrap(), None);
        assert_eq!(path_of(shell("echo sorry".to_owned())).await.unwrap(), None);
    }
}
