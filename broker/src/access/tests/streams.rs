//! Answers on their way: as they come, ended by a status, cut when they have to be.

use bytes::Bytes;
use comity_membership::Subject;
use http_body::Frame;
use tokio::sync::mpsc::Receiver;

use super::node::{Answering, Script};
use super::*;

/// Waits for what should happen at once, and fails the test if it does not.
async fn at_once<F: Future>(what: &str, happens: F) -> F::Output {
    let happened = tokio::time::timeout(SOON, happens).await;
    happened.unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// The next answer, with its first bytes said.
async fn begun(answers: &mut Receiver<Answering>) -> Answering {
    let answering = at_once("a request arrives", answers.recv()).await.unwrap();
    say(&answering, Ok(data("one"))).await;
    answering
}

async fn say(answering: &Answering, frame: Result<Frame<Bytes>, std::io::Error>) {
    at_once("the node says a frame", answering.send(frame)).await.unwrap();
}

/// The next frame that the caller gets; `None` at the end.
async fn next(body: &mut Body) -> Option<Frame<Bytes>> {
    at_once("a frame comes", body.frame()).await.map(Result::unwrap)
}

/// What the app gets, and the node's side of it, with the first bytes said.
async fn streaming(world: &World, answers: &mut Receiver<Answering>) -> (Body, Answering) {
    let (response, answering) = tokio::join!(Box::pin(world.ask(in_germany())), begun(answers));
    (response.into_body(), answering)
}

/// The node's call has ended, whoever ended it.
async fn closed(answering: &Answering) {
    at_once("the node's call ends", answering.closed()).await;
}

#[tokio::test]
async fn each_frame_passes_when_it_comes() {
    let world = World::new().await;
    let (script, mut answers) = waits();
    let _node = world.node("a.example", "DE", 1, script).await;
    let (mut body, answering) = streaming(&world, &mut answers).await;
    assert_eq!(next(&mut body).await.unwrap().into_data().unwrap(), framed(b"one"));
    // The second is written after the first was read: nothing waits for the end.
    say(&answering, Ok(data("two"))).await;
    assert_eq!(next(&mut body).await.unwrap().into_data().unwrap(), framed(b"two"));
    say(&answering, Ok(ok())).await;
    assert!(next(&mut body).await.unwrap().is_trailers());
    assert!(next(&mut body).await.is_none());
    drop(body);
    assert_eq!(world.journal(1).await.1.len(), 1);
}

#[tokio::test]
async fn after_the_first_byte_a_cut_is_an_error_and_nothing_is_tried_again() {
    let world = World::new().await;
    let (script, mut cut) = waits();
    let _cutting = world.node("a.example", "DE", 1, script).await;
    let other = world.node("b.example", "DE", 2, answers("again")).await;
    let (body, cutting) = streaming(&world, &mut cut).await;
    say(&cutting, reset()).await;
    let (_, trailers) = read(Response::new(body)).await;
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
async fn a_cut_before_the_first_byte_is_tried_once_more_where_there_is_no_other() {
    let world = World::new().await;
    let first = std::sync::atomic::AtomicBool::new(true);
    let script: Script = Arc::new(move |answering| {
        if first.swap(false, std::sync::atomic::Ordering::SeqCst) {
            answering.try_send(reset()).unwrap();
        } else {
            answers("hello")(answering);
        }
    });
    let node = world.node("a.example", "DE", 1, script).await;
    assert_eq!(read(world.ask(in_germany()).await).await.0, b"hello");
    let (decisions, outcomes) = world.journal(1).await;
    assert_eq!((node.seen().len(), decisions.len(), outcomes[0].attempt), (2, 1, 2));
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
    let (body, answering) = streaming(&world, &mut answers).await;
    drop(body);
    closed(&answering).await;
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
        answering = at_once("a request arrives", answers.recv()) => answering.unwrap(),
    };
    closed(&answering).await;
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
        let (mut body, answering) = streaming(&world, &mut answers).await;
        assert!(next(&mut body).await.unwrap().is_data());
        world.suspend(suspended).await;
        let trailers = next(&mut body).await.unwrap().into_trailers().unwrap();
        assert_eq!(ended(&trailers), (Code::PermissionDenied, "ORGANISATION_SUSPENDED".into()));
        closed(&answering).await;
        assert_eq!(world.journal(1).await.1[0].grpc_code, i32::from(Code::PermissionDenied));
    }
}

#[tokio::test]
async fn a_suspension_of_the_certificate_of_either_side_ends_a_running_stream_and_nobody_elses() {
    for of_the_node in [true, false] {
        let world = World::new().await;
        let (script, mut answers) = waits();
        let node = world.node("a.example", "DE", 1, script).await;
        let (mut body, answering) = streaming(&world, &mut answers).await;
        assert!(next(&mut body).await.unwrap().is_data());
        let member = if of_the_node { node.id.clone() } else { World::app() };
        let suspend = async |sha256| {
            let member = member.clone();
            world.suspend_subject(Subject::Certificate { member, sha256 }).await;
        };
        suspend(Digest::of(b"another certificate")).await;
        say(&answering, Ok(data("two"))).await;
        assert_eq!(
            next(&mut body).await.unwrap().into_data().unwrap(),
            framed(b"two"),
            "another certificate was meant"
        );
        suspend(if of_the_node { node.certificate } else { World::certificate() }).await;
        let trailers = next(&mut body).await.unwrap().into_trailers().unwrap();
        assert_eq!(ended(&trailers), (Code::PermissionDenied, "CERTIFICATE_SUSPENDED".into()));
        closed(&answering).await;
    }
}

#[tokio::test]
async fn a_node_that_is_suspended_before_its_first_byte_is_left_for_the_next() {
    let world = World::new().await;
    let (script, mut taken) = waits();
    let _suspended = world.node("a.example", "DE", 1, script).await;
    let _next = world.node("b.example", "DE", 2, answers("hello")).await;
    let (response, answering) = tokio::join!(Box::pin(world.ask(in_germany())), async {
        let answering = at_once("a request arrives", taken.recv()).await.unwrap();
        world.suspend("a.example").await;
        answering
    });
    assert_eq!(read(response).await.0, b"hello");
    closed(&answering).await;
}

#[tokio::test]
async fn a_caller_that_is_suspended_before_the_first_byte_is_told_so_and_the_nodes_call_ends() {
    let world = World::new().await;
    let (script, mut taken) = waits();
    let _node = world.node("a.example", "DE", 1, script).await;
    let (response, answering) = tokio::join!(Box::pin(world.ask(in_germany())), async {
        let answering = at_once("a request arrives", taken.recv()).await.unwrap();
        world.suspend("app.example").await;
        answering
    });
    let (_, trailers) = read(response).await;
    assert_eq!(ended(&trailers), (Code::PermissionDenied, "ORGANISATION_SUSPENDED".into()));
    closed(&answering).await;
    assert_eq!(world.journal(1).await.1[0].grpc_code, i32::from(Code::PermissionDenied));
}

#[tokio::test]
async fn a_caller_that_leaves_while_its_decision_is_kept_leaves_an_outcome_and_no_node_is_asked() {
    let (begun, mut writes) = tokio::sync::mpsc::unbounded_channel();
    let (on, gate) = std::sync::mpsc::channel();
    let world =
        World::with_log(|path, key, clock| DecisionLog::held(&path.join("decisions"), key, clock, (begun, gate))).await;
    let node = world.node("a.example", "DE", 1, answers("never")).await;
    let left = async {
        tokio::select! {
            _ = world.ask(in_germany()) => panic!("nothing is answered before the decision is durable"),
            _ = writes.recv() => {}
        }
    };
    tokio::time::timeout(SOON, left).await.expect("the decision is written");
    // Gone is the caller. The disk goes on.
    drop(on);
    let (decisions, outcomes) = world.journal(1).await;
    assert_eq!((decisions[0].id, outcomes[0].cancelled), (outcomes[0].id, true));
    assert_eq!((outcomes[0].attempt, node.connections()), (0, 0));
}
