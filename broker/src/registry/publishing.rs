//! What nodes publish: replaces their offers, unless nothing has changed, and within a budget of changes,
//! so that no node can fill the disk that every journal stands on.

mod budget;

use std::sync::Arc;
use std::time::Duration;

use comity_identity::NodeAddress;
use comity_membership::{Federation, Statement};
use comity_policy::Offer;
use comity_types::{Clock, SpiffeId};

use self::budget::Budget;
use super::{Registry, RegistryError};
use crate::ledger::journal::MAX_FRAME_BYTES;

/// What an entry holds beside its statement, in bytes: epoch, instant and author have well under this.
const ENTRY_BYTES: usize = 4 * 1024;
/// Largest publication, in bytes of its statement: what one frame of the journal holds. 256 offers with
/// their terms have about an eighth of it.
pub const MAX_PUBLICATION_BYTES: usize = MAX_FRAME_BYTES - ENTRY_BYTES;

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
    budget: Arc<Budget>,
    clock: Arc<dyn Clock>,
}

impl Publishing {
    /// Puts it together; every node's budget is whole.
    #[must_use]
    pub fn new(registry: Registry, clock: Arc<dyn Clock>) -> Self {
        Self { registry, budget: Arc::default(), clock }
    }

    /// Replaces what `node` offers. Gives the epoch at which that is in force; offers that are published
    /// already are no change and cost nothing, so that a node may publish whenever it starts.
    ///
    /// # Errors
    /// They are too large, the node's budget is spent, or the registry does not take them.
    pub async fn publish(
        &self,
        node: SpiffeId,
        address: &NodeAddress,
        offers: Vec<Offer>,
    ) -> Result<u64, PublishError> {
        let statement = Statement::OffersPublished { node: node.clone(), address: address.to_string(), offers };
        let bytes = serde_json::to_vec(&statement).map_err(RegistryError::Encode)?.len();
        if bytes > MAX_PUBLICATION_BYTES {
            return Err(PublishError::TooLarge { bytes });
        }
        let (publisher, budget, clock) = (node.clone(), Arc::clone(&self.budget), Arc::clone(&self.clock));
        // Taken where the registry makes its plan: one change at a time, so that calls at once cannot spend twice.
        let plan = move |federation: &Federation| {
            if is_published(federation, &statement) {
                return Ok(vec![]);
            }
            budget
                .take(&node, bytes, clock.now())
                .map_err(|retry_after| PublishError::TooOften { node, retry_after })?;
            Ok(vec![statement])
        };
        self.registry.update(Some(publisher), plan).await
    }
}

/// True if the state is what the statement would make it.
fn is_published(federation: &Federation, statement: &Statement) -> bool {
    let Statement::OffersPublished { node, address, offers } = statement else { return false };
    federation.node(node).is_some_and(|state| state.address.as_ref() == Some(address) && state.offers == *offers)
}
