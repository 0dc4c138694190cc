//! Where metrics are read: HTTP/1.1 in plain text, one answer a connection.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::tasks::Tasks;

/// What is served, as OpenMetrics names it.
const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Longest that one answer may take, with the question before it: whoever scrapes does so every few seconds.
const DEADLINE: Duration = Duration::from_secs(10);
/// Most who read at once: a scraper or two, and a person.
const MAX_READERS: usize = 16;
/// Pause after the system refused to accept, which it does when files run out.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(50);

/// A bound socket that does not answer yet.
#[derive(Debug)]
pub struct Endpoint {
    tcp: TcpListener,
    address: SocketAddr,
}

impl Endpoint {
    /// Binds `address`.
    ///
    /// # Errors
    /// The address is none of this machine's, or is taken.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let tcp = TcpListener::bind(address).await?;
        let address = tcp.local_addr()?;
        Ok(Self { tcp, address })
    }

    /// Where it listens, with the port that it got.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers with what `text` gives, until `tasks` are to end.
    pub fn serve(self, tasks: &Tasks, text: impl Fn() -> String + Send + Sync + 'static) {
        let (stop, text, readers) = (tasks.token(), Arc::new(text), Arc::new(Semaphore::new(MAX_READERS)));
        let connections = tasks.clone();
        tracing::info!(address = %self.address, "metrics are served");
        tasks.spawn("metrics", async move {
            let accepting = async {
                // Never closed.
                while let Ok(place) = Arc::clone(&readers).acquire_owned().await {
                    match self.tcp.accept().await {
                        Ok((tcp, _)) => {
                            let text = Arc::clone(&text);
                            connections.spawn("metrics reader", async move {
                                let _late = timeout(DEADLINE, answer(tcp, &*text)).await.is_err();
                                drop(place);
                            });
                        }
                        Err(error) => {
                            tracing::warn!(%error, "cannot accept who reads metrics");
                            tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                        }
                    }
                }
            };
            stop.run_until_cancelled(accepting).await.unwrap_or(());
        });
    }
}

async fn answer(tcp: TcpStream, text: &(impl Fn() -> String + Send + Sync)) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = respond(&request, text);
        async move { Ok::<_, Infallible>(response) }
    });
    // Whoever breaks off has broken off.
    let _broken = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(tcp), service).await.is_err();
}

fn respond(request: &Request<Incoming>, text: &impl Fn() -> String) -> Response<Full<Bytes>> {
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => (StatusCode::OK, text()),
        (_, "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, "metrics are read with GET\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, "metrics are at /metrics\n".to_owned()),
    };
    let kind = if status == StatusCode::OK { TYPE } else { "text/plain; charset=utf-8" };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
