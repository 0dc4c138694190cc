//! Failures as `google.rpc.Status`: one place that writes the details, and reads them.
//!
//! Every failure carries an `ErrorInfo` with a reason of its own (AIP-193) in the
//! domain [`ERROR_DOMAIN`]; a refusal carries a [`Refusal`] beside it.

use std::collections::HashMap;
use std::time::Duration;

use prost::Message;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};
use tonic_types::pb;

use crate::metadata::{ERROR_DOMAIN, RECEIPT};
use crate::policy::Refusal;
use crate::transparency::Receipt;

/// Most bytes of details. They travel base64-coded in one header, and clients accept 8 KiB of headers by
/// default, a receipt beside them; what is cut from a refusal can be had from `Catalog.Explain`.
pub const MAX_DETAIL_BYTES: usize = 3 * 1024;
/// In the metadata of a failure: the fingerprints of the keys that sign for the caller's organisation, with spaces between.
pub const ORGANISATION_KEYS: &str = "organisation_keys";
/// The full name of a refusal, by which its detail is found.
const REFUSAL: &str = "comity.policy.v1.Refusal";
/// The key of an `ErrorInfo` under which a node says when to come back, in whole seconds.
pub const RETRY_AFTER_SECONDS: &str = "retry_after_seconds";

/// Why a call failed, ready to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// The gRPC code.
    pub code: Code,
    /// What went wrong, for programs: `UPPER_SNAKE_CASE`.
    pub reason: &'static str,
    /// What went wrong, for people.
    pub message: String,
    /// More for programs.
    pub metadata: Vec<(String, String)>,
    /// Why no offer was eligible, if that is what went wrong.
    pub refusal: Option<Box<Refusal>>,
    /// The proof of what was decided, if it was: trailing metadata.
    pub receipt: Option<Box<Receipt>>,
    /// How long to wait before asking again, if that is known: a `google.rpc.RetryInfo`.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure without metadata.
    pub fn new(code: Code, reason: &'static str, message: impl Into<String>) -> Self {
        let (message, metadata) = (message.into(), Vec::new());
        Self { code, reason, message, metadata, refusal: None, receipt: None, retry_after: None }
    }

    /// Adds a pair of metadata.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        self.metadata.push((key.to_owned(), format!("{value}")));
        self
    }

    /// Adds the reasons of a refusal.
    #[must_use]
    pub fn refusing(mut self, refusal: Refusal) -> Self {
        self.refusal = Some(Box::new(refusal));
        self
    }

    /// Says how long to wait before asking again.
    #[must_use]
    pub const fn retrying_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Adds the receipt of what was decided.
    #[must_use]
    pub fn with_receipt(mut self, receipt: Receipt) -> Self {
        self.receipt = Some(Box::new(receipt));
        self
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let after = failure.metadata.iter().find(|(key, _)| key == RETRY_AFTER_SECONDS);
        let after = after.and_then(|(_, seconds)| seconds.parse::<u32>().ok());
        // For clients that know nothing of ours, as well.
        let delay = failure.retry_after.or_else(|| after.map(|seconds| Duration::from_secs(seconds.into())));
        let info = pb::ErrorInfo {
            reason: failure.reason.to_owned(),
            domain: ERROR_DOMAIN.to_owned(),
            metadata: failure.metadata.into_iter().collect(),
        };
        let mut details = vec![any("google.rpc.ErrorInfo", &info)];
        // A delay that protobuf cannot say is none.
        let delay = delay.and_then(|delay| prost_types::Duration::try_from(delay).ok());
        details.extend(delay.map(|delay| any("google.rpc.RetryInfo", &pb::RetryInfo { retry_delay: Some(delay) })));
        details.extend(failure.refusal.map(|refusal| any(REFUSAL, &bounded(*refusal))));
        let status = pb::Status { code: failure.code.into(), message: failure.message.clone(), details };
        let mut status = Self::with_details(failure.code, failure.message, status.encode_to_vec().into());
        if let Some(receipt) = failure.receipt {
            status.metadata_mut().insert_bin(RECEIPT, MetadataValue::from_bytes(&receipt.encode_to_vec()));
        }
        status
    }
}

fn any(name: &str, message: &impl Message) -> prost_types::Any {
    prost_types::Any { type_url: format!("type.googleapis.com/{name}"), value: message.encode_to_vec() }
}

/// Cuts a refusal to [`MAX_DETAIL_BYTES`]: hints first, which the code implies, then whole verdicts.
fn bounded(mut refusal: Refusal) -> Refusal {
    if refusal.encoded_len() > MAX_DETAIL_BYTES {
        let reasons = refusal.verdicts.iter_mut().flat_map(|verdict| &mut verdict.reasons);
        reasons.for_each(|reason| reason.hint.clear());
    }
    while refusal.encoded_len() > MAX_DETAIL_BYTES && refusal.verdicts.pop().is_some() {}
    refusal
}

/// What a status of Comity's says beyond its code and message.
#[derive(Debug, Clone, PartialEq)]
pub struct Detail {
    /// What went wrong, for programs.
    pub reason: String,
    /// More for programs.
    pub metadata: HashMap<String, String>,
    /// Why no offer was eligible, if that is what went wrong.
    pub refusal: Option<Refusal>,
}

impl Detail {
    /// Reads the details of `status`; `None` if it is not one of Comity's.
    #[must_use]
    pub fn of(status: &Status) -> Option<Self> {
        let details = pb::Status::decode(status.details()).ok()?.details;
        let find = |name: &str| details.iter().find(|any| any.type_url.ends_with(&format!("/{name}")));
        let info = pb::ErrorInfo::decode(find("google.rpc.ErrorInfo")?.value.as_slice()).ok()?;
        let refusal = find(REFUSAL).and_then(|any| Refusal::decode(any.value.as_slice()).ok());
        (info.domain == ERROR_DOMAIN).then_some(Self { reason: info.reason, metadata: info.metadata, refusal })
    }
}

/// When whoever declined wants to be asked again, if they say so: by a `RetryInfo`, as any gRPC server may, or as our
/// own nodes do.
#[must_use]
pub fn retry_after(status: &Status) -> Option<Duration> {
    let details = pb::Status::decode(status.details()).ok()?.details;
    let info = details.iter().find(|any| any.type_url.ends_with("/google.rpc.RetryInfo"));
    let delay = info.and_then(|any| pb::RetryInfo::decode(any.value.as_slice()).ok()?.retry_delay);
    let own = || Detail::of(status)?.metadata.get(RETRY_AFTER_SECONDS)?.parse().ok().map(Duration::from_secs);
    delay.and_then(|delay| Duration::try_from(delay).ok()).or_else(own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Reason, Verdict};

    #[test]
    fn whoever_is_told_to_come_back_later_can_read_when() {
        let delay = Duration::from_millis(1250);
        let failure = Failure::new(Code::ResourceExhausted, "BUSY", "later").with("in_flight", 7);
        assert_eq!(retry_after(&failure.clone().into()), None);
        let status = Status::from(failure.retrying_after(delay));
        assert_eq!(retry_after(&status), Some(delay));
        assert_eq!(Detail::of(&status).unwrap().metadata["in_flight"], "7");
    }

    fn refusal(verdicts: usize) -> Refusal {
        let reason =
            Reason { code: "PRICE_ABOVE_MAX".into(), hint: "raise the ceiling".repeat(4), ..Default::default() };
        let verdict = Verdict { offer: "org-a.example/n1/chat".into(), reasons: vec![reason; 3], ..Default::default() };
        Refusal {
            decision_id: "0".repeat(32),
            considered: 300,
            verdicts: vec![verdict; verdicts],
            layer_demands: vec![],
        }
    }

    #[test]
    fn a_failure_survives_its_status() {
        let failure = Failure::new(Code::FailedPrecondition, "NO_ELIGIBLE_OFFER", "no offer is eligible");
        let status = Status::from(failure.with("epoch", 7).refusing(refusal(1)));
        let detail = Detail::of(&status).unwrap();
        assert_eq!((detail.reason.as_str(), detail.metadata["epoch"].as_str()), ("NO_ELIGIBLE_OFFER", "7"));
        assert_eq!(detail.refusal, Some(refusal(1)));
    }

    #[test]
    fn a_long_refusal_is_cut_to_what_headers_carry_and_still_says_how_many_were_considered() {
        let status = Status::from(Failure::new(Code::FailedPrecondition, "R", "m").refusing(refusal(200)));
        assert!(status.details().len() < MAX_DETAIL_BYTES + 256);
        let cut = Detail::of(&status).unwrap().refusal.unwrap();
        assert!(!cut.verdicts.is_empty() && cut.verdicts.len() < 200);
        assert_eq!(cut.considered, 300);
    }

    #[test]
    fn a_time_to_come_back_is_read_in_both_forms_and_nothing_else_is() {
        let own = |seconds: &str| Failure::new(Code::ResourceExhausted, "BUSY", "").with(RETRY_AFTER_SECONDS, seconds);
        let after = |failure: Failure| retry_after(&Status::from(failure));
        assert_eq!(after(own("7")), Some(Duration::from_secs(7)));
        let ours =
            Failure::new(Code::ResourceExhausted, "BUDGET_EXCEEDED", "").retrying_after(Duration::from_millis(90_500));
        assert_eq!(after(ours), Some(Duration::from_millis(90_500)));
        assert_eq!([own("-7"), own("soon"), Failure::new(Code::Unavailable, "DOWN", "")].map(after), [None; 3]);
        let standard = |seconds, nanos| {
            let info = pb::RetryInfo { retry_delay: Some(prost_types::Duration { seconds, nanos }) };
            let details = vec![any("google.rpc.RetryInfo", &info)];
            let status = pb::Status { code: Code::Unavailable.into(), message: String::new(), details };
            retry_after(&Status::with_details(Code::Unavailable, "", status.encode_to_vec().into()))
        };
        assert_eq!((standard(1, 500_000_000), standard(-1, 0)), (Some(Duration::from_millis(1_500)), None));
        assert_eq!(retry_after(&Status::unavailable("")), None);
    }

    #[test]
    fn a_failure_that_says_when_to_come_back_says_it_in_the_form_of_google_as_well() {
        let details = |failure: Failure| pb::Status::decode(Status::from(failure).details()).unwrap().details;
        let said = details(Failure::new(Code::ResourceExhausted, "NODE_FULL", "").with(RETRY_AFTER_SECONDS, 2));
        let info = said.iter().find(|any| any.type_url == "type.googleapis.com/google.rpc.RetryInfo").unwrap();
        let delay = pb::RetryInfo::decode(info.value.as_slice()).unwrap().retry_delay.unwrap();
        assert_eq!((delay.seconds, delay.nanos), (2, 0));
        assert_eq!(details(Failure::new(Code::ResourceExhausted, "NODE_FULL", "")).len(), 1);
    }

    #[test]
    fn a_status_of_somebody_else_has_no_detail() {
        assert_eq!(Detail::of(&Status::internal("x")), None);
    }
}
