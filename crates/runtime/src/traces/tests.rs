//! Spans on their way to collectors of every kind.

use std::sync::Mutex;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use super::*;
use crate::tasks::Closed;
use crate::testing::{Log, PATIENCE, eventually};

/// How a collector does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Manner {
    Takes,
    Refuses,
    Hangs,
}

/// A collector that keeps what it gets.
#[derive(Debug, Clone)]
pub(crate) struct Collector {
    manner: Manner,
    got: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.got.lock().unwrap().push(request.into_inner());
        match self.manner {
            Manner::Takes => Ok(Response::new(ExportTraceServiceResponse::default())),
            Manner::Refuses => Err(Status::resource_exhausted("full")),
            Manner::Hangs => std::future::pending().await,
        }
    }
}

impl Collector {
    pub(crate) async fn start(manner: Manner, tasks: &Tasks) -> (Self, String) {
        let collector = Self { manner, got: Arc::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let server = Server::builder().add_service(TraceServiceServer::new(collector.clone()));
        let token = tasks.token();
        tasks.spawn("collector", async move {
            let serving = server.serve_with_incoming(TcpListenerStream::new(listener));
            let _ended = token.run_until_cancelled(serving).await;
        });
        (collector, endpoint)
    }

    pub(crate) fn got(&self) -> Vec<Span> {
        let got = self.got.lock().unwrap();
        let scopes = got.iter().flat_map(|all| &all.resource_spans).flat_map(|of| &of.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    fn spans(&self) -> usize {
        self.got().len()
    }
}

pub(crate) fn start(endpoint: String, ratio: f64, tasks: &Tasks) -> (Traces, Spans) {
    let (config, spans) = (Config { endpoint, ratio, danger_plaintext: false }, Spans::default());
    let service = Service { name: "test", version: "1", instance: "spiffe://fed.example/broker/b1".into() };
    (Traces::start(&config, &service, spans.clone(), tasks).unwrap(), spans)
}

fn count(spans: &Spans, outcome: &'static str) -> u64 {
    spans.get_or_create(&[("outcome", outcome)]).get()
}

fn span(name: &str) -> Vec<Span> {
    vec![Span { name: name.to_owned(), ..Span::default() }]
}

#[tokio::test]
async fn spans_reach_the_collector_with_who_made_them_and_the_last_ones_when_the_program_ends() {
    let (outside, tasks) = (Tasks::new(), Tasks::new());
    let (collector, endpoint) = Collector::start(Manner::Takes, &outside).await;
    let (traces, spans) = start(endpoint, 1.0, &tasks);
    traces.tell(span("first"));
    eventually(|| collector.spans() == 1).await;
    traces.tell(span("last"));
    assert_eq!(tasks.close(PATIENCE).await, Closed::Drained);
    assert_eq!((collector.spans(), count(&spans, "delivered"), count(&spans, "dropped")), (2, 2, 0));
    let resource = collector.got.lock().unwrap()[0].resource_spans[0].resource.clone().unwrap();
    assert!(resource.attributes.contains(&text("service.instance.id", "spiffe://fed.example/broker/b1")));
    let _closed = outside.close(PATIENCE).await;
}

#[tokio::test]
async fn a_collector_that_is_not_there_or_refuses_costs_spans_and_one_warning() {
    let log = Log::default();
    let _guard = log.collect();
    let (outside, tasks) = (Tasks::new(), Tasks::new());
    let (_, refusing) = Collector::start(Manner::Refuses, &outside).await;
    for endpoint in [refusing, "http://127.0.0.1:1".to_owned()] {
        let before = log.lines_with("spans are dropped").len();
        let (traces, spans) = start(endpoint, 1.0, &tasks);
        for dropped in 1..=2 {
            traces.tell(span("lost"));
            eventually(|| count(&spans, "dropped") == dropped).await;
        }
        assert_eq!(log.lines_with("spans are dropped").len() - before, 1);
    }
    assert_eq!(tasks.close(PATIENCE).await, Closed::Drained);
    let _closed = outside.close(PATIENCE).await;
}

#[tokio::test]
async fn a_collector_that_hangs_costs_spans_and_whoever_hands_them_over_never_waits() {
    let (outside, tasks) = (Tasks::new(), Tasks::new());
    let (collector, endpoint) = Collector::start(Manner::Hangs, &outside).await;
    let (traces, spans) = start(endpoint, 1.0, &tasks);
    traces.tell(span("first"));
    eventually(|| collector.spans() == 1).await;
    // Nothing here waits: what does not fit is counted on the spot.
    for _ in 0..export::QUEUE + 7 {
        traces.tell(span("more"));
    }
    assert_eq!(count(&spans, "dropped"), 7);
    // Ends all the same, and what was not taken is counted.
    assert_eq!(tasks.close(PATIENCE).await, Closed::Drained);
    assert_eq!((count(&spans, "delivered"), count(&spans, "dropped")), (0, export::QUEUE as u64 + 8));
    let _closed = outside.close(Duration::from_millis(10)).await;
}

#[tokio::test]
async fn the_callers_word_on_recording_counts_and_otherwise_the_ratio() {
    let tasks = Tasks::new();
    for (ratio, records) in [(0.0, false), (1.0, true)] {
        let (traces, _) = start("http://127.0.0.1:1".into(), ratio, &tasks);
        assert_eq!(traces.context(None).unwrap().sampled, records);
        for sampled in [false, true] {
            let parent = Context { trace: [7; 16], span: [1; 8], sampled };
            let own = traces.context(Some(&parent)).unwrap();
            assert_eq!((own.trace, own.sampled), ([7; 16], sampled));
            assert_ne!(own.span, parent.span);
        }
    }
    let (half, _) = start("http://127.0.0.1:1".into(), 0.5, &tasks);
    assert!(half.records([0; 16]) && !half.records([0xff; 16]));
}
