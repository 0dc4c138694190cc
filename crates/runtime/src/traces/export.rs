//! The way of spans to a collector: a bounded queue, and a task that empties it. A collector that is down, slow or full
//! costs spans, which are counted, and one warning; it costs no request anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use super::{Service, Spans, text};
use crate::chain;
use crate::tasks::Tasks;

/// Most calls whose spans wait, some KiB each: what a collector that pauses for a moment may be behind by.
pub(super) const QUEUE: usize = 1024;
/// Most spans that are sent at once: a message far below what collectors take, 4 MiB.
pub(super) const BATCH: usize = 512;
/// How long the first of a batch waits for others.
const LINGER: Duration = Duration::from_millis(500);
/// How long a collector has to take a batch.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it has for what it is at when the program ends, and then for what is left: nobody waits longer for spans.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long a connection may take: the collector is near.
const CONNECT: Duration = Duration::from_secs(2);

/// Where spans wait.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Sender<Vec<Span>>,
    counts: Counts,
}

/// What became of spans. Clones are the same.
#[derive(Debug, Clone)]
struct Counts {
    spans: Spans,
    /// Whether people know already that spans are dropped.
    is_told: Arc<AtomicBool>,
}

impl Queue {
    /// Empties it until `tasks` have ended.
    pub(super) fn start(endpoint: Endpoint, service: &Service, spans: Spans, tasks: &Tasks) -> Self {
        let (waiting, queue) = mpsc::channel(QUEUE);
        let counts = Counts { spans, is_told: Arc::default() };
        let collector = Collector {
            client: TraceServiceClient::new(endpoint.connect_timeout(CONNECT).connect_lazy()),
            resource: resource(service),
            scope: InstrumentationScope {
                name: service.name.into(),
                version: service.version.into(),
                ..Default::default()
            },
            counts: counts.clone(),
        };
        tasks.spawn("spans", empty(queue, collector, tasks.token()));
        Self { waiting, counts }
    }

    pub(super) fn tell(&self, spans: Vec<Span>) {
        if let Err(refused) = self.waiting.try_send(spans) {
            self.counts.dropped(refused.into_inner().len(), "too many wait for it");
        }
    }
}

impl Counts {
    fn delivered(&self, spans: usize) {
        self.add("delivered", spans);
        if self.is_told.swap(false, Ordering::Relaxed) {
            tracing::info!("the collector takes spans again");
        }
    }

    fn dropped(&self, spans: usize, why: &str) {
        self.add("dropped", spans);
        if !self.is_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                why,
                "spans are dropped: the collector does not take them (hint: see [traces] in the configuration)"
            );
        }
    }

    fn add(&self, outcome: &'static str, spans: usize) {
        self.spans.get_or_create(&[("outcome", outcome)]).inc_by(spans as u64);
    }
}

/// Who takes spans.
struct Collector {
    client: TraceServiceClient<Channel>,
    resource: Resource,
    scope: InstrumentationScope,
    counts: Counts,
}

impl Collector {
    /// Hands a batch over, or drops it: whatever is kept for later would be more than there is room for.
    async fn take(&mut self, spans: Vec<Span>, time_is_up: impl Future<Output = ()>) {
        let (number, request) = (spans.len(), self.request(spans));
        let taken = tokio::select! {
            taken = self.client.export(request) => Some(taken),
            () = time_is_up => None,
        };
        match taken {
            Some(Ok(answer)) => {
                let rejected = answer.into_inner().partial_success.map_or(0, |partial| partial.rejected_spans);
                let rejected = usize::try_from(rejected).unwrap_or(0).min(number);
                self.counts.delivered(number - rejected);
                if rejected > 0 {
                    self.counts.dropped(rejected, "it rejects some");
                }
            }
            Some(Err(status)) => self.counts.dropped(number, &chain::text(&status)),
            None => self.counts.dropped(number, "it is too slow"),
        }
    }

    fn request(&self, spans: Vec<Span>) -> ExportTraceServiceRequest {
        let scope_spans = vec![ScopeSpans { scope: Some(self.scope.clone()), spans, ..Default::default() }];
        let of_us = ResourceSpans { resource: Some(self.resource.clone()), scope_spans, ..Default::default() };
        ExportTraceServiceRequest { resource_spans: vec![of_us] }
    }
}

fn resource(service: &Service) -> Resource {
    let attributes = vec![
        text("service.namespace", "comity"),
        text("service.name", service.name),
        text("service.version", service.version),
        text("service.instance.id", service.instance.clone()),
    ];
    Resource { attributes, ..Default::default() }
}

async fn empty(mut queue: Receiver<Vec<Span>>, mut collector: Collector, stop: CancellationToken) {
    while let Some(Some(first)) = stop.run_until_cancelled(queue.recv()).await {
        let batch = gather(first, &mut queue, &stop).await;
        collector.take(batch, patience(&stop)).await;
    }
    let until = Instant::now() + LAST_WORDS;
    queue.close();
    let mut batch = Vec::new();
    while let Ok(spans) = queue.try_recv() {
        batch.extend(spans);
        if batch.len() >= BATCH {
            collector.take(std::mem::take(&mut batch), sleep_until(until)).await;
        }
    }
    if !batch.is_empty() {
        collector.take(batch, sleep_until(until)).await;
    }
}

/// Ends when a collector has had its time, which is short once the program ends.
async fn patience(stop: &CancellationToken) {
    if stop.run_until_cancelled(sleep(PATIENCE)).await.is_none() {
        sleep(LAST_WORDS).await;
    }
}

/// A batch that begins with `first`: as many as come in a moment, and fit.
async fn gather(first: Vec<Span>, queue: &mut Receiver<Vec<Span>>, stop: &CancellationToken) -> Vec<Span> {
    let mut batch = first;
    let all = async {
        while batch.len() < BATCH
            && let Some(spans) = queue.recv().await
        {
            batch.extend(spans);
        }
    };
    let _time_is_up = timeout(LINGER, stop.run_until_cancelled(all)).await.is_err();
    batch
}
