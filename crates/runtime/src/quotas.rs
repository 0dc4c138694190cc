//! Counts what callers use of the offers that state a quota, for one day of UTC.
//!
//! The counts are in memory: a program that restarts begins at nothing. A broker counts what it sends, a node what it
//! admits, from whichever broker; the node has the last word. No more is kept than one count for each organisation and
//! offer of the day: yesterday's are dropped with the first request of today.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use comity_policy::{Offer, Reason, Tables, Usage, Verdict, evaluate_quota};
use comity_types::{Timestamp, TrustDomain};

/// The counts of one day.
#[derive(Debug, Default)]
pub struct Quotas(RwLock<Today>);

#[derive(Debug, Default)]
struct Today {
    day: i64,
    callers: HashMap<TrustDomain, Arc<Usage>>,
}

impl Quotas {
    /// What `caller` has used on the day of `at`; nothing, if that is not the day that is counted.
    #[must_use]
    pub fn used(&self, caller: &TrustDomain, at: Timestamp) -> Arc<Usage> {
        let today = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let counted = today.callers.get(caller).filter(|_| today.day == at.day());
        counted.map(Arc::clone).unwrap_or_default()
    }

    /// Counts a request of `caller` to `offer` at `at`, if the offer's quota has room for it. An offer without one is
    /// not counted. Whoever asks at the same time is counted before or after, so that no quota is overdrawn.
    ///
    /// # Errors
    /// It has none: why.
    pub fn take(&self, caller: &TrustDomain, offer: &Offer, at: Timestamp, tables: &Tables) -> Result<(), Vec<Reason>> {
        if offer.terms.as_ref().is_none_or(|terms| terms.quota.is_none()) {
            return Ok(());
        }
        let mut today = self.0.write().unwrap_or_else(PoisonError::into_inner);
        today.turn_to(at.day());
        let used = today.callers.entry(caller.clone()).or_default();
        match evaluate_quota(offer, used, at, tables) {
            Verdict::Eligible { .. } => {
                Arc::make_mut(used).add(&offer.name(), 1);
                Ok(())
            }
            Verdict::Rejected { reasons } => Err(reasons),
        }
    }
}

impl Today {
    /// Begins a new day. A clock that is set back begins none, since nobody is granted a day twice.
    fn turn_to(&mut self, day: i64) {
        if day > self.day {
            *self = Self { day, callers: HashMap::new() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 100;

    fn offer(id: &str, quota: &str) -> Offer {
        let text = format!(
            "id = '{id}'\nnode = 'spiffe://op.example/node/n1'\nmodel = 'm'\ncapabilities = ['chat']\nterms = {{ {quota} }}"
        );
        toml::from_str(&text).unwrap()
    }

    fn limited() -> Offer {
        offer("chat", &format!("quota = {{ requests_per_day = {MOST} }}"))
    }

    fn caller(name: &str) -> TrustDomain {
        name.parse().unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn tables() -> &'static Tables {
        Tables::builtin().unwrap()
    }

    /// How many of so many requests, one after the other, have room.
    fn granted(quotas: &Quotas, who: &str, offer: &Offer, day: &str, requests: usize) -> usize {
        (0..requests).filter(|_| quotas.take(&caller(who), offer, at(day), tables()).is_ok()).count()
    }

    #[test]
    fn no_quota_is_overdrawn_by_callers_that_ask_at_once() {
        let (quotas, offer, day) = (Quotas::default(), limited(), "2026-11-22T23:59:59Z");
        let granted: usize = std::thread::scope(|scope| {
            let asks = || granted(&quotas, "ca.example", &offer, day, MOST);
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(asks)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(granted, MOST);
        assert_eq!(quotas.used(&caller("ca.example"), at(day)).of(&offer.node, &offer.id), MOST as u64);
    }

    #[test]
    fn each_caller_and_each_offer_is_counted_for_itself_and_an_offer_without_a_quota_is_not() {
        let (quotas, day) = (Quotas::default(), "2026-11-22");
        for who in ["ca.example", "cb.example"] {
            assert_eq!(granted(&quotas, who, &limited(), day, MOST + 1), MOST);
        }
        assert_eq!(granted(&quotas, "ca.example", &offer("other", "quota = { requests_per_day = 1 }"), day, 2), 1);
        assert_eq!(granted(&quotas, "cc.example", &offer("free", ""), day, 2 * MOST), 2 * MOST);
        assert!(quotas.used(&caller("cc.example"), at(day)).is_empty());
        let refused = quotas.take(&caller("ca.example"), &limited(), at(day), tables()).unwrap_err();
        assert_eq!(refused.iter().map(ToString::to_string).collect::<Vec<_>>(), ["QUOTA_EXCEEDED"]);
    }

    #[test]
    fn a_new_day_begins_with_nothing_and_no_day_is_granted_twice() {
        let quotas = Quotas::default();
        assert_eq!(granted(&quotas, "ca.example", &limited(), "2026-11-22T23:59:59.999Z", MOST + 1), MOST);
        assert!(quotas.used(&caller("ca.example"), at("2026-11-23")).is_empty());
        assert_eq!(granted(&quotas, "ca.example", &limited(), "2026-11-23", MOST + 1), MOST);
        // A clock that is set back.
        assert_eq!(granted(&quotas, "ca.example", &limited(), "2026-11-22", 1), 0);
        assert_eq!(quotas.0.read().unwrap().callers.len(), 1);
        assert_eq!(granted(&quotas, "cb.example", &limited(), "2026-11-24", 1), 1);
        assert_eq!(quotas.0.read().unwrap().callers.len(), 1);
    }
}
