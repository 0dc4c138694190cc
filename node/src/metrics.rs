//! Every metric of a node: its name, its labels and their values, its unit. `docs/metrics.md` shows them.
//!
//! What callers send or choose is no label; offers are, since this node's own file names them.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use comity_client::Identity;
use comity_policy::Offer;
use comity_proto::inference::Usage;
use comity_proto::methods;
use comity_runtime::access_log::Lines;
use comity_runtime::metrics::{CallsLayer, Kind, Labels, Metric, Metrics as Made, Named};
use comity_runtime::traces::Spans;
use comity_types::Name;
use comity_witness::Silence;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use crate::guard::LogHistory;
use crate::replica::{NotCurrent, Replica};

const CALLS: Metric = Metric {
    name: "comity_node_calls",
    kind: Kind::Counter,
    labels: &["method", "code"],
    help: "Calls that have ended, by the path of the method (`unknown` where there is none) and the gRPC code.",
};
const AGE: Metric = Metric {
    name: "comity_node_replica_age_seconds",
    kind: Kind::Gauge,
    labels: &[],
    help: "How long ago the broker last agreed with what the node knows of the federation; -1 if it never has.",
};
const BUDGET: Metric = Metric {
    name: "comity_node_staleness_budget_seconds",
    kind: Kind::Gauge,
    labels: &["class"],
    help: "How old that may be, by class of requests: `all`, `new_callers`, and `offers.ID` where node.toml has one.",
};
const STATE: Metric = Metric {
    name: "comity_node_replica_state",
    kind: Kind::Gauge,
    labels: &["state"],
    help: "1 for what the copy of the state is, 0 for what it is not: `fresh`, `stale`, or `halted` after two pasts, or two statements at one position, were shown.",
};
const EPOCH: Metric = Metric {
    name: "comity_node_membership_epoch",
    kind: Kind::Gauge,
    labels: &[],
    help: "The epoch up to which the node knows the membership log.",
};
const TUNNELS: Metric = Metric {
    name: "comity_node_tunnels",
    kind: Kind::Gauge,
    labels: &[],
    help: "Tunnels to the broker that stand; 0 where the node listens.",
};
const BACKEND_UP: Metric = Metric {
    name: "comity_node_backend_up",
    kind: Kind::Gauge,
    labels: &["offer"],
    help: "1 if the backend of the offer answered the last request, 0 if it failed. Absent before the first.",
};
const BACKEND_TIMES: Metric = Metric {
    name: "comity_node_backend_first_answer_seconds",
    kind: Kind::Histogram,
    labels: &["offer"],
    help: "How long the backend took to begin its answer, or to give it whole where it is not a stream.",
};
const TOKENS: Metric = Metric {
    name: "comity_node_tokens",
    kind: Kind::Counter,
    labels: &["direction"],
    help: "Tokens that backends have counted: `input` and `output`.",
};
const LOG_UNPUBLISHED: Metric = Metric {
    name: "comity_node_log_unpublished_seconds",
    kind: Kind::Gauge,
    labels: &[],
    help: "How long the oldest permit's checkpoint waits that is not shown yet to be in the published decision log: above 15, nothing is run.",
};
const CERTIFICATE: Metric = Metric {
    name: "comity_node_certificate_left_seconds",
    kind: Kind::Gauge,
    labels: &[],
    help: "How long the node's own certificate still holds.",
};
const WITNESS_SILENT: Metric = Metric {
    name: "comity_node_witness_silent_logs",
    kind: Kind::Gauge,
    labels: &["why"],
    help: "Logs of which this node, as a witness, cosigns nothing: it has `contradicted` itself, or the `evidence` against it or the `memory` of what was cosigned cannot be read.",
};

const SPANS: Metric = Metric {
    name: "comity_node_spans",
    kind: Kind::Counter,
    labels: &["outcome"],
    help: "Spans of requests, where traces are on: `delivered` to the collector, or `dropped`.",
};
const LINES: Metric = Metric {
    name: "comity_node_access_log_lines",
    kind: Kind::Counter,
    labels: &["outcome"],
    help: "Lines of the access log, where there is one: `written`, or `dropped`.",
};

const RELOADS: Metric = Metric {
    name: "comity_node_reloads",
    kind: Kind::Counter,
    labels: &["outcome"],
    help: "How often the configuration was read again: `applied`, or `refused`, so that everything stayed as it was.",
};

/// All of them.
#[cfg(test)]
const METRICS: &[Metric] = &[
    CALLS,
    AGE,
    BUDGET,
    STATE,
    EPOCH,
    TUNNELS,
    BACKEND_UP,
    BACKEND_TIMES,
    TOKENS,
    LOG_UNPUBLISHED,
    CERTIFICATE,
    WITNESS_SILENT,
    SPANS,
    LINES,
    RELOADS,
];

/// What the node counts. Clones are the same.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    made: Made,
    calls: Family<Labels<2>, Counter>,
    age: Gauge,
    budget: Family<Named, Gauge>,
    state: Family<Labels<1>, Gauge>,
    epoch: Gauge,
    tunnels: Gauge,
    backend_up: Family<Named, Gauge>,
    /// The offers whose backend failed the last request.
    failing: Mutex<BTreeSet<Name>>,
    backend_times: Family<Named, Histogram, fn() -> Histogram>,
    tokens: Family<Labels<1>, Counter>,
    log_unpublished: Gauge,
    certificate: Gauge,
    witness_silent: Family<Labels<1>, Gauge>,
    spans: Spans,
    lines: Lines,
    reloads: Family<Labels<1>, Counter>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut made = Made::default();
        Self(Arc::new(Inner {
            calls: made.counters(&CALLS),
            age: made.gauge(&AGE),
            budget: made.named_gauges(&BUDGET),
            state: made.gauges(&STATE),
            epoch: made.gauge(&EPOCH),
            tunnels: made.gauge(&TUNNELS),
            backend_up: made.named_gauges(&BACKEND_UP),
            failing: Mutex::default(),
            backend_times: made.named_times(&BACKEND_TIMES),
            tokens: made.counters(&TOKENS),
            log_unpublished: made.gauge(&LOG_UNPUBLISHED),
            certificate: made.gauge(&CERTIFICATE),
            witness_silent: made.gauges(&WITNESS_SILENT),
            spans: made.counters(&SPANS),
            lines: made.counters(&LINES),
            reloads: made.counters(&RELOADS),
            made,
        }))
    }
}

/// What is looked at whenever somebody reads the metrics.
#[derive(Debug, Clone)]
pub struct Watched {
    /// Who the node is, and until when.
    pub identity: Identity,
    /// What it knows of the federation.
    pub replica: Replica,
    /// What it was shown of the decision log.
    pub history: LogHistory,
}

/// A tunnel that stands, until it is dropped.
#[derive(Debug)]
pub(crate) struct Standing(Metrics);

impl Drop for Standing {
    fn drop(&mut self) {
        self.0.0.tunnels.dec();
    }
}

impl Metrics {
    /// Counts every call of a server.
    pub(crate) fn calls(&self) -> CallsLayer {
        CallsLayer::new(self.0.calls.clone(), |path| methods::find(path).map(|method| method.path))
    }

    /// What becomes of spans.
    pub(crate) fn spans(&self) -> Spans {
        self.0.spans.clone()
    }

    /// What becomes of lines of the access log.
    pub(crate) fn lines(&self) -> Lines {
        self.0.lines.clone()
    }

    /// The configuration was read again.
    pub(crate) fn reloaded(&self, is_applied: bool) {
        let outcome = if is_applied { "applied" } else { "refused" };
        self.0.reloads.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// A tunnel stands.
    pub(crate) fn tunnel(&self) -> Standing {
        self.0.tunnels.inc();
        Standing(self.clone())
    }

    /// The backend of an offer has begun to answer, or has failed.
    pub(crate) fn asked(&self, offer: &Offer, took: Duration, has_answered: bool) {
        let label = [("offer", offer.id.to_string())];
        self.0.backend_up.get_or_create(&label).set(has_answered.into());
        let mut failing = self.0.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if !has_answered {
            failing.insert(offer.id.clone());
        } else if failing.contains(&offer.id) {
            failing.remove(&offer.id);
        }
        drop(failing);
        if has_answered {
            self.0.backend_times.get_or_create(&label).observe(took.as_secs_f64());
        }
    }

    /// The offers whose backend failed the last request.
    pub(crate) fn failing(&self) -> Vec<Name> {
        self.0.failing.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// An answer used this much.
    pub(crate) fn used(&self, usage: &Usage) {
        for (direction, tokens) in [("input", usage.input_tokens), ("output", usage.output_tokens)] {
            self.0.tokens.get_or_create(&[("direction", direction)]).inc_by(tokens);
        }
    }

    /// What was counted, without what is looked at.
    #[cfg(test)]
    pub(crate) fn encoded(&self) -> String {
        self.0.made.text()
    }

    /// All of them, as they are now.
    #[must_use]
    pub fn text(&self, watched: &Watched) -> String {
        let (inner, replica) = (&*self.0, &watched.replica);
        inner.age.set(replica.age().map_or(-1, seconds));
        for (class, budget) in replica.budgets().classes() {
            inner.budget.get_or_create(&[("class", class.to_string())]).set(seconds(budget));
        }
        let state = match replica.check() {
            Ok(()) => "fresh",
            Err(NotCurrent::Halted { .. }) => "halted",
            Err(NotCurrent::Stale { .. } | NotCurrent::Behind { .. }) => "stale",
        };
        for one in ["fresh", "stale", "halted"] {
            inner.state.get_or_create(&[("state", one)]).set((one == state).into());
        }
        inner.epoch.set(i64::try_from(replica.federation().epoch()).unwrap_or(i64::MAX));
        let now = watched.identity.clock().now();
        inner.log_unpublished.set(seconds(watched.history.waits_for(now)));
        let left = watched.identity.leaf().not_after.since(now);
        inner.certificate.set(seconds(left));
        let silent = watched.history.silent();
        for why in Silence::ALL {
            let logs = silent.iter().filter(|log| log.why == why).count();
            inner.witness_silent.get_or_create(&[("why", why.word())]).set(i64::try_from(logs).unwrap_or(i64::MAX));
        }
        inner.made.text()
    }
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_made_and_stands_in_the_document_as_it_is() {
        let document = include_str!("../../docs/metrics.md");
        let rows: Vec<_> = document.lines().filter(|line| line.starts_with("| `comity_node_")).collect();
        let expected: Vec<_> = METRICS.iter().map(Metric::row).collect();
        assert_eq!(rows, expected, "write these rows into docs/metrics.md:\n{}", expected.join("\n"));
        let named: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(Metrics::default().0.made.names(), named);
    }
}
