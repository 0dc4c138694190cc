use std::time::Duration;

use super::store::{Store, StoreError};
use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn id(n: u8) -> InviteId {
    InviteId::from_bytes([n; 16])
}

fn invite(n: u8) -> Invite {
    Invite {
        id: id(n),
        secret_sha256: Digest::of(b"secret"),
        member: format!("spiffe://org-a.example/node/n{n}").parse().unwrap(),
        by: operator(),
        expires_at: now().plus(HOUR),
    }
}

fn operator() -> SpiffeId {
    "spiffe://fed.example/operator/o1".parse().unwrap()
}

fn key(n: u8) -> Digest {
    Digest::of(&[n])
}

fn requested(n: u8, key: Digest) -> Event {
    Event::Requested {
        id: id(n),
        request: Request { key_sha256: key, organisation: None, layers: Box::default(), at: now() },
    }
}

fn certificate() -> Certificate {
    Certificate { chain: vec!["AAAA".into()], not_after: now().plus(HOUR) }
}

fn after(events: impl IntoIterator<Item = Event>) -> Enrolments {
    let mut enrolments = Enrolments::default();
    for event in events {
        enrolments.apply(event).unwrap();
    }
    enrolments
}

fn invited(n: u8) -> Event {
    Event::Invited { invite: invite(n), at: now() }
}

fn approved(n: u8) -> Event {
    Event::Approved { id: id(n), by: operator(), at: now() }
}

#[test]
fn an_invite_belongs_to_the_first_key_that_presents_it() {
    let enrolments = after([invited(1)]);
    let secret = Digest::of(b"secret");
    assert!(matches!(enrolments.claim(&id(1), &secret, &key(1), now()), Ok(Claim::First(_))));
    let enrolments = after([invited(1), requested(1, key(1))]);
    assert!(matches!(enrolments.claim(&id(1), &secret, &key(1), now()), Ok(Claim::Again(_))));
    let refused = enrolments.claim(&id(1), &secret, &key(2), now()).unwrap_err();
    assert_eq!(refused, Refused::AnotherKey { bound: key(1).fingerprint() });
}

#[test]
fn the_same_key_gets_the_same_certificate_until_the_invite_ends() {
    let issued = Event::Issued { id: id(1), certificate: certificate() };
    let enrolments = after([invited(1), requested(1, key(1)), approved(1), issued]);
    let secret = Digest::of(b"secret");
    let Claim::Again(again) = enrolments.claim(&id(1), &secret, &key(1), now()).unwrap() else { panic!("not bound") };
    assert!(matches!(&again.state, State::Issued { certificate: again, .. } if *again == certificate()));
    let refused = enrolments.claim(&id(1), &secret, &key(1), now().plus(HOUR)).unwrap_err();
    assert_eq!(refused, Refused::Expired { at: now().plus(HOUR) });
}

#[test]
fn what_was_approved_is_issued_although_the_invite_has_ended() {
    let secret = Digest::of(b"secret");
    let late = now().plus(HOUR);
    let approved = after([invited(1), requested(1, key(1)), approved(1)]);
    assert!(matches!(approved.claim(&id(1), &secret, &key(1), late), Ok(Claim::Again(_))));
    let waiting = after([invited(1), requested(1, key(1))]);
    assert!(matches!(waiting.claim(&id(1), &secret, &key(1), late), Err(Refused::Expired { .. })));
}

#[test]
fn a_wrong_secret_and_an_unknown_id_look_alike() {
    let enrolments = after([invited(1)]);
    assert_eq!(enrolments.claim(&id(1), &Digest::of(b"guess"), &key(1), now()), Err(Refused::Unknown));
    assert_eq!(enrolments.claim(&id(9), &Digest::of(b"secret"), &key(1), now()), Err(Refused::Unknown));
}

#[test]
fn nothing_is_issued_before_it_is_approved_and_nothing_after_it_is_rejected() {
    let issued = Event::Issued { id: id(1), certificate: certificate() };
    let rejected = Event::Rejected { id: id(1), by: operator(), reason: "unknown to us".into(), at: now() };
    let mut waiting = after([invited(1), requested(1, key(1))]);
    assert!(matches!(waiting.apply(issued.clone()), Err(Refused::WrongState { state: "waiting", .. })));
    waiting.apply(rejected).unwrap();
    assert!(matches!(waiting.apply(approved(1)), Err(Refused::WrongState { state: "rejected", .. })));
    assert!(matches!(waiting.apply(issued), Err(Refused::WrongState { .. })));
}

#[test]
fn a_name_is_invited_once_while_its_invite_holds() {
    let mut enrolments = after([invited(1)]);
    let second = Invite { id: id(2), ..invite(1) };
    let refused = enrolments.apply(Event::Invited { invite: second.clone(), at: now() }).unwrap_err();
    assert!(matches!(&refused, Refused::AlreadyInvited { id: open, .. } if *open == id(1)));
    assert!(refused.to_string().contains(&format!("comity reject {} --reason", id(1))), "{refused}");
    enrolments.apply(Event::Invited { invite: second, at: now().plus(HOUR) }).unwrap();
}

fn rejected(n: u8) -> Event {
    Event::Rejected { id: id(n), by: operator(), reason: "lost".into(), at: now() }
}

#[test]
fn those_that_wait_are_listed_before_those_that_are_open_and_no_others() {
    let enrolments = after([
        invited(1),
        invited(2),
        invited(3),
        invited(4),
        requested(2, key(2)),
        requested(3, key(3)),
        approved(3),
        rejected(4),
    ]);
    let listed =
        |now| enrolments.unanswered(now).iter().map(|enrolment| enrolment.invite.id.clone()).collect::<Vec<_>>();
    assert_eq!(listed(now()), [id(2), id(1)]);
    assert_eq!(listed(now().plus(HOUR)), [id(2)], "an invite that has ended is open no more");
}

#[test]
fn an_open_invite_can_be_revoked_and_whoever_presents_it_then_sees_that() {
    let mut enrolments = after([invited(1), rejected(1)]);
    let claim = enrolments.claim(&id(1), &Digest::of(b"secret"), &key(1), now()).unwrap();
    let Claim::Again(revoked) = claim else { panic!("it can be taken up") };
    assert_eq!(revoked.state, State::Rejected { request: None, reason: "lost".into() });
    for event in [requested(1, key(1)), approved(1), rejected(1)] {
        assert!(matches!(enrolments.apply(event), Err(Refused::WrongState { state: "rejected", .. })));
    }
    enrolments.apply(Event::Invited { invite: Invite { id: id(2), ..invite(1) }, at: now() }).unwrap();
}

#[test]
fn ids_outside_the_grammar_are_refused() {
    assert_eq!(id(0x0a).as_str(), "0a".repeat(16));
    for text in ["", "0a", &"0A".repeat(16), &"zz".repeat(16), &"0a".repeat(17)] {
        assert!(text.parse::<InviteId>().is_err(), "{text} was accepted");
    }
}

#[tokio::test]
async fn enrolments_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("enrolments.journal");
    let store = Store::open(&path).unwrap();
    store.append(invited(1)).await.unwrap();
    store.append(requested(1, key(1))).await.unwrap();
    assert!(matches!(store.append(requested(1, key(2))).await, Err(StoreError::Refused(_))));
    let before = store.current();
    drop(store);
    assert_eq!(*Store::open(&path).unwrap().current(), *before);
}
