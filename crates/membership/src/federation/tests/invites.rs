//! Invites of an organisation to become its member.

use std::time::Duration;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn id(n: u8) -> InviteId {
    InviteId::from_bytes([n; 16])
}

/// An invite for `member` that the holder `invite <n>` has the key of, for an hour.
pub(super) fn invited(test: &mut TestFederation, member: &str, n: u8) -> Statement {
    let key = test.key(&format!("invite {n}")).public();
    let expires_at = test.now.unwrap().plus(HOUR);
    Statement::MemberInvited { member: read(member), invite: id(n), key, expires_at }
}

#[test]
fn a_change_of_keys_ends_what_the_old_key_has_invited_to() {
    let mut test = with_both();
    let invite = invited(&mut test, OTHER, 1);
    test.say(invite, &[A]).unwrap();
    let changed = keys(&mut test, A, &["new"]);
    test.say(changed, &[A, "new"]).unwrap();
    assert_eq!(test.federation.invites().count(), 0);
    let late = taken_up(&mut test, OTHER, 1);
    assert!(test.say(late, &["invite 1", OTHER]).is_err());
}

/// That `member` comes by invite `n`.
fn taken_up(test: &mut TestFederation, member: &str, n: u8) -> Statement {
    let key = test.key(member).public();
    Statement::MemberAdmitted { id: read(member), key, tls_key: TlsKey::Admitted, invite: Some(id(n)) }
}

fn revoked(domain: &str, n: u8) -> Statement {
    Statement::InviteRevoked { organisation: read(domain), invite: id(n) }
}

/// With an open invite for a second node.
fn with_invite() -> TestFederation {
    let mut test = with_both();
    let invite = invited(&mut test, OTHER, 1);
    test.say(invite, &[A]).unwrap();
    test
}

#[test]
fn an_invite_and_the_members_own_key_let_it_in_once() {
    let mut test = with_invite();
    let statement = taken_up(&mut test, OTHER, 1);
    assert!(matches!(test.say(statement.clone(), &[OTHER]), Err(Refused::TooFew { who: "the invite's key", .. })));
    let alone = test.say(statement.clone(), &["invite 1"]);
    assert!(matches!(alone, Err(Refused::TooFew { who: "the member's own key", .. })));
    assert!(has_no_say(&test.say(statement.clone(), &[OTHER, A])));
    assert!(has_no_say(&test.say(statement.clone(), &[OTHER, "invite 1", "eve"])));
    test.say(statement.clone(), &[OTHER, "invite 1"]).unwrap();
    assert!(test.is_active(OTHER));
    assert_eq!(test.federation.invites().count(), 0);
    test.say(withdrawn(OTHER), &[A]).unwrap();
    assert_eq!(test.say(statement, &[OTHER, "invite 1"]), Err(Refused::NoInvite(id(1))));
}

#[test]
fn an_invite_is_for_one_member_alone() {
    let mut test = with_invite();
    let third = "spiffe://org-a.example/node/n3";
    for member in [third, "spiffe://org-b.example/node/n2"] {
        let statement = taken_up(&mut test, member, 1);
        assert_eq!(test.say(statement, &[member, "invite 1"]), Err(Refused::NoInvite(id(1))));
    }
}

#[test]
fn an_invite_ends_by_the_time_of_the_entry() {
    let mut test = with_invite();
    let statement = taken_up(&mut test, OTHER, 1);
    test.wait(HOUR);
    let at = test.now.unwrap();
    assert_eq!(test.say(statement.clone(), &[OTHER, "invite 1"]), Err(Refused::InviteExpired { invite: id(1), at }));
    test.now = Some(at.minus(Duration::from_secs(1)));
    assert_eq!(test.say(statement, &[OTHER, "invite 1"]), Ok(()));
}

#[test]
fn an_invite_that_has_ended_is_in_nobodys_way_and_none_begins_so() {
    let mut test = with_invite();
    let again = invited(&mut test, OTHER, 2);
    assert_eq!(test.say(again, &[A]), Err(Refused::AlreadyInvited(read(OTHER))));
    test.wait(HOUR);
    let again = invited(&mut test, OTHER, 1);
    assert_eq!(test.say(again, &[A]), Ok(()), "not even its id");
    let at = test.now.unwrap();
    let ended = Statement::MemberInvited {
        member: read("spiffe://org-a.example/node/n3"),
        invite: id(3),
        key: test.key("invite 3").public(),
        expires_at: at,
    };
    assert_eq!(test.say(ended, &[A]), Err(Refused::InviteExpired { invite: id(3), at }));
}

#[test]
fn a_revoked_invite_lets_nobody_in_and_only_its_organisation_revokes_it() {
    let mut test = with_invite();
    assert_eq!(test.say(revoked(B, 1), &[B]), Err(Refused::NoInvite(id(1))));
    assert!(has_no_say(&test.say(revoked(A, 1), &[B])));
    test.say(revoked(A, 1), &[A]).unwrap();
    let statement = taken_up(&mut test, OTHER, 1);
    assert_eq!(test.say(statement, &[OTHER, "invite 1"]), Err(Refused::NoInvite(id(1))));
    assert_eq!(test.say(revoked(A, 1), &[A]), Err(Refused::NoInvite(id(1))));
}

#[test]
fn an_open_id_is_not_taken_by_another_organisation() {
    let mut test = with_invite();
    let theirs = invited(&mut test, "spiffe://org-b.example/node/n2", 1);
    assert_eq!(test.say(theirs, &[B]), Err(Refused::InviteTaken(id(1))));
}

#[test]
fn whoever_came_in_otherwise_leaves_no_invite_open() {
    let mut test = with_invite();
    let statement = joined(&mut test, OTHER);
    test.say(statement, &[A, OTHER]).unwrap();
    assert_eq!(test.federation.invites().count(), 0);
    let again = invited(&mut test, OTHER, 2);
    assert_eq!(test.say(again, &[A]), Err(Refused::AlreadyAMember(read(OTHER))));
}

#[test]
fn an_organisation_has_a_bounded_number_of_open_invites_and_takes_no_room_of_others() {
    let mut test = with_both();
    let key = test.key("invite").public();
    let expires_at = test.now.unwrap().plus(HOUR);
    let mut invite = |n: usize, domain: &str, expires_at| {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        let member = read(&format!("spiffe://{domain}/node/m{n}"));
        let invite = InviteId::from_bytes(bytes);
        test.say(Statement::MemberInvited { member, invite, key: key.clone(), expires_at }, &[domain])
    };
    for n in 0..MAX_OPEN_INVITES {
        invite(n, A, expires_at).unwrap();
    }
    assert_eq!(invite(MAX_OPEN_INVITES, A, expires_at), Err(Refused::TooManyInvites(read(A))));
    assert_eq!(invite(MAX_OPEN_INVITES, B, expires_at), Ok(()));
    test.wait(HOUR);
    let again = invited(&mut test, OTHER, 1);
    assert_eq!(test.say(again, &[A]), Ok(()));
    assert_eq!(test.federation.invites().count(), 1);
}
