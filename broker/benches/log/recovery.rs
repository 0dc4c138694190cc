//! A start after a kill: what was written ahead is read again, and what nobody settled is closed.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::{Place, bytes_below, records};

/// The argument of the process that is killed; its folder follows.
pub(crate) const CHILD: &str = "--commit-until-killed";
/// How many commit at once in it.
const CALLERS: usize = 64;
/// What it says when it commits.
const COMMITS: &str = "commits";
/// How long it is left at it.
const AT_IT: Duration = Duration::from_secs(2);
/// Numbers of its decisions.
const NUMBERS: u64 = 1 << 40;

/// Commits until the process is killed.
pub(crate) async fn commit_until_killed(place: &Place) {
    let ledger = place.open().await;
    let mut running = JoinSet::new();
    for caller in 0..CALLERS as u64 {
        let ledger = ledger.clone();
        running.spawn(async move {
            for number in 0.. {
                let committed = ledger.commit(records::decision(NUMBERS * (caller + 1) + number)).await.unwrap();
                let _settled = ledger.settle(&committed, records::outcome()).await.unwrap();
            }
        });
    }
    println!("{COMMITS}");
    let _never = running.join_all().await;
}

/// Opens the log as it was left, kills a process that goes on with it, and opens it again.
pub(crate) async fn measure(place: &Place) {
    println!("| a start | leaves | written ahead, MB | ms |\n|---|--:|--:|--:|");
    open(place, "after a stop").await;
    kill_in_the_middle(place);
    open(place, "after a kill").await;
    open(place, "after a stop").await;
    println!();
}

fn kill_in_the_middle(place: &Place) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    let mut child = child.arg(CHILD).arg(&place.0).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said.trim(), COMMITS);
    std::thread::sleep(AT_IT);
    child.kill().unwrap();
    let _status = child.wait().unwrap();
}

async fn open(place: &Place, what: &str) {
    let ahead = bytes_below(&place.ledger().join("wal"));
    let begun = Instant::now();
    let ledger = place.open().await;
    let took = begun.elapsed();
    ledger.log().flush().await.unwrap();
    let leaves = ledger.log().reader().published().checkpoint.size;
    println!("| {what} | {leaves} | {:.1} | {:.0} |", ahead as f64 / 1e6, took.as_secs_f64() * 1e3);
}
