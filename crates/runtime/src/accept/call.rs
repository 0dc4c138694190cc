//! Each call is a task of its own, which may be given an end: then it is dropped, whatever it waits for.
//!
//! HTTP/2 asks for the next piece of an answer only when its reader has room for it, so that an answer to a reader that stalls
//! is never asked again, and cannot end by itself. Dropped, its stream is reset, and what was queued for it is thrown away
//! (h2 does both). The other calls of the connection go on.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use hyper_util::rt::TokioExecutor;
use tokio::time::{Instant, sleep_until};

tokio::task_local! {
    /// When the call of this task is dropped, if it is still there.
    static END: Cell<Option<Instant>>;
}

/// Drops the call that is answered in this task at `at`, if its answer has not gone by then; whichever instant was said last
/// counts. Does nothing in a task that is not
/// one of a call that [`serve`](super::serve()) has taken.
pub fn drop_call_at(at: Instant) {
    let _elsewhere = END.try_with(|end| end.set(Some(at))).is_err();
}

/// Where hyper has the calls of a connection run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Calls;

impl<F> hyper::rt::Executor<F> for Calls
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, call: F) {
        TokioExecutor::new().execute(END.scope(Cell::new(None), until_its_end(call)));
    }
}

/// The call until it ends, or until its end has come. No timer runs for a call that was given none.
async fn until_its_end(call: impl Future<Output = ()>) {
    let (mut call, mut timer) = (pin!(call), pin!(sleep_until(Instant::now())));
    poll_fn(|context| {
        if call.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        let Some(at) = END.with(Cell::get) else { return Poll::Pending };
        if timer.deadline() != at {
            timer.as_mut().reset(at);
        }
        timer.as_mut().poll(context)
    })
    .await;
}
