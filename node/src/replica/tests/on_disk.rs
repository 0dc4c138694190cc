//! The copy on disk: there after a restart, mended where it is torn, and the memory of what was shown before.

use comity_client::Identity;
use comity_identity::Root;

use super::*;
use crate::testing::History;
use comity_client::follow::kept::LOG_FILE;

fn open(world: &World) -> Replica {
    let identity = Identity::open(world.config.identity_dir()).unwrap();
    let root = identity.dir().identity().unwrap().federation_root;
    assert_eq!(identity.root().version, Root::from_json(&identity.root().to_json().unwrap()).unwrap().version);
    Replica::open(&world.config.node.data_dir, &identity, root, BUDGET)
}

#[test]
fn a_node_that_starts_while_its_broker_is_away_knows_what_it_knew() {
    let (world, _, _) = empty();
    let history = history(&world);
    take(&open(&world), history.parts(&[1, 2, 3]));
    let again = open(&world);
    assert_eq!((again.federation().epoch(), again.check()), (3, Ok(())));
    take(&again, history.parts(&[4]));
    assert_eq!(open(&world).federation().epoch(), 4);
}

#[test]
fn a_torn_line_is_cut_off_and_asked_for_again() {
    let (world, _, _) = empty();
    let history = history(&world);
    take(&open(&world), history.parts(&[1, 2, 3]));
    let path = world.config.node.data_dir.join(LOG_FILE);
    let text = std::fs::read(&path).unwrap();
    std::fs::write(&path, &text[..text.len() - 10]).unwrap();
    let again = open(&world);
    assert_eq!((again.federation().epoch(), again.age()), (2, None), "the checkpoint is of three");
    take(&again, history.parts(&[3, 4]));
    assert_eq!(open(&world).federation().epoch(), 4);
}

/// Two logs of one federation that part after the first entry.
fn parted(world: &World) -> (History, History) {
    let at = comity_runtime::clock::SystemClock.now();
    let (mut one, mut other) = (world.history_at(at), world.history_at(at));
    for domain in ["org-2.example", "org-3.example"] {
        one.admit(facts(domain, "DE"), &format!("spiffe://{domain}/node/n1"));
        other.admit(facts(domain, "FR"), &format!("spiffe://{domain}/node/n1"));
    }
    assert_eq!(one.entry(1), other.entry(1));
    (one, other)
}

/// Cuts the last lines off the kept log.
fn lose(world: &World, lines: usize) {
    let path = world.config.node.data_dir.join(LOG_FILE);
    let text = std::fs::read_to_string(&path).unwrap();
    let all: Vec<&str> = text.split_inclusive('\n').collect();
    std::fs::write(&path, all[..all.len() - lines].concat()).unwrap();
}

#[test]
fn a_node_whose_copy_lost_its_end_stops_where_that_end_becomes_another_and_keeps_the_evidence() {
    // As far as before, and further with no checkpoint on the way.
    for last in [2, 3] {
        let (world, _, _) = empty();
        let (one, other) = parted(&world);
        take(&open(&world), one.parts(&[1, 2]));
        lose(&world, 1);
        let again = open(&world);
        assert_eq!((again.federation().epoch(), again.age()), (1, None));
        take(&again, (2..=last).map(|epoch| other.entry(epoch)));
        // Nor does one more restart before the checkpoint make it forget.
        drop(again);
        let again = open(&world);
        let kept = again.federation().epoch();
        take(&again, (kept + 1..=last).map(|epoch| other.entry(epoch)));
        assert!(matches!(again.take(&other.checkpoint(last)), Err(FollowError::Diverged(_))), "{last}");
        assert!(matches!(again.check(), Err(NotCurrent::Halted { .. })));
        let kept = std::fs::read(world.config.node.data_dir.join("equivocation.json")).unwrap();
        let kept: serde_json::Value = serde_json::from_slice(&kept).unwrap();
        assert_eq!(kept["then"], other.checkpoint(last).checkpoint);
        assert_eq!(kept["agreed"]["checkpoint"], one.checkpoint(2).checkpoint);
        assert!(matches!(open(&world).check(), Err(NotCurrent::Halted { .. })));
    }
}

#[test]
fn a_node_whose_copy_lost_its_end_goes_on_once_the_broker_has_shown_that_end_again() {
    let (world, _, _) = empty();
    let (one, _) = parted(&world);
    take(&open(&world), one.parts(&[1, 2]));
    lose(&world, 1);
    let again = open(&world);
    let refused = again.take(&one.checkpoint(1)).unwrap_err();
    assert!(matches!(refused, FollowError::Behind { signed: 1, known: 2 }), "{refused:?}");
    assert_eq!(again.age(), None, "a log that is shorter than it was says nothing of today");
    assert!(again.behind().is_some());
    take(&again, one.parts(&[2, 3]));
    assert_eq!((again.federation().epoch(), again.check(), again.behind()), (3, Ok(()), None));
}

#[test]
fn a_node_that_stopped_between_an_entry_and_its_checkpoint_still_knows_the_last_checkpoint() {
    let (world, _, _) = empty();
    let (one, _) = parted(&world);
    let first = open(&world);
    take(&first, one.parts(&[1, 2]));
    take(&first, [one.entry(3)]);
    drop(first);
    lose(&world, 2);
    let again = open(&world);
    assert!(matches!(again.take(&one.checkpoint(1)), Err(FollowError::Behind { signed: 1, known: 2 })));
}

#[test]
fn a_changed_line_is_not_believed_nor_is_what_follows_it() {
    let (world, _, _) = empty();
    take(&open(&world), history(&world).parts(&[1, 2, 3]));
    let path = world.config.node.data_dir.join(LOG_FILE);
    let text = std::fs::read_to_string(&path).unwrap();
    let second = text.lines().nth(1).unwrap();
    std::fs::write(&path, text.replace(second, &second.replacen("\"sig\":\"", "\"sig\":\"AA", 1))).unwrap();
    assert_eq!(open(&world).federation().epoch(), 1);
}

#[test]
fn a_node_that_was_shown_another_past_before_it_was_restarted_stops_and_keeps_the_evidence() {
    let (world, _, _) = empty();
    let history = history(&world);
    take(&open(&world), history.parts(&[1, 2]));
    let again = open(&world);
    assert!(matches!(again.take(&history.fork(2)), Err(FollowError::Diverged(_))));
    let evidence = std::fs::read_to_string(world.config.node.data_dir.join("equivocation.json")).unwrap();
    let evidence: serde_json::Value = serde_json::from_str(&evidence).unwrap();
    assert_eq!(evidence["then"], history.fork(2).checkpoint);
    assert_eq!(evidence["agreed"]["checkpoint"], history.checkpoint(2).checkpoint);
    // Nor does it forget by a restart; whoever has looked into it puts the file away.
    assert!(matches!(open(&world).check(), Err(NotCurrent::Halted { .. })));
    std::fs::remove_file(world.config.node.data_dir.join("equivocation.json")).unwrap();
    open(&world).check().unwrap();
}

#[test]
fn a_broker_whose_log_is_shorter_than_it_was_is_told_of_once_and_what_was_known_stays() {
    let (world, _, _) = empty();
    let history = history(&world);
    let replica = open(&world);
    take(&replica, history.parts(&[1, 2, 3]));
    let log = crate::testing::Log::default();
    let _guard = log.collect();
    for _ in 0..3 {
        let refused = replica.take(&history.checkpoint(2)).unwrap_err();
        assert!(matches!(refused, FollowError::Behind { signed: 2, known: 3 }), "{refused:?}");
    }
    assert_eq!(log.lines_with("WARN").len(), 1);
    assert!(replica.behind().unwrap().contains("2 entries"));
    // No proof of two pasts: it goes on serving until what it knows is too old.
    assert_eq!((replica.federation().epoch(), replica.check()), (3, Ok(())));
    let kept = std::fs::read(world.config.node.data_dir.join("rollback.json")).unwrap();
    let kept: serde_json::Value = serde_json::from_slice(&kept).unwrap();
    assert_eq!(kept["then"], history.checkpoint(2).checkpoint);
    assert_eq!(kept["agreed"]["checkpoint"], history.checkpoint(3).checkpoint);
    take(&replica, history.parts(&[4]));
    assert_eq!(replica.behind(), None);
}

#[test]
fn a_checkpoint_of_an_earlier_past_that_never_was_stops_the_node_and_is_kept() {
    let (world, _, _) = empty();
    let history = history(&world);
    let replica = open(&world);
    take(&replica, history.parts(&[1, 2, 3]));
    assert!(matches!(replica.take(&history.fork(2)), Err(FollowError::Diverged(_))));
    assert!(matches!(replica.check(), Err(NotCurrent::Halted { .. })));
    let kept = std::fs::read(world.config.node.data_dir.join("equivocation.json")).unwrap();
    let kept: serde_json::Value = serde_json::from_slice(&kept).unwrap();
    assert_eq!(kept["then"], history.fork(2).checkpoint);
    assert_eq!(kept["agreed"]["checkpoint"], history.checkpoint(3).checkpoint);
}

#[test]
fn an_entry_that_does_not_fit_is_kept_for_people_and_stops_nothing_that_was_known() {
    let (world, _, _) = empty();
    let history = history(&world);
    let replica = open(&world);
    take(&replica, history.parts(&[1, 2]));
    let unfit = WatchResponse { epoch: 3, ..history.entry(4) };
    assert!(matches!(replica.take(&unfit), Err(FollowError::NotTaken(_))));
    let kept = std::fs::read(world.config.node.data_dir.join("refused.json")).unwrap();
    let kept: serde_json::Value = serde_json::from_slice(&kept).unwrap();
    assert_eq!((&kept["epoch"], kept["entry"].as_str().unwrap().as_bytes()), (&3.into(), &history.entry(4).entry[..]));
    assert_eq!(kept["agreed"]["checkpoint"], history.checkpoint(2).checkpoint);
    assert_eq!(replica.check(), Ok(()));
    take(&replica, history.parts(&[3, 4]));
}

#[test]
fn a_second_statement_at_one_position_stops_the_node_which_says_who_signed_and_keeps_what_proves_it_to_a_stranger() {
    let (world, _, _) = empty();
    let mut history = history(&world);
    let suspended = |reason: &str| comity_membership::Statement::Suspended {
        subject: "org-2.example".parse().unwrap(),
        reason: reason.into(),
        by: comity_membership::By::Federation,
    };
    history.say(suspended("a reason"), &["alice"]);
    let position = history.last_position();
    let replica = open(&world);
    take(&replica, history.all());
    let known = replica.federation().epoch();
    // Signed by nobody who has to, it is a fault, and stops nothing.
    let by_others = history.second_at(position, suspended("another reason"), &["org-2.example"]);
    assert!(matches!(replica.take(&by_others), Err(FollowError::NotTaken(_))));
    assert_eq!(replica.check(), Ok(()));
    let log = crate::testing::Log::default();
    let _guard = log.collect();
    let second = history.second_at(position, suspended("another reason"), &["alice"]);
    let refused = replica.take(&second).unwrap_err();
    assert!(matches!(refused, FollowError::Equivocated(_)), "{refused:?}");
    let Err(NotCurrent::Halted { why }) = replica.check() else { panic!("it goes on") };
    for part in ["equivocation: two statements", "spiffe://fed.example/operator/alice", "equivocation.json"] {
        assert!(why.contains(part), "{part}: {why}");
    }
    assert_eq!((log.lines_with("has equivocated").len(), replica.federation().epoch()), (1, known));
    let kept = std::fs::read(world.config.node.data_dir.join("equivocation.json")).unwrap();
    let evidence: comity_membership::equivocation::Evidence = serde_json::from_slice(&kept).unwrap();
    let proven = evidence.check(&history.genesis()).unwrap();
    assert!(why.contains(&proven.first.sha256.to_string()) && why.contains(&proven.second.sha256.to_string()), "{why}");
    // Nor does it forget by a restart.
    assert!(matches!(open(&world).check(), Err(NotCurrent::Halted { .. })));
}
