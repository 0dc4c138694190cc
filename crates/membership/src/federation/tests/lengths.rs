//! No statement is longer than its kind has to be: everybody keeps it for ever.

use comity_transparency::Signer;

use std::time::Duration;

use super::*;
use crate::InviteId;
use crate::signed::{Body, STATEMENT_TYPE};

/// The statement, signed with so much white space that its payload has `bytes`.
fn padded(test: &mut TestFederation, statement: Statement, signers: &[&str], bytes: usize) -> Envelope {
    let mut payload = test.signed(statement, &[]).payload;
    assert!(payload.len() <= bytes, "a statement of this kind has {} bytes", payload.len());
    payload.resize(bytes, b' ');
    let mut envelope = Envelope::new(STATEMENT_TYPE, payload);
    signers.iter().for_each(|signer| envelope.sign(test.key(signer) as &dyn Signer).unwrap());
    envelope
}

#[test]
fn what_is_short_by_nature_is_refused_where_it_is_padded_whoever_signs() {
    let mut test = with_both();
    let invite = |test: &mut TestFederation| Statement::MemberInvited {
        member: read(OTHER),
        invite: InviteId::from_bytes([9; 16]),
        key: test.key("invite").public(),
        expires_at: test.now.unwrap().plus(Duration::from_secs(60)),
    };
    let cases = [
        (suspended(NODE, By::Organisation), vec![A]),
        (suspended(NODE, By::Brake), vec!["alice"]),
        (lifted(NODE, By::Organisation), vec![A]),
        (evicted(B), BOTH.to_vec()),
        (withdrawn(NODE), vec![A]),
        (left(B), vec![B]),
        (invite(&mut test), vec![A]),
        (joined(&mut test, OTHER), vec![A, OTHER]),
    ];
    for (statement, signers) in cases {
        let (kind, found, most) = (statement.kind(), MAX_STATEMENT_BYTES + 1, MAX_STATEMENT_BYTES);
        let envelope = padded(&mut test, statement, &signers, found);
        assert_eq!(test.enter(Body::Signed(envelope)), Err(Refused::TooLong { kind, found, most }));
    }
    let longest = padded(&mut test, suspended(NODE, By::Organisation), &[A], MAX_STATEMENT_BYTES);
    test.enter(Body::Signed(longest)).unwrap();
}

#[test]
fn the_most_terms_that_can_be_accepted_fit() {
    let mut test = with_both();
    let terms = (0..MAX_TERMS).map(|index| Digest::of(&index.to_be_bytes())).collect();
    let accepted = Statement::TermsAccepted { organisation: read(A), of: read(B), version: 1, terms };
    assert!(matches!(test.say(accepted.clone(), &[A]), Err(Refused::Terms { .. })), "it is not its length");
    let (found, most) = (MAX_ACCEPTANCE_BYTES + 1, MAX_ACCEPTANCE_BYTES);
    let envelope = padded(&mut test, accepted, &[A], found);
    let refused = Refused::TooLong { kind: "terms_accepted", found, most };
    assert_eq!(test.enter(Body::Signed(envelope)), Err(refused));
}
