//! How many calls run at once: of everyone, and of one organisation, so that none can take it all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use comity_types::TrustDomain;
use tonic::{Code, Status};

use crate::config::Limits;
use crate::rpc::failure;

/// Counts the calls in flight.
#[derive(Debug, Clone)]
pub struct Capacity(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: Limits,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    /// Only those with calls: bounded by `all`. `None` are callers without a certificate, as if they were one organisation.
    by_organisation: HashMap<Option<TrustDomain>, usize>,
}

/// One call's place; free again when it is dropped.
#[derive(Debug)]
pub struct Place {
    organisation: Option<TrustDomain>,
    inner: Arc<Inner>,
}

impl Capacity {
    /// With these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Inner { limits, counts: Mutex::default() }))
    }

    /// Takes a place.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED`: the broker, or the organisation, has none left.
    pub fn take(&self, organisation: Option<&TrustDomain>) -> Result<Place, Status> {
        let limits = self.0.limits;
        let mut counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.all >= limits.in_flight {
            return Err(exhausted("BROKER_BUSY", "the broker", limits.in_flight));
        }
        let own = counts.by_organisation.entry(organisation.cloned()).or_default();
        if *own >= limits.in_flight_per_organisation {
            return Err(exhausted("ORGANISATION_BUSY", "the organisation", limits.in_flight_per_organisation));
        }
        *own += 1;
        counts.all += 1;
        Ok(Place { organisation: organisation.cloned(), inner: Arc::clone(&self.0) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.inner.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all = counts.all.saturating_sub(1);
        if let Some(own) = counts.by_organisation.get_mut(&self.organisation) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                counts.by_organisation.remove(&self.organisation);
            }
        }
    }
}

fn exhausted(reason: &'static str, who: &str, limit: usize) -> Status {
    let message =
        format!("{who} has {limit} calls in flight, which is its limit (hint: wait for some to end, and try again)");
    failure(Code::ResourceExhausted, reason, message, vec![("limit".into(), limit.to_string())])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn organisation(name: &str) -> Option<TrustDomain> {
        Some(name.parse().unwrap())
    }

    #[test]
    fn one_organisation_cannot_take_every_place_and_places_come_back() {
        let capacity = Capacity::new(Limits { in_flight: 3, in_flight_per_organisation: 2, request_bytes: 1 });
        let (a, b) = (organisation("a.example"), organisation("b.example"));
        let first = capacity.take(a.as_ref()).unwrap();
        let _second = capacity.take(a.as_ref()).unwrap();
        assert_eq!(capacity.take(a.as_ref()).unwrap_err().code(), Code::ResourceExhausted);
        let _third = capacity.take(b.as_ref()).unwrap();
        assert_eq!(capacity.take(b.as_ref()).unwrap_err().code(), Code::ResourceExhausted);
        drop(first);
        assert!(capacity.take(a.as_ref()).is_ok());
    }
}
