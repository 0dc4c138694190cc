//! Serves SPIFFE trust bundles, one for each organisation and one for the federation itself, to whoever asks:
//! `GET /bundles/<trust domain>` (SPIFFE_Federation.md, profile `https_spiffe`: the server shows the broker's own SVID).
//!
//! HTTP/1.1, which every such client speaks, and one request a connection: there is little to bound.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use comity_identity::{Bundle, CertificateDer, Root};
use comity_runtime::accept::{Acceptor, Connection, Listener};
use comity_runtime::chain;
use comity_runtime::tasks::Tasks;
use comity_types::TrustDomain;
use futures::StreamExt as _;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};

use crate::registry::Registry;

#[cfg(test)]
mod tests;

/// How often a bundle should be fetched: as long as an authority that was added or taken back may go unnoticed.
pub const REFRESH: Duration = Duration::from_secs(5 * 60);
/// How long a client may take to send its request.
const HEADER_DEADLINE: Duration = Duration::from_secs(10);
/// What stands before a trust domain in a path.
const PREFIX: &str = "/bundles/";

/// Knows the bundle of a trust domain.
pub trait BundleSource: Send + Sync + fmt::Debug {
    /// The bundle of `domain`, if that is of the federation. Whoever is suspended has one without authorities.
    fn bundle(&self, domain: &TrustDomain) -> Option<Bundle>;
}

/// Bundles as the registry and the root document have them.
#[derive(Debug)]
pub struct RegistryBundles {
    registry: Registry,
    federation: TrustDomain,
    anchors: Vec<CertificateDer<'static>>,
}

impl RegistryBundles {
    /// Those of the organisations in `registry`, and of the federation whose root document is `root`.
    #[must_use]
    pub fn new(registry: Registry, root: &Root) -> Self {
        Self { registry, federation: root.federation.clone(), anchors: root.anchors.clone() }
    }
}

impl BundleSource for RegistryBundles {
    /// The sequence is the log's epoch: it never goes back, and grows with every change of anchors, with every
    /// suspension and its end, and with others.
    fn bundle(&self, domain: &TrustDomain) -> Option<Bundle> {
        let snapshot = self.registry.snapshot();
        let federation = snapshot.federation();
        let anchors = if *domain == self.federation {
            self.anchors.clone()
        } else {
            let organisation = federation.organisation(domain)?;
            let decode = |text: &String| STANDARD.decode(text).ok().map(CertificateDer::from);
            // Anchors that cannot be used do not get into the registry.
            let anchors = organisation.anchors.iter().filter_map(decode);
            if organisation.suspensions.is_none() { anchors.collect() } else { Vec::new() }
        };
        Some(Bundle {
            domain: domain.clone(),
            anchors,
            sequence: Some(federation.epoch()),
            refresh_hint: Some(REFRESH),
        })
    }
}

/// A listener for bundles that does not serve yet.
#[derive(Debug)]
pub struct Bundles {
    listener: Listener,
    acceptor: Acceptor,
    source: Arc<dyn BundleSource>,
}

impl Bundles {
    /// Puts it together; `acceptor` is a public one.
    #[must_use]
    pub fn new(listener: Listener, acceptor: Acceptor, source: Arc<dyn BundleSource>) -> Self {
        Self { listener, acceptor, source }
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Serves until `tasks` are to end.
    pub fn serve(self, tasks: &Tasks) {
        let (source, spawner, stop) = (self.source, tasks.clone(), tasks.token());
        tracing::info!(address = %self.listener.local_addr(), "serving trust bundles");
        let mut incoming = self.listener.incoming(self.acceptor, tasks);
        tasks.spawn("bundles", async move {
            while let Some(Some(Ok(connection))) = stop.run_until_cancelled(incoming.next()).await {
                let (served, stop) = (serve(connection, Arc::clone(&source)), stop.clone());
                spawner.spawn("bundle", async move { stop.run_until_cancelled(served).await.unwrap_or(()) });
            }
        });
    }
}

/// One request, and its answer.
async fn serve(connection: Connection, source: Arc<dyn BundleSource>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = answer(request.method(), request.uri().path(), source.as_ref());
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_DEADLINE).keep_alive(false);
    if let Err(error) = builder.serve_connection(TokioIo::new(connection), service).await {
        tracing::debug!(error = chain::text(&error), "whoever asked for a bundle hung up");
    }
}

fn answer(method: &Method, path: &str, source: &dyn BundleSource) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "bundles can be read, and nothing else\n");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    let domain = path.strip_prefix(PREFIX).and_then(|domain| domain.parse::<TrustDomain>().ok());
    let Some(bundle) = domain.and_then(|domain| source.bundle(&domain)) else {
        return text(StatusCode::NOT_FOUND, "no such bundle: ask for /bundles/<trust domain of a member>\n");
    };
    match bundle.to_json() {
        Ok(json) => found(json),
        Err(error) => {
            tracing::error!(domain = %bundle.domain, error = chain::text(&error), "a bundle cannot be written");
            text(StatusCode::INTERNAL_SERVER_ERROR, "the bundle cannot be written\n")
        }
    }
}

fn found(json: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(json));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
