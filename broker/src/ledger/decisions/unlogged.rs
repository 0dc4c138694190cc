//! A ledger that keeps nothing, for `cargo xtask bench dataplane`: what relaying costs when nothing is recorded or proven.
//!
//! Compiled with the feature `bench-unlogged` and for tests alone, which no build that is shipped has (decision 27). What it gives out in the place of
//! permits and receipts proves nothing: there is no checkpoint in it and no signature, so that no node runs a request of
//! it, and whoever verifies a receipt refuses it.

use comity_policy::ENGINE_VERSION;
use comity_transparency::leaf::{Kind, Leaf};
use comity_transparency::receipt::Receipt;
use comity_transparency::record::{Record, RecordKind, SALT_BYTES};
use comity_types::Digest;

use super::{Committed, DecisionRecord, Ledger, Settled};
use crate::ledger::log::Placed;

impl Ledger {
    /// The same, which from now on keeps nothing.
    #[must_use]
    pub(crate) fn keeping_nothing(mut self) -> Self {
        self.keeps_nothing = true;
        self
    }
}

impl Committed {
    /// Of a decision that is nowhere.
    pub(super) fn of_nothing(decision: &DecisionRecord) -> Self {
        let record = Box::new(Record::new(RecordKind::Decision, [0; SALT_BYTES]).hashed());
        // Nothing is hashed for it: a digest of nothing is as good.
        let leaf = Leaf {
            kind: Kind::Decision,
            at: decision.at,
            decision: decision.id,
            epoch: decision.epoch,
            engine: ENGINE_VERSION,
            record: Digest::from_bytes([0; 32]),
        };
        Self { leaf, record, placed: Placed::nowhere() }
    }
}

impl Settled {
    /// Of an outcome that is nowhere.
    pub(super) fn of_nothing(committed: &Committed) -> Self {
        let decision = committed.proven(|_| false);
        Self { receipt: Receipt { checkpoint: String::new(), decision, outcome: None } }
    }
}
