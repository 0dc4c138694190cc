//! HTTP to a model server: TLS, key, deadlines, bounded bodies, and what each status means.

use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use comity_runtime::web;
use comity_types::Secret;
use futures::{Stream, StreamExt};
use reqwest::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Response, StatusCode};
use url::Url;

use super::Patience;
use crate::backend::Fault;

/// Bytes of a whole answer: a conversation of the longest context, with
/// log-probabilities, is well below it.
pub(super) const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum TransferError {
    /// The connection was cut.
    #[error("the body was cut")]
    Cut,
    /// It is larger than a bound.
    #[error("the body is larger than {limit_bytes} bytes")]
    TooLarge { limit_bytes: usize },
}

/// Why a client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The HTTP client cannot be set up.
    #[error(transparent)]
    Client(#[from] web::ClientError),
    /// The key is not a header value.
    #[error("the API key holds characters that an HTTP header cannot carry")]
    Key,
    /// The URL cannot hold a path.
    #[error("the URL {url} is not http:// or https://\nhint: correct `url`")]
    Url {
        /// The URL.
        url: String,
    },
}

/// A model server's address, key and limits.
pub(super) struct Http {
    client: Client,
    base: Url,
    key: Option<HeaderValue>,
    /// How long it may keep silent.
    pub(super) patience: Patience,
}

impl Http {
    pub(super) fn new(
        base: Url,
        key: Option<&Secret<String>>,
        ca_file: Option<&Path>,
        patience: Patience,
    ) -> Result<Self, SetupError> {
        if !matches!(base.scheme(), "http" | "https") {
            return Err(SetupError::Url { url: shown(&base) });
        }
        let client = web::client(ca_file)?;
        let key = key.map(|key| header(key.reveal())).transpose()?;
        Ok(Self { client, base, key, patience })
    }

    /// Sends, and answers only for a status of success.
    pub(super) async fn send(&self, method: Method, path: &str, body: Option<Bytes>) -> Result<Response, Fault> {
        let response = self.send_raw(method, path, body).await?;
        match response.status() {
            status if status.is_success() => Ok(response),
            status => Err(status_fault(status, &response)),
        }
    }

    /// Sends, whatever the status.
    pub(super) async fn send_raw(&self, method: Method, path: &str, body: Option<Bytes>) -> Result<Response, Fault> {
        let mut request = self.client.request(method, self.url(path));
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, key.clone());
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let sent = tokio::time::timeout(self.patience.first, request.send()).await;
        sent.map_err(|_| Fault::Stalled { after: self.patience.first })?.map_err(|error| send_fault(&error))
    }

    /// A whole body, within the bounds of size and silence.
    pub(super) async fn read(&self, response: Response) -> Result<Bytes, Fault> {
        let mut body = std::pin::pin!(chunks(response));
        let mut whole = BytesMut::new();
        let mut limit = self.patience.first;
        while let Some(chunk) = next(&mut body, limit).await? {
            limit = self.patience.idle;
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }

    /// The server's paths stand below the base, with or without its `/v1`.
    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let base = url.path().trim_end_matches('/').trim_end_matches("/v1").to_owned();
        url.set_path(&format!("{base}/v1/{path}"));
        url
    }
}

/// A URL as people may see it: without the credentials that some put into it.
pub(crate) fn shown(url: &Url) -> String {
    let mut text = url.clone();
    let had_secret = !url.username().is_empty() || url.password().is_some();
    // A URL that cannot hold a name and a password has none.
    let _without = text.set_username("").and_then(|()| text.set_password(None));
    text.set_query(None);
    text.set_fragment(None);
    let query = if url.query().is_some() { "?…" } else { "" };
    if had_secret { text.as_str().replacen("://", "://…@", 1) + query } else { text.to_string() + query }
}

/// The next piece of a body, or a fault after `idle` of silence.
pub(super) async fn next<S>(body: &mut S, idle: Duration) -> Result<Option<Bytes>, Fault>
where
    S: Stream<Item = Result<Bytes, TransferError>> + Unpin,
{
    let chunk = tokio::time::timeout(idle, body.next()).await.map_err(|_| Fault::Stalled { after: idle })?;
    chunk.transpose().map_err(|error| match error {
        TransferError::Cut => Fault::Truncated,
        TransferError::TooLarge { limit_bytes } => Fault::TooLarge { limit_bytes },
    })
}

/// The body in pieces, up to [`MAX_ANSWER_BYTES`].
pub(super) fn chunks(response: Response) -> impl Stream<Item = Result<Bytes, TransferError>> + Send {
    let mut read = 0;
    response.bytes_stream().map(move |chunk| {
        let chunk = chunk.map_err(|_| TransferError::Cut)?;
        read += chunk.len();
        if read > MAX_ANSWER_BYTES { Err(TransferError::TooLarge { limit_bytes: MAX_ANSWER_BYTES }) } else { Ok(chunk) }
    })
}

fn send_fault(error: &reqwest::Error) -> Fault {
    if error.is_connect() || error.is_timeout() {
        Fault::Unreachable
    } else {
        // The server took the connection and closed it, or spoke something else than HTTP.
        Fault::Malformed { expected: "an HTTP response" }
    }
}

/// What is wrong between this node and its server, whatever the request: the key, or an address that has moved.
pub(super) fn own_fault(response: &Response) -> Option<Fault> {
    let status = response.status();
    let ours = status.is_redirection() || matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    ours.then(|| status_fault(status, response))
}

fn status_fault(status: StatusCode, response: &Response) -> Fault {
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    match status.as_u16() {
        429 => Fault::RateLimited { retry_after_seconds: retry_after },
        status @ (401 | 403) => Fault::Unauthorised { status },
        status @ 400..=499 => Fault::Refused { status },
        status => Fault::Failed { status },
    }
}

fn header(key: &str) -> Result<HeaderValue, SetupError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| SetupError::Key)?;
    value.set_sensitive(true);
    Ok(value)
}
