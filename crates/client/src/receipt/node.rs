//! What the node signed of a request that it ran, against what the broker recorded.

use comity_membership::Log;
use comity_proto::metadata::OUTCOME_CONTEXT;
use comity_proto::permit;
use comity_transparency::record::Field;
use comity_types::OfferName;
use prost::Message as _;
use serde::Deserialize;

use super::{Account, CheckError, contradiction};

/// What a node's word is the verdict on.
const FIELDS: [Field; 4] = [Field::NODE_OUTCOME, Field::STATUS, Field::USAGE, Field::ATTEMPT];

/// The word of the node that answered: it names this decision and its leaf, and its key of the federation's log signed it.
/// [`Account::outcome`] is its one maker.
#[derive(Debug)]
pub(super) struct NodesWord {
    status: i32,
}

impl NodesWord {
    /// The gRPC code that the node ended with.
    pub(super) const fn status(&self) -> i32 {
        self.status
    }
}

/// Tokens, as an outcome's record has them.
#[derive(Debug, Deserialize)]
struct RecordedUsage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

impl Account {
    /// What the node signed, against what the broker recorded.
    pub(super) fn outcome(&mut self, log: Option<&Log>) -> Result<Option<NodesWord>, CheckError> {
        let Some(signed) = self.verified.get(Field::NODE_OUTCOME).map(<[u8]>::to_vec) else {
            if self.verified.outcome().is_some() {
                self.unproven("the node's own word: it signed nothing that is shown");
            }
            return Ok(None);
        };
        let unreadable = |_| contradiction("what the node signed cannot be read");
        let signed = permit::NodeOutcome::decode(signed.as_slice()).map_err(unreadable)?;
        let outcome = permit::Outcome::decode(signed.outcome.clone()).map_err(unreadable)?;
        let decision = self.verified.decision();
        if outcome.decision_id != decision.leaf().decision.as_bytes()[..] || outcome.decision_index != decision.index()
        {
            return Err(contradiction("the node signed the outcome of another decision"));
        }
        if self.verified.text(Field::OFFER).is_some_and(|offer| offer != outcome.offer) {
            return Err(contradiction("the node signed the outcome of another offer than the broker recorded"));
        }
        if let Some(recorded) = self.recorded_usage()?
            && (recorded.input_tokens, recorded.output_tokens) != (outcome.input_tokens, outcome.output_tokens)
        {
            return Err(contradiction("the node signed another usage than the broker recorded"));
        }
        self.as_the_node_said(&outcome)?;
        let name: OfferName =
            outcome.offer.parse().map_err(|_| contradiction("the node signed the outcome of an offer that is none"))?;
        let usage = format!("{} tokens in, {} out", counted(outcome.input_tokens), counted(outcome.output_tokens));
        let age = outcome.state_age_ms / 1000;
        let said = format!("{} says: status {}, {usage}, judged by a state {age} s old", name.node(), outcome.status);
        let Some(member) = log.map(|log| log.federation().member(name.node())) else {
            let what = format!("{said}; its signature was not checked, for want of the federation's log");
            self.verdict(false, &FIELDS, what);
            return Ok(None);
        };
        let member = member.ok_or_else(|| contradiction("the node that signed was no member at that epoch"))?;
        if !member.key.verifies(&[OUTCOME_CONTEXT, &signed.outcome].concat(), &signed.signature) {
            return Err(contradiction("the node's signature is not over its outcome"));
        }
        self.verdict(true, &FIELDS, format!("{said}, signed by its key of the federation's log"));
        Ok(Some(NodesWord { status: outcome.status }))
    }

    /// The status and the try, against what the node signed.
    fn as_the_node_said(&self, said: &permit::Outcome) -> Result<(), CheckError> {
        self.is("status", Field::STATUS, &said.status.to_string())?;
        self.is("attempt", Field::ATTEMPT, &said.attempt.to_string())
    }

    /// Tokens read and written, as the broker recorded them.
    fn recorded_usage(&self) -> Result<Option<RecordedUsage>, CheckError> {
        let usage = self.verified.get(Field::USAGE).map(serde_json::from_slice).transpose();
        usage.map_err(|_| contradiction("the usage that the broker recorded cannot be read"))
    }
}

fn counted(tokens: Option<u64>) -> String {
    tokens.map_or_else(|| "unknown".to_owned(), |tokens| tokens.to_string())
}
