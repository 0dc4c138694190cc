//! Answers on their way: as they come, ended by a status, cut when they have to be.

use tokio::sync::mpsc::Receiver;

use super::node::Answering;
use super::*;

/// The next answer, with its first bytes said.
async fn begun(answers: &mut Receiver<Answering>) -> Answering {
    let answering = tokio::time::timeout(SOON, answers.recv()).await.expect("no request arrived").unwrap();
    answering.send(Ok(data("one"))).await.unwrap();
    answering
}

#[tokio::test]
async fn each_frame_passes_when_it_comes() {
    let world = World::new().await;
    let (script, mut answers) = waits();
    let _node = world.node("a.example", "DE", 1, script).await;
    let (response, answering) = tokio::join!(world.ask(in_germany()), begun(&mut answers));
    let mut body = response.into_body();
    let frame = body.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "one");
    // The second is written after the first was read: nothing waits for the end.
    answering.send(Ok(data("two"))).await.unwrap();
    let frame = tokio::time::timeout(SOON, body.frame()).await.unwrap().unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "two");
    answering.send(Ok(ok())).await.unwrap();
    assert!(body.frame().await.unwrap().unwrap().is_trailers());
    assert!(body.frame().await.is_none());
    drop(body);
    assert_eq!(world.journal(1).await.1.len(), 1);
}

#[tokio::test]
async fn after_the_first_byte_a_cut_is_an_error_and_nothing_is_tried_again() {
    let world = World::new().await;
    let (script, mut cut) = waits();
    let _cutting = world.node("a.example", "DE", 1, script).await;
    let other = world.node("b.example", "DE", 2, answers("again")).await;
    let (response, cutting) = tokio::join!(world.ask(in_germany()), begun(&mut cut));
    cutting.send(reset()).await.unwrap();
    let (_, trailers) = read(response).await;
    assert_eq!(ended(&trailers), (Code::Unavailable, "STREAM_TRUNCATED".into()));
    assert_eq!(other.connections(), 0);
    let outcomes = world.journal(1).await.1;
    assert_eq!(
        (outcomes.len(), outcomes[0].grpc_code, outcomes[0].cancelled),
        (1, i32::from(Code::Unavailable), false)
    );
}

#[tokio::test]
async fn an_answer_that_ends_without_a_status_is_an_error() {
    let world = World::new().await;
    let _node = world.node("a.example", "DE", 1, says(vec![Ok(data("all there is"))])).await;
    let (bytes, trailers) = read(world.ask(in_germany()).await).await;
    assert_eq!(bytes, b"all there is");
    assert_eq!(ended(&trailers), (Code::Unavailable, "STREAM_TRUNCATED".into()));
}

#[tokio::test]
async fn a_cut_before_the_first_byte_is_tried_elsewhere() {
    let world = World::new().await;
    let cutting = world.node("a.example", "DE", 1, says(vec![reset()])).await;
    let _other = world.node("b.example", "DE", 2, answers("hello")).await;
    assert_eq!(read(world.ask(in_germany()).await).await.0, b"hello");
    assert_eq!(cutting.seen().len(), 1);
}

#[tokio::test]
async fn a_broken_connection_is_made_anew() {
    let world = World::new().await;
    let node = world.node("a.example", "DE", 1, answers("hello")).await;
    assert_eq!(read(world.ask(in_germany()).await).await.0, b"hello");
    node.break_connections();
    assert_eq!(read(world.ask(in_germany()).await).await.0, b"hello");
    assert_eq!(node.connections(), 2);
}

#[tokio::test]
async fn a_caller_that_leaves_takes_the_nodes_call_with_it() {
    let world = World::new().await;
    let (script, mut answers) = waits();
    let _node = world.node("a.example", "DE", 1, script).await;
    let (response, answering) = tokio::join!(world.ask(in_germany()), begun(&mut answers));
    drop(response);
    tokio::time::timeout(SOON, answering.closed()).await.expect("the node's call goes on");
    let outcomes = world.journal(1).await.1;
    assert_eq!((outcomes[0].grpc_code, outcomes[0].cancelled), (i32::from(Code::Cancelled), true));
}

#[tokio::test]
async fn a_caller_that_leaves_before_the_first_byte_is_settled_as_cancelled() {
    let world = World::new().await;
    let (script, mut answers) = waits();
    let _node = world.node("a.example", "DE", 1, script).await;
    let answering = tokio::select! {
        _ = world.ask(in_germany()) => panic!("nobody answers"),
        answering = answers.recv() => answering.unwrap(),
    };
    tokio::time::timeout(SOON, answering.closed()).await.expect("the node's call goes on");
    assert!(world.journal(1).await.1[0].cancelled);
}

#[tokio::test]
async fn a_deadline_is_passed_on_and_kept_before_and_after_the_first_byte() {
    let world = World::new().await;
    let (script, mut answers) = waits();
    let node = world.node("a.example", "DE", 1, script).await;
    let request = framed(&message(in_germany()));
    let (_, trailers) = read(world.call(Method::Chat, request.clone(), &[("grpc-timeout", "300m")]).await).await;
    assert_eq!(ended(&trailers).0, Code::DeadlineExceeded);
    let timeout = node.seen()[0].headers["grpc-timeout"].to_str().unwrap().to_owned();
    let millis: u64 = timeout.strip_suffix('m').unwrap().parse().unwrap();
    assert!(millis <= 300, "{timeout}");
    drop(answers.try_recv());
    let (response, _answering) =
        tokio::join!(world.call(Method::ChatStream, request, &[("grpc-timeout", "500m")]), begun(&mut answers));
    let (bytes, trailers) = read(response).await;
    assert_eq!((bytes.as_slice(), ended(&trailers).0), (&b"one"[..], Code::DeadlineExceeded));
    assert_eq!(world.journal(2).await.1.len(), 2);
}

#[tokio::test]
async fn a_suspension_of_either_side_ends_a_running_stream() {
    for suspended in ["a.example", "app.example"] {
        let world = World::new().await;
        let (script, mut answers) = waits();
        let _node = world.node("a.example", "DE", 1, script).await;
        let (response, answering) = tokio::join!(world.ask(in_germany()), begun(&mut answers));
        let mut body = response.into_body();
        assert!(body.frame().await.unwrap().unwrap().is_data());
        world.suspend(suspended).await;
        let last = tokio::time::timeout(Duration::from_secs(1), body.frame()).await.expect("within a second");
        let trailers = last.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(ended(&trailers), (Code::PermissionDenied, "ORGANISATION_SUSPENDED".into()));
        tokio::time::timeout(SOON, answering.closed()).await.expect("the node's call goes on");
        assert_eq!(world.journal(1).await.1[0].grpc_code, i32::from(Code::PermissionDenied));
    }
}
