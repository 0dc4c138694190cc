//! Those who commit: so many at once, each one decision after another.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use comity_broker::ledger::decisions::{Committed, Ledger};
use comity_transparency::NoteVerifier;
use comity_transparency::receipt::Receipt;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::{LOG, machine, records};

/// Of so many proofs one is verified after the round.
const VERIFY_ONE_IN: usize = 100;
/// Numbers of decisions, across all rounds.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// What a caller does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// Commits decisions; their outcomes follow when the round's clock has stopped.
    Commit,
    /// Commits a decision and then its outcome, as a request does whose answer takes no time.
    Whole,
}

impl Life {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Commit, Self::Whole];
}

/// What a round came to.
pub(crate) struct Round {
    /// Decisions a second.
    pub(crate) rate: f64,
    /// How long each took to be committed.
    pub(crate) commits: Vec<Duration>,
    /// How long each outcome took, where outcomes follow at once.
    pub(crate) settles: Vec<Duration>,
    /// Outcomes a second, where they follow later, in a burst.
    pub(crate) later: Option<f64>,
    /// Decisions that one signature covers, on average; unknown where they are not kept.
    pub(crate) batch: Option<f64>,
    /// Seconds of processor time for a decision.
    pub(crate) cpu: f64,
}

/// What a caller has at the end of a round.
#[derive(Default)]
struct Done {
    commits: Vec<Duration>,
    settles: Vec<Duration>,
    kept: Vec<Arc<Committed>>,
    receipts: Vec<Receipt>,
}

/// Lets `callers` commit for as long as this.
pub(crate) async fn round(
    ledger: &Ledger,
    callers: usize,
    length: Duration,
    life: Life,
    verifier: &NoteVerifier,
) -> Round {
    let (begun, cpu) = (Instant::now(), machine::cpu_seconds());
    let mut running = JoinSet::new();
    for _ in 0..callers {
        running.spawn(commit(ledger.clone(), begun + length, life));
    }
    let all = running.join_all().await;
    let (took, cpu) = (begun.elapsed(), machine::cpu_seconds() - cpu);
    let (mut commits, mut settles, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    for done in all {
        commits.extend(done.commits);
        settles.extend(done.settles);
        kept.extend(done.kept);
        done.receipts.iter().for_each(|receipt| verify(receipt, verifier));
    }
    let batches: HashSet<_> = kept.iter().map(|committed| committed.checkpoint().as_ptr()).collect();
    let batch = (life == Life::Commit).then(|| kept.len() as f64 / batches.len() as f64);
    for committed in kept.iter().step_by(VERIFY_ONE_IN) {
        verify(&Receipt::try_from(committed.receipt()).unwrap(), verifier);
    }
    let later = if life == Life::Commit { Some(settle_all(ledger, callers, kept).await) } else { None };
    let (rate, cpu) = (commits.len() as f64 / took.as_secs_f64(), cpu / commits.len() as f64);
    Round { rate, commits, settles, later, batch, cpu }
}

fn verify(receipt: &Receipt, verifier: &NoteVerifier) {
    let _proven = receipt.verify(LOG, verifier).unwrap();
}

async fn commit(ledger: Ledger, until: Instant, life: Life) -> Done {
    let mut done = Done::default();
    while Instant::now() < until {
        let record = records::decision(NEXT.fetch_add(1, Ordering::Relaxed));
        let begun = Instant::now();
        let committed = Arc::new(ledger.commit(record).await.unwrap());
        done.commits.push(begun.elapsed());
        match life {
            Life::Commit => done.kept.push(committed),
            Life::Whole => {
                let outcome = records::outcome();
                let begun = Instant::now();
                let settled = ledger.settle(&committed, outcome).await.unwrap();
                done.settles.push(begun.elapsed());
                if done.settles.len() % VERIFY_ONE_IN == 1 {
                    done.receipts.push(Receipt::try_from(settled.receipt()).unwrap());
                }
            }
        }
    }
    done
}

/// Commits the outcomes of decisions that were made some time ago: how many a second.
async fn settle_all(ledger: &Ledger, callers: usize, kept: Vec<Arc<Committed>>) -> f64 {
    let (begun, number) = (Instant::now(), kept.len());
    let mut running = JoinSet::new();
    let share = number.div_ceil(callers).max(1);
    for part in kept.chunks(share) {
        let (ledger, part) = (ledger.clone(), part.to_vec());
        running.spawn(async move {
            for committed in part {
                let _settled = ledger.settle(&committed, records::outcome()).await.unwrap();
            }
        });
    }
    let _all = running.join_all().await;
    number as f64 / begun.elapsed().as_secs_f64()
}
