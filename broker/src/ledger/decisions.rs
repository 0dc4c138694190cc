//! What is recorded of every decision and of its outcome, and the receipts of both: what a later question "why did this
//! request go there" is answered from. Holds no prompt and no completion.
//!
//! [`Ledger::commit`] is the one maker of a [`Committed`], the proof that a decision is durable; [`Ledger::settle`] takes
//! one, so that there is no outcome without its decision.

mod node_signed;
mod plausible;
mod recorded;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "bench-unlogged"))]
mod unlogged;

use std::path::Path;
use std::sync::Arc;

use comity_policy::ENGINE_VERSION;
use comity_proto::convert::{wire_proven, wire_receipt};
use comity_proto::{permit, transparency};
use comity_transparency::LogKey;
use comity_transparency::leaf::{Epoch, Kind, Leaf};
use comity_transparency::receipt::{Proven, Receipt};
use comity_transparency::record::{CANDIDATES, Field, Hashed, Record, RecordError, RecordKind, SALT_BYTES};
use comity_types::{Clock, DecisionId, Timestamp};
use comity_witness::Circle;

pub use self::node_signed::{MAX_SIGNED_BYTES, NodeSigned, Relayed, Unsigned};
pub use self::plausible::{Plausible, most_output_tokens};
pub use self::recorded::{
    CandidateRecord, DecisionRecord, OfferRecord, OutcomeRecord, RefusedOffer, ReservedRecord, TryRecord, UsageRecord,
    UsedNothing,
};
use super::log::{DecisionLog, Entry, LogError, Placed};
use super::witnesses::{WitnessError, Witnesses};

/// Which fields of a decision a node is shown: those that its permit has to match.
const OF_A_PERMIT: [Field; 3] = [Field::CALLER, Field::METHOD, Field::ENVELOPE_SHA256];
/// Which fields the caller is not shown in trailers, which clients read up to 8 KiB of: those that are long and can be
/// fetched, or that tell of other organisations' rules what these keep to themselves. Of the candidates it is shown the one
/// that answered.
const NOT_IN_TRAILERS: [Field; 3] = [Field::ENVELOPE, Field::ELIGIBLE, Field::REFUSED];

/// Why a record is not kept.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The log takes no more.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Its witnesses have seen something else.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// A field is too long.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A field has no JSON form.
    #[error("cannot encode a record")]
    Encode(#[from] serde_json::Error),
    /// There is no randomness for the record's salt.
    #[error("the broker has no randomness")]
    Randomness,
}

/// The proof that a decision is durable.
#[derive(Debug)]
pub struct Committed {
    leaf: Leaf,
    record: Box<Hashed>,
    placed: Placed,
}

/// The proof that an outcome is, with that of its decision in the same tree.
#[derive(Debug)]
pub struct Settled {
    receipt: Receipt,
}

impl Committed {
    /// The decision.
    #[must_use]
    pub const fn id(&self) -> DecisionId {
        self.leaf.decision
    }

    /// The index of its leaf.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.placed.index()
    }

    /// When it was made.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.leaf.at
    }

    /// The epoch that it was made against.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.leaf.epoch.size
    }

    /// The log's checkpoint that it is proven by: a signed note, shared by all that became durable with it.
    #[must_use]
    pub fn checkpoint(&self) -> &str {
        self.placed.checkpoint()
    }

    /// What the node of the offer that comes `rank`-th in the order of preference gets for one try: none beyond those that
    /// have a place of their own.
    #[must_use]
    pub fn permit(&self, rank: usize, attempt: u32) -> Option<permit::Permit> {
        let candidate = Field::candidate(rank)?;
        let decision = self.proven(|field| field == candidate || OF_A_PERMIT.contains(&field));
        let checkpoint = self.placed.checkpoint().to_owned();
        Some(permit::Permit { checkpoint, decision: Some(wire_proven(&decision)), attempt })
    }

    /// The receipt of a decision that has no outcome: a refusal.
    #[must_use]
    pub fn receipt(&self) -> transparency::Receipt {
        let decision = self.in_trailers(None);
        wire_receipt(&Receipt { checkpoint: self.placed.checkpoint().to_owned(), decision, outcome: None })
    }

    fn in_trailers(&self, answered: Option<usize>) -> Proven {
        let other = |field| (0..CANDIDATES).any(|rank| Field::candidate(rank) == Some(field) && answered != Some(rank));
        self.proven(|field| !NOT_IN_TRAILERS.contains(&field) && !other(field))
    }

    fn proven(&self, shown: impl Fn(Field) -> bool) -> Proven {
        Proven {
            index: self.placed.index(),
            leaf: self.leaf.to_bytes(),
            path: self.placed.path().to_vec(),
            record: Some(self.record.disclose(shown)),
        }
    }
}

impl Settled {
    /// The receipt, as the caller gets it.
    #[must_use]
    pub fn receipt(&self) -> transparency::Receipt {
        wire_receipt(&self.receipt)
    }
}

/// A handle on the decision log.
#[derive(Debug, Clone)]
pub struct Ledger {
    log: DecisionLog,
    /// Only ever true in the program that relaying alone is measured by.
    #[cfg(any(test, feature = "bench-unlogged"))]
    keeps_nothing: bool,
}

impl Ledger {
    /// Opens or makes the log in `dir`. If it has witnesses, waits until enough of them confirm that nothing is missing.
    /// Decisions of which nobody knows what became of them are closed then: the broker ended before they did.
    ///
    /// # Errors
    /// It is damaged, in use, cannot be used, or is not what it signed once.
    pub async fn open(
        dir: &Path,
        key: LogKey,
        clock: Arc<dyn Clock>,
        witnesses: Option<Circle>,
    ) -> Result<(Self, Option<Witnesses<DecisionLog>>), LedgerError> {
        let (log, open) = DecisionLog::open(dir, key, Arc::clone(&clock))?;
        let mut witnesses = witnesses.map(|circle| Witnesses::new(circle, log.clone()));
        if let Some(witnesses) = &mut witnesses {
            // Before anything is appended: an old copy that goes on contradicts what it signed.
            log.flush().await?;
            witnesses.confirm().await?;
        }
        let ledger = Self::over(log);
        for (index, leaf) in open {
            ledger.abort(index, &leaf, clock.now()).await?;
        }
        Ok((ledger, witnesses))
    }

    /// Reads the log in `dir` as a start would, and changes nothing.
    ///
    /// # Errors
    /// It is damaged, or cannot be read.
    pub fn check(dir: &Path, key: &LogKey) -> Result<(), LogError> {
        DecisionLog::check(dir, key)
    }

    /// A ledger over any log.
    pub(crate) const fn over(log: DecisionLog) -> Self {
        Self {
            log,
            #[cfg(any(test, feature = "bench-unlogged"))]
            keeps_nothing: false,
        }
    }

    /// The log, to be read.
    #[must_use]
    pub const fn log(&self) -> &DecisionLog {
        &self.log
    }

    /// Keeps a decision. When this returns, it is durable.
    ///
    /// # Errors
    /// The log takes no more; then nothing may be relayed.
    pub async fn commit(&self, decision: DecisionRecord) -> Result<Committed, LedgerError> {
        #[cfg(any(test, feature = "bench-unlogged"))]
        if self.keeps_nothing {
            return Ok(Committed::of_nothing(&decision));
        }
        let opens = decision.opens();
        let (leaf, record) = written(decision)?;
        let entry = Entry { leaf: leaf.to_bytes(), record: Some(record.record().to_bytes()), opens };
        let placed = self.log.append(entry, None).await?;
        Ok(Committed { leaf, record, placed })
    }

    /// Keeps what became of a decision. When this returns, it is durable.
    ///
    /// # Errors
    /// The log takes no more.
    pub async fn settle(&self, committed: &Committed, outcome: OutcomeRecord) -> Result<Settled, LedgerError> {
        #[cfg(any(test, feature = "bench-unlogged"))]
        if self.keeps_nothing {
            return Ok(Settled::of_nothing(committed));
        }
        let (at, rank) = (outcome.at, outcome.offer.as_ref().map(|offer| offer.rank));
        let record = outcome.record(salt()?)?.hashed();
        let of = committed.index();
        let kind = Kind::Outcome { decision: of };
        let leaf = leaf(kind, ended(at, &committed.leaf), committed.id(), committed.leaf.epoch, &record);
        let entry = Entry { leaf: leaf.to_bytes(), record: Some(record.record().to_bytes()), opens: false };
        let placed = self.log.append(entry, Some(of)).await?;
        let mut decision = committed.in_trailers(rank);
        decision.path = placed.also().to_vec();
        let outcome = Proven {
            index: placed.index(),
            leaf: leaf.to_bytes(),
            path: placed.path().to_vec(),
            record: Some(record.disclose(|_| true)),
        };
        let receipt = Receipt { checkpoint: placed.checkpoint().to_owned(), decision, outcome: Some(outcome) };
        Ok(Settled { receipt })
    }

    /// Says that nobody knows what became of a decision.
    async fn abort(&self, decision: u64, leaf: &[u8], now: Timestamp) -> Result<(), LedgerError> {
        let Ok(of) = Leaf::from_bytes(leaf) else { return Ok(()) };
        tracing::warn!(decision.id = %of.decision, "the broker ended before this request did");
        let record = Record::new(RecordKind::Outcome, salt()?).hashed();
        let leaf = self::leaf(Kind::Abort { decision }, ended(now, &of), of.decision, of.epoch, &record);
        let entry = Entry { leaf: leaf.to_bytes(), record: Some(record.record().to_bytes()), opens: false };
        self.log.append(entry, None).await?;
        Ok(())
    }

    /// Resolves, to the cause, when the log has failed and the broker has to end.
    pub async fn failed(&self) -> Arc<str> {
        self.log.failed().await
    }
}

/// A decision's leaf, and the record that it commits to.
fn written(decision: DecisionRecord) -> Result<(Leaf, Box<Hashed>), LedgerError> {
    let (id, at, epoch) = (decision.id, decision.at, decision.epoch);
    let record = Box::new(decision.record(salt()?)?.hashed());
    Ok((leaf(Kind::Decision, at, id, epoch, &record), record))
}

fn leaf(kind: Kind, at: Timestamp, decision: DecisionId, epoch: Epoch, record: &Hashed) -> Leaf {
    Leaf { kind, at, decision, epoch, engine: ENGINE_VERSION, record: record.commitment() }
}

/// When something ended: never before it was decided, though the clock be set back meanwhile. An outcome that is older than
/// its decision is refused by everybody.
fn ended(now: Timestamp, decision: &Leaf) -> Timestamp {
    now.max(decision.at)
}

fn salt() -> Result<[u8; SALT_BYTES], LedgerError> {
    let mut salt = [0; SALT_BYTES];
    aws_lc_rs::rand::fill(&mut salt).map_err(|_| LedgerError::Randomness)?;
    Ok(salt)
}
