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

fn key(n: u8) -> PublicKey {
    PublicKey::from_ed25519(&[n; 32])
}

fn requested(n: u8, key: PublicKey) -> Event {
    Event::Requested { id: id(n), request: Request { key, application: None, at: now() } }
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

#[test]
fn an_invite_belongs_to_the_first_key_that_presents_it() {
    let enrolments = after([invited(1)]);
    let secret = Digest::of(b"secret");
    assert!(matches!(enrolments.claim(&id(1), &secret, &key(1).id(), now()), Ok(Claim::First(_))));
    let enrolments = after([invited(1), requested(1, key(1))]);
    assert!(matches!(enrolments.claim(&id(1), &secret, &key(1).id(), now()), Ok(Claim::Again(_))));
    let refused = enrolments.claim(&id(1), &secret, &key(2).id(), now()).unwrap_err();
    assert_eq!(refused, Refused::AnotherKey { bound: key(1).id().fingerprint() });
}

#[test]
fn the_same_key_may_ask_again_also_after_the_invite_has_ended_and_hears_why_it_was_turned_down() {
    let enrolments = after([invited(1), requested(1, key(1))]);
    let secret = Digest::of(b"secret");
    let Claim::Again(again) = enrolments.claim(&id(1), &secret, &key(1).id(), now()).unwrap() else {
        panic!("not bound")
    };
    assert_eq!(again.state.request().map(|request| &request.key), Some(&key(1)));
    let mut enrolments = enrolments;
    let later = now().plus(HOUR);
    assert!(matches!(enrolments.claim(&id(1), &secret, &key(1).id(), later), Ok(Claim::Again(_))));
    assert!(enrolments.invite_of(&id(1), &secret, later).is_ok());
    enrolments.apply(rejected(1)).unwrap();
    let Claim::Again(answered) = enrolments.claim(&id(1), &secret, &key(1).id(), later).unwrap() else {
        panic!("not bound")
    };
    assert!(matches!(&answered.state, State::Rejected { rejection, .. } if rejection.reason == "lost"));
    // Nobody else learns anything by it.
    let other = enrolments.claim(&id(1), &secret, &key(2).id(), later).unwrap_err();
    assert!(matches!(other, Refused::AnotherKey { .. }));
    let never = after([invited(2)]).claim(&id(2), &secret, &key(1).id(), later).map(drop);
    assert_eq!(never, Err(Refused::Expired { at: later }));
}

#[test]
fn what_an_invite_is_for_is_told_to_whoever_has_its_secret_while_it_holds() {
    let (enrolments, secret) = (after([invited(1)]), Digest::of(b"secret"));
    assert_eq!(enrolments.invite_of(&id(1), &secret, now()), Ok(&invite(1)));
    assert_eq!(enrolments.invite_of(&id(1), &Digest::of(b"guess"), now()), Err(Refused::Unknown));
    let ended = enrolments.invite_of(&id(1), &secret, now().plus(HOUR));
    assert_eq!(ended, Err(Refused::Expired { at: now().plus(HOUR) }));
}

#[test]
fn a_wrong_secret_and_an_unknown_id_look_alike() {
    let enrolments = after([invited(1)]);
    assert_eq!(enrolments.claim(&id(1), &Digest::of(b"guess"), &key(1).id(), now()), Err(Refused::Unknown));
    assert_eq!(enrolments.claim(&id(9), &Digest::of(b"secret"), &key(1).id(), now()), Err(Refused::Unknown));
}

#[test]
fn an_enrolment_is_asked_for_once_and_answered_once() {
    let mut waiting = after([invited(1), requested(1, key(1))]);
    assert!(matches!(waiting.apply(requested(1, key(2))), Err(Refused::WrongState { state: "waiting", .. })));
    waiting.apply(rejected(1)).unwrap();
    for event in [requested(1, key(1)), rejected(1)] {
        assert!(matches!(waiting.apply(event), Err(Refused::WrongState { state: "rejected", .. })));
    }
    assert!(matches!(waiting.apply(rejected(9)), Err(Refused::NoEnrolment { .. })));
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
fn one_operators_invites_leave_room_for_those_of_others() {
    let mut enrolments = Enrolments::default();
    for n in 0..u32::try_from(MAX_LIVE_OF_ONE).unwrap() {
        assert_eq!(enrolments.check_share(&operator(), now()), Ok(()));
        let (id, member) =
            (InviteId::from_bytes(u128::from(n).to_be_bytes()), format!("spiffe://org-a.example/node/n{n}"));
        let invite = Invite { id, member: member.parse().unwrap(), ..invite(1) };
        enrolments.apply(Event::Invited { invite, at: now() }).unwrap();
    }
    let full = enrolments.check_share(&operator(), now());
    assert_eq!(full, Err(Refused::TooManyOfOne { operator: operator() }));
    let other = "spiffe://fed.example/operator/o2".parse().unwrap();
    assert_eq!(enrolments.check_share(&other, now()), Ok(()));
    assert_eq!(enrolments.check_share(&operator(), now().plus(HOUR)), Ok(()), "those that have ended are none");
}

#[test]
fn a_no_is_kept_with_its_first_reason_and_ends_nothing_by_itself() {
    let no = |reason: &str| Event::Refused { id: id(1), by: operator(), reason: reason.into(), at: now() };
    let mut enrolments = after([invited(1)]);
    assert!(matches!(enrolments.apply(no("early")), Err(Refused::WrongState { state: "open", .. })));
    for event in [requested(1, key(1)), no("a shell company"), no("another reason")] {
        enrolments.apply(event).unwrap();
    }
    let waiting = enrolments.find(&id(1)).unwrap();
    assert_eq!(waiting.refused_by, BTreeMap::from([(operator(), "a shell company".to_owned())]));
    assert!(matches!(waiting.state, State::Requested(_)));
    enrolments.apply(rejected(1)).unwrap();
    assert!(matches!(enrolments.apply(no("late")), Err(Refused::WrongState { state: "rejected", .. })));
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
        rejected(3),
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
    let claim = enrolments.claim(&id(1), &Digest::of(b"secret"), &key(1).id(), now()).unwrap();
    let Claim::Again(revoked) = claim else { panic!("it can be taken up") };
    let rejection = Rejection { by: operator(), reason: "lost".into(), at: now() };
    assert_eq!(revoked.state, State::Rejected { request: None, rejection });
    for event in [requested(1, key(1)), rejected(1)] {
        assert!(matches!(enrolments.apply(event), Err(Refused::WrongState { state: "rejected", .. })));
    }
    enrolments.apply(Event::Invited { invite: Invite { id: id(2), ..invite(1) }, at: now() }).unwrap();
}

#[test]
fn other_keys_are_kept_each_once_up_to_their_number_and_only_of_an_invite_that_belongs_to_one() {
    let came = |number: u8, at: Timestamp| Event::Contested { id: id(1), key: key(number).id(), at };
    let mut enrolments = after([invited(1)]);
    assert!(matches!(enrolments.apply(came(2, now())), Err(Refused::WrongState { state: "open", .. })));
    enrolments.apply(requested(1, key(1))).unwrap();
    assert!(matches!(enrolments.apply(came(1, now())), Err(Refused::WrongState { state: "waiting", .. })), "its own");
    for at in [now(), now().plus(HOUR)] {
        enrolments.apply(came(2, at)).unwrap();
    }
    assert_eq!(enrolments.find(&id(1)).unwrap().other_keys, BTreeMap::from([(key(2).id(), now())]));
    let is_news = |enrolments: &Enrolments, number| enrolments.find(&id(1)).unwrap().is_news(&key(number).id());
    assert!(!is_news(&enrolments, 2) && is_news(&enrolments, 3));
    for number in 3..20 {
        enrolments.apply(came(number, now())).unwrap();
    }
    assert_eq!(enrolments.find(&id(1)).unwrap().other_keys.len(), MAX_OTHER_KEYS);
    assert!(!is_news(&enrolments, 20));
}

#[test]
fn what_was_turned_down_is_shown_for_a_month() {
    let enrolments = after([invited(1), requested(1, key(1)), rejected(1), invited(2)]);
    let shown = |now| enrolments.rejected(now).iter().map(|one| one.invite.id.clone()).collect::<Vec<_>>();
    assert_eq!(shown(now()), [id(1)]);
    assert!(shown(now().plus(REJECTED_SHOWN)).is_empty());
}

#[test]
fn ids_outside_the_grammar_are_refused() {
    assert_eq!(id(0x0a).to_string(), "0a".repeat(16));
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
