use super::{All, Read, Reading, Seats};
use crate::{Claim, Organisation};

fn organisation(text: &str) -> Organisation {
    toml::from_str(&format!("trust_domain = 'op.example'\nname = 'OP'\n{text}")).unwrap()
}

/// Whether two organisations are the same to whoever reads so much of a claim.
fn are_same<R: Reading>(claim: impl Fn(&Organisation) -> Option<&Claim<R::Of>>, texts: [&str; 2]) -> bool {
    let [one, other] = texts.map(organisation);
    Read::<R>::of(claim(&one).unwrap()) == Read::<R>::of(claim(&other).unwrap())
}

#[test]
fn claims_that_say_the_same_for_all_time_are_the_same_and_others_only_where_all_of_them_is() {
    let same = |texts| are_same::<All<_>>(|of| of.seat.as_ref(), texts);
    let (for_ever, audited) = ("seat = 'FR'", "seat = { value = 'FR', assurance = 'audited', issuer = 'a' }");
    assert!(same([for_ever, audited]));
    assert!(!same([for_ever, "seat = 'DE'"]));
    let for_a_time = "seat = { value = 'FR', until = 2031-01-01 }";
    assert!(same([for_a_time, for_a_time]));
    assert!(!same([for_a_time, for_ever]));
    assert!(!same([for_a_time, "seat = { value = 'DE', until = 2031-01-01 }"]));
}

#[test]
fn of_controllers_the_seats_are_read_and_no_names() {
    let of = |name: &str, seat: &str| format!("ultimate_controllers = [{{ name = '{name}', seat = '{seat}' }}]");
    let same = |one: &str, other: &str| are_same::<Seats>(|of| of.ultimate_controllers.as_ref(), [one, other]);
    assert!(same(&of("A", "FR"), &of("B", "FR")));
    assert!(!same(&of("A", "FR"), &of("A", "DE")));
}
