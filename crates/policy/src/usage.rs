//! What a caller has used of offers.
//!
//! The verdict on a quota reads it; whoever relays or runs requests counts it, for one day of UTC at a time.

use std::collections::BTreeMap;

use comity_types::{Name, OfferName, SpiffeId};
use serde::{Deserialize, Serialize};

/// How many requests an organisation, all its apps together, has sent to each offer on the day of a decision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "BTreeMap<OfferName, u64>", into = "BTreeMap<OfferName, u64>")]
pub struct Usage(BTreeMap<SpiffeId, BTreeMap<Name, u64>>);

impl Usage {
    /// That of somebody who has used nothing.
    #[must_use]
    pub fn none() -> &'static Self {
        static NONE: Usage = Usage(BTreeMap::new());
        &NONE
    }

    /// True if nothing was used.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The offers of which something was used: their nodes, and their ids there.
    pub fn offers(&self) -> impl Iterator<Item = (&SpiffeId, &Name)> {
        self.0.iter().flat_map(|(node, offers)| offers.keys().map(move |id| (node, id)))
    }

    /// How many requests went to the offer `id` of `node`.
    #[must_use]
    pub fn of(&self, node: &SpiffeId, id: &Name) -> u64 {
        self.0.get(node).and_then(|offers| offers.get(id)).copied().unwrap_or_default()
    }

    /// Adds requests to `offer`.
    pub fn add(&mut self, offer: &OfferName, requests: u64) {
        let of_node = self.0.entry(offer.node().clone()).or_default();
        let used = of_node.entry(offer.id().clone()).or_default();
        *used = used.saturating_add(requests);
    }
}

impl From<BTreeMap<OfferName, u64>> for Usage {
    fn from(all: BTreeMap<OfferName, u64>) -> Self {
        all.into_iter().collect()
    }
}

impl FromIterator<(OfferName, u64)> for Usage {
    fn from_iter<I: IntoIterator<Item = (OfferName, u64)>>(all: I) -> Self {
        let mut usage = Self::default();
        all.into_iter().for_each(|(offer, requests)| usage.add(&offer, requests));
        usage
    }
}

impl From<Usage> for BTreeMap<OfferName, u64> {
    fn from(usage: Usage) -> Self {
        let of_node = |(node, offers): (SpiffeId, BTreeMap<Name, u64>)| {
            offers.into_iter().map(move |(id, requests)| (OfferName::new(&node, &id), requests))
        };
        usage.0.into_iter().flat_map(of_node).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_is_written_and_read_by_the_names_of_offers() {
        let text = r#"{"op.example/n1/chat":5,"op.example/n1/embed":1,"op.example/n2/chat":2}"#;
        let usage: Usage = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&usage).unwrap(), text);
        let of = |name: &str| {
            let name: OfferName = name.parse().unwrap();
            usage.of(name.node(), name.id())
        };
        assert_eq!((of("op.example/n1/chat"), of("op.example/n2/chat"), of("op.example/n2/embed")), (5, 2, 0));
        assert!(!usage.is_empty() && Usage::none().is_empty());
    }
}
