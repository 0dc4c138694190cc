//! What nodes got, held against what may have been sent to them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use comity_membership::Standing;
use comity_policy::{Request as Question, Usage, Verdict, evaluate};
use comity_proto::convert::Envelope;
use comity_proto::inference;
use comity_runtime::clock::SystemClock;
use comity_transparency::NoteVerifier;
use comity_types::{Place, Timestamp};
use prost::Message as _;
use tokio::sync::watch;

use super::super::decide;
use super::super::node::Seen;
use super::super::world::SOON;
use super::super::*;
use super::Tally;
use super::model::{Demands, Model, domain_of};
use crate::registry::Snapshot;

/// Longest that a request which was on its way may take to arrive at a node that was suspended meanwhile.
const ON_ITS_WAY: Duration = Duration::from_secs(1);
/// What a node is told beside the message. Nothing of it is the caller's.
const HEADERS: [&str; 5] = ["content-type", "content-length", "te", "grpc-timeout", "comity-permit-bin"];

/// What was asked.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) caller: SpiffeId,
    pub(super) method: Method,
    pub(super) demands: Demands,
    pub(super) envelope: inference::Envelope,
    pub(super) body: bytes::Bytes,
    /// The epoch in force before it was.
    pub(super) since: u64,
}

/// The federation at one epoch.
#[derive(Debug)]
pub(super) struct Then {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) model: Model,
}

/// A request that a node got.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) node: SpiffeId,
    pub(super) seen: Seen,
    pub(super) arrived: Instant,
}

/// What a node got.
#[derive(Debug)]
pub(super) enum Got {
    /// A request with its permit: it may run it.
    Request(Delivery),
    /// Bytes of one that travelled ahead and was withdrawn, or that broke off, and the epoch in force by then.
    Bytes(Delivery, u64),
}

/// All that there is to compare.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) log_key: NoteVerifier,
    pub(super) places: BTreeSet<Place>,
    pub(super) asked: Mutex<HashMap<u64, Asked>>,
    states: Mutex<BTreeMap<u64, Arc<Then>>>,
    latest: watch::Sender<u64>,
    /// Since when somebody is out, and until when.
    out: Mutex<Vec<(String, Instant, Option<Instant>)>>,
    tries: Mutex<HashSet<(comity_types::DecisionId, u32)>>,
}

impl Known {
    pub(super) fn new(log_key: NoteVerifier, places: BTreeSet<Place>) -> Self {
        Self {
            log_key,
            places,
            asked: Mutex::default(),
            states: Mutex::default(),
            latest: watch::Sender::new(0),
            out: Mutex::default(),
            tries: Mutex::default(),
        }
    }

    /// The state is this one now, which was in force before anybody is told.
    pub(super) fn now(&self, snapshot: Arc<Snapshot>, model: Model) {
        let epoch = snapshot.epoch().size;
        self.states.lock().unwrap().insert(epoch, Arc::new(Then { snapshot, model }));
        self.latest.send_replace(epoch);
    }

    /// `subject` is out from now on.
    pub(super) fn is_out(&self, subject: &str) {
        self.out.lock().unwrap().push((subject.to_owned(), Instant::now(), None));
    }

    /// It is about to be in again.
    pub(super) fn is_in(&self, subject: &str) {
        let mut out = self.out.lock().unwrap();
        let stay = out.iter_mut().rfind(|(one, _, until)| one == subject && until.is_none());
        stay.unwrap().2 = Some(Instant::now());
    }

    /// The newest epoch that is written down.
    pub(super) fn epoch(&self) -> u64 {
        *self.latest.borrow()
    }

    async fn at(&self, epoch: u64) -> Arc<Then> {
        // A decision may be faster than whoever writes down what was said.
        let mut latest = self.latest.subscribe();
        tokio::time::timeout(SOON, latest.wait_for(|latest| *latest >= epoch)).await.unwrap().unwrap();
        Arc::clone(&self.states.lock().unwrap()[&epoch])
    }

    /// Panics with what is wrong if this must not have been.
    pub(super) async fn check(&self, got: &Got, tally: &mut Tally) {
        match got {
            Got::Request(delivery) => self.check_request(delivery, tally).await,
            Got::Bytes(delivery, epoch) => self.check_bytes(delivery, *epoch, tally).await,
        }
    }

    async fn check_request(&self, delivery: &Delivery, tally: &mut Tally) {
        let Delivery { node, seen, .. } = delivery;
        let decision = seen.decision(&self.log_key);
        let leaf = *decision.leaf();
        let then = self.at(leaf.epoch.size).await;
        assert_eq!(then.snapshot.epoch().root, leaf.epoch.root, "decided by a state that never was");
        let candidate = seen.candidate(&self.log_key);
        let offer = candidate["offer"].as_str().unwrap();
        let attempt = seen.permit().attempt;
        assert!(self.tries.lock().unwrap().insert((leaf.decision, attempt)), "one try was delivered twice");
        let asked = self.asked.lock().unwrap();
        let asked = &asked[&marker(&seen.body)];
        let leak =
            |why: &str| panic!("LEAK: {why}\nto {node}, offer {offer}, try {attempt}\n{asked:?}\n{:?}", then.model);
        let text = |field| std::str::from_utf8(decision.get(field).unwrap()).unwrap();
        if text(Field::CALLER) != asked.caller.as_str() || !seen.path.ends_with(text(Field::METHOD)) {
            leak("the permit is another caller's, or another method's");
        }
        if seen.path != asked.method.path() || seen.body != asked.body {
            leak("what arrived is not what was sent");
        }
        if decision.get(Field::ENVELOPE_SHA256).unwrap() != Digest::of(&asked.envelope.encode_to_vec()).as_bytes() {
            leak("the decision is about another envelope");
        }
        if let Some(header) = seen.headers.keys().find(|name| !HEADERS.contains(&name.as_str())) {
            leak(&format!("the caller's header {header} went on"));
        }
        if domain_of(offer) != node.trust_domain().as_str() {
            leak("the offer is another's");
        }
        if !then.model.allows(asked.caller.as_str(), &asked.demands, node.as_str(), offer) {
            leak("nobody who reads the terms would have let this pass");
        }
        if !self.engine_allows(&then, asked, node, offer, leaf.at) {
            leak("the engine does not let this pass");
        }
        if self.was_out(node.as_str(), delivery.arrived) || self.was_out(asked.caller.as_str(), delivery.arrived) {
            leak("somebody who had been suspended for longer than anything travels took part");
        }
        tally.deliveries += 1;
        tally.retries += u64::from(attempt > 1);
        tally.ahead += u64::from(seen.travelled_ahead);
        let forbids = |Then { model, .. }: &Then| {
            let is_offered = model.offers.contains_key(offer);
            is_offered && !model.allows(asked.caller.as_str(), &asked.demands, node.as_str(), offer)
        };
        tally.contested += u64::from(self.states.lock().unwrap().values().any(|one| forbids(one)));
    }

    /// Bytes travel to the first node of the eligible set and to no other, and whoever withdraws them has not said by which
    /// decision: there has to be a state, between the one before the request and the one when they were there, in which both
    /// oracles let the node have it for one of its offers.
    async fn check_bytes(&self, Delivery { node, seen, .. }: &Delivery, until: u64, tally: &mut Tally) {
        let newest = self.at(until).await;
        let asked = self.asked.lock().unwrap();
        let is_it = |one: &&Asked| seen.path == one.method.path() && one.body.starts_with(&seen.body);
        let candidates: Vec<_> = asked.values().filter(is_it).collect();
        let allowed = candidates.iter().any(|one| {
            let states: Vec<_> =
                self.states.lock().unwrap().range(one.since..=until).map(|(_, then)| then.clone()).collect();
            let is_in = !self.was_out(one.caller.as_str(), seen.begun) && !self.was_out(node.as_str(), seen.begun);
            is_in && states.iter().any(|then| self.some_offer_allows(then, one, node))
        });
        if !allowed || seen.headers.keys().any(|name| !HEADERS.contains(&name.as_str())) {
            panic!(
                "LEAK: {} bytes went ahead to {node}, which no decision lets have them\n{candidates:?}\n{:?}",
                seen.body.len(),
                newest.model
            );
        }
        tally.withdrawn += 1;
    }

    /// Whether an offer of `node` may have the request.
    fn some_offer_allows(&self, then: &Then, asked: &Asked, node: &SpiffeId) -> bool {
        let own = then.model.offers.keys().filter(|offer| domain_of(offer) == node.trust_domain().as_str());
        own.into_iter().any(|offer| {
            then.model.allows(asked.caller.as_str(), &asked.demands, node.as_str(), offer)
                && self.engine_allows(then, asked, node, offer, SystemClock.now())
        })
    }

    fn engine_allows(&self, then: &Then, asked: &Asked, node: &SpiffeId, offer: &str, as_of: Timestamp) -> bool {
        let federation = then.snapshot.federation();
        let Some(state) = federation.node(node) else { return false };
        let Some(offer) = state.weighed.iter().find(|one| one.name().to_string() == offer) else { return false };
        let envelope = Envelope::try_from(asked.envelope.clone()).unwrap();
        let (caller, demanded) = decide::demanded(&then.snapshot, &asked.caller, &envelope.requirements).ok().unwrap();
        let operator = &federation.organisation(node.trust_domain()).unwrap().facts;
        let question = Question {
            caller,
            model: Some(&envelope.model),
            capability: asked.method.capability(),
            declared: &envelope.declared,
            requirements: &demanded.requirements,
            broker_places: Some(&self.places),
            used: Usage::none(),
            as_of,
        };
        let takes_part = |member| federation.standing(member) == Standing::Active;
        let verdict = evaluate(offer, operator, &question, &then.snapshot.tables());
        matches!(verdict, Verdict::Eligible { .. }) && takes_part(node) && takes_part(&asked.caller)
    }

    /// Whether a member, or its organisation, had been out for so long that nothing was on its way any more.
    fn was_out(&self, member: &str, at: Instant) -> bool {
        let of = |subject: &str| subject == member || subject == domain_of(member);
        let out = self.out.lock().unwrap();
        let covers =
            |since: Instant, until: Option<Instant>| at > since + ON_ITS_WAY && until.is_none_or(|until| at < until);
        out.iter().any(|(subject, since, until)| of(subject) && covers(*since, *until))
    }
}

/// The number at the end of a message, by which a request is known.
pub(super) fn marker(body: &[u8]) -> u64 {
    u64::from_be_bytes(body[body.len() - 8..].try_into().unwrap())
}
