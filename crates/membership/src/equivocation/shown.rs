//! That a broker's log has both statements, by its own signature: then it is not those alone who signed twice that are convicted, but
//! the log's key as well, since a log in which both stand is one that nobody who folds it lets pass.

use comity_transparency::checkpoint::CheckpointError;
use comity_transparency::{Checkpoint, NoteVerifier, Tree};
use comity_types::Digest;
use serde::{Deserialize, Serialize};

use super::Evidence;
use crate::log::origin;
use crate::signed::{Body, Entry, Genesis};

/// How the broker showed both: what stands behind the first statement, the second one in it, and what it signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// The entries behind that of the first statement, up to the last that `after` is of, as they came.
    pub entries: Vec<String>,
    /// The broker's checkpoint over the log when it had the first statement alone, where one had come: a signed note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Its checkpoint over the log that has both.
    pub after: String,
}

/// What the log's key is convicted of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The entry that has the second statement.
    pub second: u64,
    /// The checkpoint over a log that has the first statement alone, where it is known.
    pub before: Option<Checkpoint>,
    /// The checkpoint over the log that has both.
    pub after: Checkpoint,
}

/// Why the checkpoints of evidence convict no broker.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotServed {
    /// A note is none, or the log's key has not signed it.
    #[error("a checkpoint in it is not one that the log's key has signed")]
    Checkpoint(#[from] CheckpointError),
    /// The second statement is in none of the entries.
    #[error("the second statement stands in none of its entries")]
    NotThere,
    /// The longer checkpoint is not of the entries.
    #[error(
        "the checkpoint over the longer log is not of the entries in it: {size} entries with the root {there}, and these come to {here}"
    )]
    OtherLog {
        /// How many it is of.
        size: u64,
        /// Its root.
        there: Digest,
        /// What the entries come to.
        here: Digest,
    },
    /// The shorter checkpoint is not of the entries between the two statements.
    #[error("the checkpoint over the shorter log is not of the entries between the two statements")]
    OtherPast,
}

impl Shown {
    /// Holds it against the entries up to the first statement, and the log's key.
    pub(super) fn check(
        &self,
        evidence: &Evidence,
        genesis: &Genesis,
        key: &NoteVerifier,
    ) -> Result<Served, NotServed> {
        let place = self.entries.iter().position(|line| {
            let body = Entry::from_json(line.as_bytes()).map(|entry| entry.body);
            matches!(body, Ok(Body::Signed(envelope)) if envelope == evidence.second)
        });
        let first = evidence.entries.len() as u64;
        let second = first + place.ok_or(NotServed::NotThere)? as u64 + 1;
        let open = |note: &String| Checkpoint::open(note, &origin(&genesis.federation), key);
        let (before, after) = (self.before.as_ref().map(open).transpose()?, open(&self.after)?);
        let (mut tree, mut agrees) = (Tree::default(), before.is_none());
        for line in evidence.entries.iter().chain(&self.entries) {
            tree.push(line.as_bytes());
            let is_between = tree.size() >= first && tree.size() < second;
            agrees |= is_between && before.as_ref().is_some_and(|before| is_of(before, &tree));
        }
        if !is_of(&after, &tree) {
            return Err(NotServed::OtherLog { size: after.size, there: after.root, here: tree.root() });
        }
        if agrees { Ok(Served { second, before, after }) } else { Err(NotServed::OtherPast) }
    }
}

fn is_of(checkpoint: &Checkpoint, tree: &Tree) -> bool {
    checkpoint.size == tree.size() && checkpoint.root == tree.root()
}
