//! Spans of requests, for OpenTelemetry: handed to a collector by OTLP, by a task of their own, which no request waits for.
//!
//! The wire messages are those of `opentelemetry-proto`; its SDK is not used: a span here is made whole when its call has
//! ended, and never looked up by anybody meanwhile. What a span says is [`crate::observe`]'s.
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | `[traces]` |
//! | `context` | the ids, and the header that carries them |
//! | `export` | the queue, and the task that empties it |

pub mod config;
pub(crate) mod context;
mod export;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

pub use self::config::Config;
use self::context::Context;
use self::export::Queue;
use crate::metrics::Labels;
use crate::tasks::Tasks;

/// Counts spans by `outcome`: `delivered`, or `dropped`.
pub type Spans = Family<Labels<1>, Counter>;

/// Who makes the spans, as a collector is told.
#[derive(Debug, Clone)]
pub struct Service {
    /// The program, such as `comity-broker`.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Which of them: its SPIFFE ID.
    pub instance: String,
}

/// Takes spans. Clones are handles to the same.
#[derive(Debug, Clone)]
pub struct Traces(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ratio: f64,
    queue: Queue,
}

impl Traces {
    /// Hands spans to the collector until `tasks` have ended.
    ///
    /// # Errors
    /// The configuration is wrong; says what would be right.
    pub fn start(config: &Config, service: &Service, spans: Spans, tasks: &Tasks) -> Result<Self, String> {
        let queue = Queue::start(config.endpoint()?, service, spans, tasks);
        Ok(Self(Arc::new(Inner { ratio: config.ratio, queue })))
    }

    /// The context of a request's own span: in its caller's trace, where it names one; recorded where the caller records, or
    /// else by the trace's id, so that every program decides alike. None without randomness.
    pub(crate) fn context(&self, parent: Option<&Context>) -> Option<Context> {
        match parent {
            Some(parent) => Some(Context { span: context::new_span()?, ..*parent }),
            None => Context::begin(|trace| self.records(trace)),
        }
    }

    /// Hands the spans of one call over, or drops and counts them where too many wait.
    pub(crate) fn tell(&self, spans: Vec<Span>) {
        self.0.queue.tell(spans);
    }

    /// Whether a trace is among those that are recorded: by the last eight bytes of its id, which are random.
    #[expect(clippy::cast_precision_loss, reason = "a part of all ids need not be exact to the last of them")]
    fn records(&self, trace: [u8; 16]) -> bool {
        let [.., a, b, c, d, e, f, g, h] = trace;
        (u64::from_be_bytes([a, b, c, d, e, f, g, h]) as f64) < self.0.ratio * (u64::MAX as f64) || self.0.ratio >= 1.0
    }
}

/// A text that a span says.
pub(crate) fn text(key: &'static str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

/// A number that a span says.
pub(crate) fn number(key: &'static str, value: u64) -> KeyValue {
    attribute(key, Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)))
}

fn attribute(key: &'static str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
