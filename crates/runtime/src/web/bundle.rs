//! A SPIFFE trust bundle, from a file or from where its owner serves it by HTTPS (SPIFFE_Federation.md, `https_web`).

use std::io;
use std::path::Path;
use std::time::Duration;

use comity_identity::bundle::MAX_BUNDLE_BYTES;
use reqwest::Client;
use tokio::time::timeout;

use super::{ClientError, client};
use crate::chain;

#[cfg(test)]
mod tests;

/// How long the whole answer may take: it is a few kilobytes.
const DEADLINE: Duration = Duration::from_secs(20);

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleSourceError {
    /// The file cannot be read.
    #[error("{path} cannot be read (hint: a trust bundle is a file, or a URL that begins with https://)")]
    File {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Anyone on the way could change what comes by HTTP.
    #[error("{url} is not https:// (hint: fetch the bundle another way, and name its file)")]
    Insecure {
        /// The URL.
        url: String,
    },
    /// There is no client for it.
    #[error("no HTTPS client can be set up")]
    Setup(#[from] ClientError),
    /// The server does not give it.
    #[error("{url} does not give a bundle: {problem}")]
    Server {
        /// The URL.
        url: String,
        /// What is wrong.
        problem: String,
    },
}

/// The bundle's bytes, from a file or a URL; a server is believed by the system's authorities.
///
/// # Errors
/// The file cannot be read; the URL is not https; its server does not answer in time, or answers more than a bundle.
pub async fn load(source: &str) -> Result<Vec<u8>, BundleSourceError> {
    if source.starts_with("http://") {
        return Err(BundleSourceError::Insecure { url: source.to_owned() });
    }
    if !source.starts_with("https://") {
        return std::fs::read(Path::new(source))
            .map_err(|error| BundleSourceError::File { path: source.to_owned(), source: error });
    }
    fetch(&client(None)?, source).await
}

/// The same from a server, within [`DEADLINE`].
async fn fetch(client: &Client, url: &str) -> Result<Vec<u8>, BundleSourceError> {
    let fetched = timeout(DEADLINE, answer(client, url)).await;
    let late = format!("no answer within {} s", DEADLINE.as_secs());
    fetched.unwrap_or_else(|_| Err(BundleSourceError::Server { url: url.to_owned(), problem: late }))
}

async fn answer(client: &Client, url: &str) -> Result<Vec<u8>, BundleSourceError> {
    let wrong = |problem: String| BundleSourceError::Server { url: url.to_owned(), problem };
    let failed = |error: reqwest::Error| wrong(chain::text(&error));
    let mut answer = client.get(url).send().await.map_err(failed)?;
    if !answer.status().is_success() {
        return Err(wrong(format!("it answers {}", answer.status())));
    }
    let mut bundle = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        bundle.extend_from_slice(&chunk);
        if bundle.len() > MAX_BUNDLE_BYTES {
            return Err(wrong(format!("it is larger than {MAX_BUNDLE_BYTES} bytes")));
        }
    }
    Ok(bundle)
}
