//! Every metric of a broker: its name, its labels and their values, its unit. `docs/metrics.md` shows them.
//!
//! No label is anything that a caller chose, nor the name of an organisation: there is no end to either.

mod budgets;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use comity_identity::Credentials;
use comity_membership::{Federation, Statement};
use comity_proto::methods;
use comity_runtime::accept::Places;
use comity_runtime::access_log::Lines;
use comity_runtime::metrics::{CallsLayer, Kind, Labels, Metric, Metrics as Made, Named};
use comity_runtime::traces::Spans;
use comity_types::{Clock, Name};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use crate::budgets::accounts::Accounts;
use crate::edge::capacity::Capacity;
use crate::ledger::decisions::Unsigned;
use crate::ledger::log::DecisionLog;
use crate::links::Links;
use crate::registry::Registry;
use crate::registry::authorities::Authorities;

const CALLS: Metric = Metric {
    name: "comity_broker_calls",
    kind: Kind::Counter,
    labels: &["method", "code"],
    help: "Calls that have ended, by the path of the method (`unknown` where there is none) and the gRPC code.",
};
const CALLS_RUNNING: Metric = Metric {
    name: "comity_broker_calls_in_flight",
    kind: Kind::Gauge,
    labels: &[],
    help: "Calls that run, streams among them.",
};
const DECISIONS: Metric = Metric {
    name: "comity_broker_decisions",
    kind: Kind::Counter,
    labels: &["outcome"],
    help: "Decisions on requests: `eligible` (a node may be asked) or `refused`.",
};
const COMMITS: Metric = Metric {
    name: "comity_broker_commit_seconds",
    kind: Kind::Histogram,
    labels: &[],
    help: "How long a decision took to be durable and its proof made.",
};
const SETTLES: Metric = Metric {
    name: "comity_broker_settle_seconds",
    kind: Kind::Histogram,
    labels: &[],
    help: "How long an outcome took to be durable and its receipt made.",
};
const ATTEMPTS: Metric = Metric {
    name: "comity_broker_relay_attempts",
    kind: Kind::Counter,
    labels: &["outcome"],
    help: "Tries of a node: `answered` or `failed`.",
};
const FURTHER: Metric = Metric {
    name: "comity_broker_further_tries",
    kind: Kind::Counter,
    labels: &["kind"],
    help: "Tries beyond a request's first: a `retry`, a `hedge` beside one that is slow, or `withheld`, where too many of the last requests needed one.",
};
const UNSIGNED: Metric = Metric {
    name: "comity_broker_unsigned_outcomes",
    kind: Kind::Counter,
    labels: &["why"],
    help: "Answers that their nodes did not sign: what came was `missing`, `malformed`, of something `other` than was relayed, `forged`, or says that more was used than can be (`excessive`).",
};
const EJECTIONS: Metric = Metric {
    name: "comity_broker_ejections",
    kind: Kind::Counter,
    labels: &["who"],
    help: "How often a `node`, or one `offer`, has failed again and again, and came behind the others for a while; `offer_for_one`: an offer gave one organisation nothing, and came behind for that one.",
};
const EJECTED: Metric = Metric {
    name: "comity_broker_ejected",
    kind: Kind::Gauge,
    labels: &["who"],
    help: "Nodes and offers that come behind the others now: `node` or `offer`; `offer_for_one`: offers, for one organisation or more. They are asked where no other answers.",
};
const NO_PLACE: Metric = Metric {
    name: "comity_broker_no_place",
    kind: Kind::Counter,
    labels: &["why"],
    help: "Tries that got no place at their node, and were made elsewhere where there was another: as many as may be were in flight to it (`full`), or the caller's organisation had its `share` of them while others are there.",
};
const BUDGET_LIMIT: Metric = Metric {
    name: "comity_broker_budget_limit",
    kind: Kind::Gauge,
    labels: &["budget", "measure"],
    help: "What a budget grants an account, by its name in the budgets' file: `requests`, `tokens`, `input_tokens`, `output_tokens`, `money` in millionths, or `concurrent` calls.",
};
const BUDGET_USED: Metric = Metric {
    name: "comity_broker_budget_used",
    kind: Kind::Gauge,
    labels: &["budget", "measure"],
    help: "What the account of it that has least left has used since the last renewal.",
};
const BUDGET_RESERVED: Metric = Metric {
    name: "comity_broker_budget_reserved",
    kind: Kind::Gauge,
    labels: &["budget", "measure"],
    help: "What is reserved in the same account for calls that run.",
};
const BUDGET_REFUSALS: Metric = Metric {
    name: "comity_broker_budget_refusals",
    kind: Kind::Counter,
    labels: &["budget"],
    help: "Requests that a budget had no room for, and tries of offers that it left out after the decision.",
};
const CONNECTIONS: Metric = Metric {
    name: "comity_broker_connections",
    kind: Kind::Gauge,
    labels: &["kind"],
    help: "Connections that stand: of a `member` (tunnels among them), of a `stranger`, or a `handshake`.",
};
const TUNNELS: Metric =
    Metric { name: "comity_broker_tunnels", kind: Kind::Gauge, labels: &[], help: "Tunnels that nodes dialled." };
const STATEMENTS: Metric = Metric {
    name: "comity_broker_statements",
    kind: Kind::Counter,
    labels: &["kind"],
    help: "Statements that came into force since the start, by what they say; `lapsed` is a brake that nobody ratified.",
};
const EPOCH: Metric = Metric {
    name: "comity_broker_membership_epoch",
    kind: Kind::Gauge,
    labels: &[],
    help: "The epoch: how many entries the membership log has.",
};
const LAST_STATEMENT: Metric = Metric {
    name: "comity_broker_last_statement_age_seconds",
    kind: Kind::Gauge,
    labels: &[],
    help: "How long ago the last entry of the membership log got its place.",
};
const SUSPENSIONS: Metric = Metric {
    name: "comity_broker_suspensions",
    kind: Kind::Gauge,
    labels: &["of"],
    help: "Who is suspended now: `organisation`, `member` or `certificate`.",
};
const JOURNAL_FAILURES: Metric = Metric {
    name: "comity_broker_journal_failures",
    kind: Kind::Counter,
    labels: &[],
    help: "Journals that failed. The broker ends with the first, so that `up` says it for longer.",
};
const LEAVES: Metric = Metric {
    name: "comity_broker_decision_log_leaves",
    kind: Kind::Gauge,
    labels: &["state"],
    help: "Leaves of the decision log that are `published`, and that enough witnesses have `cosigned` if there are any.",
};
const EXAMINED: Metric = Metric {
    name: "comity_broker_decision_log_examined_age_seconds",
    kind: Kind::Gauge,
    labels: &[],
    help: "How long ago all full tiles and bundles of the decision log were last read again, and held; -1 if not since the start.",
};
const AUTHORITIES_LOST: Metric = Metric {
    name: "comity_broker_hosted_authorities_lost",
    kind: Kind::Gauge,
    labels: &[],
    help: "Organisations whose hosted certificate authority the broker has lost: it signs nothing for them.",
};
const INVITES_CONTESTED: Metric = Metric {
    name: "comity_broker_invites_contested",
    kind: Kind::Counter,
    labels: &[],
    help: "How often an invite was presented by a second key, which was refused: the invite has leaked.",
};
const EQUIVOCATIONS: Metric = Metric {
    name: "comity_broker_equivocations",
    kind: Kind::Counter,
    labels: &[],
    help: "How often a second statement was brought, and refused, at a position where the same key has signed another one.",
};
const CERTIFICATE: Metric = Metric {
    name: "comity_broker_certificate_left_seconds",
    kind: Kind::Gauge,
    labels: &[],
    help: "How long the broker's own certificate still holds.",
};

const CLOCK_OFF: Metric = Metric {
    name: "comity_broker_clock_off_seconds",
    kind: Kind::Gauge,
    labels: &[],
    help: "How far the machine's clock is ahead (negative: behind) of the time that the broker stamps with: it has made a step, which is followed once it has stood for 30 s.",
};
const UNDECIDABLE: Metric = Metric {
    name: "comity_broker_undecidable",
    kind: Kind::Gauge,
    labels: &["why"],
    help: "1 while no request can be decided: the time is before the membership log's newest entry (`clock`), or an entry hangs on its way to the disk (`stalled`).",
};
const SPANS: Metric = Metric {
    name: "comity_broker_spans",
    kind: Kind::Counter,
    labels: &["outcome"],
    help: "Spans of requests, where traces are on: `delivered` to the collector, or `dropped`.",
};
const LINES: Metric = Metric {
    name: "comity_broker_access_log_lines",
    kind: Kind::Counter,
    labels: &["outcome"],
    help: "Lines of the access log, where there is one: `written`, or `dropped`.",
};

const RELOADS: Metric = Metric {
    name: "comity_broker_reloads",
    kind: Kind::Counter,
    labels: &["outcome"],
    help: "How often the configuration was read again: `applied`, or `refused`, so that everything stayed as it was.",
};

/// All of them.
#[cfg(test)]
const METRICS: &[Metric] = &[
    CALLS,
    CALLS_RUNNING,
    DECISIONS,
    COMMITS,
    SETTLES,
    ATTEMPTS,
    FURTHER,
    UNSIGNED,
    EJECTIONS,
    EJECTED,
    NO_PLACE,
    BUDGET_LIMIT,
    BUDGET_USED,
    BUDGET_RESERVED,
    BUDGET_REFUSALS,
    CONNECTIONS,
    TUNNELS,
    STATEMENTS,
    EPOCH,
    LAST_STATEMENT,
    SUSPENSIONS,
    JOURNAL_FAILURES,
    LEAVES,
    EXAMINED,
    AUTHORITIES_LOST,
    INVITES_CONTESTED,
    EQUIVOCATIONS,
    CERTIFICATE,
    CLOCK_OFF,
    UNDECIDABLE,
    SPANS,
    LINES,
    RELOADS,
];

/// What the broker counts. Clones are the same.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    made: Made,
    calls: Family<Labels<2>, Counter>,
    calls_running: Gauge,
    decisions: Family<Labels<1>, Counter>,
    commits: Histogram,
    settles: Histogram,
    attempts: Family<Labels<1>, Counter>,
    further: Family<Labels<1>, Counter>,
    unsigned: Family<Labels<1>, Counter>,
    ejections: Family<Labels<1>, Counter>,
    ejected: Family<Labels<1>, Gauge>,
    no_place: Family<Labels<1>, Counter>,
    budgets: budgets::Gauges,
    budget_refusals: Family<Named, Counter>,
    connections: Family<Labels<1>, Gauge>,
    tunnels: Gauge,
    statements: Family<Labels<1>, Counter>,
    epoch: Gauge,
    last_statement: Gauge,
    suspensions: Family<Labels<1>, Gauge>,
    journal_failures: Counter,
    leaves: Family<Labels<1>, Gauge>,
    examined: Gauge,
    authorities_lost: Gauge,
    invites_contested: Counter,
    equivocations: Counter,
    certificate: Gauge,
    clock_off: Gauge,
    undecidable: Family<Labels<1>, Gauge>,
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
            calls_running: made.gauge(&CALLS_RUNNING),
            decisions: made.counters(&DECISIONS),
            commits: made.times(&COMMITS),
            settles: made.times(&SETTLES),
            attempts: made.counters(&ATTEMPTS),
            further: made.counters(&FURTHER),
            unsigned: made.counters(&UNSIGNED),
            ejections: made.counters(&EJECTIONS),
            ejected: made.gauges(&EJECTED),
            no_place: made.counters(&NO_PLACE),
            budgets: budgets::Gauges::of(&mut made),
            budget_refusals: made.named_counters(&BUDGET_REFUSALS),
            connections: made.gauges(&CONNECTIONS),
            tunnels: made.gauge(&TUNNELS),
            statements: made.counters(&STATEMENTS),
            epoch: made.gauge(&EPOCH),
            last_statement: made.gauge(&LAST_STATEMENT),
            suspensions: made.gauges(&SUSPENSIONS),
            journal_failures: made.counter(&JOURNAL_FAILURES),
            leaves: made.gauges(&LEAVES),
            examined: made.gauge(&EXAMINED),
            authorities_lost: made.gauge(&AUTHORITIES_LOST),
            invites_contested: made.counter(&INVITES_CONTESTED),
            equivocations: made.counter(&EQUIVOCATIONS),
            certificate: made.gauge(&CERTIFICATE),
            clock_off: made.gauge(&CLOCK_OFF),
            undecidable: made.gauges(&UNDECIDABLE),
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
    /// The federation.
    pub registry: Registry,
    /// The connections to nodes.
    pub links: Links,
    /// The calls in flight.
    pub capacity: Capacity,
    /// The connections of everybody.
    pub places: Places,
    /// The decision log.
    pub decisions: DecisionLog,
    /// What was spent of budgets, where there are some.
    pub budgets: Option<Accounts>,
    /// The certificate authorities that it hosts.
    pub authorities: Arc<Authorities>,
    /// The broker's own certificate.
    pub credentials: Arc<Credentials>,
    /// The machine's time, by which certificates hold.
    pub wall: Arc<dyn Clock>,
    /// The time that is stamped.
    pub clock: Arc<dyn Clock>,
}

impl Metrics {
    /// Counts every call of a server.
    #[must_use]
    pub fn calls(&self) -> CallsLayer {
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

    /// How often that was.
    #[cfg(test)]
    pub(crate) fn count_reloads(&self, outcome: &'static str) -> u64 {
        self.0.reloads.get_or_create(&[("outcome", outcome)]).get()
    }

    /// A request was decided on: what names no model, or none that anybody offers, is not.
    pub(crate) fn decided(&self, is_eligible: bool) {
        let outcome = if is_eligible { "eligible" } else { "refused" };
        self.0.decisions.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// A decision became durable.
    pub(crate) fn committed(&self, took: Duration) {
        self.0.commits.observe(took.as_secs_f64());
    }

    /// An outcome became durable.
    pub(crate) fn settled(&self, took: Duration) {
        self.0.settles.observe(took.as_secs_f64());
    }

    /// A node was tried.
    pub(crate) fn tried(&self, has_answered: bool) {
        let outcome = if has_answered { "answered" } else { "failed" };
        self.0.attempts.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// A request was to have one more try: a `retry`, a `hedge`, or none, `withheld`.
    pub(crate) fn further_try(&self, kind: &'static str) {
        self.0.further.get_or_create(&[("kind", kind)]).inc();
    }

    /// How often that was.
    #[cfg(test)]
    pub(crate) fn count_further(&self, kind: &'static str) -> u64 {
        self.0.further.get_or_create(&[("kind", kind)]).get()
    }

    /// A node did not sign what it answered.
    pub(crate) fn unsigned(&self, why: Unsigned) {
        self.0.unsigned.get_or_create(&[("why", why.word())]).inc();
    }

    /// How often that was.
    #[cfg(test)]
    pub(crate) fn count_unsigned(&self) -> u64 {
        let of = |why| self.0.unsigned.get_or_create(&[("why", why)]).get();
        ["missing", "malformed", "excessive", "other", "forged"].into_iter().map(of).sum()
    }

    /// Somebody comes behind the others for a while: a `node`, an `offer`, or an offer for one organisation.
    pub(crate) fn ejected(&self, who: &'static str) {
        self.0.ejections.get_or_create(&[("who", who)]).inc();
    }

    /// A try got no place at its node: it is `full`, or its organisation has its `share`.
    pub(crate) fn no_place(&self, why: &'static str) {
        self.0.no_place.get_or_create(&[("why", why)]).inc();
    }

    /// How often that was.
    #[cfg(test)]
    pub(crate) fn count_no_place(&self, why: &'static str) -> u64 {
        self.0.no_place.get_or_create(&[("why", why)]).get()
    }

    /// A budget had no room for a request, or for a try.
    pub(crate) fn over_budget(&self, budget: &Name) {
        self.0.budget_refusals.get_or_create(&[("budget", budget.to_string())]).inc();
    }

    /// A statement came into force.
    pub(crate) fn said(&self, statement: &Statement) {
        self.0.statements.get_or_create(&[("kind", statement.kind())]).inc();
    }

    /// A brake has lapsed.
    pub(crate) fn lapsed(&self) {
        self.0.statements.get_or_create(&[("kind", "lapsed")]).inc();
    }

    /// A second key presented an invite.
    pub(crate) fn contested(&self) {
        self.0.invites_contested.inc();
    }

    /// Somebody signed a second statement at one position.
    pub(crate) fn equivocated(&self) {
        self.0.equivocations.inc();
    }

    /// How often that was.
    #[cfg(test)]
    pub(crate) fn count_equivocations(&self) -> u64 {
        self.0.equivocations.get()
    }

    /// A journal has failed.
    pub(crate) fn journal_failed(&self) {
        self.0.journal_failures.inc();
    }

    /// All of them, as they are now.
    #[must_use]
    pub fn text(&self, watched: &Watched) -> String {
        let Inner { made, ejected, connections, suspensions, .. } = &*self.0;
        let (now, wall) = (watched.clock.now(), watched.wall.now());
        let snapshot = watched.registry.snapshot();
        let federation = snapshot.federation();
        self.0.calls_running.set(count(watched.capacity.in_flight()));
        self.0.tunnels.set(count(watched.links.tunnels()));
        for (kind, number) in watched.places.taken() {
            connections.get_or_create(&[("kind", kind)]).set(count(number));
        }
        for (who, number) in watched.links.ejected() {
            ejected.get_or_create(&[("who", who)]).set(count(number));
        }
        if let Some(accounts) = &watched.budgets {
            self.0.budgets.set(accounts, now);
        }
        self.0.epoch.set(i64::try_from(federation.epoch()).unwrap_or(i64::MAX));
        self.0.last_statement.set(seconds(federation.at().map_or(Duration::ZERO, |at| now.since(at))));
        for (of, number) in suspended(federation) {
            suspensions.get_or_create(&[("of", of)]).set(count(number));
        }
        let reader = watched.decisions.reader();
        let leaves = [("published", Some(reader.published())), ("cosigned", reader.cosigned())];
        for (state, log) in leaves.into_iter().filter_map(|(state, log)| Some((state, log?.checkpoint))) {
            let size = i64::try_from(log.size).unwrap_or(i64::MAX);
            self.0.leaves.get_or_create(&[("state", state)]).set(size);
        }
        self.0.examined.set(watched.decisions.examined().map_or(-1, |at| seconds(now.since(at))));
        let lost = watched.authorities.lost(|domain| federation.organisation(domain).is_some());
        self.0.authorities_lost.set(count(lost));
        self.0.certificate.set(seconds(watched.credentials.leaf().not_after.since(wall)));
        self.0.clock_off.set(seconds(wall.since(now)) - seconds(now.since(wall)));
        let undecidable = watched.registry.to_decide_by().err();
        for why in ["clock", "stalled"] {
            let is_so = undecidable.is_some_and(|error| error.word() == why);
            self.0.undecidable.get_or_create(&[("why", why)]).set(i64::from(is_so));
        }
        made.text()
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

fn suspended(federation: &Federation) -> [(&'static str, usize); 3] {
    let organisations = federation.organisations().filter(|state| !state.suspensions.is_none()).count();
    let members = federation.members().filter(|(_, state)| !state.suspensions.is_none()).count();
    [("organisation", organisations), ("member", members), ("certificate", federation.suspended_certificates().count())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_made_and_stands_in_the_document_as_it_is() {
        let document = include_str!("../../docs/metrics.md");
        let rows: Vec<_> = document.lines().filter(|line| line.starts_with("| `comity_broker_")).collect();
        let expected: Vec<_> = METRICS.iter().map(Metric::row).collect();
        assert_eq!(rows, expected, "write these rows into docs/metrics.md:\n{}", expected.join("\n"));
        let named: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(Metrics::default().0.made.names(), named);
    }
}
