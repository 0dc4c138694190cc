//! The gRPC services of a node, and the server that has them.

use std::io;
use std::time::Duration;

use comity_proto::DESCRIPTORS;
use comity_proto::inference::inference_server::InferenceServer;
use comity_proto::tunnel::tunnel_server::TunnelServer;
use comity_runtime::accept::{self, Connection, Incoming};
use comity_runtime::metrics::CallsLayer;
use comity_runtime::trailers::TrailerLayer;
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::service::{Interceptor, InterceptorLayer};
use tonic::transport::Error;
use tonic::transport::server::Router;
use tonic_reflection::server::Builder;
use tower::layer::util::{Identity, Stack};

use super::tunnels::Leaving;
use crate::health::Health;
use crate::serve::{MAX_ANSWER_BYTES, MAX_REQUEST_BYTES, Server};

/// What stands before the services, innermost first.
type Layers<I> = Stack<TrailerLayer, Stack<InterceptorLayer<I>, Stack<CallsLayer, Identity>>>;

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

/// What every connection to the broker serves. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Services {
    /// The models.
    pub(super) server: Server,
    /// Whether it is worth asking them.
    pub(super) health: Health,
}

/// Serves `incoming` until `stop`, then until the calls that are there have ended; each connection is drained in its time.
pub(super) async fn serve<I>(services: Services, gate: I, incoming: Incoming, stop: CancellationToken)
where
    I: Interceptor + Clone + Send + Sync + 'static,
{
    let router = router(services, gate, None);
    accept::serve(incoming, stop, |one, drain| router.clone().serve_with_incoming_shutdown(one, drain)).await;
}

/// Serves the broker over a tunnel until `stop`, then until the calls that are there have ended. What the broker says of
/// the tunnel is `tunnel`'s.
pub(super) async fn serve_tunnel<I>(
    services: Services,
    gate: I,
    tunnel: TunnelServer<Leaving>,
    connection: impl Stream<Item = io::Result<Connection>>,
    stop: impl Future<Output = ()>,
) -> Result<(), Error>
where
    I: Interceptor + Clone + Send + Sync + 'static,
{
    router(services, gate, Some(tunnel)).serve_with_incoming_shutdown(connection, stop).await
}

/// All services behind the gate.
fn router<I>(services: Services, gate: I, tunnel: Option<TunnelServer<Leaving>>) -> Router<Layers<I>>
where
    I: Interceptor + Clone + Send + Sync + 'static,
{
    let calls = services.server.metrics().calls();
    let inference = InferenceServer::new(services.server)
        .max_decoding_message_size(MAX_REQUEST_BYTES)
        .max_encoding_message_size(MAX_ANSWER_BYTES);
    // The descriptors are this program's own; a test reads them.
    let reflection = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE_TIMEOUT))
        .max_concurrent_streams(Some(MAX_STREAMS))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .layer(calls)
        .layer(InterceptorLayer::new(gate))
        .layer(TrailerLayer)
        .add_service(inference)
        .add_service(services.health.service())
        .add_optional_service(tunnel)
        .add_optional_service(reflection().build_v1().ok())
        .add_optional_service(reflection().build_v1alpha().ok())
}
