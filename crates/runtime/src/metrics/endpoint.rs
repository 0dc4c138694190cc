//! Where metrics are read: `/metrics`, by plain HTTP.

use std::sync::Arc;

use http::{Method, StatusCode};

use crate::tasks::Tasks;
use crate::web::{Answer, Endpoint};

/// What is served, as OpenMetrics names it.
const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers with what `text` gives, until `tasks` are to end.
pub fn serve(endpoint: Endpoint, tasks: &Tasks, text: impl Fn() -> String + Send + Sync + 'static) {
    tracing::info!(address = %endpoint.local_addr(), "metrics are served");
    let text = Arc::new(text);
    endpoint.serve("metrics", tasks, move |request| {
        let answer = respond(request.method(), request.uri().path(), &*text);
        async move { answer }
    });
}

fn respond(method: &Method, path: &str, text: &impl Fn() -> String) -> Answer {
    match (method, path) {
        (&Method::GET | &Method::HEAD, "/metrics") => {
            Answer { status: StatusCode::OK, content_type: TYPE, body: text() }
        }
        (_, "/metrics") => Answer::text(StatusCode::METHOD_NOT_ALLOWED, "metrics are read with GET\n"),
        _ => Answer::text(StatusCode::NOT_FOUND, "metrics are at /metrics\n"),
    }
}
