//! Each lie that a permit can tell is told, and refused by name.

use std::sync::Mutex;

use comity_transparency::leaf::Kind;
use comity_witness::{Silence, Silent};
use tempfile::TempDir;
use tokio::sync::watch;

use super::*;
use crate::testing::{Decided, Permits};

#[derive(Debug)]
struct TestClock(Mutex<Timestamp>);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

struct Broker {
    permits: Permits,
    clock: Arc<TestClock>,
    guard: Guard,
    dir: TempDir,
}

const METHOD: &str = "Chat";

fn envelope() -> Digest {
    Digest::of(b"envelope")
}

fn start() -> Timestamp {
    "2026-11-22T09:00:00Z".parse().unwrap()
}

fn broker() -> Broker {
    let permits = Permits::new();
    let clock = Arc::new(TestClock(Mutex::new(start())));
    let offers = HashMap::from([("org-a.example/n1/chat".parse().unwrap(), Digest::of(b"offer"))]);
    let node = "spiffe://org-a.example/node/n1".parse().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let history = permits.history(dir.path().join("evidence"), None);
    let guard = Guard::new(node, (permits.log(), history), offers, seen(&dir), clock.clone());
    Broker { permits, clock, guard, dir }
}

/// What was let in, as the next run of a node finds it.
fn seen(dir: &TempDir) -> Seen {
    Seen::open(dir.path(), start()).unwrap()
}

fn decided() -> Decided {
    Decided::at(start())
}

impl Broker {
    fn present(&self, permit: &Permit) -> Result<VerifiedPermit, Lie> {
        self.guard.verify(Some(&permit.encode_to_vec()), envelope(), METHOD)
    }

    /// Everything that permits came with so far turns out to be published.
    fn publishes(&self) {
        self.guard.history().held(self.guard.history().waiting());
    }

    fn decides(&self, change: impl FnOnce(&mut Decided)) -> Result<VerifiedPermit, Lie> {
        let mut decided = decided();
        change(&mut decided);
        self.present(&self.permits.permit(&decided))
    }

    fn lie(&self, change: impl FnOnce(&mut Decided)) -> Lie {
        self.decides(change).unwrap_err()
    }

    /// What a permit says that is changed after it was made.
    fn tampered(&self, change: impl FnOnce(&mut Permit)) -> Lie {
        let mut permit = self.permits.permit(&decided());
        change(&mut permit);
        self.present(&permit).unwrap_err()
    }
}

#[test]
fn a_true_permit_is_verified_and_says_what_it_proves() {
    let permit = broker().decides(|_| ()).unwrap();
    assert_eq!(permit.offer().as_str(), "org-a.example/n1/chat");
    assert_eq!(permit.caller().as_str(), "spiffe://org-b.example/app/a1");
    assert_eq!((permit.epoch(), permit.index(), permit.attempt()), (7, 2, 1));
}

#[test]
fn without_a_permit_nothing_is_let_in() {
    let broker = broker();
    assert_eq!(broker.guard.verify(None, envelope(), METHOD).unwrap_err(), Lie::Missing);
    assert!(matches!(broker.guard.verify(Some(b"\xff"), envelope(), METHOD), Err(Lie::Malformed { .. })));
    assert_eq!(broker.tampered(|permit| permit.decision = None), Lie::Malformed { field: "decision" });
}

#[test]
fn a_checkpoint_that_the_log_did_not_sign_is_refused() {
    let (one, other) = (broker(), broker());
    let permit = other.permits.permit(&decided());
    assert_eq!(one.present(&permit).unwrap_err(), Lie::Checkpoint);
    assert_eq!(one.tampered(|permit| permit.checkpoint = permit.checkpoint.replace("\n5\n", "\n6\n")), Lie::Checkpoint);
    assert_eq!(one.tampered(|permit| permit.checkpoint.clear()), Lie::Checkpoint);
    // The same key under another log's name.
    let elsewhere = Permits::of_log("fed.example/membership").permit(&decided());
    assert_eq!(one.present(&elsewhere).unwrap_err(), Lie::Checkpoint);
}

#[test]
fn a_decision_that_is_not_in_the_log_is_refused() {
    let broker = broker();
    let path = |permit: &mut Permit| permit.decision.as_mut().unwrap().path = vec![0; 96].into();
    assert_eq!(broker.tampered(path), Lie::NotInLog);
    assert_eq!(broker.tampered(|permit| permit.decision.as_mut().unwrap().index = 3), Lie::NotInLog);
    // Another request's decision in this one's place, and this one's under another's proof.
    let other = broker.permits.permit(&Decided { id: 8, ..decided() });
    let swapped = |permit: &mut Permit| permit.decision.clone_from(&other.decision);
    assert_eq!(broker.tampered(swapped), Lie::NotInLog);
    let leaf = |permit: &mut Permit| permit.decision.as_mut().unwrap().leaf = other.decision.clone().unwrap().leaf;
    assert_eq!(broker.tampered(leaf), Lie::NotInLog);
    // An outcome's leaf is no decision's.
    assert_eq!(broker.lie(|decided| decided.kind = Kind::Outcome { decision: 0 }), Lie::NotInLog);
}

#[test]
fn two_histories_convict_the_log_for_good_by_its_own_signatures() {
    let Broker { permits, clock, guard, dir } = broker();
    let evidence = dir.path().join("evidence");
    let present = |guard: &Guard, permit: &Permit| guard.verify(Some(&permit.encode_to_vec()), envelope(), METHOD);
    present(&guard, &permits.permit(&decided())).unwrap();
    permits.fork();
    let other = permits.permit(&Decided { id: 8, ..decided() });
    assert_eq!(present(&guard, &other).unwrap_err(), Lie::Contradicted);
    // What fits counts no more either: nobody knows which of the two histories others were shown.
    let fits = permits.permit(&Decided { id: 9, ..decided() });
    assert_eq!(present(&guard, &fits).unwrap_err(), Lie::Contradicted);
    let kept: comity_transparency::witness::Evidence = std::fs::read_to_string(&evidence).unwrap().parse().unwrap();
    let key = permits.log().key.vkey().parse().unwrap();
    assert_eq!(kept.check(&[key]), Ok(comity_transparency::witness::Finding::Fork));
    let node = "spiffe://org-a.example/node/n1".parse().unwrap();
    let offers = HashMap::from([("org-a.example/n1/chat".parse().unwrap(), Digest::of(b"offer"))]);
    let restarted = |permits: &Permits| {
        let history = permits.history(evidence.clone(), None);
        Guard::new(SpiffeId::clone(&node), (permits.log(), history), offers.clone(), seen(&dir), clock.clone())
    };
    assert_eq!(present(&restarted(&permits), &fits).unwrap_err(), Lie::Contradicted);
}

#[test]
fn evidence_that_cannot_be_read_stops_the_node_and_so_does_what_is_none_against_its_log() {
    let Broker { permits, guard, dir, .. } = broker();
    guard.verify(Some(&permits.permit(&decided()).encode_to_vec()), envelope(), METHOD).unwrap();
    permits.fork();
    let other = permits.permit(&Decided { id: 8, ..decided() });
    assert_eq!(guard.verify(Some(&other.encode_to_vec()), envelope(), METHOD).unwrap_err(), Lie::Contradicted);
    let path = dir.path().join("evidence");
    let kept = std::fs::read(&path).unwrap();
    let opened = |permits: &Permits| {
        let key = permits.log().key.vkey().parse().unwrap();
        LogHistory::new(&permits.log().origin, &[key], path.clone(), None).map(|history| history.is_convicted())
    };
    assert!(opened(&permits).unwrap());
    // Another log's word, and this one's, cut anywhere or with another byte in it.
    assert!(matches!(opened(&Permits::new()), Err(EvidenceFault::Damaged { .. })));
    for length in 0..kept.len() {
        std::fs::write(&path, &kept[..length]).unwrap();
        assert!(matches!(opened(&permits), Err(EvidenceFault::Damaged { .. }) | Ok(true)), "{length} bytes of it");
    }
    std::fs::write(&path, &kept[..kept.len() - 2]).unwrap();
    let error = opened(&permits).unwrap_err();
    assert!(error.to_string().contains("is not what this node kept against the decision log"), "{error}");
    for place in 0..kept.len() {
        let mut changed = kept.clone();
        changed[place] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        assert!(!matches!(opened(&permits), Ok(false)), "byte {place}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(!opened(&permits).unwrap());
    std::fs::create_dir(&path).unwrap();
    assert!(matches!(opened(&permits), Err(EvidenceFault::File { .. })));
}

#[test]
fn what_convicts_the_log_counts_where_it_cannot_be_kept_and_is_kept_when_it_can() {
    let Broker { permits, clock, dir, .. } = broker();
    let missing = dir.path().join("missing");
    let history = permits.history(missing.join("evidence"), None);
    let offers = HashMap::from([("org-a.example/n1/chat".parse().unwrap(), Digest::of(b"offer"))]);
    let node = "spiffe://org-a.example/node/n1".parse().unwrap();
    let guard = Guard::new(node, (permits.log(), history), offers, seen(&dir), clock);
    let present = |id| {
        let permit = permits.permit(&Decided { id, ..decided() });
        guard.verify(Some(&permit.encode_to_vec()), envelope(), METHOD)
    };
    present(7).unwrap();
    permits.fork();
    for id in 8..10 {
        assert_eq!(present(id).unwrap_err(), Lie::Contradicted);
        assert!(!guard.history().is_kept());
    }
    std::fs::create_dir(&missing).unwrap();
    assert!(guard.history().is_kept());
    assert!(permits.history(missing.join("evidence"), None).is_convicted());
}

#[test]
fn what_the_nodes_witness_has_caught_or_may_have_runs_no_more() {
    let Broker { permits, clock, dir, .. } = broker();
    let silent = |origin: &str, why| vec![Silent { origin: origin.to_owned(), why }];
    let (catch, caught) = watch::channel(silent("fed.example/decisions/other", Silence::Evidence));
    let history = permits.history(dir.path().join("evidence"), Some(caught));
    let offers = HashMap::from([("org-a.example/n1/chat".parse().unwrap(), Digest::of(b"offer"))]);
    let node = "spiffe://org-a.example/node/n1".parse().unwrap();
    let guard = Guard::new(node, (permits.log(), history), offers, seen(&dir), clock);
    let present = |permit: &Permit| guard.verify(Some(&permit.encode_to_vec()), envelope(), METHOD);
    present(&permits.permit(&decided())).unwrap();
    let own = permits.log().origin;
    catch.send_replace(silent(&own, Silence::Memory));
    present(&permits.permit(&Decided { id: 9, ..decided() })).unwrap();
    catch.send_replace(silent(&own, Silence::Evidence));
    assert_eq!(present(&permits.permit(&Decided { id: 8, ..decided() })).unwrap_err(), Lie::EvidenceUnread);
    catch.send_replace(silent(&own, Silence::Contradicted));
    assert_eq!(present(&permits.permit(&Decided { id: 8, ..decided() })).unwrap_err(), Lie::Contradicted);
}

#[test]
fn what_waits_to_be_published_for_too_long_stops_the_node_until_it_is() {
    let broker = broker();
    broker.decides(|_| ()).unwrap();
    let history = broker.guard.history().clone();
    let first = history.waiting();
    assert_eq!(first.len(), 1);
    *broker.clock.0.lock().unwrap() = start().plus(PUBLISHED_WITHIN);
    broker.decides(|decided| decided.id = 8).unwrap();
    *broker.clock.0.lock().unwrap() = start().plus(PUBLISHED_WITHIN + Duration::from_millis(1));
    assert_eq!(broker.lie(|decided| decided.id = 9), Lie::Unpublished);
    // The first turns out to be published: the second came later.
    history.held(first);
    broker.decides(|decided| decided.id = 9).unwrap();
    *broker.clock.0.lock().unwrap() = start().plus(PUBLISHED_WITHIN * 2 + Duration::from_millis(1));
    assert_eq!(
        broker.lie(|decided| (decided.id, decided.at) = (10, start().plus(PUBLISHED_WITHIN * 2))),
        Lie::Unpublished
    );
}

#[test]
fn what_is_shown_has_to_be_what_the_leaf_commits_to() {
    let broker = broker();
    let told = |permit: &mut Permit| {
        permit.decision.as_mut().unwrap().record[0].value = b"spiffe://org-c.example/app/a1".to_vec().into();
    };
    assert_eq!(broker.tampered(told), Lie::NotInLog);
    let hidden = |permit: &mut Permit| permit.decision.as_mut().unwrap().record.clear();
    assert_eq!(broker.tampered(hidden), Lie::Malformed { field: "method" });
}

#[test]
fn a_permit_for_something_else_is_refused() {
    let broker = broker();
    assert_eq!(broker.lie(|decided| decided.offer = "org-a.example/n2/chat".into()), Lie::OtherNode);
    assert_eq!(broker.lie(|decided| decided.offer = "org-a.example/n1/embed".into()), Lie::UnknownOffer);
    assert_eq!(broker.lie(|decided| decided.offer = "nothing".into()), Lie::Malformed { field: "candidate" });
    assert_eq!(broker.lie(|decided| decided.offer_sha256 = Digest::of(b"x")), Lie::OtherOffer);
    assert_eq!(broker.lie(|decided| decided.envelope = Digest::of(b"x")), Lie::OtherEnvelope);
    assert_eq!(broker.lie(|decided| decided.method = "Embed".into()), Lie::OtherMethod);
    assert_eq!(broker.lie(|decided| decided.caller = "nobody".into()), Lie::Malformed { field: "caller" });
}

#[test]
fn a_candidate_may_say_what_budgets_reserve_for_it_and_nothing_that_is_not_known() {
    let broker = broker();
    let price = serde_json::json!({
        "currency": "EUR",
        "input_micros_per_million_tokens": 1,
        "output_micros_per_million_tokens": 2,
    });
    let free = serde_json::json!({ "input_tokens": 300 });
    let priced = serde_json::json!({ "input_tokens": 300, "price": price });
    let bounded = serde_json::json!({ "input_tokens": 300, "output_tokens": 32, "price": price });
    for (id, reserved) in [(7, priced), (8, free.clone()), (9, bounded)] {
        broker.decides(|decided| (decided.id, decided.besides) = (id, Some(("reserved", reserved.clone())))).unwrap();
    }
    let malformed = Lie::Malformed { field: "candidate" };
    assert_eq!(broker.lie(|decided| decided.besides = Some(("prompt", free.clone()))), malformed);
    let more = serde_json::json!({ "input_tokens": 300, "prompt": "" });
    assert_eq!(broker.lie(|decided| decided.besides = Some(("reserved", more.clone()))), malformed);
}

#[test]
fn a_permit_counts_only_while_it_is_in_force() {
    let broker = broker();
    assert_eq!(broker.lie(|decided| decided.life = MAX_PERMIT_LIFE * 2), Lie::TooLong);
    broker.publishes();
    *broker.clock.0.lock().unwrap() = start().plus(Duration::from_secs(65));
    assert_eq!(broker.lie(|_| ()), Lie::Stale);
    broker.publishes();
    *broker.clock.0.lock().unwrap() = start().minus(Duration::from_secs(6));
    assert_eq!(broker.lie(|_| ()), Lie::Stale);
}

#[test]
fn each_try_is_let_in_once_and_there_are_three() {
    let broker = broker();
    broker.decides(|_| ()).unwrap();
    assert_eq!(broker.lie(|_| ()), Lie::Replayed);
    for attempt in 2..=MAX_TRIES {
        broker.decides(|decided| decided.attempt = attempt).unwrap();
    }
    for attempt in [0, MAX_TRIES + 1, u32::MAX] {
        assert_eq!(broker.lie(|decided| decided.attempt = attempt), Lie::Malformed { field: "attempt" });
    }
}

impl Guard {
    /// From now on nothing can be written down.
    pub(crate) fn fill_disk(&self) {
        self.seen.fill_disk();
    }
}

/// Three tries are for what fails: one answer is all that a logged decision comes to at one node.
#[test]
fn of_a_decision_that_was_answered_no_other_try_is_let_in_as_long_as_any_permit_of_it_counts() {
    let broker = broker();
    let permit = broker.decides(|_| ()).unwrap();
    // One that failed, or is not over.
    broker.decides(|decided| decided.attempt = 2).unwrap();
    broker.guard.answered(&permit).unwrap();
    assert_eq!(broker.lie(|decided| decided.attempt = 3), Lie::Answered);
    assert_eq!((Lie::Answered.reason(), Lie::Answered.code()), ("PERMIT_REPLAYED", Code::PermissionDenied));
    broker.decides(|decided| decided.id = 8).unwrap();
    // The longest that a permit of this decision may count, for whichever candidate of this node.
    let last = MAX_PERMIT_LIFE + CLOCK_TOLERANCE - Duration::from_millis(1);
    broker.publishes();
    *broker.clock.0.lock().unwrap() = start().plus(last);
    let longest = broker.lie(|decided| (decided.attempt, decided.life) = (3, MAX_PERMIT_LIFE));
    assert_eq!(longest, Lie::Answered);
}

#[test]
fn a_try_is_remembered_for_as_long_as_its_permit_is_accepted_and_the_clocks_may_differ_that_much() {
    let broker = broker();
    broker.decides(|_| ()).unwrap();
    broker.publishes();
    let last = Duration::from_secs(60) + CLOCK_TOLERANCE - Duration::from_millis(1);
    *broker.clock.0.lock().unwrap() = start().plus(last);
    assert_eq!(broker.lie(|_| ()), Lie::Replayed);
    broker.decides(|decided| decided.attempt = 2).unwrap();
    *broker.clock.0.lock().unwrap() = start().minus(CLOCK_TOLERANCE);
    broker.decides(|decided| decided.attempt = 3).unwrap();
}

#[test]
fn a_node_that_starts_again_runs_nothing_again_and_takes_what_it_has_not_run() {
    let mut broker = broker();
    broker.decides(|_| ()).unwrap();
    let node = "spiffe://org-a.example/node/n1".parse().unwrap();
    let offers = HashMap::from([("org-a.example/n1/chat".parse().unwrap(), Digest::of(b"offer"))]);
    let history = broker.permits.history(broker.dir.path().join("evidence"), None);
    // Killed, and back in a second: what runs now is another process of the same machine.
    *broker.clock.0.lock().unwrap() = start().plus(Duration::from_secs(1));
    broker.guard = Guard::new(node, (broker.permits.log(), history), offers, seen(&broker.dir), broker.clock.clone());
    assert_eq!(broker.lie(|_| ()), Lie::Replayed);
    // The broker's next try of the same decision, one that it issued while the node was down, and one of just now.
    broker.decides(|decided| decided.attempt = 2).unwrap();
    broker.decides(|decided| decided.id = 8).unwrap();
    broker.decides(|decided| (decided.id, decided.at) = (9, start().plus(Duration::from_secs(1)))).unwrap();
}
