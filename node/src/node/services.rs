//! The gRPC services of a node, and the server that has them.

use std::time::Duration;

use comity_proto::DESCRIPTORS;
use comity_proto::inference::inference_server::InferenceServer;
use comity_runtime::accept::{self, Incoming};
use comity_runtime::trailers::TrailerLayer;
use tokio_util::sync::CancellationToken;
use tonic::service::{Interceptor, InterceptorLayer};
use tonic_reflection::server::Builder;

use crate::serve::{MAX_ANSWER_BYTES, MAX_REQUEST_BYTES, Server};

/// How often a silent connection is asked whether it still stands.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// How long the answer may take: then the connection is dead, and its calls are dropped.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Most calls on one connection: the broker opens no more.
const MAX_STREAMS: u32 = 1024;
/// What may come of one request before it is read, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;
/// What may come of all requests of a connection before they are read, in bytes.
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;

/// Serves `incoming` until `stop`, then until the calls that are there have ended.
pub(super) async fn serve<I>(server: Server, gate: I, incoming: Incoming, stop: CancellationToken)
where
    I: Interceptor + Clone + Send + Sync + 'static,
{
    let inference = InferenceServer::new(server)
        .max_decoding_message_size(MAX_REQUEST_BYTES)
        .max_encoding_message_size(MAX_ANSWER_BYTES);
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<InferenceServer<Server>>().await;
    // The descriptors are this program's own; a test reads them.
    let reflection = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let router = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE_TIMEOUT))
        .max_concurrent_streams(Some(MAX_STREAMS))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .layer(InterceptorLayer::new(gate))
        .layer(TrailerLayer)
        .add_service(inference)
        .add_service(health)
        .add_optional_service(reflection().build_v1().ok())
        .add_optional_service(reflection().build_v1alpha().ok());
    accept::serve(incoming, stop, |one, drain| router.clone().serve_with_incoming_shutdown(one, drain)).await;
}
