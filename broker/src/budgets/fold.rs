//! The book as the decision log has it: leaf by leaf, by the same account of what a request comes to as in its life.

use std::collections::BTreeMap;
use std::sync::Arc;

use comity_transparency::leaf::{Kind, Leaf};
use comity_transparency::record::{CANDIDATES, Field, Record};
use comity_transparency::tile::WIDTH;
use comity_types::{ModelName, OfferName, Price, SpiffeId, Timestamp};
use serde::Deserialize;

use super::book::Book;
use super::charge::{Asked, Became, Candidate, charges};
use super::definition::Budgets;
use crate::ledger::decisions::{TryRecord, UsedNothing};
use crate::ledger::log::{LogError, Reader};

/// Why it is not known what was spent.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// There is no leaf where one is published.
    #[error(
        "leaf {leaf} of the decision log cannot be read (hint: bring back the newest copy of the whole data directory)"
    )]
    NoLeaf {
        /// Which.
        leaf: u64,
    },
    /// A record that counts is not there, and nothing holds what it said.
    #[error(
        "leaf {leaf} of the decision log, of {at}, counts towards a budget, and its record {problem} (hint: bring back \
         budgets.spent from the newest copy of the data directory; or say in the budgets' file what is to count nothing: \
         danger_nothing_before = {after:?})"
    )]
    Unreadable {
        /// The leaf.
        leaf: u64,
        /// When it was made.
        at: Timestamp,
        /// What is wrong with the record.
        problem: &'static str,
        /// The first instant after it.
        after: String,
    },
}

/// A book, and how far it has followed the log.
#[derive(Debug)]
pub struct Fold {
    pub(super) book: Book,
    /// How many leaves it has taken.
    pub(super) leaves: u64,
    /// Decisions that wait for their outcome.
    pub(super) open: BTreeMap<u64, Asked>,
    /// From which leaf on it counts for each budget.
    pub(super) from: Vec<u64>,
    /// From which instant on, in milliseconds since 1970: since each budget was renewed last.
    since: Vec<i64>,
}

impl Fold {
    /// Of these budgets, at this time; it has seen nothing.
    #[must_use]
    pub fn new(budgets: &Arc<Budgets>, now: Timestamp) -> Self {
        let begun = |per: super::period::Period| per.around(now).start;
        let not_before = budgets.nothing_before().map_or(i64::MIN, Timestamp::as_millis);
        let since = budgets.all().map(|(_, budget)| budget.per.map_or(i64::MAX, begun).max(not_before)).collect();
        let from = budgets.all().map(|_| 0).collect();
        Self { book: Book::new(Arc::clone(budgets)), leaves: 0, open: BTreeMap::new(), from, since }
    }

    /// The accounts.
    #[must_use]
    pub const fn book(&self) -> &Book {
        &self.book
    }

    /// How many leaves it has taken.
    #[must_use]
    pub const fn leaves(&self) -> u64 {
        self.leaves
    }

    /// Begins where the first of these budgets counts that nothing is known of.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(super) fn begin(&mut self, reader: &Reader, known: Option<u64>) -> Result<(), FoldError> {
        let size = reader.published().checkpoint.size;
        let unknown = self.from.iter().zip(&self.since).filter(|(from, _)| **from == 0 || known.is_none());
        let Some(since) = unknown.map(|(_, since)| *since).min() else {
            self.leaves = known.unwrap_or(size);
            return Ok(());
        };
        let mut first = size.div_ceil(WIDTH);
        while first > 0 && is_any_since(reader, first - 1, since)? {
            first -= 1;
        }
        self.leaves = (first * WIDTH).min(known.unwrap_or(u64::MAX)).min(size);
        Ok(())
    }

    /// Takes all leaves that are published.
    ///
    /// # Errors
    /// The log cannot be read, or a record that counts.
    pub fn follow(&mut self, reader: &Reader) -> Result<(), FoldError> {
        let size = reader.published().checkpoint.size;
        while self.leaves < size {
            let bundle = self.leaves / WIDTH;
            let (leaves, records) = (reader.bundle(bundle)?, reader.records(bundle)?);
            for index in self.leaves..size.min((bundle + 1) * WIDTH) {
                let place = usize::try_from(index % WIDTH).unwrap_or(usize::MAX);
                let leaf = leaves.get(place).and_then(|bytes| Leaf::from_bytes(bytes).ok());
                let leaf = leaf.ok_or(FoldError::NoLeaf { leaf: index })?;
                self.take(index, &leaf, records.get(place))?;
                self.leaves = index + 1;
            }
        }
        Ok(())
    }

    fn take(&mut self, index: u64, leaf: &Leaf, record: Option<&Option<Vec<u8>>>) -> Result<(), FoldError> {
        let unreadable = |problem| unreadable(index, leaf.at, problem);
        match leaf.kind {
            Kind::Decision if self.counts(index, leaf.at) => {
                let asked = kept(leaf, record).and_then(|record| asked(&record, leaf.at)).map_err(unreadable)?;
                if let Some(asked) = asked {
                    self.open.insert(index, asked);
                }
            }
            Kind::Decision => {}
            Kind::Abort { decision } => {
                if let Some(asked) = self.open.remove(&decision) {
                    self.charge(index, &asked, Became::Unknown);
                }
            }
            Kind::Outcome { decision } => {
                let Some(asked) = self.open.remove(&decision) else { return Ok(()) };
                let read = |record: Record| became(&record).ok_or("is none of an outcome");
                let Ended { tries, signed, passed, is_invalid } =
                    kept(leaf, record).and_then(read).map_err(unreadable)?;
                let ended = Became::Ended { tries: &tries, signed, passed };
                self.charge(index, &asked, if is_invalid { Became::Invalid } else { ended });
            }
        }
        Ok(())
    }

    /// Whether a decision of then, at this leaf, counts towards any budget.
    fn counts(&self, index: u64, at: Timestamp) -> bool {
        self.from.iter().zip(&self.since).any(|(from, since)| *from <= index && at.as_millis() >= *since)
    }

    fn charge(&mut self, index: u64, asked: &Asked, became: Became<'_>) {
        let budgets = Arc::clone(self.book.budgets());
        for (key, amount) in charges(&budgets, asked, became) {
            if self.from.get(key.budget).is_some_and(|from| *from <= index) {
                self.book.charge(key, asked.at, amount);
            }
        }
    }
}

/// A leaf's record as it is kept, or what is wrong with it.
fn kept(leaf: &Leaf, kept: Option<&Option<Vec<u8>>>) -> Result<Record, &'static str> {
    let bytes = kept.ok_or("is missing")?.as_ref().ok_or("has been erased")?;
    let record = Record::from_bytes(bytes).ok().filter(|record| record.commitment() == leaf.record);
    record.ok_or("is damaged")
}

/// Whether anything of a bundle was made since then.
fn is_any_since(reader: &Reader, bundle: u64, since: i64) -> Result<bool, FoldError> {
    let leaves = reader.bundle(bundle)?;
    Ok(leaves.iter().any(|bytes| Leaf::from_bytes(bytes).is_ok_and(|leaf| leaf.at.as_millis() >= since)))
}

fn unreadable(leaf: u64, at: Timestamp, problem: &'static str) -> FoldError {
    let after = at.plus(std::time::Duration::from_millis(1)).to_string();
    FoldError::Unreadable { leaf, at, problem, after }
}

/// A candidate as a decision's record has it.
#[derive(Deserialize)]
struct CandidateRecord {
    offer: OfferName,
    reserved: Option<Reserved>,
}

#[derive(Deserialize)]
struct Reserved {
    input_tokens: u64,
    output_tokens: Option<u64>,
    price: Option<Price>,
}

/// What was asked; nothing of a refusal, nor of what was decided while there were no budgets.
fn asked(record: &Record, at: Timestamp) -> Result<Option<Asked>, &'static str> {
    let text = |field| record.get(field).and_then(|value| std::str::from_utf8(value).ok());
    let (mut candidates, mut most) = (Vec::new(), None);
    for value in (0..CANDIDATES).filter_map(|rank| record.get(Field::candidate(rank)?)) {
        let one: CandidateRecord = serde_json::from_slice(value).map_err(|_| "names a candidate that is none")?;
        let Some(reserved) = one.reserved else { return Ok(None) };
        most = Some((reserved.input_tokens, reserved.output_tokens));
        candidates.push(Candidate { offer: one.offer, price: reserved.price });
    }
    let Some((input_tokens, output_tokens)) = most else { return Ok(None) };
    let caller = text(Field::CALLER).and_then(|caller| caller.parse::<SpiffeId>().ok()).ok_or("names no caller")?;
    let model = text(Field::MODEL).and_then(|model| model.parse::<ModelName>().ok()).ok_or("names no model")?;
    Ok(Some(Asked { caller, model, at, input_tokens, output_tokens, candidates }))
}

/// A try as an outcome's record has it.
#[derive(Deserialize)]
struct Tried {
    offer: OfferName,
    #[serde(default)]
    failed: String,
    #[serde(default)]
    used_nothing: Option<UsedNothing>,
    #[serde(default)]
    passed_tokens: Option<u64>,
}

impl Tried {
    fn may_have_run(&self) -> bool {
        self.failed != TryRecord::WITHDRAWN && self.used_nothing.is_none()
    }
}

#[derive(Deserialize)]
struct Usage {
    input_tokens: u64,
    output_tokens: u64,
}

/// What became of a request, as budgets count it.
struct Ended {
    /// The tries that may have been run.
    tries: Vec<OfferName>,
    /// What the last one's node signed that it used.
    signed: Option<(u64, u64)>,
    /// What went to the caller at least, where it signed nothing.
    passed: u64,
    /// Whether no node has run it because it is none, as `OutcomeRecord::is_invalid` has it.
    is_invalid: bool,
}

fn became(record: &Record) -> Option<Ended> {
    let tries: Vec<Tried> = serde_json::from_slice(record.get(Field::TRIES)?).ok()?;
    let last = tries.last().filter(|last| last.may_have_run());
    let (has_run, passed) = (last.is_some(), last.and_then(|last| last.passed_tokens).unwrap_or_default());
    let signed = match (record.get(Field::NODE_OUTCOME), record.get(Field::USAGE)) {
        (Some(_), Some(usage)) => {
            let usage: Usage = serde_json::from_slice(usage).ok()?;
            Some((usage.input_tokens, usage.output_tokens))
        }
        (Some(_) | None, _) => None,
    };
    let status = record.get(Field::STATUS).and_then(|code| std::str::from_utf8(code).ok()?.parse::<i32>().ok());
    let is_fault = status == Some(i32::from(tonic::Code::InvalidArgument));
    let not_run = tries.last().is_some_and(|last| last.used_nothing == Some(UsedNothing::NotRun));
    let tries: Vec<_> = tries.into_iter().filter(Tried::may_have_run).map(|one| one.offer).collect();
    let is_invalid = is_fault && not_run && tries.is_empty();
    Some(Ended { tries, signed: signed.filter(|_| has_run), passed, is_invalid })
}
