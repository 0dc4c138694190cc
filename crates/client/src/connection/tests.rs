//! What calls say when there is no way to the broker.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use comity_proto::enrolment::GetRootRequest;
use comity_proto::enrolment::enrolment_client::EnrolmentClient;
use comity_runtime::clock::SystemClock;
use comity_types::Clock;
use comity_types::ids::Kind;

use super::Connection;
use crate::enrol::{Joining, join};
use crate::testing::{LIFETIME, MovedClock, World, plan};
use crate::{Cause, Explanation, Identity, explain};

mod receipts;
mod rotation;

async fn joined(world: &World) -> Identity {
    world.desk.approve();
    let (invite, dir) = (world.invite(), world.member_dir());
    join(Joining::new(&invite, &[Kind::App], None, &dir)).await.unwrap();
    Identity::open(world.member_dir()).unwrap()
}

async fn call(identity: &Identity) -> Result<(), Explanation> {
    let connection = Connection::open(identity).unwrap();
    let answer = EnrolmentClient::new(connection.channel()).get_root(GetRootRequest {}).await;
    answer.map(drop).map_err(|status| explain(&status))
}

#[tokio::test]
async fn a_member_reaches_the_broker() {
    let world = World::new().await;
    call(&joined(&world).await).await.unwrap();
    call(&Identity::open(world.founded.operator_dir.path()).unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_unreachable() {
    let dir = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let founded = crate::founding::found(&plan(dir.path(), &address), SystemClock.now()).unwrap();
    let explained = call(&Identity::open(founded.operator_dir.path()).unwrap()).await.unwrap_err();
    assert_eq!(explained.cause, Cause::Unreachable, "{explained:?}");
    assert!(explained.message.contains(&format!("no connection to the broker at {address}")), "{explained:?}");
    assert!(explained.hint.is_some());
}

#[tokio::test]
async fn a_broker_that_takes_connections_and_says_nothing_is_given_up_after_a_limit_that_is_named() {
    let (dir, listener) = (tempfile::tempdir().unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.local_addr().unwrap().to_string();
    let founded = crate::founding::found(&plan(dir.path(), &address), SystemClock.now()).unwrap();
    let identity = Identity::open(founded.operator_dir.path()).unwrap();
    // The wait is not waited for: with nothing else to do, the clock jumps to the limit.
    tokio::time::pause();
    let explained = call(&identity).await.unwrap_err();
    assert_eq!(explained.cause, Cause::Unreachable, "{explained:?}");
    let limit = format!("within {} s", comity_runtime::dial::DEADLINE.as_secs());
    assert!(explained.message.contains(&address) && explained.message.contains(&limit), "{explained:?}");
    assert!(explained.hint.is_some());
}

#[tokio::test]
async fn a_broker_that_takes_a_call_and_never_answers_is_given_up_after_a_limit_that_is_named() {
    let world = World::new().await;
    let identity = joined(&world).await;
    let connection = Connection::open(&identity).unwrap();
    let mut client = EnrolmentClient::new(connection.unary());
    client.get_root(GetRootRequest {}).await.unwrap();
    world.desk.fall_silent();
    tokio::time::pause();
    let explained = explain(&client.get_root(GetRootRequest {}).await.unwrap_err());
    assert_eq!(explained.cause, Cause::DeadlineExceeded, "{explained:?}");
    assert!(explained.message.contains(&format!("within {} s", super::ANSWER_DEADLINE.as_secs())), "{explained:?}");
    assert!(explained.hint.is_some());
}

#[tokio::test]
async fn another_federations_broker_is_the_wrong_one() {
    let (world, other) = (World::new().await, World::new().await);
    let identity = joined(&world).await;
    let json = world.member_dir().join("identity.json");
    let moved = std::fs::read_to_string(&json).unwrap().replace(&world.address.to_string(), &other.address.to_string());
    std::fs::write(&json, moved).unwrap();
    drop(identity);
    let explained = call(&Identity::open(world.member_dir()).unwrap()).await.unwrap_err();
    assert_eq!(explained.cause, Cause::WrongBroker, "{explained:?}");
}

#[tokio::test]
async fn a_member_that_the_broker_does_not_know_is_told_that_its_certificate_is_refused() {
    let world = World::new().await;
    let identity = joined(&world).await;
    world.forget_members();
    let explained = call(&identity).await.unwrap_err();
    assert_eq!(explained.cause, Cause::CertificateRefused, "{explained:?}");
    assert!(explained.message.starts_with("the broker does not take this certificate"), "{explained:?}");
    assert!(!explained.message.contains("fatal alert"), "{explained:?}");
    assert!(explained.hint.unwrap().contains("evicted"));
}

#[tokio::test]
async fn an_expired_certificate_is_noticed_before_anybody_is_called() {
    let world = World::new().await;
    joined(&world).await;
    let clock = MovedClock::by(LIFETIME + Duration::from_secs(60));
    let explained = call(&Identity::open_with_clock(world.member_dir(), clock).unwrap()).await.unwrap_err();
    assert_eq!(explained.cause, Cause::CertificateEnded, "{explained:?}");
    assert!(explained.message.contains("our certificate ended at"), "{explained:?}");
}

#[tokio::test]
async fn a_certificate_that_the_broker_finds_expired_is_told_from_one_that_it_refuses() {
    let clock: Arc<dyn Clock> = MovedClock::by(LIFETIME + Duration::from_secs(60));
    let world = World::with_clock(clock).await;
    let explained = call(&joined(&world).await).await.unwrap_err();
    assert_eq!(explained.cause, Cause::CertificateEnded, "{explained:?}");
    assert!(explained.message.starts_with("by the broker's clock"), "{explained:?}");
}

#[tokio::test]
async fn a_call_after_the_connection_broke_connects_again() {
    let world = World::new().await;
    let connection = Connection::open(&joined(&world).await).unwrap();
    let mut client = EnrolmentClient::new(connection.channel());
    client.get_root(GetRootRequest {}).await.unwrap();
    world.cut_connections();
    let retried = tokio::time::timeout(Duration::from_secs(20), async {
        while client.get_root(GetRootRequest {}).await.is_err() {}
    });
    retried.await.expect("the connection comes back");
    assert_eq!(world.connections(), 2);
}

#[tokio::test]
async fn a_broker_that_breaks_off_in_the_middle_of_a_call_is_told_in_words_that_mend_it() {
    let world = World::new().await;
    let connection = Connection::open(&joined(&world).await).unwrap();
    let mut client = EnrolmentClient::new(connection.channel());
    client.get_root(GetRootRequest {}).await.unwrap();
    world.desk.fall_silent();
    let cut = async {
        // Cut again and again: the call may not be on its way at once.
        loop {
            tokio::task::yield_now().await;
            world.cut_connections();
        }
    };
    let status = tokio::select! {
        answer = client.get_root(GetRootRequest {}) => answer.unwrap_err(),
        () = cut => unreachable!(),
    };
    let explained = explain(&status);
    assert_eq!((explained.cause, explained.cause.reason()), (Cause::BrokenOff, Some("BROKER_BROKE_OFF")), "{status:?}");
    assert!(explained.message.contains("the broker broke off"), "{explained:?}");
    assert!(explained.hint.is_some_and(|hint| hint.contains("ask again")));
}

/// Calls until the calls go over the broker's connection number `connections`. Not one of them may fail.
async fn call_until(client: &mut EnrolmentClient<super::Channel>, world: &World, connections: usize) {
    let moved = tokio::time::timeout(Duration::from_secs(20), async {
        while world.connections() < connections {
            client.get_root(GetRootRequest {}).await.unwrap();
        }
    });
    moved.await.expect("a new connection is made");
}

#[tokio::test]
async fn a_connection_is_left_for_a_new_one_long_before_its_certificates_end_and_calls_that_run_go_on() {
    let (world, clock) = (World::new().await, MovedClock::by(Duration::ZERO));
    joined(&world).await;
    let identity = Identity::open_with_clock(world.member_dir(), Arc::clone(&clock) as _).unwrap();
    let mut client = EnrolmentClient::new(Connection::open(&identity).unwrap().channel());
    client.get_root(GetRootRequest {}).await.unwrap();
    world.desk.fall_silent();
    let mut waiting = client.clone();
    let tasks = comity_runtime::tasks::Tasks::new();
    let (ended, running) = tokio::sync::oneshot::channel();
    tasks.spawn("a call", async move { drop(ended.send(waiting.get_root(GetRootRequest {}).await)) });
    world.desk.wait_until_asked().await;
    world.desk.speak();
    client.get_root(GetRootRequest {}).await.unwrap();
    assert_eq!(world.connections(), 1);
    clock.advance(LIFETIME / 2 + Duration::from_secs(1));
    call_until(&mut client, &world, 2).await;
    world.desk.answer_all();
    running.await.unwrap().expect("the call that ran was dropped");
    for _ in 0..100 {
        client.get_root(GetRootRequest {}).await.unwrap();
    }
    assert_eq!(world.connections(), 2);
}

#[tokio::test]
async fn calls_go_over_a_new_connection_once_the_certificate_is_renewed() {
    let world = World::new().await;
    let identity = joined(&world).await;
    let mut client = EnrolmentClient::new(Connection::open(&identity).unwrap().channel());
    client.get_root(GetRootRequest {}).await.unwrap();
    let before = world.connections();
    crate::enrol::renew(&identity).await.unwrap();
    assert_eq!(world.connections(), before + 1, "the renewal has a connection of its own");
    call_until(&mut client, &world, before + 2).await;
}

#[tokio::test]
async fn while_no_new_connection_can_be_made_calls_go_over_the_one_that_stands() {
    let (world, clock) = (World::new().await, MovedClock::by(Duration::ZERO));
    joined(&world).await;
    let identity = Identity::open_with_clock(world.member_dir(), Arc::clone(&clock) as _).unwrap();
    let mut client = EnrolmentClient::new(Connection::open(&identity).unwrap().channel());
    client.get_root(GetRootRequest {}).await.unwrap();
    world.forget_members();
    clock.advance(LIFETIME / 2 + Duration::from_secs(1));
    for _ in 0..200 {
        client.get_root(GetRootRequest {}).await.unwrap();
    }
    assert_eq!(world.connections(), 1);
}
