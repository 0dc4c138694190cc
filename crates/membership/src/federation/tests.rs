//! The promises of the fold, each in a federation of three operators, any two of whom are the threshold.
//!
//! That a refused entry changes nothing is held by [`TestFederation::apply`] at every refusal in here.

mod agreement;
mod audits;
mod brake;
mod certificates;
mod departures;
mod equivocation;
mod founding;
mod invites;
mod lengths;
mod members;
mod model;
mod offers;
mod old_log;
mod organisations;
mod place;
mod root;
mod round_trips;
mod suspensions;
mod tables;
mod terms;
mod threshold;

use std::collections::BTreeMap;

use super::*;
use crate::statement::By;
use crate::testing::{TestFederation, operator, read};

const A: &str = "org-a.example";
const B: &str = "org-b.example";
const NODE: &str = "spiffe://org-a.example/node/n1";
const OTHER: &str = "spiffe://org-a.example/node/n2";
const STRANGER: &str = "spiffe://org-b.example/node/n1";
const BOTH: [&str; 2] = ["alice", "bob"];

/// Three operators, and nobody else.
fn three() -> TestFederation {
    TestFederation::founded(&["alice", "bob", "carol"], 2)
}

/// With one organisation and its node.
fn with_a() -> TestFederation {
    let mut test = three();
    test.admit(A, NODE, &BOTH).unwrap();
    test
}

/// With two organisations and the node of each.
fn with_both() -> TestFederation {
    let mut test = with_a();
    test.admit(B, STRANGER, &BOTH).unwrap();
    test
}

fn suspended(subject: &str, by: By) -> Statement {
    Statement::Suspended { subject: read(subject), reason: "a reason".into(), by }
}

fn lifted(subject: &str, by: By) -> Statement {
    Statement::Lifted { subject: read(subject), by }
}

fn lapsed(subject: &str) -> Body {
    Body::Lapsed { subject: read(subject) }
}

fn evicted(domain: &str) -> Statement {
    Statement::Evicted { organisation: read(domain), reason: "a reason".into() }
}

fn left(domain: &str) -> Statement {
    Statement::OrganisationWithdrawn { organisation: read(domain), reason: String::new() }
}

fn withdrawn(id: &str) -> Statement {
    Statement::MemberWithdrawn { id: read(id), reason: String::new() }
}

/// That a member comes by its own key.
fn joined(test: &mut TestFederation, id: &str) -> Statement {
    let key = test.key(id).public();
    Statement::MemberAdmitted { id: read(id), key, tls_key: TlsKey::Admitted, invite: None }
}

/// That an organisation signs with the keys of these holders.
fn keys(test: &mut TestFederation, domain: &str, holders: &[&str]) -> Statement {
    let keys = holders.iter().map(|holder| test.key(holder).public()).collect();
    Statement::KeysChanged { organisation: read(domain), keys }
}

/// The federation's operators, as the subject of a suspension has them.
fn operator_text(name: &str) -> String {
    operator(name).to_string()
}

impl TestFederation {
    fn standing(&self, id: &str) -> Standing {
        self.federation.standing(&read(id))
    }

    fn is_active(&self, id: &str) -> bool {
        self.standing(id) == Standing::Active
    }

    fn keys_of(&self, domain: &str) -> Vec<PublicKey> {
        self.federation.organisation(&read(domain)).unwrap().keys.clone()
    }
}

/// So many operators have signed of the two that have to.
fn too_few(have: usize) -> Result<(), Refused> {
    Err(Refused::TooFew { who: "operators", have, needed: 2 })
}

/// Somebody has signed who has no say.
fn has_no_say(taken: &Result<(), Refused>) -> bool {
    matches!(taken, Err(Refused::Signatures(EnvelopeError::Stranger(_))))
}
