//! What became of a request, written once: by whoever ends it, or, if nobody does, when it is dropped.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use comity_proto::{inference, metadata};
use comity_runtime::tasks::Tasks;
use comity_types::{Clock, OfferName};
use http::HeaderMap;
use prost::Message as _;
use tokio::time::Instant;
use tonic::Code;

use super::Parts;
use super::commit::Permit;
use super::request::Admitted;
use crate::ledger::decisions::{Ledger, OutcomeRecord, UsageRecord};

/// gRPC allows binary metadata with and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The account of a request that has not ended yet.
#[derive(Debug)]
pub struct Settlement {
    ledger: Ledger,
    tasks: Tasks,
    clock: Arc<dyn Clock>,
    arrived: Instant,
    /// Taken when it is written.
    record: Option<OutcomeRecord>,
}

impl Settlement {
    /// Opens the account of a permitted request.
    pub(super) fn open(parts: &Parts, admitted: &Admitted, permit: &Permit) -> Self {
        let record = OutcomeRecord {
            id: permit.id(),
            at: parts.clock.now(),
            offer: None,
            attempt: 0,
            grpc_code: Code::Cancelled.into(),
            usage: None,
            bytes_out: 0,
            duration_ms: 0,
            cancelled: true,
        };
        let (ledger, tasks, clock) = (parts.ledger.clone(), parts.tasks.clone(), Arc::clone(&parts.clock));
        Self { ledger, tasks, clock, arrived: admitted.arrived, record: Some(record) }
    }

    /// A try of `offer` begins.
    pub(super) fn trying(&mut self, offer: &OfferName, attempt: u32) {
        if let Some(record) = &mut self.record {
            record.offer = Some(offer.clone());
            record.attempt = attempt;
        }
    }

    /// So many bytes went to the caller.
    pub(super) fn passed(&mut self, bytes: usize) {
        if let Some(record) = &mut self.record {
            record.bytes_out = record.bytes_out.saturating_add(bytes as u64);
        }
    }

    /// The request has ended with `code`; `trailers` may say what it used. Only the first call counts.
    pub(super) fn end(&mut self, code: Code, trailers: Option<&HeaderMap>) {
        if let Some(record) = &mut self.record {
            record.grpc_code = code.into();
            record.usage = trailers.and_then(usage);
            record.cancelled = false;
        }
        self.write();
    }

    fn write(&mut self) {
        let Some(mut record) = self.record.take() else { return };
        record.at = self.clock.now();
        record.duration_ms = u64::try_from(self.arrived.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            decision.id = %record.id,
            offer.id = record.offer.as_ref().map(OfferName::as_str),
            grpc.code = record.grpc_code,
            attempt = record.attempt,
            bytes = record.bytes_out,
            duration_ms = record.duration_ms,
            cancelled = record.cancelled,
            "settled"
        );
        // A body that is dropped after the runtime has ended has nowhere to write to.
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let ledger = self.ledger.clone();
        self.tasks.spawn("settle", async move {
            if let Err(error) = ledger.settle(record).await {
                tracing::error!(error = %error, "an outcome could not be kept");
            }
        });
    }
}

impl Drop for Settlement {
    /// Nobody ended it: the caller left.
    fn drop(&mut self) {
        self.write();
    }
}

/// What the node says that the request used.
fn usage(trailers: &HeaderMap) -> Option<UsageRecord> {
    let bytes = BASE64.decode(trailers.get(metadata::USAGE)?.as_bytes()).ok()?;
    let usage = inference::Usage::decode(bytes.as_slice()).ok()?;
    Some(UsageRecord { input_tokens: usage.input_tokens, output_tokens: usage.output_tokens })
}
