//! What nodes publish: replaces their offers, unless nothing has changed, and within a budget of changes,
//! so that no node can fill the disk that every journal stands on.

use std::sync::Arc;
use std::time::Duration;

use comity_membership::{Federation, Prepared, Statement};
use comity_policy::Offer;
use comity_types::{Clock, SpiffeId};

use super::budget::{Budget, Rate, Spends};
use super::{Registry, RegistryError};
use crate::ledger::journal::MAX_FRAME_BYTES;

/// What an entry holds beside its payload, in bytes: epoch, instant and signatures have well under this.
const ENTRY_BYTES: usize = 16 * 1024;
/// Largest publication, in bytes of its payload: what one frame of the journal holds, in which a payload is base64.
/// 256 offers with their terms have about a sixth of it.
pub const MAX_PUBLICATION_BYTES: usize = (MAX_FRAME_BYTES - ENTRY_BYTES) / 4 * 3;

/// Why offers are not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// They are too large together.
    #[error(
        "has {bytes} bytes where at most {MAX_PUBLICATION_BYTES} are allowed (hint: shorten the offers' texts and lists, or spread them over more nodes)"
    )]
    TooLarge {
        /// Their size.
        bytes: usize,
    },
    /// The node has changed its offers too often.
    #[error("{node} changed its offers more often than the registry keeps (hint: try again in {} s; offers that have not changed may be published at any time)", retry_after.as_secs())]
    TooOften {
        /// The node.
        node: SpiffeId,
        /// When this publication has room, if no other comes before it; whole seconds.
        retry_after: Duration,
    },
    /// The registry does not take them.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// Publishes the offers of nodes.
#[derive(Debug, Clone)]
pub struct Publishing {
    registry: Registry,
    budget: Arc<Budget<SpiffeId>>,
    clock: Arc<dyn Clock>,
}

impl Publishing {
    /// Puts it together; every node's budget is whole.
    #[must_use]
    pub fn new(registry: Registry, clock: Arc<dyn Clock>) -> Self {
        Self { registry, budget: Arc::new(Budget::new(Rate::OFFERS)), clock }
    }

    /// Replaces what a node offers by what it has signed. Gives the epoch at which that is in force; offers that are
    /// published already are no change and cost nothing, so that a node may publish whenever it starts.
    ///
    /// # Errors
    /// They are too large, the node's budget is spent, or the registry does not take them.
    pub async fn publish(&self, publication: Publication, prepared: Prepared) -> Result<u64, PublishError> {
        let bytes = prepared.envelope().payload.len();
        if bytes > MAX_PUBLICATION_BYTES {
            return Err(PublishError::TooLarge { bytes });
        }
        let (budget, clock) = (Arc::clone(&self.budget), Arc::clone(&self.clock));
        // Taken where the registry makes its plan: one change at a time, so that calls at once cannot spend twice.
        // Signed first: nobody spends another's budget.
        let plan = move |federation: &Federation, prepared: &Prepared| {
            if publication.is_published(federation) {
                return Ok(false);
            }
            let refused = |refused| RegistryError::Refused(Box::new(refused));
            federation.check_signed(prepared).map_err(refused)?;
            let node = publication.node;
            budget
                .take(&node, Spends::Ordinary, bytes, clock.now())
                .map_err(|retry_after| PublishError::TooOften { node, retry_after })?;
            Ok(true)
        };
        self.registry.append_if(prepared, plan).await
    }
}

/// What a node says of itself.
#[derive(Debug, Clone)]
pub struct Publication {
    /// The node.
    pub node: SpiffeId,
    /// Where the broker reaches it.
    pub address: String,
    /// All its offers.
    pub offers: Vec<Offer>,
}

impl Publication {
    /// What a statement publishes, if it does.
    #[must_use]
    pub fn of(statement: &Statement) -> Option<Self> {
        let Statement::OffersPublished { node, address, offers } = statement else { return None };
        Some(Self { node: node.clone(), address: address.clone(), offers: offers.clone() })
    }

    /// True if the state is what the statement would make it.
    fn is_published(&self, federation: &Federation) -> bool {
        let Self { node, address, offers } = self;
        federation.node(node).is_some_and(|state| state.address.as_ref() == Some(address) && state.offers == *offers)
    }
}
