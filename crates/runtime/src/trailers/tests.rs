use std::pin::Pin;

use comity_proto::inference::inference_client::InferenceClient;
use comity_proto::inference::inference_server::{Inference, InferenceServer};
use comity_proto::inference::{
    ChatRequest, ChatResponse, ChatStreamRequest, ChatStreamResponse, EmbedRequest, EmbedResponse, ForwardRequest,
    ForwardResponse,
};
use http::{HeaderName, HeaderValue};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status};

use super::{LateTrailers, TrailerLayer, Trailers};
use crate::tasks::Tasks;

const KNOWN: HeaderName = HeaderName::from_static("x-known");
const LATE: HeaderName = HeaderName::from_static("x-late");

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A service whose answers carry trailers: `Chat` well, `ChatStream` well or not, as asked for.
struct Service {
    stream_fails: bool,
}

#[tonic::async_trait]
impl Inference for Service {
    type ChatStreamStream = Answers<ChatStreamResponse>;
    type ForwardStream = Answers<ForwardResponse>;

    async fn chat(&self, _: Request<ChatRequest>) -> Result<Response<ChatResponse>, Status> {
        let mut response = Response::new(ChatResponse::default());
        response.extensions_mut().insert(Trailers([(KNOWN, HeaderValue::from_static("1"))].into_iter().collect()));
        Ok(response)
    }

    async fn chat_stream(&self, _: Request<ChatStreamRequest>) -> Result<Response<Self::ChatStreamStream>, Status> {
        let (late, fails) = (LateTrailers::default(), self.stream_fails);
        let filled = late.clone();
        let last = tokio_stream::once(()).map(move |()| {
            filled.insert(LATE, HeaderValue::from_static("9"));
            if fails { Err(Status::data_loss("cut")) } else { Ok(ChatStreamResponse::default()) }
        });
        let answers = tokio_stream::once(Ok(ChatStreamResponse::default())).chain(last);
        let mut response = Response::new(Box::pin(answers) as Self::ChatStreamStream);
        response.extensions_mut().insert(late);
        Ok(response)
    }

    async fn embed(&self, _: Request<EmbedRequest>) -> Result<Response<EmbedResponse>, Status> {
        Err(Status::failed_precondition("no"))
    }

    async fn forward(&self, _: Request<ForwardRequest>) -> Result<Response<Self::ForwardStream>, Status> {
        Err(Status::unimplemented("no"))
    }
}

/// Adds trailers to whatever comes, as a layer nearer to the service would.
fn always<B>(mut response: http::Response<B>) -> http::Response<B> {
    response.extensions_mut().insert(Trailers([(KNOWN, HeaderValue::from_static("2"))].into_iter().collect()));
    response
}

async fn client(service: Service, tasks: &Tasks) -> InferenceClient<Channel> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let fails = service.stream_fails;
    tasks.spawn("server", async move {
        let add = tower::util::MapResponseLayer::new(move |response| if fails { always(response) } else { response });
        let server = Server::builder().layer(TrailerLayer).layer(add).add_service(InferenceServer::new(service));
        server.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
    });
    InferenceClient::new(Endpoint::try_from(format!("http://{address}")).unwrap().connect().await.unwrap())
}

#[tokio::test]
async fn trailers_reach_a_client_on_ok() {
    let mut client = client(Service { stream_fails: false }, &Tasks::new()).await;
    let response = client.chat(ChatRequest::default()).await.unwrap();
    assert_eq!(response.metadata().get("x-known").unwrap(), "1");
}

#[tokio::test]
async fn trailers_that_are_filled_while_a_stream_runs_reach_a_client() {
    let mut client = client(Service { stream_fails: false }, &Tasks::new()).await;
    let mut stream = client.chat_stream(ChatStreamRequest::default()).await.unwrap().into_inner();
    while stream.message().await.unwrap().is_some() {}
    assert_eq!(stream.trailers().await.unwrap().unwrap().get("x-late").unwrap(), "9");
}

#[tokio::test]
async fn trailers_reach_a_client_when_a_stream_fails() {
    let mut client = client(Service { stream_fails: true }, &Tasks::new()).await;
    let mut stream = client.chat_stream(ChatStreamRequest::default()).await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap();
    let failed = stream.message().await.unwrap_err();
    assert_eq!((failed.code(), failed.message()), (Code::DataLoss, "cut"));
    assert_eq!(failed.metadata().get("x-late").unwrap(), "9");
}

#[tokio::test]
async fn trailers_reach_a_client_when_the_call_is_refused_at_once() {
    let mut client = client(Service { stream_fails: true }, &Tasks::new()).await;
    let refused = client.embed(EmbedRequest::default()).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::FailedPrecondition, "no"));
    assert_eq!(refused.metadata().get("x-known").unwrap(), "2");
}
