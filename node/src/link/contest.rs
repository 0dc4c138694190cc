//! Whether what stands in the registry under this node's name is what this node published.
//!
//! A node is one process with one key. Where a data directory was copied, or a key was stolen, two publish under one
//! name, and callers are led to the one that did so last.

use comity_membership::federation::NodeState;
use comity_membership::{Federation, Statement, offer_digest};
use comity_policy::Offer;
use comity_types::{Digest, SpiffeId};
use tokio::time::{sleep, timeout};

use super::Publisher;
use crate::replica::Replica;
use crate::retry::{Pace, Retry, Trouble};

/// How many of the longest pauses a publication has to stand before a contest is over: whoever contests it may pause
/// as long as this node does.
const SETTLED_PAUSES: u32 = 2;

/// What a node says of itself.
#[derive(Debug, Clone)]
pub struct Publication {
    /// Whose it is.
    pub node: SpiffeId,
    /// Where the broker reaches it.
    pub address: String,
    /// All its offers.
    pub offers: Vec<Offer>,
}

/// Somebody else published under this node's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "another process published {what} under the name of {node} (hint: look for a copy of this node's data_dir and stop what runs with it; a second node needs an invite of its own; if nobody knows of a copy, the key may be stolen: ask an operator to suspend this node)"
)]
struct Contested {
    node: SpiffeId,
    what: String,
}

impl Publication {
    /// Publishes it, tells `published` the epoch, and publishes it again whenever somebody else has published under
    /// this node's name. Never ends.
    pub async fn keep(self, publisher: &Publisher, published: impl FnOnce(u64)) {
        let (replica, pace) = (&publisher.replica, publisher.pace);
        let mut epoch = publisher.publish(&self).await;
        published(epoch);
        let mut contest = Retry::new(pace);
        loop {
            let trouble = Trouble::unusable(&self.contested(replica, epoch, pace, &mut contest).await);
            if contest.is_news(&trouble) {
                tracing::error!(error = trouble.said(), "this node's offers are not its own, publishing them again");
            }
            sleep(contest.pause(&trouble)).await;
            epoch = publisher.publish(&self).await;
            tracing::info!(epoch, "published the offers again");
        }
    }

    /// Waits until something else stands there than what this node published at `epoch`.
    async fn contested(&self, replica: &Replica, epoch: u64, pace: Pace, contest: &mut Retry) -> Contested {
        let other = |federation: &Federation| (federation.epoch() >= epoch).then(|| self.other(federation)).flatten();
        let settled = pace.longest_pause_refused * SETTLED_PAUSES;
        if let Ok(contested) = timeout(settled, replica.find(other)).await {
            return contested;
        }
        contest.worked();
        replica.find(other).await
    }

    /// What is said.
    pub(super) fn statement(&self) -> Statement {
        let Self { node, address, offers } = self.clone();
        Statement::OffersPublished { node, address, offers }
    }

    /// Whether this stands there already.
    pub(super) fn stands(&self, federation: &Federation) -> bool {
        let is_published = federation.node(&self.node).is_some_and(|node| node.address.is_some());
        is_published && self.other(federation).is_none()
    }

    /// What stands there, if it is not this.
    fn other(&self, federation: &Federation) -> Option<Contested> {
        let NodeState { address, offers, .. } = federation.node(&self.node)?;
        let digests = |offers: &[Offer]| offers.iter().map(offer_digest).collect::<Vec<Digest>>();
        let what = match address {
            Some(address) if *address != self.address => format!("the address {address}"),
            Some(_) if digests(offers) != digests(&self.offers) => String::from("other offers"),
            Some(_) | None => return None,
        };
        Some(Contested { node: self.node.clone(), what })
    }
}
