//! Two different statements at one position are proven by the log and the second of them, to whoever has the genesis.

use super::*;
use comity_transparency::{Checkpoint, NoteKey, NoteVerifier, Tree};

use crate::Genesis;
use crate::equivocation::{Checked, Equivocation, Evidence, NotServed, Shown, Unproven};
use crate::log::origin;

/// A federation, and its log as it is stored.
struct Logged {
    test: TestFederation,
    entries: Vec<Vec<u8>>,
}

impl Logged {
    fn founded() -> Self {
        let test = three();
        let genesis = test.genesis.clone().unwrap();
        let founded = Entry { epoch: 1, at: test.now.unwrap(), body: Body::Founded(genesis) };
        let mut logged = Self { entries: vec![founded.to_json().unwrap()], test };
        let application = logged.test.application(A, NODE);
        logged.say(Statement::OrganisationAdmitted { application }, &BOTH);
        logged
    }

    fn say(&mut self, statement: Statement, signers: &[&str]) -> Envelope {
        let envelope = self.test.signed(statement, signers);
        let entry = self.test.entry(Body::Signed(envelope.clone()));
        self.test.apply(&entry).unwrap();
        self.entries.push(entry.to_json().unwrap());
        envelope
    }

    fn prove(&self, second: &Envelope) -> Result<Equivocation, Unproven> {
        let genesis = self.test.genesis.as_ref().unwrap();
        let [known, stranger] =
            [Checked::Before, Checked::Now].map(|how| Equivocation::prove(genesis, &self.entries, second, how));
        assert_eq!(format!("{known:?}"), format!("{stranger:?}"));
        stranger
    }

    fn key(&mut self, holder: &str) -> KeyId {
        self.test.key(holder).public().id()
    }
}

#[test]
fn two_statements_that_were_signed_at_one_position_are_proven_with_their_digests_and_who_signed() {
    let mut log = Logged::founded();
    let first = log.say(suspended(A, By::Federation), &BOTH);
    let second = log.test.signed_at(2, evicted(A), &["bob", "carol"]);
    // However much was said since, by whom it may be.
    log.say(lifted(A, By::Federation), &BOTH);
    log.say(suspended(NODE, By::Organisation), &[A]);
    let proven = log.prove(&second).unwrap();
    assert_eq!((&proven.scope, proven.version, proven.epoch), (&Scope::Governance(read(A)), 2, 3));
    assert_eq!((proven.first.sha256, proven.second.sha256), (first.payload_digest(), second.payload_digest()));
    assert_eq!(proven.signed_both(), BTreeSet::from([log.key("bob")]));
    let said = proven.to_string();
    for part in [first.payload_digest().to_string(), second.payload_digest().to_string()] {
        assert!(said.contains(&part), "{said}");
    }
    for operator in ["alice", "bob", "carol"] {
        assert!(said.contains(&operator_text(operator)), "{said}");
    }
    assert!(said.starts_with("equivocation: "), "{said}");
}

#[test]
fn who_signed_is_judged_by_the_keys_of_the_time_at_which_the_first_one_got_its_place() {
    let mut log = Logged::founded();
    log.say(suspended(NODE, By::Organisation), &[A]);
    let second = log.test.signed_at(1, lifted(OTHER, By::Organisation), &[A]);
    let own = |log: &mut Logged, signer| log.test.signed_at(1, lifted(OTHER, By::Organisation), &[signer]);
    let change = keys(&mut log.test, A, &["new"]);
    log.say(change, &[A, "new"]);
    let proven = log.prove(&second).unwrap();
    assert_eq!(proven.signed_both(), BTreeSet::from([log.key(A)]));
    assert_eq!(proven.second.signers[0].1.as_deref(), Some(A));
    let late = own(&mut log, "new");
    assert!(matches!(log.prove(&late), Err(Unproven::Unsigned(_))), "this key came later");
}

#[test]
fn what_too_few_signed_or_nobody_or_what_says_the_same_is_no_equivocation() {
    let mut log = Logged::founded();
    let first = log.say(suspended(A, By::Federation), &BOTH);
    let alone = log.test.signed_at(2, evicted(A), &["bob"]);
    assert!(matches!(log.prove(&alone), Err(Unproven::Unsigned(_))));
    let mut forged = log.test.signed_at(2, evicted(A), &BOTH);
    forged.payload = log.test.signed_at(2, lifted(A, By::Federation), &BOTH).payload;
    assert!(matches!(log.prove(&forged), Err(Unproven::Unsigned(_))));
    assert!(matches!(log.prove(&first), Err(Unproven::Same)));
    log.test.wait(std::time::Duration::from_secs(1));
    let again = log.test.signed_at(2, suspended(A, By::Federation), &BOTH);
    assert_ne!(again.payload_digest(), first.payload_digest());
    assert!(matches!(log.prove(&again), Err(Unproven::Same)), "whoever lost the answer signs again");
    let next = log.test.signed_at(3, evicted(A), &BOTH);
    assert!(matches!(log.prove(&next), Err(Unproven::Free { version: 3, .. })));
    let elsewhere =
        Payload { federation: Digest::of(b"other"), version: 2, at: log.test.now.unwrap(), statement: evicted(A) };
    let elsewhere = crate::sign(&elsewhere, &[&log.test.keys["alice"], &log.test.keys["bob"]]).unwrap();
    assert!(matches!(log.prove(&elsewhere), Err(Unproven::OtherFederation)));
}

#[test]
fn evidence_is_checked_by_whoever_has_the_genesis_alone_and_not_believed_where_anything_in_it_is_changed() {
    let mut log = Logged::founded();
    log.say(suspended(A, By::Federation), &BOTH);
    let second = log.test.signed_at(2, evicted(A), &BOTH);
    log.say(lifted(A, By::Federation), &BOTH);
    let genesis = log.test.genesis.clone().unwrap();
    let (proven, evidence) = Evidence::of(&genesis, &log.entries, &second, Checked::Before).unwrap();
    assert_eq!(evidence.entries.len(), 3, "no more of the log than it takes");
    let evidence: Evidence = serde_json::from_str(&serde_json::to_string(&evidence).unwrap()).unwrap();
    assert_eq!(evidence.check(&genesis).unwrap(), proven);
    let mut torn = evidence.clone();
    torn.entries.remove(1);
    assert!(matches!(torn.check(&genesis), Err(Unproven::Log(_))));
    let mut other = genesis;
    other.root_sha256 = Digest::of(b"other");
    assert!(evidence.check(&other).is_err());
}

fn verifier(key: &NoteKey) -> NoteVerifier {
    NoteVerifier::new(key.name().to_owned(), key.public().unwrap())
}

/// What a broker shows that takes both in, and signs it: the evidence, the log's key, and the genesis.
fn shown() -> (Evidence, NoteKey, Genesis) {
    let mut log = Logged::founded();
    log.say(suspended(A, By::Federation), &BOTH);
    let second = log.test.signed_at(2, evicted(A), &BOTH);
    log.say(lifted(A, By::Federation), &BOTH);
    let genesis = log.test.genesis.clone().unwrap();
    let (_, evidence) = Evidence::of(&genesis, &log.entries, &second, Checked::Before).unwrap();
    let entry = log.test.entry(Body::Signed(second)).to_json().unwrap();
    let key = NoteKey::generate(origin(&genesis.federation)).unwrap();
    let signed = |entries: &[Vec<u8>]| {
        let mut tree = Tree::default();
        entries.iter().for_each(|entry| tree.push(entry));
        Checkpoint::of(&origin(&genesis.federation), &tree).sign(&key).unwrap()
    };
    let before = Some(signed(&log.entries));
    log.entries.push(entry);
    let after = signed(&log.entries);
    let text = |entry: &Vec<u8>| String::from_utf8(entry.clone()).unwrap();
    let entries = log.entries[evidence.entries.len()..].iter().map(text).collect();
    let evidence = evidence.with(Shown { entries, before, after }, &genesis, &verifier(&key));
    (evidence, key, genesis)
}

#[test]
fn a_broker_that_signed_a_log_with_both_is_convicted_by_its_own_checkpoints() {
    let (evidence, key, genesis) = shown();
    let read: Evidence = serde_json::from_str(&serde_json::to_string(&evidence).unwrap()).unwrap();
    assert_eq!(read.check(&genesis).unwrap().epoch, 3, "the signers are convicted as before");
    let signed = read.convicts_log(&genesis, &verifier(&key)).unwrap().unwrap();
    assert_eq!((signed.second, signed.before.unwrap().size, signed.after.size), (5, 4, 5));
    let other = NoteKey::generate(origin(&genesis.federation)).unwrap();
    assert!(read.convicts_log(&genesis, &verifier(&other)).is_err(), "by another key");
}

#[test]
fn evidence_of_before_convicts_the_signers_and_no_broker() {
    let (evidence, key, genesis) = shown();
    let old = Evidence::new(evidence.entries.clone(), evidence.second);
    let json = serde_json::to_value(&old).unwrap();
    assert_eq!(json.as_object().unwrap().keys().collect::<Vec<_>>(), ["entries", "second"], "as it was written before");
    assert!(old.check(&genesis).is_ok());
    assert_eq!(old.convicts_log(&genesis, &verifier(&key)).unwrap(), None);
}

#[test]
fn checkpoints_of_another_log_convict_nobody_and_are_not_kept() {
    let (evidence, key, genesis) = shown();
    let verifier = verifier(&key);
    let whole = serde_json::to_value(&evidence).unwrap();
    let changed = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut json = whole.clone();
        change(&mut json);
        serde_json::from_value::<Evidence>(json).unwrap()
    };
    // The longer for the shorter, an entry less, and no second statement.
    let swapped = changed(&|json| json["shown"]["before"] = json["shown"]["after"].clone());
    assert!(matches!(swapped.convicts_log(&genesis, &verifier), Err(NotServed::OtherPast)));
    let shorter = changed(&|json| drop(json["shown"]["entries"].as_array_mut().unwrap().remove(0)));
    assert!(matches!(shorter.convicts_log(&genesis, &verifier), Err(NotServed::OtherLog { .. })));
    let without = changed(&|json| drop(json["shown"]["entries"].as_array_mut().unwrap().pop()));
    assert!(matches!(without.convicts_log(&genesis, &verifier), Err(NotServed::NotThere)));
    let of_later = changed(&|json| json["version"] = 3.into());
    assert!(matches!(of_later.check(&genesis), Err(Unproven::OtherForm { version: 3 })));
    let bare = Evidence::new(evidence.entries.clone(), evidence.second);
    let lie = Shown { entries: vec![], before: None, after: "none".into() };
    assert_eq!(bare.clone().with(lie, &genesis, &verifier), bare);
}
