//! The checkpoints that permits came with: two of one size with different roots convict the log, by its own signature. A node
//! that has seen that runs nothing more of what the log proves, nor after a restart: one of the two histories is a lie.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use comity_runtime::files::write_durably;
use comity_transparency::witness::{Evidence, Finding};
use comity_transparency::{Checkpoint, CheckpointNote, Verifier};
use comity_types::Digest;
use tokio::sync::watch;

use super::{DecisionLog, Lie};

/// Most checkpoints that are remembered, the largest of them: each comes with many permits, and is some 300 bytes.
const MAX_KNOWN: usize = 1024;

/// What the log has shown so far.
#[derive(Debug, Default)]
pub(super) struct History {
    known: Mutex<Known>,
    /// Where evidence goes.
    evidence: Option<PathBuf>,
    /// The logs that this node's witness has caught, and which of them this is.
    caught: Option<(watch::Receiver<Vec<String>>, String)>,
}

#[derive(Debug, Default)]
struct Known {
    notes: BTreeMap<u64, (Digest, String)>,
    is_convicted: bool,
}

impl History {
    /// One that goes on with what was kept of a log.
    pub(super) fn kept(evidence: PathBuf, caught: Option<watch::Receiver<Vec<String>>>, log: &DecisionLog) -> Self {
        let kept = std::fs::read_to_string(&evidence).ok().and_then(|text| text.parse::<Evidence>().ok());
        let is_convicted = kept.is_some_and(|kept| is_proof(&kept, log));
        if is_convicted {
            tracing::error!(evidence = %evidence.display(), log = log.origin, "the decision log has signed two histories, this node runs nothing of it");
        }
        let known = Mutex::new(Known { is_convicted, ..Known::default() });
        let caught = caught.map(|caught| (caught, log.origin.clone()));
        Self { known, evidence: Some(evidence), caught }
    }

    /// Takes in a checkpoint that the log signed.
    pub(super) fn take(&self, note: &str, checkpoint: &Checkpoint) -> Result<(), Lie> {
        let is_caught = self.caught.as_ref().is_some_and(|(caught, log)| caught.borrow().contains(log));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if is_caught || known.is_convicted {
            return Err(Lie::Contradicted);
        }
        match known.notes.get(&checkpoint.size) {
            Some((root, _)) if *root == checkpoint.root => {}
            Some((_, other)) => {
                self.keep(other, note);
                known.is_convicted = true;
                return Err(Lie::Contradicted);
            }
            None => {
                known.notes.insert(checkpoint.size, (checkpoint.root, note.to_owned()));
                if known.notes.len() > MAX_KNOWN {
                    known.notes.pop_first();
                }
            }
        }
        Ok(())
    }

    /// Keeps both, for people to look at.
    fn keep(&self, known: &str, claimed: &str) {
        let notes = CheckpointNote::parse(known).and_then(|known| Ok((known, CheckpointNote::parse(claimed)?)));
        let evidence = notes.ok().map(|(known, claimed)| Evidence::between(known, claimed, Vec::new()));
        let kept = self.evidence.as_ref().zip(evidence).map(|(path, evidence)| {
            let written = write_durably(path, evidence.to_string().as_bytes());
            written.map_or_else(|error| error.to_string(), |()| path.display().to_string())
        });
        tracing::error!(
            evidence = kept,
            "the decision log has signed two histories, this node runs nothing more of it"
        );
    }
}

/// Whether the log signed both, and nothing can explain it.
fn is_proof(evidence: &Evidence, log: &DecisionLog) -> bool {
    let key = log.key.vkey().parse::<Verifier>();
    evidence.origin() == log.origin && key.is_ok_and(|key| evidence.check(&[key]) == Ok(Finding::Fork))
}
