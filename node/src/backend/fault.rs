//! What can go wrong behind an offer, whose fault it is, and how a caller sees it.
//!
//! No variant holds text of a prompt, an answer or a backend's error body: backends
//! like to quote the request in their errors.

use std::time::Duration;

use tonic::Code;

/// When to come back to a model that is busy: an answer of a small model, which makes room in the queue, takes about as long.
pub const BUSY_SECONDS: u64 = 2;

/// A request that a backend did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No connection: refused, no such host, or TLS failed.
    #[error("the backend cannot be reached")]
    Unreachable,
    /// HTTP 429.
    #[error("the backend is rate-limited")]
    RateLimited {
        /// Its `retry-after`, in seconds.
        retry_after_seconds: Option<u64>,
    },
    /// HTTP 5xx, or an error event in mid-stream.
    #[error("the backend failed with HTTP status {status}")]
    Failed {
        /// The status.
        status: u16,
    },
    /// HTTP 401 or 403: this node's key is wrong, not the caller's request.
    #[error("the backend refused this node's API key with HTTP status {status}")]
    Unauthorised {
        /// The status.
        status: u16,
    },
    /// HTTP 4xx: the backend does not accept the request.
    #[error("the backend did not accept the request: HTTP status {status}")]
    Refused {
        /// The status.
        status: u16,
    },
    /// The answer ended before its end.
    #[error("the backend's answer was cut")]
    Truncated,
    /// The answer is not what the protocol says.
    #[error("the backend's answer is malformed: expected {expected}")]
    Malformed {
        /// What should have been there.
        expected: &'static str,
    },
    /// The answer is larger than this node reads.
    #[error("the backend's answer is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// Nothing came for too long.
    #[error("the backend sent nothing for {} s", after.as_secs_f32())]
    Stalled {
        /// The limit.
        after: Duration,
    },
    /// The payload breaks the contract.
    #[error("{field}: {problem}")]
    Invalid {
        /// The field, such as `payload.messages[2].role`.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The backend cannot do this at all.
    #[error("this offer's backend does not support {feature}")]
    Unsupported {
        /// The feature.
        feature: &'static str,
    },
    /// The queue is full.
    #[error("the model is busy: {waiting} requests wait already")]
    Busy {
        /// How many wait.
        waiting: usize,
    },
    /// The prompt leaves no room for an answer.
    #[error("the prompt has {tokens} tokens, the model's context is {limit}")]
    PromptTooLong {
        /// The prompt's.
        tokens: usize,
        /// The model's.
        limit: usize,
    },
    /// The embedded model failed.
    #[error("the embedded model failed: {step}")]
    Model {
        /// Where.
        step: &'static str,
    },
}

impl Fault {
    /// A field of the payload that breaks the contract.
    pub fn invalid(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), problem: problem.into() }
    }

    /// The status code that a caller sees. `UNAVAILABLE` lets the broker try another offer.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Unreachable | Self::Failed { .. } | Self::Truncated | Self::Stalled { .. } => Code::Unavailable,
            Self::RateLimited { .. } | Self::Busy { .. } => Code::ResourceExhausted,
            Self::Unauthorised { .. } | Self::Malformed { .. } | Self::TooLarge { .. } | Self::Model { .. } => {
                Code::Internal
            }
            Self::Refused { .. } | Self::Invalid { .. } | Self::PromptTooLong { .. } => Code::InvalidArgument,
            Self::Unsupported { .. } => Code::Unimplemented,
        }
    }

    /// The `ErrorInfo` reason.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable => "BACKEND_UNREACHABLE",
            Self::RateLimited { .. } => "BACKEND_RATE_LIMITED",
            Self::Failed { .. } => "BACKEND_FAILED",
            Self::Unauthorised { .. } => "BACKEND_KEY_REFUSED",
            Self::Refused { .. } => "BACKEND_REFUSED",
            Self::Truncated => "BACKEND_STREAM_TRUNCATED",
            Self::Malformed { .. } => "BACKEND_MALFORMED",
            Self::TooLarge { .. } => "BACKEND_ANSWER_TOO_LARGE",
            Self::Stalled { .. } => "BACKEND_STALLED",
            Self::Invalid { .. } => "PAYLOAD_INVALID",
            Self::Unsupported { .. } => "NOT_SUPPORTED",
            Self::Busy { .. } => "MODEL_BUSY",
            Self::PromptTooLong { .. } => "PROMPT_TOO_LONG",
            Self::Model { .. } => "MODEL_FAILED",
        }
    }

    /// What a program may want beside the reason.
    #[must_use]
    pub fn metadata(&self) -> Vec<(String, String)> {
        let pair = |key: &str, value: String| vec![(key.to_owned(), value)];
        match self {
            Self::RateLimited { retry_after_seconds: Some(seconds) } => {
                pair("retry_after_seconds", seconds.to_string())
            }
            Self::Busy { .. } => pair("retry_after_seconds", BUSY_SECONDS.to_string()),
            Self::Failed { status } | Self::Refused { status } | Self::Unauthorised { status } => {
                pair("http_status", status.to_string())
            }
            Self::Invalid { field, .. } => pair("field", field.clone()),
            Self::PromptTooLong { limit, .. } => pair("context_tokens", limit.to_string()),
            Self::Unsupported { feature } => pair("feature", (*feature).to_owned()),
            Self::Unreachable
            | Self::RateLimited { retry_after_seconds: None }
            | Self::Truncated
            | Self::Malformed { .. }
            | Self::TooLarge { .. }
            | Self::Stalled { .. }
            | Self::Model { .. } => Vec::new(),
        }
    }
}
