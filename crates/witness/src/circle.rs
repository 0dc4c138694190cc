//! All witnesses of a policy, asked at once: what a log does with every checkpoint that it publishes.

use std::time::Duration;

use comity_transparency::policy::{JudgeError, Judgement, Octets, Policy};
use comity_transparency::proof::verify_consistency;
use comity_transparency::witness::{AddCheckpoint, Evidence, ResponseError, merge};
use comity_transparency::{CheckpointNote, Verifier};
use comity_types::{Digest, TrustDomain};
use futures::future::join_all;
use reqwest::Client;
use tokio::time::Instant;

use crate::client::{CallError, NotAnAddress, Reply, WitnessClient};

/// How long a witness that failed is left alone at first; twice as long after each further failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// How long at most: a witness that is back is asked within a minute.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The consistency proofs that a log owes its witnesses.
pub trait Proofs: Sync {
    /// From the tree of `old` leaves to that of `new`, which is published; none if there is none.
    fn consistency(&self, old: u64, new: u64) -> impl Future<Output = Option<Vec<Digest>>> + Send;

    /// What the tree of `new` leaves, which is published, begins with: its first `old` leaves, on their way to its root
    /// (`comity_transparency::proof::prefix`); none if there is none.
    fn prefix(&self, old: u64, new: u64) -> impl Future<Output = Option<Vec<Digest>>> + Send;
}

/// A log's witnesses.
#[derive(Debug)]
pub struct Circle {
    keys: Vec<Verifier>,
    policy: Policy,
    seats: Vec<Seat>,
}

/// One witness, and what is known of it.
#[derive(Debug)]
struct Seat {
    name: Octets,
    key: Verifier,
    client: WitnessClient,
    /// The size that it cosigned last, as far as it has said.
    size: u64,
    pause: Duration,
    resting_until: Option<Instant>,
}

/// Why a policy is none for a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CircleError {
    /// It is about others.
    #[error("it names logs, and {origin} is not among them (hint: add the line `log {vkey}`)")]
    OtherLogs {
        /// The log.
        origin: String,
        /// The line that is missing.
        vkey: String,
    },
    /// A witness without an address.
    #[error("witness {witness}: without its URL it cannot be asked (hint: add it at the end of its line)")]
    NoAddress {
        /// Which.
        witness: Octets,
    },
    /// An address that is none.
    #[error("witness {witness}: {source}")]
    Address {
        /// Whose.
        witness: Octets,
        /// Which.
        #[source]
        source: NotAnAddress,
    },
    /// A log that vouches for itself vouches for nothing.
    #[error(
        "witness {witness}: its key is of {federation} itself, and whoever runs the log does not count as a witness of it"
    )]
    Own {
        /// Which.
        witness: Octets,
        /// Whose key it is.
        federation: TrustDomain,
    },
}

/// What came of asking all of them.
#[derive(Debug)]
pub struct Round {
    /// The checkpoint with the cosignatures that came.
    pub note: CheckpointNote,
    /// What the policy makes of it.
    pub judgement: Judgement,
    /// Who did not cosign, and why.
    pub missed: Vec<(Octets, Missed)>,
}

/// Why a witness did not cosign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missed {
    /// It failed a moment ago, and is left alone.
    #[error("it failed before, and is asked again in a while")]
    Resting,
    /// It did not answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It does not cosign.
    #[error("it answers {status}: {text}")]
    Refused {
        /// The status of HTTP.
        status: u16,
        /// What it says, in part.
        text: String,
    },
    /// What it signed is no cosignature of its key.
    #[error(transparent)]
    Answer(#[from] ResponseError),
    /// It says that it has seen more, and does not show it.
    #[error("it says that the log has {size} leaves already, and does not show it")]
    SaysAhead {
        /// How many.
        size: u64,
    },
    /// It has seen more of this log, signed by its key, than there is.
    #[error("it has seen {} leaves of this log, signed by its key", .0.checkpoint().size)]
    Ahead(Box<CheckpointNote>),
    /// It has seen something else of this log, signed by its key.
    #[error("it has seen another log of this name, signed by its key")]
    Fork(Box<Evidence>),
    /// The log owes it a proof and has none.
    #[error("there is no proof from the {old} leaves that it has seen")]
    NoProof {
        /// How many.
        old: u64,
    },
}

impl Circle {
    /// The witnesses of `policy` for the log that these keys sign, which `federation` runs.
    ///
    /// # Errors
    /// The policy names other logs alone, a witness without an address, or one of the federation's own.
    pub fn new(
        policy: Policy,
        keys: Vec<Verifier>,
        federation: &TrustDomain,
        http: &Client,
    ) -> Result<Self, CircleError> {
        if !policy.is_about(&keys) {
            let (origin, vkey) = keys.first().map(|key| (key.name().to_owned(), key.to_string())).unwrap_or_default();
            return Err(CircleError::OtherLogs { origin, vkey });
        }
        if let Some(own) = policy.own_witness(federation) {
            return Err(CircleError::Own { witness: own.name.clone(), federation: federation.clone() });
        }
        let seats = policy.witnesses().iter().map(|witness| {
            let name = witness.name.clone();
            let url = witness.url.as_ref().ok_or_else(|| CircleError::NoAddress { witness: name.clone() })?;
            let client = WitnessClient::new(http.clone(), &url.to_string());
            let client = client.map_err(|source| CircleError::Address { witness: name.clone(), source })?;
            let key = witness.key.clone();
            Ok(Seat { name, key, client, size: 0, pause: FIRST_PAUSE, resting_until: None })
        });
        let seats = seats.collect::<Result<_, _>>()?;
        Ok(Self { keys, policy, seats })
    }

    /// How many witnesses there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seats.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// What the policy makes of a checkpoint of this log.
    ///
    /// # Errors
    /// It is none of it.
    pub fn judge(&self, note: &CheckpointNote) -> Result<Judgement, JudgeError> {
        self.policy.judge_of(&self.keys, note)
    }

    /// Asks all witnesses to cosign a checkpoint that is published, and waits for all of them; those that failed before are
    /// left alone for a while.
    ///
    /// # Errors
    /// The checkpoint is none of this log.
    pub async fn ask(&mut self, published: &CheckpointNote, proofs: &impl Proofs) -> Result<Round, JudgeError> {
        let Self { keys, policy, seats } = self;
        let asked = seats.iter_mut().map(|seat| seat.ask(published, keys, proofs));
        let answers = join_all(asked).await;
        let (mut note, mut missed) = (published.clone(), Vec::new());
        for (seat, answer) in seats.iter().zip(answers) {
            let merged = answer.and_then(|body| Ok(merge(&mut note, &body, std::slice::from_ref(&seat.key))?));
            missed.extend(merged.err().map(|why| (seat.name.clone(), why)));
        }
        let judgement = policy.judge_of(keys, &note)?;
        Ok(Round { note, judgement, missed })
    }

    /// Asks those again that were left alone.
    pub fn wake(&mut self) {
        self.seats.iter_mut().for_each(|seat| seat.resting_until = None);
    }
}

impl Seat {
    async fn ask(
        &mut self,
        published: &CheckpointNote,
        keys: &[Verifier],
        proofs: &impl Proofs,
    ) -> Result<String, Missed> {
        if self.resting_until.is_some_and(|until| Instant::now() < until) {
            return Err(Missed::Resting);
        }
        let asked = self.cosign(published, keys, proofs).await;
        // Whoever has seen more than is published is well: anybody may have shown it what is signed already.
        let is_well = matches!(asked, Ok(_) | Err(Missed::Ahead(_) | Missed::SaysAhead { .. }));
        self.resting_until = (!is_well).then(|| Instant::now() + self.pause);
        self.pause = if is_well { FIRST_PAUSE } else { (self.pause * 2).min(LONGEST_PAUSE) };
        asked
    }

    async fn cosign(
        &mut self,
        published: &CheckpointNote,
        keys: &[Verifier],
        proofs: &impl Proofs,
    ) -> Result<String, Missed> {
        let size = published.checkpoint().size;
        // It may have another size than we think, once: whoever changes it all the time is not waited for.
        for _ in 0..2 {
            if self.size > size {
                break;
            }
            let path = proofs.consistency(self.size, size).await.ok_or(Missed::NoProof { old: self.size })?;
            let request = AddCheckpoint::new(self.size, path, published.clone());
            let request = request.map_err(|_| Missed::NoProof { old: self.size })?;
            match self.client.add_checkpoint(&request).await? {
                Reply::Cosigned(lines) => {
                    self.size = size;
                    return Ok(lines);
                }
                Reply::Conflict(other) => self.size = other,
                Reply::Refused { status, text } => {
                    let seen = self.seen(published, keys, proofs).await;
                    return Err(seen.unwrap_or(Missed::Refused { status, text }));
                }
            }
        }
        let (says, seen) = (self.size, self.seen(published, keys, proofs).await);
        // What it says without a signature of the log is not held against the log.
        self.size = self.size.min(size);
        Err(seen.unwrap_or(Missed::SaysAhead { size: says }))
    }

    /// What the witness shows of the log that does not fit, if the log signed it.
    async fn seen(&self, published: &CheckpointNote, keys: &[Verifier], proofs: &impl Proofs) -> Option<Missed> {
        let ours = published.checkpoint();
        let note = self.client.latest(&ours.origin).await.ok().flatten()?;
        let is_signed = keys.iter().any(|key| note.signed_by(key).is_ok_and(|signed| signed.is_some()));
        let theirs = note.checkpoint();
        if !is_signed || theirs.origin != ours.origin {
            return None;
        }
        if theirs.size > ours.size {
            return Some(Missed::Ahead(Box::new(note)));
        }
        let path = proofs.consistency(theirs.size, ours.size).await?;
        if verify_consistency(theirs.size, ours.size, theirs.root, ours.root, &path).is_ok() {
            return None;
        }
        // What shows a stranger with which other leaves ours begins.
        let path = proofs.prefix(theirs.size, ours.size).await.unwrap_or_default();
        Some(Missed::Fork(Box::new(Evidence::between(note, published.clone(), path))))
    }
}
