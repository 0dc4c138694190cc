//! A log that has two statements at one position, as whoever keeps a copy of it meets it.

use std::sync::Arc;

use comity_membership::testing::{TestFederation, read};
use comity_membership::{Body, By, Entry, Genesis, Log, Statement};
use comity_runtime::chain;
use comity_runtime::clock::SystemClock;
use comity_transparency::{Checkpoint, NoteKey, NoteVerifier};

use super::super::Behind;
use super::*;

const ORG: &str = "org-a.example";

/// A federation with an organisation that operators have suspended, and its log as it was read.
struct Read {
    test: TestFederation,
    followed: Followed,
    lines: Vec<Vec<u8>>,
    key: NoteKey,
}

impl Read {
    fn new() -> Self {
        let test = TestFederation::founded(&["alice"], 1);
        let genesis: Genesis = test.genesis.clone().unwrap();
        let origin = "fed.example/membership".to_owned();
        let signer = NoteKey::generate(origin.clone()).unwrap();
        let key = NoteVerifier::new(origin, signer.public().unwrap());
        let log = Log::new(genesis.clone());
        let followed = Followed { clock: Arc::new(SystemClock), log, key, checkpoint: None, roots: Vec::new() };
        let founded = Entry { epoch: 1, at: test.now.unwrap(), body: Body::Founded(genesis) };
        let mut read = Self { followed, lines: Vec::new(), test, key: signer };
        read.takes(&founded);
        let application = read.test.application(ORG, "spiffe://org-a.example/node/n1");
        read.says(Statement::OrganisationAdmitted { application });
        read.says(suspended("a reason"));
        read
    }

    fn says(&mut self, statement: Statement) {
        let envelope = self.test.signed(statement, &["alice"]);
        let entry = self.test.entry(Body::Signed(envelope));
        self.test.apply(&entry).unwrap();
        self.takes(&entry);
    }

    fn takes(&mut self, entry: &Entry) {
        let line = entry.to_json().unwrap();
        self.followed.take_next(&line).unwrap();
        self.lines.push(line);
    }

    /// What stops a reader of this log: one more entry with a second statement at the position of the last, by this signer.
    fn stopped_by(&mut self, signer: &str) -> Stopped {
        let second = self.test.signed_at(2, suspended("another reason"), &[signer]);
        let entry = self.test.entry(Body::Signed(second)).to_json().unwrap();
        let error = self.followed.take_next(&entry).unwrap_err();
        assert!(matches!(error, FollowError::NotTaken(_)), "{error:?}");
        Stopped { error, note: None, entry: Some(entry), behind: None }
    }

    /// The broker's checkpoint over the log so far, and these entries.
    fn checkpoint(&self, more: &[Vec<u8>]) -> String {
        let mut tree = comity_transparency::Tree::default();
        self.lines.iter().chain(more).for_each(|line| tree.push(line));
        Checkpoint::of(self.key.name(), &tree).sign(&self.key).unwrap()
    }

    /// The same, where the first line is in the copy and the others came now.
    fn kept(&mut self, signer: &str, dir: &Path) -> OwnError {
        let stopped = self.stopped_by(signer);
        let [copied, fresh] = [&self.lines[..1], &self.lines[1..]]
            .map(|lines| lines.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect::<Vec<u8>>());
        // Behind what is whole there may be anything.
        std::fs::write(dir.join(LOG_FILE), [&copied[..], b"torn"].concat()).unwrap();
        let lines = lines(dir, copied.len() as u64, &fresh);
        stopped.convicted(&self.followed, &lines).kept(None, dir)
    }
}

fn suspended(reason: &str) -> Statement {
    Statement::Suspended { subject: read(ORG), reason: reason.into(), by: By::Federation }
}

#[test]
fn a_log_with_two_statements_at_one_position_stops_its_reader_who_keeps_what_proves_it_to_a_stranger() {
    let (mut read, dir) = (Read::new(), tempfile::tempdir().unwrap());
    let stopped = read.kept("alice", dir.path());
    let OwnError::Forked { evidence, .. } = &stopped else { panic!("{stopped:?}") };
    let said = chain::text(&stopped);
    for part in ["two statements at one position", "equivocation: two statements", "operator/alice"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(*evidence, dir.path().join(EVIDENCE_FILE), "where the next command looks before it signs anything");
    let kept: Statements = serde_json::from_slice(&std::fs::read(evidence).unwrap()).unwrap();
    assert_eq!(kept.entries.len(), 3);
    kept.check(read.followed.log().genesis()).unwrap();
}

#[test]
fn a_second_statement_that_nobody_signed_who_has_to_is_refused_and_proves_nothing() {
    let (mut read, dir) = (Read::new(), tempfile::tempdir().unwrap());
    let stopped = read.kept("eve", dir.path());
    assert!(matches!(stopped, OwnError::Follow(FollowError::NotTaken(_))), "{stopped:?}");
    assert!(!dir.path().join(EVIDENCE_FILE).exists());
}

#[test]
fn what_the_broker_signed_of_a_log_with_both_is_kept_and_convicts_it_besides_the_signers() {
    let (mut read, dir) = (Read::new(), tempfile::tempdir().unwrap());
    let agreed = read.checkpoint(&[]);
    read.followed.agree(&agreed).unwrap();
    let mut stopped = read.stopped_by("alice");
    let entries = vec![stopped.entry.clone().unwrap(), b"{}".to_vec()];
    let checkpoint = read.checkpoint(&entries);
    stopped.behind = Some(Behind { entries, checkpoint });
    let stopped = stopped.convicted(&read.followed, &read.lines).kept(None, dir.path());
    let OwnError::Forked { evidence, .. } = &stopped else { panic!("{stopped:?}") };
    let kept: Statements = serde_json::from_slice(&std::fs::read(evidence).unwrap()).unwrap();
    let genesis = read.followed.log().genesis();
    kept.check(genesis).unwrap();
    let served = kept.convicts_log(genesis, &read.followed.key).unwrap().unwrap();
    assert_eq!((served.second, served.before.unwrap().size, served.after.size), (4, 3, 5));
}

/// It need not say anything true: what it signed is kept where it holds, and what convicts the signers always.
#[test]
fn a_broker_that_sends_no_checkpoint_of_what_it_sent_spoils_nothing() {
    let (mut read, dir) = (Read::new(), tempfile::tempdir().unwrap());
    let mut stopped = read.stopped_by("alice");
    let entries = vec![stopped.entry.clone().unwrap()];
    stopped.behind = Some(Behind { entries, checkpoint: read.checkpoint(&[]) });
    let _stopped = stopped.convicted(&read.followed, &read.lines).kept(None, dir.path());
    let kept: Statements = serde_json::from_slice(&std::fs::read(dir.path().join(EVIDENCE_FILE)).unwrap()).unwrap();
    let genesis = read.followed.log().genesis();
    assert!(kept.check(genesis).is_ok());
    assert_eq!(kept.convicts_log(genesis, &read.followed.key).unwrap(), None);
}
