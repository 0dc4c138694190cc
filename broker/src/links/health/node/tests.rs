//! Nodes as the broker sees them, by events alone, and a model of some of them under load, whose time is the test's.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::Arc;

use comity_types::{DecisionId, Digest, OfferName};
use proptest::prelude::*;

use super::super::FULL_SHARE;
use super::super::ejection::{FIRST_EJECTION, MAX_EJECTION, SLOW_START};
use super::super::silence::LONGEST_SILENCE;
use super::*;
use crate::access::choose::{self, Draws};
use crate::access::decide::Candidate;
use crate::registry::memory::Listed;

const MS: fn(u64) -> Duration = Duration::from_millis;
const SECONDS: fn(u64) -> Duration = Duration::from_secs;

fn id() -> Name {
    "o1".parse().unwrap()
}

fn caller() -> TrustDomain {
    "caller.example".parse().unwrap()
}

fn readiness(node: &Node, now: Instant) -> Readiness {
    node.load(now, &id(), &caller()).readiness
}

/// A node that has got these events at one time.
fn told(events: &[Event]) -> (Node, Instant) {
    let (mut node, now) = (Node::default(), Instant::now());
    for event in events {
        let _ejected = node.step(now, &id(), *event);
    }
    (node, now)
}

#[test]
fn one_who_cannot_be_reached_is_behind_at_once_and_one_whose_answers_fail_after_some() {
    let failed = Event::Failed;
    assert_eq!(readiness(&told(&[failed(Failing::Connecting)]).0, Instant::now()), Readiness::Ejected);
    for failing in [Failing::Connection, Failing::Answer] {
        let (node, now) = told(&[failed(failing); 4]);
        assert_eq!(readiness(&node, now), Readiness::Ready);
        let (node, now) = told(&[failed(failing); 5]);
        assert_eq!(readiness(&node, now), Readiness::Ejected);
        let back = readiness(&node, now + FIRST_EJECTION);
        assert_eq!(back, Readiness::Returning { share: FULL_SHARE / 16 });
        assert_eq!(readiness(&node, now + FIRST_EJECTION + SLOW_START), Readiness::Ready);
    }
}

#[test]
fn what_an_offer_says_of_its_load_makes_it_dearer_and_never_cheaper_and_is_forgotten() {
    let answered = Event::Answered { after: MS(100) };
    let cost = |events: &[Event], later: Duration| {
        let (node, now) = told(events);
        node.load(now + later, &id(), &caller()).cost
    };
    let silent = cost(&[answered], MS(0));
    let reporting = |busy| cost(&[answered, Event::Reported { busy }], MS(0));
    assert_eq!([0, FULL_SHARE / 2, FULL_SHARE].map(reporting), [silent, silent / 2 * 5, silent * 4]);
    assert_eq!(reporting(u32::MAX), silent * 4, "no more than wholly busy");
    let later = REPORT_LIFE;
    assert_eq!(cost(&[answered, Event::Reported { busy: FULL_SHARE }], later), cost(&[answered], later));
}

#[test]
fn the_answers_of_one_offer_say_nothing_of_another_and_the_connection_says_it_of_all() {
    let other: Name = "o2".parse().unwrap();
    let of_other = |failing| {
        let (node, now) = told(&[Event::Failed(failing); 5]);
        node.load(now, &other, &caller()).readiness
    };
    assert_eq!(of_other(Failing::Answer), Readiness::Ready);
    assert_eq!(of_other(Failing::Connection), Readiness::Ejected);
}

#[test]
fn an_offer_rests_for_as_long_as_its_node_says_and_no_longer_than_is_bearable() {
    let (node, now) = told(&[Event::Resting { time: SECONDS(7) }]);
    assert_eq!([6, 7].map(|after| readiness(&node, now + SECONDS(after))), [Readiness::Busy, Readiness::Ready]);
    let (node, now) = told(&[Event::Resting { time: Duration::MAX }]);
    let [still, over] = [MAX_REST - MS(1), MAX_REST].map(|after| readiness(&node, now + after));
    assert_eq!((still, over), (Readiness::Busy, Readiness::Ready));
}

#[test]
fn a_node_whose_connection_was_lost_begins_slowly_when_it_answers_again() {
    let (mut node, now) = told(&[Event::Failed(Failing::Connection)]);
    let later = now + SECONDS(1);
    assert_eq!(node.step(later, &id(), Event::Well { begun: later }), None);
    assert!(matches!(readiness(&node, later), Readiness::Returning { .. }));
    assert_eq!(node.step(later + SLOW_START, &id(), Event::Well { begun: later }), None);
    assert_eq!(readiness(&node, later + SLOW_START), Readiness::Ready);
}

#[test]
fn what_is_offered_no_more_is_forgotten_when_it_has_ended() {
    let (mut node, now) = told(&[Event::Begun]);
    assert!(node.retain(|_| false), "it still runs");
    let _ejected = node.step(now, &id(), Event::Over);
    assert!(!node.retain(|_| false));
}

#[test]
fn waits_in_vain_put_one_offer_behind_for_whose_they_are_and_for_nobody_else() {
    let (mut node, now) = told(&[]);
    let [impatient, patient] = ["a.example", "b.example"].map(|domain| domain.parse::<TrustDomain>().unwrap());
    let ejected = (0..100).filter_map(|_| node.tell(now, &id(), &impatient, Event::Waited { in_vain: SECONDS(4) }));
    assert_eq!(ejected.map(|ejected| ejected.who).collect::<Vec<_>>(), [Who::OfferForOne]);
    let of = |offer: &Name, caller| node.load(now, offer, caller).readiness;
    assert_eq!([of(&id(), &impatient), of(&id(), &patient)], [Readiness::Ejected, Readiness::Ready]);
    assert_eq!(of(&"o2".parse().unwrap(), &impatient), Readiness::Ready);
    assert_eq!(node.ejected(now), [0, 0, 1]);
}

fn event() -> impl Strategy<Value = Event> {
    let failing = prop::sample::select(vec![Failing::Connecting, Failing::Connection, Failing::Answer]);
    let time = (0..100_000_u64).prop_map(MS);
    prop_oneof![
        Just(Event::Begun),
        Just(Event::Over),
        Just(Event::Declined),
        failing.prop_map(Event::Failed),
        time.clone().prop_map(|after| Event::Answered { after }),
        time.clone().prop_map(|in_vain| Event::Waited { in_vain }),
        time.prop_map(|time| Event::Resting { time }),
    ]
}

proptest! {
    /// Whatever happened to a node, it is asked like any other when it has been left alone for a while, with all room.
    #[test]
    fn nothing_is_held_against_a_node_for_ever(events in prop::collection::vec((event(), 0..5_000_u64), 0..100)) {
        let (mut node, mut now, mut in_flight) = (Node::default(), Instant::now(), 0_usize);
        for (event, passed) in events {
            now += MS(passed);
            if event == Event::Begun {
                in_flight += 1;
            } else if event == Event::Over {
                in_flight = in_flight.saturating_sub(1);
            }
            let _ejected = node.tell(now, &id(), &caller(), event);
            prop_assert_eq!(node.in_flight(), in_flight);
        }
        let load = node.load(now + LONGEST_SILENCE + MAX_EJECTION + SLOW_START + MAX_REST, &id(), &caller());
        prop_assert_eq!(load.readiness, Readiness::Ready);
    }
}

/// What a node of the model is like at an instant since the beginning: how long it takes, or that it is gone.
type Likeness = fn(Duration) -> Option<Duration>;

/// Nodes under a steady load, and what each got.
struct Model {
    start: Instant,
    now: Instant,
    nodes: Vec<(Node, Likeness)>,
    /// When which node answers a request that was sent then.
    answers: BinaryHeap<Reverse<(Instant, usize, Instant)>>,
    sent: Vec<Vec<Duration>>,
    decisions: u128,
}

impl Model {
    fn new(nodes: &[Likeness]) -> Self {
        let start = Instant::now();
        Self {
            start,
            now: start,
            nodes: nodes.iter().map(|likeness| (Node::default(), *likeness)).collect(),
            answers: BinaryHeap::new(),
            sent: vec![Vec::new(); nodes.len()],
            decisions: 0,
        }
    }

    /// So many requests, one each `gap`.
    fn run(mut self, requests: usize, gap: Duration) -> Self {
        for _ in 0..requests {
            self.now += gap;
            while let Some(Reverse((at, node, begun))) =
                self.answers.peek().copied().filter(|next| next.0.0 <= self.now)
            {
                self.answers.pop();
                for event in [Event::Answered { after: at - begun }, Event::Well { begun }, Event::Over] {
                    self.nodes[node].0.step(at, &id(), event);
                }
            }
            self.request();
        }
        self
    }

    fn request(&mut self) {
        let candidate = |(index, (node, _)): (usize, &(Node, Likeness))| Candidate {
            offer: Arc::new(Listed {
                name: format!("n{index}.example/n1/o1").parse().unwrap(),
                place: index,
                sha256: Digest::of(b"offer"),
                price: None,
            }),
            score: 0,
            load: node.load(self.now, &id(), &caller()),
            expires_at: None,
        };
        let mut candidates: Vec<_> = self.nodes.iter().enumerate().map(candidate).collect();
        // As random as an id is, and the same each time.
        self.decisions = self.decisions.wrapping_add(1).wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645);
        choose::order(&mut candidates, None, &mut Draws::of(DecisionId::from_bytes(self.decisions.to_be_bytes())));
        for candidate in candidates {
            let index = index(&candidate.offer.name);
            let (node, likeness) = &mut self.nodes[index];
            self.sent[index].push(self.now - self.start);
            node.step(self.now, &id(), Event::Begun);
            if let Some(after) = likeness(self.now - self.start) {
                self.answers.push(Reverse((self.now + after, index, self.now)));
                return;
            }
            node.step(self.now, &id(), Event::Failed(Failing::Connecting));
            node.step(self.now, &id(), Event::Over);
        }
    }

    /// How many requests each node got within these seconds.
    fn got(&self, seconds: Range<u64>) -> Vec<usize> {
        let within = |at: &&Duration| (SECONDS(seconds.start)..SECONDS(seconds.end)).contains(*at);
        self.sent.iter().map(|sent| sent.iter().filter(within).count()).collect()
    }
}

fn index(name: &OfferName) -> usize {
    name.node().trust_domain().as_str()[1..2].parse().unwrap()
}

#[test]
fn of_two_nodes_of_which_one_is_ten_times_as_slow_the_fast_one_gets_most() {
    let model = Model::new(&[|_| Some(MS(1_000)), |_| Some(MS(100))]).run(2_000, MS(50));
    let got = model.got(0..100);
    assert!(got[1] > 1_800 && got[0] > 0, "{got:?}");
}

#[test]
fn equal_nodes_get_equal_shares() {
    let likeness: Likeness = |_| Some(MS(200));
    let got = Model::new(&[likeness; 4]).run(4_000, MS(20)).got(0..80);
    assert!(got.iter().all(|one| (850..1_150).contains(one)), "{got:?}");
}

#[test]
fn the_share_of_a_node_that_becomes_slow_falls_and_comes_back_with_its_speed() {
    let hiccup: Likeness = |at| Some(if (SECONDS(40)..SECONDS(80)).contains(&at) { MS(2_000) } else { MS(100) });
    let model = Model::new(&[hiccup, |_| Some(MS(100))]).run(9_000, MS(20));
    let share = |seconds| {
        let got = model.got(seconds);
        got[0] as f64 / (got[0] + got[1]) as f64
    };
    let [before, meanwhile, after] = [10..40, 45..80, 150..180].map(share);
    assert!((0.4..0.6).contains(&before), "{before}");
    assert!(meanwhile < 0.2, "{meanwhile}");
    assert!((0.4..0.6).contains(&after), "{after}");
}

#[test]
fn a_node_that_comes_back_is_asked_little_by_little_and_one_that_is_gone_hardly_ever() {
    let gone: Likeness = |at| (at < SECONDS(10) || at >= SECONDS(100)).then_some(MS(100));
    let model = Model::new(&[gone, |_| Some(MS(100)), |_| Some(MS(100)), |_| Some(MS(100))]).run(25_000, MS(10));
    let gone = model.got(10..100)[0];
    assert!((1..10).contains(&gone), "{gone} requests of 9,000 were tried there in vain");
    // It is noticed within the longest ejection.
    let back = model.sent[0].iter().find(|at| **at >= SECONDS(100)).unwrap().as_secs();
    assert!(back <= 161, "{back}");
    let fair = 1_000 / 4;
    let [first, later, whole] =
        [back..back + 10, back + 15..back + 25, back + 35..back + 45].map(|at| model.got(at)[0]);
    assert!(first < fair / 2 && first < later && later < whole, "{first}, {later}, {whole}");
    assert!(whole > fair * 4 / 5, "{whole}");
}
