//! What the node says of a request that it ran, signed by the key that it was admitted with: so that neither the broker nor
//! the caller can say afterwards that it was otherwise.

use std::sync::Arc;

use comity_identity::KeyPair;
use comity_membership::Federation;
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

/// The state that a request was let in by: what is signed of it at the end says what counted at the beginning.
#[derive(Debug, Clone, Copy)]
pub(super) struct LetInBy {
    epoch: u64,
    /// `u64::MAX` where it is not known.
    age_ms: u64,
}

impl OutcomeSigner {
    /// The state that counts now.
    pub(super) fn state(&self, federation: &Federation) -> LetInBy {
        let age_ms = self.replica.age().map_or(u64::MAX, |age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        LetInBy { epoch: federation.epoch(), age_ms }
    }

    /// The signed outcome of a request, encoded. None where the key cannot be used: the answer goes out without it, and
    /// whoever verifies the receipt sees that the node said nothing.
    pub(super) fn outcome(
        &self,
        permit: &VerifiedPermit,
        state: LetInBy,
        status: Code,
        usage: Option<Usage>,
    ) -> Option<Vec<u8>> {
        let outcome = Outcome {
            decision_id: permit.decision().as_bytes().to_vec().into(),
            decision_index: permit.index(),
            attempt: permit.attempt(),
            offer: permit.offer().to_string(),
            status: status.into(),
            input_tokens: usage.map(|usage| usage.input_tokens),
            output_tokens: usage.map(|usage| usage.output_tokens),
            ended_at: Some(wire_instant(self.clock.now())),
            epoch: state.epoch,
            state_age_ms: state.age_ms,
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
