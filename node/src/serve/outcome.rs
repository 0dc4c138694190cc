//! What the node says of a request that it ran, signed by the key that it was admitted with: so that neither the broker nor
//! the caller can say afterwards that it was otherwise.

use std::sync::Arc;

use comity_identity::KeyPair;
use comity_proto::convert::wire_instant;
use comity_proto::inference::Usage;
use comity_proto::metadata::OUTCOME_CONTEXT;
use comity_proto::permit::{NodeOutcome, Outcome};
use comity_transparency::Signer as _;
use comity_types::Clock;
use prost::Message as _;
use tonic::Code;

use crate::guard::VerifiedPermit;
use crate::replica::Replica;

/// What outcomes are signed with.
#[derive(Debug, Clone)]
pub struct OutcomeSigner {
    /// The node's key.
    pub key: Arc<KeyPair>,
    /// The state that requests are held against.
    pub replica: Replica,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl OutcomeSigner {
    /// The signed outcome of a request, encoded. None where the key cannot be used: the answer goes out without it, and
    /// whoever verifies the receipt sees that the node said nothing.
    pub(super) fn outcome(&self, permit: &VerifiedPermit, status: Code, usage: Option<Usage>) -> Option<Vec<u8>> {
        let age = self.replica.age().map_or(u64::MAX, |age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        let outcome = Outcome {
            decision_id: permit.decision().as_bytes().to_vec().into(),
            decision_index: permit.index(),
            attempt: permit.attempt(),
            offer: permit.offer().to_string(),
            status: status.into(),
            input_tokens: usage.map(|usage| usage.input_tokens),
            output_tokens: usage.map(|usage| usage.output_tokens),
            ended_at: Some(wire_instant(self.clock.now())),
            epoch: self.replica.federation().epoch(),
            state_age_ms: age,
        };
        let outcome = outcome.encode_to_vec();
        match self.key.sign(&[OUTCOME_CONTEXT, &outcome].concat()) {
            Ok(signature) => Some(NodeOutcome { outcome: outcome.into(), signature: signature.into() }.encode_to_vec()),
            Err(error) => {
                tracing::error!(%error, "an outcome could not be signed");
                None
            }
        }
    }
}
