//! What became of a request, written once: by whoever ends it, or, if nobody does, when it is dropped.
//!
//! Whoever ends it gets the receipt, and may tell the caller that the request has ended only with that in hand.

use std::sync::Arc;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use comity_proto::transparency::Receipt;
use comity_proto::{inference, metadata};
use comity_runtime::chain;
use comity_runtime::tasks::Tasks;
use comity_types::Clock;
use http::HeaderMap;
use prost::Message as _;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tonic::Code;

use super::Parts;
use super::commit::Permit;
use super::decide::Candidate;
use super::request::Admitted;
use crate::ledger::decisions::{Committed, Ledger, OfferRecord, OutcomeRecord, TryRecord, UsageRecord};
use crate::metrics::Metrics;

/// gRPC allows binary metadata with and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The account of a request that has not ended yet.
#[derive(Debug)]
pub struct Settlement {
    ledger: Ledger,
    committed: Arc<Committed>,
    tasks: Tasks,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    arrived: Instant,
    /// Taken when it is written.
    record: Option<OutcomeRecord>,
}

/// What an account is opened with.
#[derive(Debug)]
pub(super) struct Opening {
    ledger: Ledger,
    tasks: Tasks,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    arrived: Instant,
}

impl Opening {
    /// For this request.
    pub(super) fn of(parts: &Parts, admitted: &Admitted) -> Self {
        let (ledger, tasks, clock) = (parts.ledger.clone(), parts.tasks.clone(), Arc::clone(&parts.clock));
        Self { ledger, tasks, clock, metrics: parts.metrics.clone(), arrived: admitted.arrived }
    }
}

/// Resolves, to the receipt, when the outcome is durable; to none where it cannot be kept.
#[derive(Debug)]
pub struct Settling(Option<oneshot::Receiver<Receipt>>);

impl Settling {
    /// As a future's `poll`.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Receipt>> {
        match &mut self.0 {
            Some(receipt) => std::pin::Pin::new(receipt).poll(cx).map(Result::ok),
            None => Poll::Ready(None),
        }
    }

    /// Waits for it.
    pub(super) async fn receipt(mut self) -> Option<Receipt> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }
}

impl Settlement {
    /// Opens the account of a request whose decision is durable: where that becomes so, or whoever leaves in between would
    /// leave a decision of which nobody says what became of it.
    pub(super) fn open(opening: Opening, committed: Arc<Committed>) -> Self {
        let Opening { ledger, tasks, clock, metrics, arrived } = opening;
        let record = OutcomeRecord {
            at: clock.now(),
            offer: None,
            attempt: 0,
            tries: Vec::new(),
            grpc_code: Code::Cancelled.into(),
            usage: None,
            node_outcome: None,
            bytes_out: 0,
            duration_ms: 0,
            cancelled: true,
        };
        Self { ledger, committed, tasks, clock, metrics, arrived, record: Some(record) }
    }

    /// A try of a candidate begins.
    pub(super) fn trying(&mut self, permit: &Permit, (rank, candidate): (usize, &Candidate), attempt: u32) {
        if let Some(record) = &mut self.record {
            record.offer = offer_record(permit, rank, candidate);
            record.attempt = attempt;
            record.tries.push(TryRecord { offer: candidate.offer.name.clone(), attempt, failed: String::new() });
        }
    }

    /// The try that runs has failed.
    pub(super) fn failed(&mut self, why: String) {
        if let Some(last) = self.record.as_mut().and_then(|record| record.tries.last_mut()) {
            last.failed = why;
        }
    }

    /// So many bytes went to the caller.
    pub(super) fn passed(&mut self, bytes: usize) {
        if let Some(record) = &mut self.record {
            record.bytes_out = record.bytes_out.saturating_add(bytes as u64);
        }
    }

    /// The request has ended with `code`; `trailers` may say what it used. Only the first call counts.
    pub(super) fn end(&mut self, code: Code, trailers: Option<&HeaderMap>) -> Settling {
        if let Some(record) = &mut self.record {
            record.grpc_code = code.into();
            record.usage = trailers.and_then(usage);
            record.node_outcome = trailers.and_then(|trailers| binary(trailers, metadata::OUTCOME));
            record.cancelled = false;
        }
        self.write()
    }

    fn write(&mut self) -> Settling {
        let Some(mut record) = self.record.take() else { return Settling(None) };
        record.at = self.clock.now();
        record.duration_ms = u64::try_from(self.arrived.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            decision.id = %self.committed.id(),
            offer.id = record.offer.as_ref().map(|offer| offer.name.as_str()),
            grpc.code = record.grpc_code,
            attempt = record.attempt,
            bytes = record.bytes_out,
            duration_ms = record.duration_ms,
            cancelled = record.cancelled,
            "settled"
        );
        // A body that is dropped after the runtime has ended has nowhere to write to; the next start says that nobody knows.
        if tokio::runtime::Handle::try_current().is_err() {
            return Settling(None);
        }
        let (ledger, committed, metrics) = (self.ledger.clone(), Arc::clone(&self.committed), self.metrics.clone());
        let (done, receipt) = oneshot::channel();
        let begun = Instant::now();
        // In a task of its own: the caller may leave, and the outcome is kept all the same.
        self.tasks.spawn("settle", async move {
            match ledger.settle(&committed, record).await {
                Ok(settled) => {
                    metrics.settled(begun.elapsed());
                    let _left = done.send(settled.receipt());
                }
                Err(error) => tracing::error!(error = chain::text(&error), "an outcome could not be kept"),
            }
        });
        Settling(Some(receipt))
    }
}

impl Drop for Settlement {
    /// Nobody ended it: the caller left.
    fn drop(&mut self) {
        drop(self.write());
    }
}

/// What of the offer goes into the record.
fn offer_record(permit: &Permit, rank: usize, candidate: &Candidate) -> Option<OfferRecord> {
    let offer = permit.offer(candidate)?;
    Some(OfferRecord {
        rank,
        name: candidate.offer.name.clone(),
        sha256: candidate.offer.sha256,
        jurisdiction: offer.processing_locations.as_ref().map(|places| places.everything().into_iter().collect()),
        governing_law: offer.terms.as_ref().and_then(|terms| terms.governing_law.clone()),
    })
}

/// What the node says that the request used.
fn usage(trailers: &HeaderMap) -> Option<UsageRecord> {
    let usage = inference::Usage::decode(binary(trailers, metadata::USAGE)?.as_slice()).ok()?;
    Some(UsageRecord { input_tokens: usage.input_tokens, output_tokens: usage.output_tokens })
}

fn binary(trailers: &HeaderMap, name: &str) -> Option<Vec<u8>> {
    BASE64.decode(trailers.get(name)?.as_bytes()).ok()
}
