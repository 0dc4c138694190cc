//! The gRPC services of a node, and the server that has them.

use std::time::Duration;

use comity_proto::DESCRIPTORS;
use comity_proto::inference::inference_server::InferenceServer;
use comity_proto::tunnel::tunnel_server::TunnelServer;
use comity_runtime::accept::{self, Connection, Http2, Incoming};
use comity_runtime::calm::Allowance;
use comity_runtime::metrics::CallsService;
use comity_runtime::observe::Observer;
use comity_runtime::trailers::{TrailerLayer, TrailerService};
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use tonic::service::{Interceptor, InterceptorLayer, Routes};
use tonic_reflection::server::Builder;
use tower::ServiceBuilder;

use super::tunnels::Leaving;
use crate::health::Health;
use crate::serve::{MAX_ANSWER_BYTES, MAX_REQUEST_BYTES, Server};

/// How often a silent connection is asked whether it still stands.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// How long the answer may take: then the connection is dead, and its calls are dropped.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Most calls on one connection: the broker opens no more.
const MAX_STREAMS: u32 = 1024;
/// What may come of one request before it is read, in bytes.
const STREAM_WINDOW: u32 = 128 * 1024;
/// As many stream windows as there may be streams: so that requests which are not read cannot take the connection
/// from those that are.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MAX_STREAMS;
/// How a broker is spoken with.
const HTTP2: Http2 = Http2 {
    max_streams: MAX_STREAMS,
    keep_alive: KEEP_ALIVE,
    keep_alive_timeout: KEEP_ALIVE_TIMEOUT,
    windows: Some((STREAM_WINDOW, CONNECTION_WINDOW)),
    allowance: Allowance::DEFAULT,
};

/// What every connection to the broker serves. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Services {
    /// The models.
    pub(super) server: Server,
    /// Whether it is worth asking them.
    pub(super) health: Health,
    /// Who is told of calls that have ended.
    pub(super) observer: Observer,
}

/// Serves `incoming` until `stop`, then until the calls that are there have ended; each connection is drained in its time.
pub(super) async fn serve<I>(services: Services, gate: I, incoming: Incoming, stop: CancellationToken)
where
    I: Interceptor + Clone + Send + Sync + 'static,
{
    accept::serve(incoming, HTTP2, stop, behind(services, gate, None)).await;
}

/// Serves the broker over a tunnel until `stop`, then until the calls that are there have ended. What the broker says of
/// the tunnel is `tunnel`'s.
pub(super) async fn serve_tunnel<I>(
    services: Services,
    gate: I,
    tunnel: TunnelServer<Leaving>,
    connection: Connection,
    stop: impl Future<Output = ()>,
) where
    I: Interceptor + Clone + Send + Sync + 'static,
{
    accept::serve_one(connection, HTTP2, stop, behind(services, gate, Some(tunnel))).await;
}

/// The services, and what stands before them, outermost first.
type Gated<I> = CallsService<InterceptedService<TrailerService<Routes>, I>>;

/// All services behind the gate.
fn behind<I>(services: Services, gate: I, tunnel: Option<TunnelServer<Leaving>>) -> Gated<I>
where
    I: Interceptor + Clone + Send + Sync + 'static,
{
    let calls = services.server.metrics().calls().told_to(services.observer);
    let inference = InferenceServer::new(services.server)
        .max_decoding_message_size(MAX_REQUEST_BYTES)
        .max_encoding_message_size(MAX_ANSWER_BYTES);
    // The descriptors are this program's own; a test reads them.
    let reflection = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let mut routes = Routes::builder();
    routes.add_service(inference).add_service(services.health.service());
    if let Some(tunnel) = tunnel {
        routes.add_service(tunnel);
    }
    if let (Ok(v1), Ok(v1alpha)) = (reflection().build_v1(), reflection().build_v1alpha()) {
        routes.add_service(v1).add_service(v1alpha);
    }
    let routes = routes.routes().prepare();
    ServiceBuilder::new().layer(calls).layer(InterceptorLayer::new(gate)).layer(TrailerLayer).service(routes)
}
