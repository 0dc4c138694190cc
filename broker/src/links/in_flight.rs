//! How many requests each node is working on.

use std::sync::Arc;

use comity_types::SpiffeId;
use dashmap::DashMap;

/// The counts of all nodes that have requests; a node without any has no entry, so that the map stays small.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts(Arc<DashMap<SpiffeId, usize>>);

/// One request's place in its node's count; dropped when the answer has ended.
#[derive(Debug)]
pub struct InFlight {
    counts: Counts,
    node: SpiffeId,
    count: usize,
    over: Option<Arc<()>>,
}

impl Counts {
    /// A request of `node` begins.
    pub(super) fn begin(&self, node: &SpiffeId) -> InFlight {
        let mut count = self.0.entry(node.clone()).or_default();
        *count = count.saturating_add(1);
        InFlight { counts: self.clone(), node: node.clone(), count: *count, over: None }
    }

    /// How many there are.
    pub(super) fn of(&self, node: &SpiffeId) -> usize {
        self.0.get(node).map_or(0, |count| *count)
    }
}

impl InFlight {
    /// The same, which counts for the tunnel that it went over as well.
    pub(super) fn over(mut self, running: Arc<()>) -> Self {
        self.over = Some(running);
        self
    }

    /// How many there were when this one had begun, itself included.
    pub(super) const fn count(&self) -> usize {
        self.count
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(mut count) = self.counts.0.get_mut(&self.node) {
            *count = count.saturating_sub(1);
        }
        self.counts.0.remove_if(&self.node, |_, count| *count == 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_counts_until_it_is_dropped_and_leaves_nothing_behind() {
        let (counts, node) = (Counts::default(), "spiffe://org-a.example/node/n1".parse().unwrap());
        let first = counts.begin(&node);
        let second = counts.begin(&node);
        assert_eq!((second.count(), counts.of(&node)), (2, 2));
        drop(first);
        assert_eq!(counts.of(&node), 1);
        drop(second);
        assert!(counts.0.is_empty());
    }
}
