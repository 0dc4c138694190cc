//! What became of a request, written once: by whoever ends it, or, if nobody does, when it is dropped.
//!
//! Whoever ends it gets the receipt, and may tell the caller that the request has ended only with that in hand. What a node
//! sends at its end is kept where it is its signed word on just that, and is otherwise not even read again ([`NodeSigned`]).

use std::sync::Arc;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use comity_proto::transparency::Receipt;
use comity_proto::{inference, metadata};
use comity_runtime::chain;
use comity_runtime::observe::Account;
use comity_runtime::tasks::Tasks;
use comity_transparency::PublicKey;
use comity_types::{Clock, OfferName, SpiffeId};
use http::HeaderMap;
use prost::Message as _;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tonic::Code;

use super::Parts;
use super::commit::Permit;
use super::decide::Candidate;
use super::request::Admitted;
use crate::budgets::charge::Became;
use crate::budgets::spending::Spending;
use crate::ledger::decisions::{
    Committed, Ledger, MAX_SIGNED_BYTES, NodeSigned, OfferRecord, OutcomeRecord, Plausible, Relayed, TryRecord,
    Unsigned, UsageRecord, UsedNothing,
};
use crate::metrics::Metrics;
use crate::registry::Registry;

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
    registry: Registry,
    account: Account,
    arrived: Instant,
    request_bytes: usize,
    max_output_tokens: Option<u32>,
    /// The node that is tried, and what it signs with.
    signer: Option<Signer>,
    /// What is reserved for it, if there are budgets: settled by the record.
    spending: Option<Spending>,
    /// Taken when it is written.
    record: Option<OutcomeRecord>,
}

/// A node, and the key that the membership log names for it at the decision's epoch: what whoever verifies the receipt holds
/// its word against.
#[derive(Debug)]
struct Signer {
    node: SpiffeId,
    key: PublicKey,
}

/// What a node sent as its word on a try.
#[derive(Debug)]
struct Word {
    signer: Signer,
    sent: Result<Vec<u8>, Unsigned>,
}

/// What a node said at the end of its answer.
#[derive(Debug)]
pub(super) struct Said {
    /// What it used, if that can be.
    pub(super) usage: Option<UsageRecord>,
    /// Its word, or why it is none.
    sent: Result<Vec<u8>, Unsigned>,
}

/// What an account is opened with.
#[derive(Debug)]
pub(super) struct Opening {
    ledger: Ledger,
    tasks: Tasks,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    registry: Registry,
    account: Account,
    arrived: Instant,
    request_bytes: usize,
    max_output_tokens: Option<u32>,
    spending: Option<Spending>,
}

impl Opening {
    /// For this request.
    pub(super) fn of(parts: &Parts, admitted: &Admitted, spending: Option<Spending>) -> Self {
        let (ledger, tasks, clock) = (parts.ledger.clone(), parts.tasks.clone(), Arc::clone(&parts.clock));
        let (metrics, registry) = (parts.metrics.clone(), parts.registry.clone());
        let (account, arrived, request_bytes) = (admitted.account.clone(), admitted.arrived, admitted.body.len());
        let max_output_tokens = admitted.envelope.max_output_tokens;
        Self { ledger, tasks, clock, metrics, registry, account, arrived, request_bytes, max_output_tokens, spending }
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
        let Opening {
            ledger,
            tasks,
            clock,
            metrics,
            registry,
            account,
            arrived,
            request_bytes,
            max_output_tokens,
            spending,
        } = opening;
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
        Self {
            ledger,
            committed,
            tasks,
            clock,
            metrics,
            registry,
            account,
            arrived,
            request_bytes,
            max_output_tokens,
            signer: None,
            spending,
            record: Some(record),
        }
    }

    /// Reserves what a try of a candidate may come to. False if other requests have used up its budgets since the decision:
    /// it gets none of this one.
    pub(super) fn reserves(&mut self, candidate: &Candidate, attempt: u32) -> bool {
        let Some(spending) = &mut self.spending else { return true };
        let Err(exceeded) = spending.reserve_try(&candidate.offer.name, attempt) else { return true };
        self.metrics.over_budget(&exceeded.budget);
        tracing::info!(decision.id = %self.committed.id(), offer.id = %candidate.offer.name, budget = %exceeded.budget, "a budget was used up after the decision");
        false
    }

    /// The try of this number was not made: its offer's budgets are as they were.
    pub(super) fn passed_over(&mut self, attempt: u32) {
        self.spending.iter_mut().for_each(|spending| spending.passed_over(attempt));
    }

    /// A try of a candidate begins.
    pub(super) fn trying(&mut self, permit: &Permit, (rank, candidate): (usize, &Candidate), attempt: u32) {
        self.account.trying(attempt, &candidate.offer.name);
        if let Some(record) = &mut self.record {
            record.offer = offer_record(permit, rank, candidate);
            record.attempt = attempt;
            let offer = candidate.offer.name.clone();
            record.tries.push(TryRecord::begun(offer, attempt));
        }
        self.signer = signer(permit, candidate);
    }

    /// This try has failed.
    pub(super) fn failed(&mut self, attempt: u32, why: String) {
        self.account.failed(attempt, &why);
        if let Some(failed) = self.numbered(attempt) {
            failed.failed = why;
        }
        self.spending.iter_mut().for_each(|spending| spending.ended(attempt));
    }

    /// No node has used anything of this try, which has ended: nothing is counted for it, and nothing is reserved any more.
    pub(super) fn used_nothing(&mut self, attempt: u32, why: UsedNothing) {
        if let Some(ended) = self.numbered(attempt) {
            ended.used_nothing = Some(why);
        }
        self.passed_over(attempt);
    }

    /// The answer of the try that stands is none: its messages are not what gRPC makes of one.
    pub(super) fn malformed(&mut self) {
        let attempt = self.record.as_ref().map(|record| record.attempt);
        attempt.into_iter().for_each(|attempt| self.failed(attempt, TryRecord::MALFORMED.to_owned()));
    }

    /// The last try of this number: those before it had nothing sent.
    fn numbered(&mut self, attempt: u32) -> Option<&mut TryRecord> {
        self.record.as_mut()?.tries.iter_mut().rfind(|one| one.attempt == attempt)
    }

    /// The record is of this try, whichever began last: it is answered, or the last that failed. One that ran beside it is
    /// `outpaced`, and what that used is nobody's.
    pub(super) fn stands(
        &mut self,
        permit: &Permit,
        (rank, candidate): (usize, &Candidate),
        attempt: u32,
        outpaced: &str,
    ) {
        let Some(record) = self.record.as_mut().filter(|record| record.tries.len() > 1) else { return };
        record.tries.sort_by_key(|one| one.attempt == attempt);
        for other in record.tries.iter_mut().filter(|one| one.attempt != attempt && one.failed.is_empty()) {
            self.account.failed(other.attempt, outpaced);
            other.failed = outpaced.to_owned();
            self.spending.iter_mut().for_each(|spending| spending.ended(other.attempt));
        }
        self.account.stands(attempt, &candidate.offer.name);
        record.offer = offer_record(permit, rank, candidate);
        record.attempt = attempt;
        self.signer = signer(permit, candidate);
    }

    /// So many bytes went to the caller.
    pub(super) fn passed(&mut self, bytes: usize) {
        if let Some(record) = &mut self.record {
            record.bytes_out = record.bytes_out.saturating_add(bytes as u64);
        }
    }

    /// Reads what a node says at the end of its answer. What it cannot have used is not kept, billed or passed on, and makes
    /// nothing of its word.
    pub(super) fn hear(&self, trailers: &HeaderMap) -> Said {
        let (request_bytes, max_output_tokens) = (self.request_bytes, self.max_output_tokens);
        let seen = Plausible { request_bytes, took: self.arrived.elapsed(), max_output_tokens };
        // Of what it says that it has not run, a node has used nothing, and cannot sign otherwise.
        let used = usage(trailers).filter(|_| self.record.as_ref().is_none_or(OutcomeRecord::may_have_run));
        match used.map(|usage| seen.check(usage)).transpose() {
            Ok(usage) => Said { usage, sent: outcome(trailers) },
            Err(excessive) => Said { usage: None, sent: Err(excessive) },
        }
    }

    /// The request has ended with `code`, and so the node said, if it did. Only the first call counts.
    pub(super) fn end(&mut self, code: Code, said: Option<Said>) -> Settling {
        let (usage, sent) = said.map(|said| (said.usage, said.sent)).unzip();
        if let Some(record) = &mut self.record {
            record.grpc_code = code.into();
            record.usage = usage.flatten();
            record.usage.iter().for_each(|used| self.account.used(used.input_tokens, used.output_tokens));
            record.cancelled = false;
        }
        // Of what it did not run, a node signs nothing.
        let sent = sent.filter(|sent| code == Code::Ok || *sent != Err(Unsigned::Missing));
        let word = sent.zip(self.signer.take()).map(|(sent, signer)| Word { signer, sent });
        self.write(word)
    }

    fn write(&mut self, word: Option<Word>) -> Settling {
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
        let (registry, spending) = (self.registry.clone(), self.spending.take());
        let (done, receipt) = oneshot::channel();
        let begun = Instant::now();
        // In a task of its own: the caller may leave, and the outcome is kept all the same.
        self.tasks.spawn("settle", async move {
            if let Some(word) = word {
                // Here, where no frame of an answer waits for it.
                let newest = registry.snapshot().federation().epoch();
                take_word(&mut record, &committed, &word, newest, &metrics);
            }
            if spending.is_some() {
                record.pass_tokens();
            }
            let is_invalid = record.is_invalid();
            let (tries, signed, passed) = used(&record);
            match ledger.settle(&committed, record).await {
                Ok(settled) => {
                    // When it is durable, and before anybody is told: what is given back is on record, and there for the next.
                    let became =
                        if is_invalid { Became::Invalid } else { Became::Ended { tries: &tries, signed, passed } };
                    spending.into_iter().for_each(|all| all.end(became));
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
        drop(self.write(None));
    }
}

fn signer(permit: &Permit, candidate: &Candidate) -> Option<Signer> {
    let node = candidate.offer.name.node();
    permit.key(candidate).map(|key| Signer { node: node.clone(), key: key.clone() })
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

/// Keeps what a node sent as its word on the try that ended so, if it is that; otherwise that it is not, and nothing of it.
fn take_word(record: &mut OutcomeRecord, committed: &Committed, word: &Word, newest: u64, metrics: &Metrics) {
    let Word { signer: Signer { node, key }, sent } = word;
    let Some(offer) = &record.offer else { return };
    let relayed = Relayed {
        decision: committed.id(),
        index: committed.index(),
        decided_at: committed.at(),
        epochs: (committed.epoch(), newest),
        offer: &offer.name,
        attempt: record.attempt,
        grpc_code: record.grpc_code,
        usage: record.usage,
        ended_at: record.at,
    };
    let signed = sent.as_ref().map_err(|why| *why).and_then(|sent| NodeSigned::verify(sent, key, &relayed));
    match signed {
        Ok(signed) => record.node_outcome = Some(signed),
        Err(why) => {
            record.not_signed(why);
            metrics.unsigned(why);
            if why != Unsigned::Missing {
                tracing::warn!(decision.id = %committed.id(), node.id = %node, why = %why, "a node did not sign what it answered");
            }
        }
    }
}

/// What budgets count of an outcome: the offers that may have run it, what the last one's node signed that it used, and what
/// went to the caller where it signed nothing.
fn used(record: &OutcomeRecord) -> (Vec<OfferName>, Option<(u64, u64)>, u64) {
    let tries = record.tries.iter().filter(|one| one.may_have_run()).map(|one| one.offer.clone());
    let signed = record.node_outcome.as_ref().and(record.usage).filter(|_| record.may_have_run());
    let passed = record.tries.last().and_then(|last| last.passed_tokens).unwrap_or_default();
    (tries.collect(), signed.map(|usage| (usage.input_tokens, usage.output_tokens)), passed)
}

/// What the node says that the request used.
fn usage(trailers: &HeaderMap) -> Option<UsageRecord> {
    let usage = inference::Usage::decode(binary(trailers, metadata::USAGE)?.as_slice()).ok()?;
    Some(UsageRecord { input_tokens: usage.input_tokens, output_tokens: usage.output_tokens })
}

/// What the node sent as its word; what is longer than any is not even decoded.
fn outcome(trailers: &HeaderMap) -> Result<Vec<u8>, Unsigned> {
    let sent = trailers.get(metadata::OUTCOME).ok_or(Unsigned::Missing)?;
    if sent.len() > MAX_SIGNED_BYTES.div_ceil(3) * 4 {
        return Err(Unsigned::TooLong);
    }
    BASE64.decode(sent.as_bytes()).map_err(|_| Unsigned::Malformed)
}

pub(super) fn binary(trailers: &HeaderMap, name: &str) -> Option<Vec<u8>> {
    BASE64.decode(trailers.get(name)?.as_bytes()).ok()
}
