//! Each lie that a permit can tell is told, and refused by name.

use std::sync::Mutex;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use super::*;

#[derive(Debug)]
struct TestClock(Mutex<Timestamp>);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

struct Broker {
    key: Ed25519KeyPair,
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

fn wire(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.as_millis() / 1000, nanos: 0 }
}

fn broker() -> Broker {
    let key = Ed25519KeyPair::generate().unwrap();
    let clock = Arc::new(TestClock(Mutex::new(start())));
    let offers = HashMap::from([("org-a.example/n1/chat".parse().unwrap(), Digest::of(b"offer"))]);
    let node = "spiffe://org-a.example/node/n1".parse().unwrap();
    let guard = Guard::new(node, key.public_key().as_ref().to_vec(), offers, clock.clone());
    Broker { key, clock, guard }
}

fn grant() -> Grant {
    Grant {
        decision_id: b"0123456789abcdef".to_vec().into(),
        node: "spiffe://org-a.example/node/n1".into(),
        offer: "org-a.example/n1/chat".into(),
        offer_sha256: Digest::of(b"offer").as_bytes().to_vec().into(),
        caller: "spiffe://org-b.example/app/a1".into(),
        envelope_sha256: envelope().as_bytes().to_vec().into(),
        method: METHOD.into(),
        epoch: 7,
        issued_at: Some(wire(start())),
        expires_at: Some(wire(start().plus(Duration::from_secs(60)))),
        attempt: 1,
    }
}

impl Broker {
    fn sign(&self, grant: &Grant) -> Vec<u8> {
        let grant = grant.encode_to_vec();
        let signature = self.key.sign(&[SIGNED_PREFIX, &grant].concat()).as_ref().to_vec();
        Permit { grant: grant.into(), signature: signature.into() }.encode_to_vec()
    }

    fn present(&self, grant: &Grant) -> Result<VerifiedPermit, Lie> {
        self.guard.verify(Some(&self.sign(grant)), envelope(), METHOD)
    }

    fn lie(&self, change: impl FnOnce(&mut Grant)) -> Lie {
        let mut grant = grant();
        change(&mut grant);
        self.present(&grant).unwrap_err()
    }
}

#[test]
fn a_true_permit_is_verified_and_says_what_it_proves() {
    let permit = broker().present(&grant()).unwrap();
    assert_eq!(permit.offer().as_str(), "org-a.example/n1/chat");
    assert_eq!(permit.caller().as_str(), "spiffe://org-b.example/app/a1");
    assert_eq!(permit.epoch(), 7);
}

#[test]
fn without_a_permit_nothing_is_let_in() {
    let broker = broker();
    assert_eq!(broker.guard.verify(None, envelope(), METHOD).unwrap_err(), Lie::Missing);
    assert!(matches!(broker.guard.verify(Some(b"\xff"), envelope(), METHOD), Err(Lie::Malformed { .. })));
}

#[test]
fn a_signature_by_another_key_or_over_other_bytes_is_refused() {
    let (one, other) = (broker(), broker());
    assert_eq!(one.guard.verify(Some(&other.sign(&grant())), envelope(), METHOD).unwrap_err(), Lie::Signature);
    let mut permit = Permit::decode(one.sign(&grant()).as_slice()).unwrap();
    permit.grant = Grant { epoch: 8, ..grant() }.encode_to_vec().into();
    assert_eq!(one.guard.verify(Some(&permit.encode_to_vec()), envelope(), METHOD).unwrap_err(), Lie::Signature);
    let bare = grant().encode_to_vec();
    let signature = one.key.sign(&bare).as_ref().to_vec();
    let unprefixed = Permit { grant: bare.into(), signature: signature.into() }.encode_to_vec();
    assert_eq!(one.guard.verify(Some(&unprefixed), envelope(), METHOD).unwrap_err(), Lie::Signature);
}

#[test]
fn a_permit_for_something_else_is_refused() {
    let broker = broker();
    assert_eq!(broker.lie(|grant| grant.node = "spiffe://org-a.example/node/n2".into()), Lie::OtherNode);
    assert_eq!(broker.lie(|grant| grant.offer = "org-a.example/n1/embed".into()), Lie::UnknownOffer);
    assert_eq!(broker.lie(|grant| grant.offer_sha256 = Digest::of(b"x").as_bytes().to_vec().into()), Lie::OtherOffer);
    assert_eq!(broker.lie(|grant| grant.envelope_sha256 = vec![0; 32].into()), Lie::OtherEnvelope);
    assert_eq!(broker.lie(|grant| grant.method = "Embed".into()), Lie::OtherMethod);
    assert_eq!(broker.lie(|grant| grant.caller = "nobody".into()), Lie::Malformed { field: "caller" });
}

#[test]
fn a_permit_counts_only_while_it_is_in_force() {
    let broker = broker();
    assert_eq!(broker.lie(|grant| grant.expires_at = None), Lie::Malformed { field: "expires_at" });
    assert_eq!(broker.lie(|grant| grant.expires_at = Some(wire(start().plus(MAX_PERMIT_LIFE * 2)))), Lie::TooLong);
    *broker.clock.0.lock().unwrap() = start().plus(Duration::from_secs(65));
    assert_eq!(broker.lie(|_| ()), Lie::Stale);
    *broker.clock.0.lock().unwrap() = start().minus(Duration::from_secs(6));
    assert_eq!(broker.lie(|_| ()), Lie::Stale);
}

#[test]
fn each_try_is_let_in_once() {
    let broker = broker();
    broker.present(&grant()).unwrap();
    assert_eq!(broker.lie(|_| ()), Lie::Replayed);
    broker.present(&Grant { attempt: 2, ..grant() }).unwrap();
}

#[test]
fn a_try_is_remembered_for_as_long_as_its_permit_is_accepted_and_the_clocks_may_differ_that_much() {
    let broker = broker();
    broker.present(&grant()).unwrap();
    let last = Duration::from_secs(60) + CLOCK_TOLERANCE - Duration::from_millis(1);
    *broker.clock.0.lock().unwrap() = start().plus(last);
    assert_eq!(broker.lie(|_| ()), Lie::Replayed);
    broker.present(&Grant { attempt: 2, ..grant() }).unwrap();
    *broker.clock.0.lock().unwrap() = start().minus(CLOCK_TOLERANCE);
    broker.present(&Grant { attempt: 3, ..grant() }).unwrap();
}
