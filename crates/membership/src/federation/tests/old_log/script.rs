//! How the old log was written: fixed keys, fixed times, every kind of statement at least once. What is added is added at
//! its end.

use std::time::Duration;

use super::super::*;
use comity_transparency::testing::TestKey;

use crate::signed::Genesis;

/// Between two entries.
const HOUR: Duration = Duration::from_secs(3600);
const APP: &str = "spiffe://org-a.example/app/assistant";
const GUEST: &str = "spiffe://org-a.example/app/guest";
/// Everybody who signs. Their keys are made of their names.
const HOLDERS: [&str; 14] =
    ["alice", "bob", "carol", "dave", A, B, "new", "newer", NODE, OTHER, STRANGER, APP, "invite 1", "invite 2"];

struct Script {
    test: TestFederation,
    entries: Vec<Vec<u8>>,
}

impl Script {
    fn take(&mut self, body: Body) {
        let entry = self.test.entry(body);
        self.test.apply(&entry).unwrap();
        self.entries.push(entry.to_json().unwrap());
        self.test.wait(HOUR);
    }

    fn say(&mut self, statement: Statement, signers: &[&str]) {
        let envelope = self.test.signed(statement, signers);
        self.take(Body::Signed(envelope));
    }

    fn admit(&mut self, domain: &str, holder: &str, member: &str) {
        let application = self.test.application_by(domain, holder, member);
        self.say(Statement::OrganisationAdmitted { application }, &BOTH);
    }

    fn invite(&mut self, member: &str, n: u8) {
        let statement = invites::invited(&mut self.test, member, n);
        self.say(statement, &[A]);
    }

    fn founded() -> Self {
        let keys = HOLDERS.map(|name| (name.to_owned(), TestKey::of_seed(&Digest::of(name.as_bytes()))));
        let test = TestFederation::founded_with(keys.into(), &["alice", "bob", "carol"], 2);
        let genesis: Genesis = test.genesis.clone().unwrap();
        let founding = Entry { epoch: 1, at: test.now.unwrap(), body: Body::Founded(genesis) };
        Self { test, entries: vec![founding.to_json().unwrap()] }
    }
}

/// The entries, as they stand in the log.
pub(super) fn script() -> Vec<Vec<u8>> {
    let mut script = Script::founded();
    members_come(&mut script);
    terms_and_claims(&mut script);
    suspensions(&mut script);
    keys_and_tables(&mut script);
    everybody_goes(&mut script);
    assert_eq!(script.test.keys.len(), HOLDERS.len(), "a key that is made by chance is another one next time");
    script.entries
}

fn members_come(script: &mut Script) {
    script.admit(A, A, NODE);
    script.admit(B, B, STRANGER);
    script.invite(OTHER, 1);
    let key = script.test.key(OTHER).public();
    let invite = Some(InviteId::from_bytes([1; 16]));
    let joined_by = Statement::MemberAdmitted { id: read(OTHER), key, tls_key: TlsKey::Admitted, invite };
    // Within the hour that the invite holds.
    script.test.now = Some(script.test.now.unwrap().minus(HOUR / 2));
    script.say(joined_by, &["invite 1", OTHER]);
    script.invite(GUEST, 1);
    script.say(Statement::InviteRevoked { organisation: read(A), invite: InviteId::from_bytes([1; 16]) }, &[A]);
    let key = script.test.key(APP).public();
    let app = Statement::MemberAdmitted { id: read(APP), key, tls_key: TlsKey::ByAuthority, invite: None };
    script.say(app, &[A, APP]);
}

fn terms_and_claims(script: &mut Script) {
    let offers = vec![terms::offer(STRANGER, "o1", 3), terms::offer(STRANGER, "o2", 2)];
    let published =
        Statement::OffersPublished { node: read(STRANGER), address: "node.org-b.example:7443".to_owned(), offers };
    script.say(published, &[STRANGER]);
    let read_terms = script.test.federation.terms_of(&read(B), 3);
    script.say(terms::accepted(A, B, 3, read_terms), &[A]);
    script.say(audits::recognised(B, &["operator.seat"]), &BOTH);
    script.say(audits::audited(B, audits::of_seat(A, "DE")), &[B]);
    script.say(audits::withdrawn(B, A), &[B]);
    script.say(audits::audited(B, audits::of_seat(A, "DE")), &[B]);
    // The audit of what is stated no longer ends by it.
    script.say(audits::updated(A, "FR"), &[A]);
    script.say(audits::audited(B, audits::of_seat(A, "FR")), &[B]);
}

fn suspensions(script: &mut Script) {
    let certificate = format!("{APP}#sha256={}", Digest::of(b"certificate"));
    script.say(suspended(NODE, By::Brake), &["alice"]);
    script.say(suspended(OTHER, By::Federation), &BOTH);
    script.say(suspended(&certificate, By::Organisation), &[A]);
    script.say(lifted(OTHER, By::Federation), &BOTH);
    script.test.wait(Duration::from_secs(72 * 3600));
    script.take(lapsed(NODE));
    script.say(suspended(B, By::Brake), &["bob"]);
    script.say(lifted(B, By::Brake), &["bob"]);
    script.say(suspended(APP, By::Federation), &BOTH);
}

fn keys_and_tables(script: &mut Script) {
    script.invite(GUEST, 2);
    let changed = keys(&mut script.test, A, &[A, "new"]);
    script.say(changed, &[A, "new"]);
    let anchors = vec!["anchor".to_owned(), "another".to_owned()];
    script.say(Statement::AnchorsChanged { organisation: read(A), anchors }, &["new"]);
    script.say(Statement::TablesAdopted { tables: tables::texts("") }, &BOTH);
    let [alice, bob, dave] = ["alice", "bob", "dave"].map(|name| (operator(name), script.test.key(name).public()));
    let operators = BTreeMap::from([alice, bob, dave]);
    script.say(
        Statement::RootChanged { operators, root_threshold: 3, membership_threshold: 2 },
        &["alice", "bob", "dave"],
    );
}

fn everybody_goes(script: &mut Script) {
    script.say(withdrawn(OTHER), &["new"]);
    script.say(Statement::TermsWithdrawn { organisation: read(A), of: read(B) }, &["new"]);
    script.say(audits::revoked(B), &["bob", "dave"]);
    script.say(left(B), &[B]);
    script.say(suspended(NODE, By::Brake), &["dave"]);
    // With what operators hold against it.
    script.say(evicted(A), &BOTH);
    script.admit(A, "newer", NODE);
}
