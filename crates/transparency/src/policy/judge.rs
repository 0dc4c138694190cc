//! What a policy makes of a checkpoint.

use super::draft::is_the_log;
use super::{Member, Octets, Policy};
use crate::checkpoint::{Checkpoint, CheckpointError, CheckpointNote};
use crate::note::NoteError;
use crate::verifier::Verifier;

/// A checkpoint that a log signed, and who cosigned it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What the log said.
    pub checkpoint: Checkpoint,
    /// By which of its keys: at least one.
    pub log: Vec<Verifier>,
    /// Which witnesses cosigned it, each once.
    pub cosigned_by: Vec<Cosigned>,
    /// True if they are enough.
    pub quorum_met: bool,
    /// Which witnesses did not, of those that the quorum could count.
    pub missing: Vec<Octets>,
}

/// A witness's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    /// What the policy calls the witness.
    pub witness: Octets,
    /// When it cosigned at the latest, in seconds since 1970; nothing if it says nothing of the time.
    pub time: Option<u64>,
}

/// A checkpoint that a log signed and a quorum of witnesses cosigned: made by [`Judgement::witnessed`] alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed(Judgement);

/// Why a checkpoint is worth nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JudgeError {
    /// Not a checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// What has a known key's name and id is no signature of it. One wrong signature spoils the note.
    #[error("the signature by {name} is forged")]
    Forged {
        /// The key's name.
        name: String,
    },
    /// No log that counts signed it.
    #[error("no log that counts signed the checkpoint of {origin:?}")]
    NoLog {
        /// Whose checkpoint it says to be.
        origin: String,
    },
}

/// Too few witnesses cosigned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("too few witnesses cosigned the checkpoint (missing: {})", names(missing))]
pub struct NotWitnessed {
    /// Which witnesses could still.
    pub missing: Vec<Octets>,
}

impl Judgement {
    /// The checkpoint as one that counts.
    ///
    /// # Errors
    /// The quorum is not met.
    pub fn witnessed(self) -> Result<Witnessed, NotWitnessed> {
        if self.quorum_met { Ok(Witnessed(self)) } else { Err(NotWitnessed { missing: self.missing }) }
    }
}

impl Witnessed {
    /// The checkpoint.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.0.checkpoint
    }

    /// Who vouches for it.
    #[must_use]
    pub const fn judgement(&self) -> &Judgement {
        &self.0
    }
}

impl Policy {
    /// Verifies a checkpoint by the logs and witnesses of this policy.
    ///
    /// # Errors
    /// It is none, no log of the policy signed it, or a signature is forged. Too few witnesses are no error: see
    /// [`Judgement::witnessed`].
    pub fn judge(&self, note: &str) -> Result<Judgement, JudgeError> {
        let logs: Vec<_> = self.logs.iter().map(|log| log.key.clone()).collect();
        self.judge_of(&logs, &CheckpointNote::parse(note)?)
    }

    /// Verifies a checkpoint of logs that the caller knows, in place of the policy's (tlog-policy, "What is a policy?").
    ///
    /// # Errors
    /// As [`judge`](Self::judge).
    pub fn judge_of(&self, logs: &[Verifier], note: &CheckpointNote) -> Result<Judgement, JudgeError> {
        let checkpoint = note.checkpoint().clone();
        let mut log = Vec::new();
        // A log's key name is its origin: no log speaks for another.
        for key in logs.iter().filter(|key| key.name() == checkpoint.origin) {
            if signed(note, key)?.is_some() {
                log.push(key.clone());
            }
        }
        if log.is_empty() {
            return Err(JudgeError::NoLog { origin: checkpoint.origin });
        }
        let mut times = Vec::new();
        for witness in &self.witnesses {
            let vouches_for_itself = logs.iter().any(|log| is_the_log(&witness.key, log));
            times.push(if vouches_for_itself { None } else { signed(note, &witness.key)? });
        }
        let has: Vec<bool> = times.iter().map(Option::is_some).collect();
        let groups = self.groups_met(&has);
        let quorum_met = self.quorum.is_none_or(|quorum| met(quorum, &has, &groups));
        let named = self.witnesses.iter().zip(times);
        let cosigned = named.filter_map(|(witness, signed)| Some((witness.name.clone(), signed?.time)));
        let cosigned_by = cosigned.map(|(witness, time)| Cosigned { witness, time }).collect();
        Ok(Judgement { checkpoint, log, cosigned_by, quorum_met, missing: self.missing(&has) })
    }

    /// Which groups count as having cosigned. Each names earlier ones alone, so one pass does.
    fn groups_met(&self, witnesses: &[bool]) -> Vec<bool> {
        self.groups.iter().fold(Vec::new(), |mut groups, group| {
            let have = group.members.iter().filter(|member| met(**member, witnesses, &groups)).count();
            groups.push(have >= group.needed);
            groups
        })
    }

    fn missing(&self, has: &[bool]) -> Vec<Octets> {
        let (mut open, mut missing): (Vec<_>, Vec<_>) = (self.quorum.into_iter().collect(), Vec::new());
        // Each name is a member once, so this ends.
        while let Some(member) = open.pop() {
            match member {
                Member::Group(place) => {
                    open.extend(self.groups.get(place).into_iter().flat_map(|group| &group.members));
                }
                Member::Witness(place) => missing.extend((!is_set(has, place)).then_some(place)),
            }
        }
        missing.sort_unstable();
        missing.into_iter().filter_map(|place| self.witnesses.get(place)).map(|witness| witness.name.clone()).collect()
    }
}

fn met(member: Member, witnesses: &[bool], groups: &[bool]) -> bool {
    match member {
        Member::Witness(place) => is_set(witnesses, place),
        Member::Group(place) => is_set(groups, place),
    }
}

fn is_set(set: &[bool], place: usize) -> bool {
    set.get(place).copied().unwrap_or_default()
}

fn signed(note: &CheckpointNote, key: &Verifier) -> Result<Option<crate::verifier::Signed>, JudgeError> {
    note.signed_by(key).map_err(|error| match error {
        NoteError::Forged => JudgeError::Forged { name: key.name().to_owned() },
        NoteError::TooLong | NoteError::TooMany | NoteError::Malformed | NoteError::Unsigned => {
            JudgeError::Checkpoint(error.into())
        }
    })
}

fn names(names: &[Octets]) -> String {
    names.iter().map(Octets::to_string).collect::<Vec<_>>().join(", ")
}
