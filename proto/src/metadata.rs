//! The names of what travels beside messages, as gRPC metadata.

/// Response, first: the decision, 32 hexadecimal digits.
pub const DECISION_ID: &str = "comity-decision-id";
/// Response, first: what the broker's log calls the request, 16 hexadecimal digits. On every answer of a broker
/// to a caller that it admitted.
pub const REQUEST_ID: &str = "comity-request-id";
/// Response, first: the offer that serves the request, `<organisation>/<node>/<offer>`.
pub const OFFER: &str = "comity-offer";
/// Response, last: what the request used, an encoded [`crate::inference::Usage`].
pub const USAGE: &str = "comity-usage-bin";
/// Response, last: the proof of the decision and of its outcome, an encoded [`crate::transparency::Receipt`].
pub const RECEIPT: &str = "comity-receipt-bin";
/// Node to broker, last: what the node signed of the request, an encoded [`crate::permit::NodeOutcome`].
pub const OUTCOME: &str = "comity-outcome-bin";
/// Node to broker, last: how busy the node is with the offer, an encoded [`crate::permit::Load`].
pub const LOAD: &str = "comity-load-bin";
/// Broker to node: an encoded [`crate::permit::Permit`].
pub const PERMIT: &str = "comity-permit-bin";

/// What stands before an outcome's bytes when a node signs them ([`crate::permit::NodeOutcome`]), so that the signature means
/// nothing elsewhere.
pub const OUTCOME_CONTEXT: &[u8] = b"comity outcome v1\n";

/// The domain of every `google.rpc.ErrorInfo` that Comity sends.
pub const ERROR_DOMAIN: &str = "comity.dev";
