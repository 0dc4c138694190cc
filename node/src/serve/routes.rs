//! From a permit to the backend that it opens.

use std::collections::HashMap;
use std::sync::Arc;

use comity_policy::Offer;
use comity_types::OfferName;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::backend::Backend;
use crate::guard::VerifiedPermit;

/// An offer, and what stands behind it.
#[derive(Debug, Clone)]
pub struct Route {
    /// The offer, as it is published.
    pub offer: Offer,
    /// Its backend.
    pub backend: Arc<dyn Backend>,
    /// The backend's own name for the model.
    pub backend_model: String,
    /// For the requests that run.
    pub places: Places,
}

/// The places for requests, of which there are so many.
#[derive(Debug, Clone)]
pub struct Places {
    free: Arc<Semaphore>,
    limit: u32,
}

impl Places {
    /// So many, all of them free.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self { free: Arc::new(Semaphore::new(usize::try_from(limit).unwrap_or(Semaphore::MAX_PERMITS))), limit }
    }

    /// How many there are.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// One of them, if one is free.
    pub(super) fn take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> u32 {
        self.limit.saturating_sub(u32::try_from(self.free.available_permits()).unwrap_or(u32::MAX))
    }
}

/// The offers of this node. There is no way to a backend but by a permit.
#[derive(Debug, Default)]
pub struct Routes(HashMap<OfferName, Arc<Route>>);

impl Routes {
    /// The offers.
    pub fn offers(&self) -> impl Iterator<Item = &Offer> {
        self.0.values().map(|route| &route.offer)
    }

    /// Where the permit leads.
    pub(super) fn of(&self, permit: &VerifiedPermit) -> Option<Arc<Route>> {
        self.0.get(permit.offer()).cloned()
    }
}

impl FromIterator<Route> for Routes {
    fn from_iter<I: IntoIterator<Item = Route>>(routes: I) -> Self {
        Self(routes.into_iter().map(|route| (route.offer.name(), Arc::new(route))).collect())
    }
}
