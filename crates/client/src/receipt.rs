//! Receipts, checked here: what is proven, in plain words, and what is not.
//!
//! ```text
//! receipt ─log's key of the root─▶ leaves ─commitments─▶ fields ─node's key─▶ outcome ─federation's log─▶ terms, eligibility
//! ```
//! [`check`] refuses a receipt of which any part is contradicted by another; what there is nothing to hold against is said not
//! to be proven. Every field that is shown ends in exactly one [`Finding`]; that its value is the one that the log committed to
//! is said of all of them at once, and is a verdict on none.

use std::sync::Arc;

use comity_identity::Root;
use comity_membership::{Log, offer_digest};
use comity_policy::Tables;
use comity_transparency::leaf::Kind;
use comity_transparency::policy::Policy;
use comity_transparency::receipt::{Receipt, ReceiptError, Verified};
use comity_transparency::record::{Field, RecordKind};
use comity_transparency::{CheckpointNote, NoteVerifier};
use comity_types::{OfferName, Timestamp};

use crate::witnessed::cosigned_by;

mod answer;
mod by_state;
mod history;
mod most;
mod named;
mod node;
mod nonce;
mod repeated;
mod replay;
mod standing;
#[cfg(test)]
mod tests;
mod when;

pub use answer::{Asked, Unproven, of_trailers};
pub(crate) use answer::{Expected, Pinned};
pub use history::History;
pub use nonce::nonce;
pub(crate) use nonce::unlike_any_other;
pub use when::{CLOCK_TOLERANCE, EPOCH_TOLERANCE};

use node::NodesWord;

/// What a receipt is held against.
#[derive(Debug, Clone, Copy)]
pub struct Against<'a> {
    /// The federation's root document, which is pinned.
    pub root: &'a Root,
    /// The federation as it was decided by; without it, neither terms nor eligibility nor the node's signature can be checked.
    pub log: Option<AsOf<'a>>,
    /// Which witnesses have to have cosigned; without it, their cosignatures prove nothing.
    pub policy: Option<&'a Policy>,
    /// What offers are held against where the federation has adopted no tables.
    pub tables: &'a Arc<Tables>,
    /// The time, by the clock of whoever checks: nothing that is to be believed was decided later.
    pub now: Timestamp,
}

/// The federation while one epoch was its newest.
#[derive(Debug, Clone, Copy)]
pub struct AsOf<'a> {
    /// Its log up to that epoch, verified.
    pub log: &'a Log,
    /// When the entry behind it came into force; none where none is known.
    pub until: Option<Timestamp>,
}

/// What is proven, and what is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The fields.
    pub verified: Verified,
    /// In the order in which they are checked.
    pub findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// True if it holds; false if there was nothing to hold it against.
    pub proven: bool,
    /// What, in a sentence.
    pub what: String,
    /// The fields that it is the verdict on; none where it is about something else.
    pub fields: Vec<Field>,
}

/// Why a receipt is not to be believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// A leaf is not in the log, or what is shown is not the leaf's.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    /// Too few witnesses cosigned the checkpoint, or the policy names no such log.
    #[error("the policy is not met: {0}")]
    Policy(String),
    /// The log that it is held against is of another length than the decision's epoch.
    #[error(
        "the decision was made at epoch {epoch}, and the log is at epoch {found} (hint: hold it against the log up to that epoch)"
    )]
    OtherEpoch {
        /// The decision's.
        epoch: u64,
        /// The log's.
        found: u64,
    },
    /// Two parts contradict each other.
    #[error("{0}")]
    Contradiction(String),
}

/// Checks a receipt against all that there is.
///
/// # Errors
/// It is not to be believed.
pub fn check(receipt: &Receipt, against: &Against<'_>) -> Result<Account, CheckError> {
    let [plain, _] = &against.root.decision_log;
    let verified = receipt.verify(&against.root.decision_log_origin(), &NoteVerifier::of(plain))?;
    let mut account = Account { verified, findings: Vec::new() };
    let log = against.log.map(|state| state.log);
    account.logged();
    account.signatures(receipt, against)?;
    account.epoch(log)?;
    account.when(against)?;
    account.standing(log)?;
    let node = account.outcome(log)?;
    account.offer(log, node.as_ref())?;
    account.repeated(log)?;
    account.eligibility(against, node.as_ref())?;
    account.word();
    Ok(account)
}

impl Account {
    fn proven(&mut self, what: impl Into<String>) {
        self.findings.push(Finding { proven: true, what: what.into(), fields: Vec::new() });
    }

    fn unproven(&mut self, what: impl Into<String>) {
        self.findings.push(Finding { proven: false, what: what.into(), fields: Vec::new() });
    }

    /// The verdict on those of these fields that are shown and have none yet.
    fn verdict(&mut self, proven: bool, fields: &[Field], what: impl Into<String>) {
        let fields = self.open().filter(|field| fields.contains(field)).collect();
        self.findings.push(Finding { proven, what: what.into(), fields });
    }

    /// The fields that are shown, and on which there is no verdict yet.
    fn open(&self) -> impl Iterator<Item = Field> {
        let all = [RecordKind::Decision, RecordKind::Outcome].into_iter().flat_map(RecordKind::fields);
        let judged = |field: &Field| self.findings.iter().any(|finding| finding.fields.contains(field));
        all.filter(|field| self.verified.get(*field).is_some()).filter(move |field| !judged(field))
    }

    /// What stands in the log.
    fn logged(&mut self) {
        let decision = self.verified.decision();
        let (index, leaf, checkpoint) = (decision.index(), *decision.leaf(), self.verified.checkpoint().clone());
        self.proven(format!(
            "the decision {} of {} is leaf {index} of the log {}, which has {} leaves",
            leaf.decision, leaf.at, checkpoint.origin, checkpoint.size
        ));
        if self.verified.decision().is_without_record() {
            self.unproven("what was decided: the record has been erased, or is not shown");
        }
        match self.verified.outcome().map(|outcome| (outcome.index(), outcome.leaf().kind, outcome.leaf().at)) {
            Some((index, Kind::Abort { .. }, at)) => {
                self.proven(format!(
                    "nobody knows what became of it: the broker ended before it did (leaf {index}, {at})"
                ));
            }
            Some((index, _, at)) => self.proven(format!("its outcome of {at} is leaf {index} of the same log")),
            None => self.unproven("what became of it: the receipt has no outcome, as that of a refusal has none"),
        }
        self.committed();
    }

    /// That what is shown is what the leaves commit to. No verdict on any field: what the log committed to may be untrue.
    fn committed(&mut self) {
        // None has a verdict yet.
        let shown: Vec<_> = self.open().map(Field::name).collect();
        if !shown.is_empty() {
            self.proven(format!(
                "what is shown is what the log committed to then, in each of these fields; whether it is true is another \
                 question, and what is said of each besides: {}",
                shown.join(", ")
            ));
        }
    }

    /// Who signed the checkpoint beside the log's Ed25519 key.
    fn signatures(&mut self, receipt: &Receipt, against: &Against<'_>) -> Result<(), CheckError> {
        let [_, post_quantum] = &against.root.decision_log;
        let note = CheckpointNote::parse(&receipt.checkpoint).map_err(ReceiptError::from)?;
        let signed = note.signed_by(post_quantum);
        if signed.map_err(|error| contradiction(format!("the log's ML-DSA-44 signature is forged: {error}")))?.is_some()
        {
            self.proven("the log signed its checkpoint by ML-DSA-44 too, which holds against quantum computers");
        }
        let Some(policy) = against.policy else {
            self.unproven("that others saw the same log: no policy says whose cosignatures count");
            return Ok(());
        };
        let names = cosigned_by(policy, &against.root.federation, &against.root.decision_log, &note);
        let names = names.map_err(|error| CheckError::Policy(error.to_string()))?.join(", ");
        if policy.asks_for_nobody() {
            let who = if names.is_empty() { "nobody" } else { &names };
            self.unproven(format!("that others saw the same log: the policy asks for nobody, and {who} cosigned"));
        } else {
            self.proven(format!(
                "enough witnesses of the policy cosigned the checkpoint, they saw the same log: {names}"
            ));
        }
        Ok(())
    }

    /// The federation's state that was decided by.
    fn epoch(&mut self, log: Option<&Log>) -> Result<(), CheckError> {
        let epoch = self.verified.decision().leaf().epoch;
        let Some(log) = log else {
            self.unproven(format!("that epoch {} is the federation's: its log was not given", epoch.size));
            return Ok(());
        };
        let found = log.tree().size();
        if found != epoch.size {
            return Err(CheckError::OtherEpoch { epoch: epoch.size, found });
        }
        if log.tree().root() != epoch.root {
            return Err(contradiction("the decision was made by another log of the federation than this one"));
        }
        self.proven(format!(
            "the federation's state at epoch {} is that of its log, every signature of which holds",
            epoch.size
        ));
        Ok(())
    }

    /// The offer that answered, as it was published at that epoch.
    fn offer(&mut self, log: Option<&Log>, node: Option<&NodesWord>) -> Result<(), CheckError> {
        const FIELDS: [Field; 3] = [Field::OFFER, Field::OFFER_SHA256, Field::OPERATOR];
        let Some((name, recorded)) = self.answered()? else { return Ok(()) };
        let organisation = name.node().trust_domain();
        self.operator(&name)?;
        let role = match self.verified.text(Field::STATUS) {
            None | Some("0") => "answering",
            Some(_) => "the last that was tried",
        };
        let Some(log) = log else {
            let what = format!(
                "under which terms {name}, which is recorded as {role}, was: the federation's log was not given"
            );
            self.verdict(false, &FIELDS, what);
            return Ok(());
        };
        let offer = log.federation().offer(&name);
        let offer = offer.ok_or_else(|| contradiction("the offer that answered was not published at that epoch"))?;
        if offer_digest(offer).to_string() != recorded {
            return Err(contradiction(
                "the offer that answered was published in another form than the broker recorded",
            ));
        }
        let terms = format!("under terms that {organisation} had published and signed (SHA-256 {recorded})");
        match node.map(NodesWord::status) {
            Some(0) => self.verdict(true, &FIELDS, format!("{name} answered {terms}")),
            Some(status) => self.verdict(true, &FIELDS, format!("{name} ended with status {status} {terms}")),
            None => {
                self.proven(format!("{name} is recorded as {role} {terms}"));
                let what =
                    format!("that it was {name}: the broker's word, without the node's signed one (node_outcome)");
                self.verdict(false, &FIELDS, what);
            }
        }
        Ok(())
    }

    /// The offer that answered, and the SHA-256 of its stored form, where both are shown.
    fn answered(&self) -> Result<Option<(OfferName, String)>, CheckError> {
        let (Some(name), Some(digest)) = (self.verified.get(Field::OFFER), self.verified.text(Field::OFFER_SHA256))
        else {
            return Ok(None);
        };
        let name = str::from_utf8(name).ok().and_then(|name| name.parse().ok());
        let name = name.ok_or_else(|| contradiction("the name of the offer that answered cannot be read"))?;
        Ok(Some((name, digest.to_owned())))
    }
}

fn contradiction(what: impl Into<String>) -> CheckError {
    CheckError::Contradiction(what.into())
}
