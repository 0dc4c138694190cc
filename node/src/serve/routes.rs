//! From a permit to the backend that it opens.

use std::collections::HashMap;
use std::sync::Arc;

use comity_policy::Offer;
use comity_types::OfferName;

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
