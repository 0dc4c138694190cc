//! What the node tells the broker: what it offers, and where it is.

use std::sync::Arc;

use comity_client::Connection;
use comity_client::say::{self, Draft, Said, SayError};
use comity_identity::KeyPair;
use comity_membership::Statement;
use comity_policy::Offer;
use comity_proto::error::Detail;
use comity_types::{Clock, Digest, Name};
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};

use crate::replica::Replica;
use crate::retry::{Pace, Retry, Trouble};

mod contest;
#[cfg(test)]
mod tests;

pub use contest::Publication;

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
    /// What tells the time.
    pub clock: Arc<dyn Clock>,
    /// How long calls and pauses are.
    pub pace: Pace,
}

impl Publisher {
    /// Publishes what a node offers, however many tries it takes; gives the epoch at which that is in force.
    pub async fn publish(&self, publication: &Publication) -> u64 {
        let mut retry = Retry::new(self.pace);
        loop {
            let status = match timeout(self.pace.call_deadline, self.try_publish(publication)).await {
                Ok(Ok(epoch)) => return epoch,
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

    async fn try_publish(&self, publication: &Publication) -> Result<u64, Status> {
        let Publication { node, address, offers } = publication.clone();
        let statement = Statement::OffersPublished { node, address, offers };
        let draft = Draft { federation: self.federation, statement, at: self.clock.now() };
        let signed = draft.sign(&self.replica.federation(), &[&*self.key]).map_err(|error| unsigned(&error))?;
        match say::submit(&self.connection, &signed).await {
            Ok(Said::InForce(epoch)) => Ok(epoch),
            Ok(Said::Waits(_)) => Err(Status::internal("the broker waits for operators to sign a node's offers")),
            Err(SayError::Call(status)) => Err(*status),
            Err(other) => Err(unsigned(&other)),
        }
    }
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
