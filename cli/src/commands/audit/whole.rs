//! The decisions of a time as the log has them at one checkpoint: every leaf hashed, so that what a broker lists can be held
//! against all that there is, and what it does not list is seen.

use std::collections::BTreeMap;

use comity_client::decisions::{DecisionLog, DecisionsError, FromBroker, Seen, kept};
use comity_proto::convert::wire_instant;
use comity_proto::transparency::ListReceiptsRequest;
use comity_transparency::CheckpointNote;
use comity_transparency::leaf::{Kind, Leaf};
use comity_transparency::receipt::{Verified, VerifiedLeaf};
use comity_types::Timestamp;

use super::listed::list;
use crate::commands::log::{convicted, disbelieved, verified};
use crate::error::CliError;
use crate::session::Session;

/// The decisions from one instant on and before another, in a log of one size.
#[derive(Debug)]
pub(super) struct Whole {
    from: Timestamp,
    to: Timestamp,
    size: u64,
    decisions: BTreeMap<u64, Decided>,
}

/// A decision of the log.
#[derive(Debug)]
struct Decided {
    leaf: Leaf,
    end: Option<(u64, Leaf)>,
    listed: bool,
}

/// The log that everything is held against.
pub(super) struct Published {
    log: DecisionLog,
    seen: Seen,
}

impl Published {
    /// Reads all of it, from the first leaf on; gives its decisions of that time.
    pub(super) async fn read(session: &Session, from: Timestamp, to: Timestamp) -> Result<(Self, Whole), CliError> {
        // A list publishes what was answered before it, which is to be in the report; this one is of nothing.
        let nothing = ListReceiptsRequest {
            from: Some(wire_instant(from)),
            to: Some(wire_instant(from)),
            organisation: String::new(),
            first_leaf: u64::MAX,
        };
        list(session, nothing, |_| {}).await?;
        let log = DecisionLog::of(session.identity().root());
        let continues = continues_what_is_kept(session, &log).await?;
        let mut whole = Whole::of(from, to);
        let mut files = FromBroker::new(session.connection());
        let seen = verified(&log, &mut files, None, |index, leaf| whole.take(index, leaf)).await;
        let hint =
            "`comity log export --decisions DIR` keeps the log: show it to the operators of the federation".to_owned();
        let published = Self { log, seen: seen.map_err(|error| disbelieved(error, hint.clone()))? };
        let held = published.holds(session, [&*continues.to_string()]).await;
        held.map_err(|error| disbelieved(error, hint))?;
        published.keep(session)?;
        Ok((published, whole))
    }

    /// Whether checkpoints are of the same log, by proof.
    ///
    /// # Errors
    /// One is of another, or what connects them cannot be had.
    pub(super) async fn holds<'a>(
        &self,
        session: &Session,
        notes: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), DecisionsError> {
        let notes = notes.into_iter().map(|note| self.log.signed(note));
        let mut all = notes.collect::<Result<Vec<_>, _>>()?;
        all.push(self.seen.note().clone());
        self.log.hold_together(&mut FromBroker::new(session.connection()), all).await
    }

    /// Keeps how far the log was seen beside the identity, where `comity log monitor` keeps it: the next report, or look, has to
    /// continue it. What was seen further meanwhile stays.
    fn keep(&self, session: &Session) -> Result<(), CliError> {
        let dir = session.identity().dir().path();
        let kept = kept::seen(dir, &self.log).map_err(unusable)?;
        let is_further = kept.is_some_and(|kept| kept.checkpoint().size > self.seen.checkpoint().size);
        if is_further {
            return Ok(());
        }
        kept::keep(dir, &self.seen, session.identity().clock().now()).map_err(unusable)
    }
}

fn unusable(error: kept::KeptError) -> CliError {
    CliError::Client { doing: "use what is kept of the decision log", source: Box::new(error), hint: None }
}

/// The log's checkpoint, which continues what this identity has seen of it before, if it has: in an earlier report, or by
/// `comity log monitor`.
async fn continues_what_is_kept(session: &Session, log: &DecisionLog) -> Result<CheckpointNote, CliError> {
    let dir = session.identity().dir().path();
    if let Some((file, _)) = kept::convicted(dir, log).map_err(unusable)? {
        return Err(convicted(&file));
    }
    let before = kept::seen(dir, log).map_err(unusable)?;
    let mut files = FromBroker::new(session.connection());
    let error = match log.published(&mut files, before.as_ref().map(Seen::note), None).await {
        Ok(note) => return Ok(note),
        Err(error) => error,
    };
    let kept = kept::convict(dir, &error).map_err(unusable)?;
    let hint = match kept {
        Some(file) => format!("keep {}, and show it to the operators of the federation", file.display()),
        None => "tell the operators of the federation".to_owned(),
    };
    Err(disbelieved(error, hint))
}

impl Whole {
    /// Of a log of which nothing is read yet.
    pub(super) const fn of(from: Timestamp, to: Timestamp) -> Self {
        Self { from, to, size: 0, decisions: BTreeMap::new() }
    }

    /// Takes the next leaf.
    pub(super) fn take(&mut self, index: u64, leaf: &Leaf) {
        self.size = index + 1;
        match leaf.kind {
            Kind::Decision if leaf.at >= self.from && leaf.at < self.to => {
                self.decisions.insert(index, Decided { leaf: *leaf, end: None, listed: false });
            }
            Kind::Decision => {}
            Kind::Outcome { decision } | Kind::Abort { decision } => {
                if let Some(decided) = self.decisions.get_mut(&decision) {
                    decided.end = Some((index, *leaf));
                }
            }
        }
    }

    /// How many leaves it has: what comes behind them came later, and is not in a report.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// Takes in that a decision was listed; gives what goes against the log in that.
    pub(super) fn list(&mut self, listed: &Verified) -> Option<String> {
        let (index, leaf) = (listed.decision().index(), listed.decision().leaf());
        if leaf.at < self.from || leaf.at >= self.to {
            return Some(format!("it was decided at {}, and another time was asked for", leaf.at));
        }
        let Some(decided) = self.decisions.get_mut(&index).filter(|decided| decided.leaf == *leaf) else {
            return Some(format!("the log that is published has no such decision at leaf {index}"));
        };
        if std::mem::replace(&mut decided.listed, true) {
            return Some(format!("the decision of leaf {index} is listed twice"));
        }
        let outcome = listed.outcome().map(|outcome| (outcome.index(), *outcome.leaf()));
        match (decided.end, outcome) {
            (end, outcome) if end == outcome => None,
            (Some((end, _)), None) => Some(format!("leaf {end} says what became of it, and the receipt does not")),
            (_, outcome) => {
                let leaf = outcome.map_or(index, |(index, _)| index);
                Some(format!("the log that is published has no such outcome of it at leaf {leaf}"))
            }
        }
    }

    /// The same where nothing of it is proven: it was listed.
    pub(super) fn list_unproven(&mut self, index: u64) {
        if let Some(decided) = self.decisions.get_mut(&index) {
            decided.listed = true;
        }
    }

    /// The decisions of that time that were not listed.
    pub(super) fn missing(&self) -> impl Iterator<Item = (u64, &Leaf)> {
        let missing = self.decisions.iter().filter(|(_, decided)| !decided.listed);
        missing.map(|(index, decided)| (*index, &decided.leaf))
    }
}

/// The index of the outcome of a receipt, if it lies behind a log of this size.
pub(super) fn ended_later(listed: &Verified, size: u64) -> bool {
    listed.outcome().map(VerifiedLeaf::index).is_some_and(|index| index >= size)
}

#[cfg(test)]
mod tests;
