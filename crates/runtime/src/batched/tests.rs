//! What is written in one turn leaves in one write, all of it, in order; and what cannot leave is bounded.

mod burst;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Waker;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// Takes so many bytes a write, or says what the system says.
#[derive(Debug, Default)]
struct Script {
    answers: VecDeque<io::Result<usize>>,
    writes: Vec<Vec<u8>>,
    flushes: usize,
}

#[derive(Debug, Clone, Default)]
struct Scripted(Arc<Mutex<Script>>);

impl Scripted {
    fn answering(answers: impl IntoIterator<Item = io::Result<usize>>) -> Self {
        let script = Script { answers: answers.into_iter().collect(), ..Script::default() };
        Self(Arc::new(Mutex::new(script)))
    }

    fn writes(&self) -> Vec<Vec<u8>> {
        self.0.lock().unwrap().writes.clone()
    }
}

impl AsyncRead for Scripted {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Scripted {
    /// As it is told; everything when it was told nothing. `WouldBlock` is a socket that is full.
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut script = self.0.lock().unwrap();
        let taken = match script.answers.pop_front().unwrap_or(Ok(bytes.len())) {
            Ok(taken) => taken.min(bytes.len()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            Err(error) => return Poll::Ready(Err(error)),
        };
        script.writes.push(bytes[..taken].to_vec());
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().unwrap().flushes += 1;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn full() -> io::Result<usize> {
    Err(io::ErrorKind::WouldBlock.into())
}

/// One turn of a task that does this.
fn turn<O>(turns: &Turns<Scripted>, mut act: impl FnMut(&mut Context<'_>) -> O) -> O {
    let done = poll_fn(|cx| Poll::Ready(act(cx)));
    match std::pin::pin!(turns.run(done)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => unreachable!("it is ready at once"),
    }
}

fn write(io: &mut Batched<Scripted>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    Pin::new(io).poll_write(cx, bytes)
}

#[test]
fn what_is_written_and_flushed_in_one_turn_leaves_in_one_write() {
    let socket = Scripted::default();
    let (mut io, turns) = batched(socket.clone(), Allowance::DEFAULT);
    turn(&turns, |cx| {
        for word in ["to", "ge", "ther"] {
            assert!(write(&mut io, cx, word.as_bytes()).is_ready());
            assert!(Pin::new(&mut io).poll_flush(cx).is_ready());
        }
        assert_eq!(socket.writes(), Vec::<Vec<u8>>::new());
    });
    assert_eq!((socket.writes(), socket.0.lock().unwrap().flushes), (vec![b"together".to_vec()], 1));
    turn(&turns, |_| {});
    assert_eq!(socket.0.lock().unwrap().flushes, 1, "a turn that does not use it flushes nothing");
}

#[test]
fn what_the_connection_does_not_take_is_kept_to_a_limit_and_leaves_when_it_does() {
    let socket = Scripted::answering([full(), full(), Ok(3)]);
    let (mut io, turns) = batched(socket.clone(), Allowance::DEFAULT);
    let much = vec![7; MAX_UNSENT + 1];
    turn(&turns, |cx| {
        assert!(matches!(write(&mut io, cx, &much), Poll::Ready(Ok(MAX_UNSENT))));
        assert!(write(&mut io, cx, b"more").is_pending());
    });
    assert_eq!(socket.writes().len(), 0);
    turn(&turns, |cx| {
        assert!(matches!(write(&mut io, cx, b"more"), Poll::Ready(Ok(4))));
    });
    let lengths: Vec<_> = socket.writes().iter().map(Vec::len).collect();
    assert_eq!(lengths, [3, MAX_UNSENT - 3, 4]);
    assert!(lock(&io.0).unsent.capacity() <= KEPT);
}

#[test]
fn why_a_flush_failed_is_told_to_whoever_uses_the_connection_next() {
    let uses: [fn(&mut Batched<Scripted>, &mut Context<'_>) -> bool; 4] = [
        |io, cx| matches!(write(io, cx, b"b"), Poll::Ready(Err(_))),
        |io, cx| matches!(Pin::new(io).poll_flush(cx), Poll::Ready(Err(_))),
        |io, cx| matches!(Pin::new(io).poll_read(cx, &mut ReadBuf::new(&mut [0])), Poll::Ready(Err(_))),
        |io, cx| matches!(Pin::new(io).poll_shutdown(cx), Poll::Ready(Err(_))),
    ];
    for fails in uses {
        let (mut io, turns) = batched(Scripted::answering([Err(io::ErrorKind::BrokenPipe.into())]), Allowance::DEFAULT);
        turn(&turns, |cx| assert!(write(&mut io, cx, b"a").is_ready()));
        turn(&turns, |cx| assert!(fails(&mut io, cx)));
    }
    let (mut io, turns) = batched(Scripted::answering([Ok(0)]), Allowance::DEFAULT);
    turn(&turns, |cx| assert!(write(&mut io, cx, b"a").is_ready()));
    turn(&turns, |cx| assert!(matches!(Pin::new(&mut io).poll_flush(cx), Poll::Ready(Err(_)))));
}

#[test]
fn a_connection_that_is_dropped_is_closed_whoever_may_still_end_its_turns() {
    let socket = Scripted::default();
    let (io, turns) = batched(socket.clone(), Allowance::DEFAULT);
    drop(io);
    assert_eq!(Arc::strong_count(&socket.0), 1);
    turn(&turns, |_| USED.set(true));
}

#[test]
fn shutting_down_sends_what_is_unsent() {
    let socket = Scripted::default();
    let (mut io, _turns) = batched(socket.clone(), Allowance::DEFAULT);
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(write(&mut io, cx, b"last").is_ready());
    assert!(Pin::new(&mut io).poll_shutdown(cx).is_ready());
    assert_eq!(socket.writes(), [b"last"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Over a pipe that is never wide enough.
    #[test]
    fn all_that_is_written_arrives_in_order(pieces in prop::collection::vec(1_usize..3 * MAX_UNSENT / 2, 1..12), width in 1_usize..5000) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let sent: Vec<u8> = (0_u8..251).cycle().take(pieces.iter().sum()).collect();
        let (ours, mut theirs) = tokio::io::duplex(width);
        let (mut io, turns) = batched(ours, Allowance::DEFAULT);
        let arrived = runtime.block_on(async {
            let mut rest = sent.as_slice();
            let writing = turns.run(async {
                for piece in pieces {
                    let (piece, after) = rest.split_at(piece);
                    io.write_all(piece).await.unwrap();
                    io.flush().await.unwrap();
                    tokio::task::yield_now().await;
                    rest = after;
                }
                io.shutdown().await.unwrap();
            });
            let mut arrived = Vec::new();
            let ((), read) = tokio::join!(writing, theirs.read_to_end(&mut arrived));
            read.unwrap();
            arrived
        });
        prop_assert!(arrived == sent);
    }
}
