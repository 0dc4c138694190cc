//! Each lie that a permit can tell is told, and refused by name.

use std::sync::Mutex;

use comity_transparency::leaf::{Epoch, Kind};

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
    let guard = Guard::new(node, permits.log(), offers, clock.clone());
    Broker { permits, clock, guard }
}

fn decided() -> Decided {
    Decided {
        kind: Kind::Decision,
        id: 7,
        at: start(),
        epoch: Epoch { size: 7, root: Digest::of(b"epoch") },
        caller: "spiffe://org-b.example/app/a1".into(),
        method: METHOD.into(),
        envelope: envelope(),
        offer: "org-a.example/n1/chat".into(),
        offer_sha256: Digest::of(b"offer"),
        life: Duration::from_secs(60),
        attempt: 1,
    }
}

impl Broker {
    fn present(&self, permit: &Permit) -> Result<VerifiedPermit, Lie> {
        self.guard.verify(Some(&permit.encode_to_vec()), envelope(), METHOD)
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
    let Broker { permits, clock, guard } = broker();
    let dir = tempfile::tempdir().unwrap();
    let evidence = dir.path().join("evidence");
    let guard = guard.with_history(evidence.clone(), None);
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
    let restarted = |log| {
        Guard::new(SpiffeId::clone(&node), log, offers.clone(), clock.clone()).with_history(evidence.clone(), None)
    };
    assert_eq!(present(&restarted(permits.log()), &fits).unwrap_err(), Lie::Contradicted);
    // Evidence against one log says nothing of another.
    let another = Permits::new();
    present(&restarted(another.log()), &another.permit(&decided())).unwrap();
}

#[test]
fn what_the_nodes_witness_has_caught_runs_no_more() {
    let Broker { permits, guard, .. } = broker();
    let dir = tempfile::tempdir().unwrap();
    let (catch, caught) = watch::channel(vec!["fed.example/decisions/other".to_owned()]);
    let guard = guard.with_history(dir.path().join("evidence"), Some(caught));
    let present = |permit: &Permit| guard.verify(Some(&permit.encode_to_vec()), envelope(), METHOD);
    present(&permits.permit(&decided())).unwrap();
    catch.send_replace(vec![permits.log().origin]);
    assert_eq!(present(&permits.permit(&Decided { id: 8, ..decided() })).unwrap_err(), Lie::Contradicted);
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
fn a_permit_counts_only_while_it_is_in_force() {
    let broker = broker();
    assert_eq!(broker.lie(|decided| decided.life = MAX_PERMIT_LIFE * 2), Lie::TooLong);
    *broker.clock.0.lock().unwrap() = start().plus(Duration::from_secs(65));
    assert_eq!(broker.lie(|_| ()), Lie::Stale);
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

#[test]
fn a_try_is_remembered_for_as_long_as_its_permit_is_accepted_and_the_clocks_may_differ_that_much() {
    let broker = broker();
    broker.decides(|_| ()).unwrap();
    let last = Duration::from_secs(60) + CLOCK_TOLERANCE - Duration::from_millis(1);
    *broker.clock.0.lock().unwrap() = start().plus(last);
    assert_eq!(broker.lie(|_| ()), Lie::Replayed);
    broker.decides(|decided| decided.attempt = 2).unwrap();
    *broker.clock.0.lock().unwrap() = start().minus(CLOCK_TOLERANCE);
    broker.decides(|decided| decided.attempt = 3).unwrap();
}
