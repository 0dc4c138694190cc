//! Receipts of what is published, for whoever has a right to them.
//!
//! Who asked and who governs see what is recorded; who answered sees what the node was shown anyway. What a side's rules are
//! stays with it (decision 9), so that the reasons of a refusal are for operators of the federation alone.

use std::collections::BTreeMap;

use comity_policy::disclosure::Viewer;
use comity_transparency::leaf::{Kind, Leaf};
use comity_transparency::receipt::{Proven, Receipt};
use comity_transparency::record::{CANDIDATES, Field, Record};
use comity_transparency::tile::WIDTH;
use comity_types::{DecisionId, OfferName, SpiffeId, Timestamp, TrustDomain};

use super::log::reader::FoundDecision;
use super::log::{LogError, Reader};

#[cfg(test)]
mod tests;

/// Most decisions that one part of a list is looked for among, of everybody: their places are held in memory, some megabytes,
/// for as long as the part is read. The rest is asked for from where it ends.
pub const MAX_LISTED: usize = 100_000;

/// Makes receipts from a log. Calls block on the disk.
#[derive(Debug, Clone)]
pub struct Receipts {
    reader: Reader,
}

/// Why there is no receipt.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// There is no such decision, or it is not the viewer's.
    #[error("there is no decision {0} that the caller may see")]
    Unknown(DecisionId),
    /// What becomes of it is not on record yet, and would be again after it was erased.
    #[error("the request of decision {0} has not ended yet (hint: erase its records when it has)")]
    Running(DecisionId),
}

/// What of a decision somebody may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    /// Everything.
    All,
    /// Everything but the others' rules.
    Asked,
    /// What its node was shown.
    Answered,
}

/// A leaf as it is kept.
struct Kept {
    index: u64,
    bytes: Vec<u8>,
    record: Option<Record>,
    /// True if there is a record, and it is not the leaf's, or none.
    damaged: bool,
}

/// A receipt, and the leaves whose record is damaged and therefore not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The receipt.
    pub receipt: Receipt,
    /// Those leaves.
    pub damaged: Vec<u64>,
}

/// A part of the decisions of a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Where they are, oldest first.
    pub found: Vec<FoundDecision>,
    /// The leaf that the next part begins at; none if there is no more.
    pub next: Option<u64>,
}

impl Receipts {
    /// From this log.
    #[must_use]
    pub const fn new(reader: Reader) -> Self {
        Self { reader }
    }

    /// The receipt of a decision, as `viewer` may see it.
    ///
    /// # Errors
    /// There is none, it is not the viewer's, or the log cannot be read.
    pub fn of(&self, decision: DecisionId, viewer: Viewer<'_>) -> Result<Shown, ReceiptError> {
        let found = self.reader.find(decision)?.ok_or(ReceiptError::Unknown(decision))?;
        self.receipt(&mut Bundles::of(&self.reader), found, viewer, None)?.ok_or(ReceiptError::Unknown(decision))
    }

    /// Where the records of a decision are, if `viewer` may have them erased: who asked, and who governs.
    ///
    /// # Errors
    /// There is no such decision, it is not the viewer's, or the log cannot be read.
    pub fn erasable(&self, decision: DecisionId, viewer: Viewer<'_>) -> Result<Vec<u64>, ReceiptError> {
        let unknown = || ReceiptError::Unknown(decision);
        let found = self.reader.find(decision)?.ok_or_else(unknown)?;
        let record = Bundles::of(&self.reader).kept(found.decision)?.record;
        match share(viewer, record.as_ref(), None) {
            Some(Share::All | Share::Asked) => {}
            Some(Share::Answered) | None => return Err(unknown()),
        }
        let ends = record.is_some_and(|record| Field::candidate(0).is_some_and(|first| record.get(first).is_some()));
        if ends && found.outcome.is_none() {
            return Err(ReceiptError::Running(decision));
        }
        Ok(std::iter::once(found.decision).chain(found.outcome).collect())
    }

    /// The decisions that were made from `from` on and before `to`, oldest first, with their outcomes: those of which a leaf,
    /// their own or their outcome's, is at `first_leaf` or behind it; `most` of them at most (`MAX_LISTED`), up to where the
    /// next part begins. One whose outcome lies in a later part is in that again, with it.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn between(&self, from: Timestamp, to: Timestamp, first_leaf: u64, most: usize) -> Result<Part, ReceiptError> {
        let size = self.reader.published().checkpoint.size;
        let counts = |leaf: &Leaf| leaf.at >= from && leaf.at < to;
        let (mut found, mut bundles) = (BTreeMap::<u64, Option<u64>>::new(), Bundles::of(&self.reader));
        let mut next = None;
        'leaves: for bundle in first_leaf / WIDTH..size.div_ceil(WIDTH) {
            let leaves = (bundle * WIDTH..).zip(self.reader.bundle(bundle)?);
            for (index, bytes) in leaves.skip_while(|(index, _)| *index < first_leaf) {
                // Each leaf adds one at most, so that a part that is full is behind its beginning.
                if found.len() >= most {
                    next = Some(index);
                    break 'leaves;
                }
                let Ok(leaf) = Leaf::from_bytes(&bytes) else { continue };
                match leaf.kind {
                    Kind::Decision if counts(&leaf) => {
                        found.insert(index, None);
                    }
                    Kind::Decision => {}
                    Kind::Outcome { decision } | Kind::Abort { decision } => {
                        // Of one before the beginning nothing is known yet.
                        let mut begun = || {
                            let kept = bundles.kept(decision)?;
                            Ok::<_, LogError>(Leaf::from_bytes(&kept.bytes).ok().filter(&counts))
                        };
                        if let Some(outcome) = found.get_mut(&decision) {
                            *outcome = Some(index);
                        } else if decision < first_leaf && begun()?.is_some() {
                            found.insert(decision, Some(index));
                        }
                    }
                }
            }
        }
        let found = found.into_iter().map(|(decision, outcome)| FoundDecision { decision, outcome }).collect();
        Ok(Part { found, next })
    }

    /// The receipt of a decision that was found, as `viewer` may see it, if `of` asked or answered; none if the viewer may
    /// see nothing of it.
    ///
    /// # Errors
    /// The log cannot be read.
    fn receipt(
        &self,
        bundles: &mut Bundles<'_>,
        found: FoundDecision,
        viewer: Viewer<'_>,
        of: Option<&TrustDomain>,
    ) -> Result<Option<Shown>, ReceiptError> {
        let decision = bundles.kept(found.decision)?;
        let outcome = found.outcome.map(|index| bundles.kept(index)).transpose()?;
        let outcome_record = outcome.as_ref().and_then(|outcome| outcome.record.as_ref());
        let is_of = |domain| share(Viewer::Member(domain), decision.record.as_ref(), outcome_record).is_some();
        if of.is_some_and(|domain| !is_of(domain)) {
            return Ok(None);
        }
        let Some(share) = share(viewer, decision.record.as_ref(), outcome_record) else { return Ok(None) };
        let leaves = std::iter::once(decision.index).chain(outcome.as_ref().map(|outcome| outcome.index));
        let covering = self.reader.covering(leaves);
        let damaged = [Some(&decision), outcome.as_ref()].into_iter().flatten().filter(|kept| kept.damaged);
        let damaged: Vec<_> = damaged.map(|kept| kept.index).collect();
        for leaf in &damaged {
            tracing::error!(log.leaf = leaf, "the record of a leaf is damaged");
        }
        let proven = |kept: Kept| -> Result<Proven, LogError> {
            let path = self.reader.proof(kept.index, covering.checkpoint.size)?;
            let record = kept.record.map(|record| record.disclose(|field| shows(share, viewer, &record, field)));
            Ok(Proven { index: kept.index, leaf: kept.bytes, path, record })
        };
        let (decision, outcome) = (proven(decision)?, outcome.map(proven).transpose()?);
        let receipt = Receipt { checkpoint: covering.note.to_string(), decision, outcome };
        Ok(Some(Shown { receipt, damaged }))
    }

    /// The receipts of decisions that were found, as `viewer` may see them: those that `of` asked or answered, if it is named.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn page(
        &self,
        found: &[FoundDecision],
        viewer: Viewer<'_>,
        of: Option<&TrustDomain>,
    ) -> Result<Vec<Shown>, ReceiptError> {
        let mut bundles = Bundles::of(&self.reader);
        let receipts = found.iter().map(|found| self.receipt(&mut bundles, *found, viewer, of));
        receipts.filter_map(Result::transpose).collect()
    }
}

/// Leaves and records, each bundle of which is read once.
struct Bundles<'a> {
    reader: &'a Reader,
    read: BTreeMap<u64, Bundle>,
}

/// A bundle's leaves, and their records.
type Bundle = (Vec<Vec<u8>>, Vec<Option<Vec<u8>>>);

impl<'a> Bundles<'a> {
    const fn of(reader: &'a Reader) -> Self {
        Self { reader, read: BTreeMap::new() }
    }

    fn kept(&mut self, index: u64) -> Result<Kept, LogError> {
        let (bundle, place) = (index / WIDTH, usize::try_from(index % WIDTH).unwrap_or(usize::MAX));
        if !self.read.contains_key(&bundle) {
            // Decisions come in order, and their outcomes soon after: what lies far behind is not asked for again.
            self.read.retain(|other, _| other.abs_diff(bundle) <= 2);
            let records = match self.reader.records(bundle) {
                // The leaves are proven all the same, and which of its records can be read nobody knows.
                Err(error @ LogError::Damaged { .. }) => {
                    tracing::error!(%error, "the records of a bundle are damaged");
                    Vec::new()
                }
                records => records?,
            };
            self.read.insert(bundle, (self.reader.bundle(bundle)?, records));
        }
        let (leaves, records) =
            self.read.get(&bundle).map_or((&[][..], &[][..]), |(leaves, records)| (leaves, records));
        let bytes = leaves.get(place).cloned().unwrap_or_default();
        // What was erased has its place still; one that is missing is damage.
        let kept = records.get(place);
        let commits = |record: &Record| Leaf::from_bytes(&bytes).is_ok_and(|leaf| leaf.record == record.commitment());
        let record = kept.and_then(Option::as_ref).and_then(|record| Record::from_bytes(record).ok()).filter(commits);
        let damaged = record.is_none() && kept.is_none_or(Option::is_some);
        Ok(Kept { index, bytes, record, damaged })
    }
}

/// What `viewer` may see. Of a decision whose record has been erased nobody knows whose it was; its leaf tells nothing.
fn share(viewer: Viewer<'_>, decision: Option<&Record>, outcome: Option<&Record>) -> Option<Share> {
    let Viewer::Member(own) = viewer else { return Some(Share::All) };
    let caller = decision.and_then(|record| text(record, Field::CALLER)?.parse::<SpiffeId>().ok());
    if caller.is_some_and(|caller| caller.trust_domain() == own) {
        return Some(Share::Asked);
    }
    let operator = outcome.and_then(|record| text(record, Field::OPERATOR));
    operator.is_some_and(|operator| operator == own.as_str()).then_some(Share::Answered)
}

fn shows(share: Share, viewer: Viewer<'_>, record: &Record, field: Field) -> bool {
    match share {
        Share::All => true,
        Share::Asked => field != Field::REFUSED,
        Share::Answered if [Field::ELIGIBLE, Field::REFUSED, Field::CONSIDERED, Field::TRIES].contains(&field) => false,
        Share::Answered if (0..CANDIDATES).any(|rank| Field::candidate(rank) == Some(field)) => {
            is_own_candidate(viewer, record, field)
        }
        Share::Answered => true,
    }
}

fn is_own_candidate(viewer: Viewer<'_>, record: &Record, field: Field) -> bool {
    let Viewer::Member(own) = viewer else { return true };
    let candidate = record.get(field).and_then(|json| serde_json::from_slice::<serde_json::Value>(json).ok());
    let offer = candidate.and_then(|candidate| candidate.get("offer")?.as_str()?.parse::<OfferName>().ok());
    offer.is_some_and(|offer| offer.node().trust_domain() == own)
}

fn text(record: &Record, field: Field) -> Option<&str> {
    std::str::from_utf8(record.get(field)?).ok()
}
