//! An open loop: calls begin when they are due, whatever has become of those before them.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use crate::cases::Case;
use crate::load::{Load, SHED};

/// How often calls begin, all that are due at once: the resolution of timers.
const TICK: Duration = Duration::from_millis(1);
/// How long after it was due an answer is of use: a caller who waits for longer has left.
const OF_USE: Duration = Duration::from_secs(1);
/// Most calls that run at once, of all connections: beyond, a call is late before it begins, so that the generator measures the
/// broker and not its own memory.
const MOST: usize = 8_192;

/// What was offered, and what became of it.
#[derive(Debug, Default)]
pub(super) struct Offered {
    /// For how long, in seconds.
    pub(super) seconds: f64,
    pub(super) offered: usize,
    /// How long each took that was answered whole and in time, from when it was due, in nanoseconds.
    pub(super) served: Vec<u64>,
    pub(super) shed: usize,
    pub(super) late: usize,
    /// Why a call failed in another way, if one did.
    pub(super) failed: Option<String>,
}

/// Offers so many calls a second, for so long, and waits for the last.
pub(super) async fn offer(load: &Load, rate: f64, length: Duration) -> Offered {
    let (case, mut calls, mut offered) = (Case::Unary64, JoinSet::new(), Offered::default());
    let (request, begun, gap) = (case.request(), Instant::now(), Duration::from_secs_f64(1.0 / rate));
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while begun.elapsed() < length {
        let _tick = ticks.tick().await;
        let due = begun.elapsed().min(length).as_nanos() / gap.as_nanos().max(1);
        let due = usize::try_from(due).unwrap();
        for at in offered.offered..due {
            if calls.len() >= MOST {
                offered.late += 1;
                continue;
            }
            let (mut call, due_at) = (load.call(case, at, &request), begun + gap.mul_f64(at as f64));
            calls.spawn(async move {
                let made = timeout_at(due_at + OF_USE, call.make(|_| {})).await;
                made.map(|made| made.map(|_| due_at.elapsed()))
            });
        }
        offered.offered = offered.offered.max(due);
        while let Some(ended) = calls.try_join_next() {
            offered.note(ended.unwrap());
        }
    }
    offered.seconds = begun.elapsed().as_secs_f64();
    while let Some(ended) = calls.join_next().await {
        offered.note(ended.unwrap());
    }
    offered
}

impl Offered {
    fn note(&mut self, ended: Result<Result<Duration, String>, tokio::time::error::Elapsed>) {
        match ended {
            Ok(Ok(took)) => self.served.push(u64::try_from(took.as_nanos()).unwrap()),
            Ok(Err(why)) if why == SHED => self.shed += 1,
            Ok(Err(why)) => self.failed = Some(why),
            Err(_) => self.late += 1,
        }
    }
}
