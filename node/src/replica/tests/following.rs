//! Following a broker that goes away, refuses, or says what does not fit.

use std::sync::Arc;

use comity_client::{Connection, Identity};
use comity_membership::Statement;
use comity_proto::error::Failure;
use comity_proto::membership::WatchResponse;
use tonic::Code;

use super::super::*;
use super::{at, founded, root};
use crate::testing::{Broker, FAST, Log, MovedClock, Said, World, run_until};

/// The statement at this place: the founding, then organisations that join.
fn statement(epoch: u64) -> WatchResponse {
    let facts =
        format!("trust_domain = \"org-{epoch}.example\"\nname = \"O\"\nseat = \"DE\"\nultimate_controllers = []\n");
    let organisation = toml::from_str(&facts).unwrap();
    let statement = Statement::OrganisationAdmitted { organisation, layers: Default::default(), anchors: vec![] };
    let entry = Entry { epoch, at: at(), by: None, statement }.to_json().unwrap();
    WatchResponse { epoch, entry: if epoch == 1 { founded(root()) } else { entry }.into() }
}

fn statements(epochs: &[u64]) -> Vec<WatchResponse> {
    epochs.iter().copied().map(statement).collect()
}

struct Follower {
    replica: Replica,
    clock: Arc<MovedClock>,
    world: World,
    broker: Broker,
    channel: Channel,
    log: Log,
}

/// A node whose broker says this.
async fn follower(said: impl IntoIterator<Item = Said>) -> Follower {
    let clock = Arc::default();
    let (world, broker) = Broker::start(&clock).await;
    broker.script.watching.lock().unwrap().extend(said);
    let identity = Identity::open(world.config.identity_dir()).unwrap();
    let channel = Connection::open(&identity).unwrap().channel();
    Follower { replica: Replica::new(root()), clock, world, broker, channel, log: Log::default() }
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
        follower([Said::Ending(statements(&[1, 2])), Said::Ending(vec![]), Said::Lasting(statements(&[3]))]).await;
    node.until(|node| node.epoch() == 3).await;
    assert_eq!(node.asked(), [0, 2, 2]);
}

#[tokio::test]
async fn a_broker_that_takes_the_call_and_ends_it_at_once_is_spoken_of_once() {
    let node = follower(vec![Said::Ending(vec![]); 10]).await;
    node.until(|node| node.lines("following the broker again") == 1).await;
    assert_eq!((node.lines("lost the broker"), node.asked().len()), (1, 11));
}

#[tokio::test]
async fn a_suspended_node_says_so_once_and_follows_again_when_it_may() {
    let suspended = Failure::new(Code::PermissionDenied, "MEMBER_SUSPENDED", "suspended (hint: ask an operator)");
    let mut said = vec![Said::Refused(suspended.into()); 10];
    said.push(Said::Lasting(statements(&[1])));
    let node = follower(said).await;
    node.until(|node| node.lines("following the broker again") == 1).await;
    assert_eq!((node.epoch(), node.asked().len()), (1, 11));
    let lines = node.log.lines_with("WARN");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("MEMBER_SUSPENDED") && lines[0].contains("ask an operator"), "{lines:?}");
}

#[tokio::test]
async fn a_skipped_statement_is_not_guessed_and_nothing_after_it_is_believed() {
    let mut said = vec![Said::Lasting(statements(&[1, 3, 4]))];
    said.extend(vec![Said::Lasting(statements(&[3, 4])); 10]);
    let node = follower(said).await;
    node.until(|node| node.asked().len() >= 5).await;
    assert_eq!((node.epoch(), node.lines("are not believed")), (1, 1));
    let behind = node.replica.wait_for(4, Duration::from_millis(20)).await.unwrap_err();
    assert_eq!(behind, Behind { known: 1, needed: 4 });
}

#[tokio::test]
async fn a_broker_that_goes_back_is_not_believed_and_what_was_known_stays() {
    let node = follower(vec![Said::Lasting(statements(&[1, 2, 1])), Said::Lasting(statements(&[2]))]).await;
    node.until(|node| node.asked().len() >= 3).await;
    assert_eq!((node.epoch(), node.asked()), (2, vec![0, 2, 2]));
    assert!(node.lines("are not believed") >= 1);
}

#[tokio::test]
async fn a_statement_that_stands_elsewhere_than_the_broker_says_or_cannot_be_read_is_not_believed() {
    let misplaced = WatchResponse { epoch: 2, ..statement(3) };
    let unreadable = WatchResponse { epoch: 2, entry: b"{\"epoch\":2}".to_vec().into() };
    for wrong in [misplaced, unreadable] {
        let node = follower(vec![Said::Lasting(vec![statement(1), wrong]), Said::Lasting(statements(&[2]))]).await;
        node.until(|node| node.epoch() == 2).await;
        assert_eq!((node.asked(), node.lines("are not believed")), (vec![0, 1], 1));
    }
}

#[tokio::test]
async fn a_broker_that_was_away_is_found_again() {
    let mut node = follower([Said::Lasting(statements(&[1]))]).await;
    node.until(|node| node.epoch() == 1).await;
    node.broker.stop().await;
    node.until(|node| node.lines("lost the broker") == 1).await;
    node.broker.script.watching.lock().unwrap().push_back(Said::Lasting(statements(&[2])));
    node.broker = node.broker.restart(&node.world, &node.clock).await;
    node.until(|node| node.epoch() == 2).await;
}
