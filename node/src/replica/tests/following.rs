//! Following a broker that goes away, refuses, or says what does not fit.

use std::sync::Arc;

use comity_client::{Connection, Identity};
use comity_proto::error::Failure;
use comity_proto::membership::WatchResponse;
use tonic::Code;

use super::super::*;
use super::{BUDGET, history};
use crate::testing::{Broker, FAST, History, Log, MovedClock, Said, World, run_until};

struct Follower {
    replica: Replica,
    clock: Arc<MovedClock>,
    world: World,
    broker: Broker,
    channel: Channel,
    log: Log,
    history: History,
}

/// A node whose broker says this of a log of four entries.
async fn follower(said: impl FnOnce(&History) -> Vec<Said>) -> Follower {
    let clock = Arc::<MovedClock>::default();
    let (world, broker) = Broker::start(&clock).await;
    let history = history(&world);
    broker.script.watching.lock().unwrap().extend(said(&history));
    let identity = Identity::open(world.config.identity_dir()).unwrap();
    let channel = Connection::open(&identity).unwrap().channel();
    let replica = world.replica(clock.clone());
    Follower { replica, clock, world, broker, channel, log: Log::default(), history }
}

impl Follower {
    /// Follows until `state` holds.
    async fn until(&self, state: impl Fn(&Self) -> bool) {
        let _guard = self.log.collect();
        let following = self.replica.clone().follow(self.channel.clone(), FAST, CancellationToken::new());
        run_until(following, || state(self)).await;
    }

    fn epoch(&self) -> u64 {
        self.replica.federation().epoch()
    }

    fn asked(&self) -> Vec<u64> {
        self.broker.script.watched.lock().unwrap().clone()
    }

    fn lines(&self, text: &str) -> usize {
        self.log.lines_with(text).len()
    }
}

#[tokio::test]
async fn a_stream_that_ends_is_taken_up_where_it_ended() {
    let node =
        follower(|log| vec![Said::Ending(log.parts(&[1, 2])), Said::Ending(vec![]), Said::Lasting(log.parts(&[3]))])
            .await;
    node.until(|node| node.epoch() == 3).await;
    assert_eq!(node.asked(), [0, 2, 2]);
}

#[tokio::test]
async fn a_broker_that_takes_the_call_and_ends_it_at_once_is_spoken_of_once() {
    let node = follower(|_| vec![Said::Ending(vec![]); 10]).await;
    node.until(|node| node.lines("following the broker again") == 1).await;
    assert_eq!((node.lines("lost the broker"), node.asked().len()), (1, 11));
}

#[tokio::test]
async fn a_suspended_node_says_so_once_and_follows_again_when_it_may() {
    let suspended = Failure::new(Code::PermissionDenied, "MEMBER_SUSPENDED", "suspended (hint: ask an operator)");
    let refused = vec![Said::Refused(suspended.into()); 10];
    let node = follower(|log| [refused, vec![Said::Lasting(log.parts(&[1]))]].concat()).await;
    node.until(|node| node.lines("following the broker again") == 1).await;
    assert_eq!((node.epoch(), node.asked().len()), (1, 11));
    let lines = node.log.lines_with("WARN");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("MEMBER_SUSPENDED") && lines[0].contains("ask an operator"), "{lines:?}");
}

#[tokio::test]
async fn a_lift_is_noticed_soon_however_long_the_suspension_was() {
    let suspended = Failure::new(Code::PermissionDenied, "ORGANISATION_SUSPENDED", "suspended");
    let refused = vec![Said::Refused(suspended.into()); 30];
    let node = follower(|log| [refused, vec![Said::Lasting(log.parts(&[1]))]].concat()).await;
    // As a node is that has asked for long: its next pause is the longest.
    let pace = Pace { first_pause: FAST.longest_pause_suspended, longest_pause_refused: Duration::MAX, ..FAST };
    let following = Box::pin(node.replica.clone().follow(node.channel.clone(), pace, CancellationToken::new()));
    let back = std::cell::Cell::new(false);
    let let_back_in = async {
        node.replica.let_back_in().await;
        back.set(true);
    };
    let both = async {
        let ((), ()) = tokio::join!(following, let_back_in);
    };
    run_until(both, || node.epoch() == 1 && back.get()).await;
    assert_eq!(node.asked().len(), 31);
}

#[tokio::test]
async fn a_skipped_statement_is_not_guessed_and_nothing_after_it_is_believed() {
    let said = |log: &History| {
        [vec![Said::Lasting(log.parts(&[1, 3, 4]))], vec![Said::Lasting(log.parts(&[3, 4])); 10]].concat()
    };
    let node = follower(said).await;
    node.until(|node| node.asked().len() >= 5).await;
    assert_eq!((node.epoch(), node.lines("are not believed")), (1, 1));
    let behind = node.replica.wait_for(4, Duration::from_millis(20)).await.unwrap_err();
    assert_eq!(behind, NotCurrent::Behind { known: 1, needed: 4 });
}

#[tokio::test]
async fn a_broker_that_goes_back_is_not_believed_and_what_was_known_stays() {
    let node = follower(|log| vec![Said::Lasting(log.parts(&[1, 2, 1])), Said::Lasting(log.parts(&[2]))]).await;
    node.until(|node| node.asked().len() >= 3).await;
    assert_eq!((node.epoch(), node.asked()), (2, vec![0, 2, 2]));
    assert!(node.lines("are not believed") >= 1);
}

#[tokio::test]
async fn a_statement_that_stands_elsewhere_than_the_broker_says_or_cannot_be_read_is_not_believed() {
    let misplaced = |log: &History| WatchResponse { epoch: 2, ..log.entry(3) };
    let unreadable =
        |_: &History| WatchResponse { epoch: 2, entry: b"{\"epoch\":2}".to_vec().into(), ..WatchResponse::default() };
    for wrong in [&misplaced as &dyn Fn(&History) -> WatchResponse, &unreadable] {
        let said = |log: &History| vec![Said::Lasting(vec![log.entry(1), wrong(log)]), Said::Lasting(log.parts(&[2]))];
        let node = follower(said).await;
        node.until(|node| node.epoch() == 2).await;
        assert_eq!((node.asked(), node.lines("are not believed")), (vec![0, 1], 1));
    }
}

#[tokio::test]
async fn a_broker_that_was_away_is_found_again() {
    let mut node = follower(|log| vec![Said::Lasting(log.parts(&[1]))]).await;
    node.until(|node| node.epoch() == 1).await;
    node.broker.stop().await;
    node.until(|node| node.lines("lost the broker") == 1).await;
    node.broker.script.watching.lock().unwrap().push_back(Said::Lasting(node.history.parts(&[2])));
    node.broker = node.broker.restart(&node.world, &node.clock).await;
    node.until(|node| node.epoch() == 2).await;
}

#[tokio::test]
async fn a_broker_that_falls_silent_is_left_and_asked_again() {
    let node = follower(|log| vec![Said::Lasting(log.parts(&[1])), Said::Lasting(log.parts(&[2]))]).await;
    let quick = Pace { silence: Duration::from_millis(50), ..FAST };
    let following = node.replica.clone().follow(node.channel.clone(), quick, CancellationToken::new());
    run_until(following, || node.epoch() == 2).await;
    assert_eq!(node.asked(), [0, 1]);
}

#[tokio::test]
async fn a_broker_that_equivocates_is_followed_no_further() {
    let node = follower(|log| {
        let forked = [log.parts(&[1, 2]), vec![log.fork(2)]].concat();
        vec![Said::Ending(forked), Said::Lasting(log.parts(&[3]))]
    })
    .await;
    node.until(|node| node.lines("has equivocated") == 1).await;
    assert_eq!((node.asked(), node.epoch()), (vec![0], 2));
    assert!(matches!(node.replica.check(), Err(NotCurrent::Halted { .. })));
}

#[tokio::test]
async fn a_node_that_two_statements_stop_reads_on_for_what_its_broker_signs_of_them_which_convicts_that_as_well() {
    let clock = Arc::<MovedClock>::default();
    let (world, broker) = Broker::start(&clock).await;
    let mut history = history(&world);
    let suspended = |reason: &str| comity_membership::Statement::Suspended {
        subject: "org-2.example".parse().unwrap(),
        reason: reason.into(),
        by: comity_membership::By::Federation,
    };
    history.say(suspended("a reason"), &["alice"]);
    let second = history.second_at(history.last_position(), suspended("another reason"), &["alice"]);
    let said = [history.all(), vec![second.clone(), history.checkpoint_with(&second)]].concat();
    broker.script.watching.lock().unwrap().push_back(Said::Lasting(said));
    let identity = Identity::open(world.config.identity_dir()).unwrap();
    let pinned = identity.dir().identity().unwrap().federation_root;
    let replica = Replica::open(&world.config.node.data_dir, &identity, pinned, BUDGET);
    let key = comity_runtime::genesis::log_verifier(identity.root());
    let served = || {
        let kept = std::fs::read(world.config.node.data_dir.join(EVIDENCE_FILE)).ok()?;
        let kept: comity_membership::equivocation::Evidence = serde_json::from_slice(&kept).ok()?;
        kept.check(&history.genesis()).unwrap();
        kept.convicts_log(&history.genesis(), &key).unwrap()
    };
    let channel = Connection::open(&identity).unwrap().channel();
    run_until(replica.clone().follow(channel, FAST, CancellationToken::new()), || served().is_some()).await;
    let (served, last) = (served().unwrap(), second.epoch);
    assert_eq!((served.second, served.before.map(|note| note.size), served.after.size), (last, Some(last - 1), last));
    assert!(matches!(replica.check(), Err(NotCurrent::Halted { .. })));
}
