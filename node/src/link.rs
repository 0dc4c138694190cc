//! What the node tells the broker: what it offers, and where it is.

use std::sync::Arc;

use comity_client::Connection;
use comity_client::say::{self, Draft, NO_VERSION, Said, SayError};
use comity_identity::KeyPair;
use comity_membership::{Payload, Statement};
use comity_policy::Offer;
use comity_proto::error::Detail;
use comity_transparency::Envelope;
use comity_types::{Clock, Digest, Name};
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};

use crate::replica::Replica;
use crate::retry::{Pace, Retry, Trouble};

mod contest;
mod last_word;
#[cfg(test)]
mod tests;

pub use contest::Publication;
use last_word::{Answer, Turn};
pub use last_word::{LastWord, LastWordError};

/// Who publishes: the node, by its own key, to the federation that it knows.
#[derive(Debug, Clone)]
pub struct Publisher {
    /// The way to the broker.
    pub connection: Connection,
    /// The node's key.
    pub key: Arc<KeyPair>,
    /// SHA-256 of the federation's root document.
    pub federation: Digest,
    /// The state, which says the version that the next statement has.
    pub replica: Replica,
    /// What this node signed last, so that it signs nothing else there.
    pub last_word: LastWord,
    /// What tells the time.
    pub clock: Arc<dyn Clock>,
    /// How long calls and pauses are.
    pub pace: Pace,
}

/// What came of a try.
enum Tried {
    /// The offers are in force at this epoch.
    Published(u64),
    /// Something has to be known first: the state up to this epoch.
    Before(u64),
}

impl Publisher {
    /// Publishes what a node offers, however many tries it takes; gives the epoch at which that is in force.
    pub async fn publish(&self, publication: &Publication) -> u64 {
        let mut retry = Retry::new(self.pace);
        loop {
            let status = match timeout(self.pace.call_deadline, self.try_publish(publication)).await {
                Ok(Ok(Tried::Published(epoch))) => return epoch,
                Ok(Ok(Tried::Before(epoch))) => {
                    let known = self.replica.find(|federation| (federation.epoch() >= epoch).then_some(()));
                    let _known = timeout(self.pace.longest_pause_away, known).await.is_ok();
                    continue;
                }
                Ok(Err(status)) => status,
                Err(_) => Status::deadline_exceeded("the broker does not answer"),
            };
            if say::next_version(&status).is_some() {
                // Somebody was faster, or the state is not known yet: it comes with the next checkpoint.
                let _known = timeout(self.pace.longest_pause_away, self.replica.heard_again()).await.is_ok();
            }
            let trouble = Trouble::of(&status);
            if retry.is_news(&trouble) {
                log(&status, &trouble, &publication.offers);
            }
            sleep(retry.pause(&trouble)).await;
        }
    }

    async fn try_publish(&self, publication: &Publication) -> Result<Tried, Status> {
        let statement = publication.statement();
        let draft = Draft { federation: self.federation, statement: statement.clone(), at: self.clock.now() };
        let sign = |version| draft.clone().sign_as(version, &[&*self.key]).map_err(|error| unsigned(&error));
        let Some(state) = self.replica.of_this_run() else {
            // A guess could be a second statement at a position that is taken; a question is none, and finds out what is in
            // the way.
            return self.hand_in(&sign(NO_VERSION)?).await.map(Tried::Published);
        };
        if publication.stands(&state) {
            return Ok(Tried::Published(state.epoch()));
        }
        match self.last_word.turn(&statement, self.federation, &state) {
            Turn::Wait(epoch) => Ok(Tried::Before(epoch)),
            Turn::Again(before) => self.hand_in_again(&before, &statement).await,
            Turn::Sign(version) => {
                let signed = sign(version)?;
                self.last_word.keep(&signed).map_err(|error| unkept(&error))?;
                self.hand_in(&signed).await.map(Tried::Published)
            }
        }
    }

    /// Hands in what was signed before: what is wanted now, or what has to be settled first.
    async fn hand_in_again(&self, before: &Envelope, wanted: &Statement) -> Result<Tried, Status> {
        let is_wanted = Payload::peek(before).is_ok_and(|said| said.statement == *wanted);
        match self.hand_in(before).await {
            Ok(epoch) if is_wanted => Ok(Tried::Published(epoch)),
            Ok(epoch) => Ok(Tried::Before(epoch)),
            Err(status) if !is_wanted && is_final(&status) => {
                let (reason, said) = (Trouble::of(&status), status.message());
                tracing::info!(
                    reason = reason.topic(),
                    said,
                    "what this node signed before is not taken, its place is free"
                );
                Ok(Tried::Before(0))
            }
            Err(status) => Err(status),
        }
    }

    async fn hand_in(&self, signed: &Envelope) -> Result<u64, Status> {
        let said = self.submit(signed).await;
        match &said {
            Ok(epoch) => self.last_word.answered(signed, Answer::InForce(*epoch)),
            Err(status) if is_final(status) => self.last_word.answered(signed, Answer::Refused),
            Err(_) => {}
        }
        said
    }

    async fn submit(&self, signed: &Envelope) -> Result<u64, Status> {
        match say::submit(&self.connection, signed).await {
            Ok(Said::InForce(epoch)) => Ok(epoch),
            Ok(Said::Waits(_)) => Err(Status::internal("the broker waits for operators to sign a node's offers")),
            Err(SayError::Call(status)) => Err(*status),
            Err(other) => Err(unsigned(&other)),
        }
    }
}

/// The reasons by which a broker that has looked at a statement says that the log does not have it and will not: they alone free
/// its position. Every other refusal is of the caller (suspended, gone), of rate, or of the state at that moment, and the edge
/// has some of them before it reads anything: an earlier handing-in of the same may have its place in the log all the same.
const OF_THE_STATEMENT: [&str; 3] = [
    // What it says cannot be said, whoever hands it in and whenever.
    "INVALID_FIELD",
    // Another key signed it than the node has, as after it joined anew. Asked once its position was found free.
    "SIGNATURE_REFUSED",
    // It was signed too long ago, or by a clock that was ahead. Asked once its position was found free, too.
    "NOT_OF_NOW",
];

/// Whether a broker has looked at a statement and has not taken it. `STATEMENT_REFUSED` is no such word: it is said as well of what
/// stands in the log already.
fn is_final(status: &Status) -> bool {
    Detail::of(status).is_some_and(|detail| OF_THE_STATEMENT.contains(&detail.reason.as_str()))
}

fn unkept(error: &std::io::Error) -> Status {
    Status::internal(format!(
        "what is signed cannot be kept, and is not handed in: {error} (hint: see that the node's data_dir can be written)"
    ))
}

fn unsigned(error: &SayError) -> Status {
    Status::internal(crate::error_chain(error))
}

/// A broker that is not there yet is daily business; one that refuses is not, and an offer that it does not accept
/// is for the node's own people to mend.
fn log(status: &Status, trouble: &Trouble, offers: &[Offer]) {
    let (code, reason, said) = (status.code(), trouble.topic(), trouble.said());
    if code == Code::InvalidArgument {
        let (field, offer) = blamed(status, offers);
        let offer = offer.map(Name::as_str);
        tracing::error!(
            offer,
            field,
            reason,
            said,
            "the broker does not accept the offers: correct node.toml and start the node again"
        );
    } else if code == Code::ResourceExhausted {
        tracing::info!(reason, said, "the broker takes no more offers now, publishing them later");
    } else if trouble.is_away() {
        tracing::info!(?code, said, "the broker cannot be reached, offers are not published yet");
    } else {
        tracing::warn!(?code, reason, said, "the broker refuses the offers, trying again");
    }
}

/// The field that the broker names, such as `offers[3].node`, and the offer that it belongs to.
fn blamed<'a>(status: &Status, offers: &'a [Offer]) -> (Option<String>, Option<&'a Name>) {
    let field = Detail::of(status).and_then(|mut detail| detail.metadata.remove("field"));
    let index = field.as_deref().and_then(|field| field.strip_prefix("offers[")?.split_once(']')?.0.parse().ok());
    let offer = index.and_then(|index: usize| offers.get(index)).map(|offer| &offer.id);
    (field, offer)
}
