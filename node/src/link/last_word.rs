//! What this node last signed in its own scope, on disk before it is handed in: a position (a scope and a version in it) is
//! signed once, whatever becomes of the answer and of this process.
//!
//! A node that signs other offers at a position where it signed before has equivocated, though nobody meant to: the answer
//! was lost, the configuration changed, and the copy of the log was a round trip behind. So what has no answer is handed
//! in again, byte for byte, and what comes after it waits until it is known which position is next.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use comity_membership::{Federation, Payload, Statement};
use comity_runtime::files::write_durably;
use comity_transparency::Envelope;
use comity_types::Digest;
use serde::{Deserialize, Serialize};

/// The file, in the data directory.
const FILE: &str = "last-word.json";

/// What was signed last. Clones are the same.
#[derive(Debug, Clone)]
pub struct LastWord {
    path: PathBuf,
    kept: Arc<Mutex<Option<Kept>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// As it was handed in.
    envelope: Envelope,
    /// What the broker said to it.
    answer: Answer,
}

/// What a broker said to a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Answer {
    /// Nothing: it may have its place in the log.
    Unknown,
    /// It is no statement of the log, for a reason of its own: not because of who handed it in, or when.
    Refused,
    /// What it says is in force at this epoch: by it, or by one before that says the same, and then its position is free.
    InForce(u64),
}

/// What may be handed in now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// What is wanted, signed as this version.
    Sign(u64),
    /// What was signed there before and has no answer, which is not always what is wanted.
    Again(Box<Envelope>),
    /// Nothing, before the state is known up to this epoch.
    Wait(u64),
}

/// Why it is not known what was signed last.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} cannot be read, and says what this node signed last (hint: move it away, and start the node once with the configuration that it last ran with, until it says that its offers are published)", path.display()
)]
pub struct LastWordError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl LastWord {
    /// Reads what is in `data_dir`, if there is something.
    ///
    /// # Errors
    /// There is something that cannot be read: what was signed is not to be guessed.
    pub fn open(data_dir: &Path) -> Result<Self, LastWordError> {
        let path = data_dir.join(FILE);
        let kept = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        match kept {
            Ok(kept) => Ok(Self { path, kept: Arc::new(Mutex::new(kept)) }),
            Err(source) => Err(LastWordError { path, source }),
        }
    }

    /// What may be handed in, so that `wanted` is said, by a state that a checkpoint has agreed with.
    pub(super) fn turn(&self, wanted: &Statement, of: Digest, state: &Federation) -> Turn {
        let next = wanted.scope().map_or(1, |scope| state.next_version(&scope));
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Kept { envelope, answer }) = kept.as_ref() else { return Turn::Sign(next) };
        // Of another federation, or of a name that this node had before: no position of this scope.
        let said = Payload::peek(envelope).ok().filter(|said| said.federation == of);
        let Some(said) = said.filter(|said| said.statement.scope() == wanted.scope()) else { return Turn::Sign(next) };
        match answer {
            _ if said.version < next => Turn::Sign(next),
            Answer::Unknown => Turn::Again(Box::new(envelope.clone())),
            Answer::InForce(epoch) if state.epoch() < *epoch => Turn::Wait(*epoch),
            Answer::Refused | Answer::InForce(_) => Turn::Sign(next),
        }
    }

    /// Keeps what is about to be handed in.
    ///
    /// # Errors
    /// It is not on disk: it must not be handed in.
    pub(super) fn keep(&self, envelope: &Envelope) -> io::Result<()> {
        self.replace(Kept { envelope: envelope.clone(), answer: Answer::Unknown })
    }

    /// Keeps what was said to it. Where that cannot be kept, it is handed in again after a restart.
    pub(super) fn answered(&self, envelope: &Envelope, answer: Answer) {
        let is_last = {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.as_ref().is_some_and(|kept| kept.envelope == *envelope)
        };
        if is_last && let Err(error) = self.replace(Kept { envelope: envelope.clone(), answer }) {
            let path = self.path.display();
            tracing::warn!(%path, %error, "what the broker said to this node's offers cannot be kept");
        }
    }

    /// On disk first: what is in memory alone is forgotten by a crash.
    fn replace(&self, kept: Kept) -> io::Result<()> {
        write_durably(&self.path, &serde_json::to_vec(&kept)?)?;
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use comity_membership::testing::{TestFederation, read};
    use comity_policy::Offer;

    use super::*;

    const NODE: &str = "spiffe://org-a.example/node/n1";

    fn published(address: &str) -> Statement {
        Statement::OffersPublished { node: read(NODE), address: address.into(), offers: Vec::<Offer>::new() }
    }

    /// A node that is a member, and has said nothing.
    fn member() -> (TestFederation, tempfile::TempDir) {
        let mut test = TestFederation::founded(&["alice"], 1);
        test.admit("org-a.example", NODE, &["alice"]).unwrap();
        (test, tempfile::tempdir().unwrap())
    }

    fn turn(last: &LastWord, wanted: &Statement, test: &TestFederation) -> Turn {
        last.turn(wanted, Digest::of(b"root"), &test.federation)
    }

    #[test]
    fn what_has_no_answer_is_handed_in_again_also_after_a_restart_and_whatever_is_wanted_now() {
        let (mut test, dir) = member();
        let last = LastWord::open(dir.path()).unwrap();
        assert_eq!(turn(&last, &published("a:1"), &test), Turn::Sign(1));
        let first = test.signed(published("a:1"), &[NODE]);
        last.keep(&first).unwrap();
        let last = LastWord::open(dir.path()).unwrap();
        for wanted in ["a:1", "b:1"] {
            assert_eq!(turn(&last, &published(wanted), &test), Turn::Again(Box::new(first.clone())));
        }
        test.say(published("a:1"), &[NODE]).unwrap();
        assert_eq!(turn(&last, &published("b:1"), &test), Turn::Sign(2), "the log has it");
    }

    #[test]
    fn an_answer_frees_a_position_that_the_log_does_not_have_and_no_earlier_than_the_log_is_known() {
        let (mut test, dir) = member();
        let last = LastWord::open(dir.path()).unwrap();
        let first = test.signed(published("a:1"), &[NODE]);
        last.keep(&first).unwrap();
        last.answered(&first, Answer::InForce(3));
        let last = LastWord::open(dir.path()).unwrap();
        assert_eq!(turn(&last, &published("b:1"), &test), Turn::Wait(3));
        test.admit("org-b.example", "spiffe://org-b.example/node/n1", &["alice"]).unwrap();
        assert_eq!(turn(&last, &published("b:1"), &test), Turn::Sign(1), "it changed nothing, and was not logged");
        last.keep(&first).unwrap();
        last.answered(&first, Answer::Refused);
        assert_eq!(turn(&last, &published("b:1"), &test), Turn::Sign(1));
    }

    #[test]
    fn what_was_signed_elsewhere_holds_nothing_up_and_what_cannot_be_read_is_not_guessed() {
        let (mut test, dir) = member();
        let last = LastWord::open(dir.path()).unwrap();
        last.keep(&test.signed(published("a:1"), &[NODE])).unwrap();
        let elsewhere = last.turn(&published("b:1"), Digest::of(b"another root"), &test.federation);
        assert_eq!(elsewhere, Turn::Sign(1));
        fs::write(dir.path().join(FILE), "{}").unwrap();
        assert!(LastWord::open(dir.path()).unwrap_err().to_string().contains(FILE));
    }
}
