//! The log as a follower has it.

use comity_types::Digest;

use super::*;
use crate::statement::{By, Statement};
use crate::testing::{TestFederation, read};

/// The log of a federation with one organisation, entry by entry.
fn entries() -> (Genesis, Vec<Vec<u8>>) {
    let (mut test, both) = (TestFederation::founded(&["alice", "bob"], 2), ["alice", "bob"]);
    let genesis = test.genesis.clone().unwrap();
    let application = test.application("org-a.example", "spiffe://org-a.example/node/n1");
    let suspended =
        Statement::Suspended { subject: read("org-a.example"), reason: "a reason".into(), by: By::Federation };
    let mut entries = vec![Entry { epoch: 1, at: test.now.unwrap(), body: Body::Founded(genesis.clone()) }];
    for statement in [Statement::OrganisationAdmitted { application }, suspended] {
        let envelope = test.signed(statement, &both);
        let entry = test.entry(Body::Signed(envelope));
        test.apply(&entry).unwrap();
        entries.push(entry);
    }
    (genesis, entries.iter().map(|entry| entry.to_json().unwrap()).collect())
}

fn taken(genesis: &Genesis, entries: &[Vec<u8>]) -> Log {
    let mut log = Log::new(genesis.clone());
    entries.iter().for_each(|bytes| drop(log.take(bytes).unwrap()));
    log
}

#[test]
fn the_tree_is_over_the_very_bytes_that_came() {
    let (genesis, entries) = entries();
    let log = taken(&genesis, &entries);
    let mut tree = Tree::default();
    entries.iter().for_each(|bytes| tree.push(bytes));
    assert_eq!(log.tree(), &tree);
}

#[test]
fn an_entry_has_one_spelling() {
    let (genesis, entries) = entries();
    let text = String::from_utf8(entries[2].clone()).unwrap();
    let spaced =
        |space: &str| [format!("{text}{space}"), format!("{space}{text}"), text.replacen(':', &format!(":{space}"), 1)];
    let escaped = text.replacen("epoch", "\\u0065poch", 1);
    for other in ["\n", "\r", "\t", " "].iter().flat_map(|space| spaced(space)).chain([escaped]) {
        assert_eq!(Entry::from_json(other.as_bytes()).unwrap(), Entry::from_json(&entries[2]).unwrap(), "{other:?}");
        let mut log = taken(&genesis, &entries[..2]);
        for refused in [log.take(other.as_bytes()), log.take_again(other.as_bytes())] {
            assert!(matches!(refused, Err(NotTaken::OtherSpelling { epoch: 3 })), "{other:?}: {refused:?}");
        }
        assert_eq!((log.federation().epoch(), log.tree().size()), (2, 2));
    }
}

#[test]
fn a_statement_that_was_prepared_gets_the_bytes_that_its_entry_has() {
    let (genesis, entries) = entries();
    let mut log = taken(&genesis, &entries[..1]);
    for bytes in &entries[1..] {
        let entry = Entry::from_json(bytes).unwrap();
        let Body::Signed(envelope) = entry.body else { panic!("nobody signed it") };
        let prepared = log.federation().prepare(envelope).unwrap();
        assert_eq!(&log.take_prepared(&prepared, entry.at).unwrap(), bytes);
    }
    assert_eq!(log.tree(), taken(&genesis, &entries).tree());
}

#[test]
fn a_log_of_another_root_is_refused() {
    let (genesis, entries) = entries();
    for change in [
        |genesis: &mut Genesis| genesis.root_sha256 = Digest::of(b"other"),
        |genesis: &mut Genesis| genesis.federation = read("other.example"),
        |genesis: &mut Genesis| genesis.root_threshold = 1,
        |genesis: &mut Genesis| genesis.membership_threshold = 1,
        |genesis: &mut Genesis| drop(genesis.operators.pop_first()),
    ] {
        let mut pinned = genesis.clone();
        change(&mut pinned);
        let mut log = Log::new(pinned);
        assert!(matches!(log.take(&entries[0]), Err(NotTaken::OtherRoot)));
        assert_eq!((log.federation().epoch(), log.tree().size()), (0, 0));
    }
}

#[test]
fn what_is_not_taken_leaves_the_log_as_it_was_and_it_goes_on() {
    let (genesis, entries) = entries();
    let mut log = taken(&genesis, &entries[..2]);
    let before = format!("{log:?}");
    let mut forged = entries[2].clone();
    let at = forged.windows(7).position(|bytes| bytes == b"\"sig\":\"").unwrap() + 7;
    forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
    for (bytes, epoch_of_error) in [(&entries[1], 3), (&forged, 3)] {
        let error = log.take(bytes).unwrap_err();
        assert!(matches!(error, NotTaken::Refused { epoch, .. } if epoch == epoch_of_error), "{error:?}");
    }
    assert!(matches!(log.take(b"{}"), Err(NotTaken::Malformed { epoch: 3, .. })));
    assert!(matches!(log.take(&[&entries[2][..], b"{}"].concat()), Err(NotTaken::Malformed { .. })));
    assert_eq!(format!("{log:?}"), before);
    assert_eq!(log.take(&entries[2]).unwrap().to_json().unwrap(), entries[2]);
}

#[test]
fn entries_left_out_or_in_another_order_are_refused() {
    let (genesis, entries) = entries();
    let mut log = taken(&genesis, &entries[..1]);
    assert!(matches!(log.take(&entries[2]), Err(NotTaken::Refused { epoch: 2, .. })));
    // Whoever orders may renumber, and still changes nothing in what a statement is a version of.
    let renumbered = String::from_utf8(entries[2].clone()).unwrap().replace("\"epoch\":3", "\"epoch\":2");
    let error = log.take(renumbered.as_bytes()).unwrap_err();
    assert!(
        matches!(&error, NotTaken::Refused { source, .. } if matches!(**source, Refused::Version { .. })),
        "{error:?}"
    );
}

#[test]
fn a_checkpoint_of_the_same_size_and_another_root_is_evidence() {
    let (genesis, entries) = entries();
    let log = taken(&genesis, &entries);
    assert_eq!(log.origin(), "fed.example/membership");
    let checkpoint = Checkpoint::of(&log.origin(), log.tree());
    assert_eq!(log.agrees(&checkpoint), Some(Ok(())));
    let there = Digest::of(b"other");
    let diverged = Diverged { size: 3, here: log.tree().root(), there };
    assert_eq!(log.agrees(&Checkpoint { root: there, ..checkpoint.clone() }), Some(Err(diverged)));
    for size in [0, 2, 4] {
        assert_eq!(log.agrees(&Checkpoint { size, root: there, ..checkpoint.clone() }), None);
    }
}

#[test]
fn taken_in_again_it_is_the_same_log_and_what_too_few_have_signed_is_refused_again() {
    let (genesis, entries) = entries();
    let (first, mut again) = (taken(&genesis, &entries), Log::new(genesis.clone()));
    entries.iter().for_each(|bytes| drop(again.take_again(bytes).unwrap()));
    assert_eq!(again.tree(), first.tree());
    assert_eq!(format!("{:?}", again.federation()), format!("{:?}", first.federation()));
    // What a signature says is not looked at: the root of the tree, which a checkpoint has signed, differs then.
    let mut unsigned = Entry::from_json(&entries[2]).unwrap();
    let Body::Signed(envelope) = &mut unsigned.body else { panic!("signed") };
    envelope.signatures.pop();
    let mut log = Log::new(genesis);
    entries.iter().take(2).for_each(|bytes| drop(log.take_again(bytes).unwrap()));
    let refused = log.take_again(&unsigned.to_json().unwrap());
    assert!(matches!(refused, Err(NotTaken::Refused { .. })), "{refused:?}");
}
