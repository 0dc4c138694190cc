//! `cargo xtask bench log`, its first half: how many decisions a second the decision log takes, how long each waits, and
//! what it takes to verify one and to start again. The log is the broker's own, in a folder on a disk; no network.
//!
//! Timed is what the broker waits for between a decision and its dispatch: the record hidden, the leaf hashed, placed, signed
//! with its proof, and durable. Rounds of all settings take turns, so that what the machine does meanwhile is shared by all,
//! and before each the disk itself is timed: an append of 4 KiB and its `fdatasync`. Some of every round's proofs are
//! verified when its clock has stopped.
//!
//! | module | holds |
//! |---|---|
//! | `callers` | those who commit, one decision after another |
//! | `records` | what they commit |
//! | `machine` | the processor, its time, the disk |
//! | `figures` | percentiles, medians of rounds, the tables |
//! | `receipts` | what a receipt weighs, and what it takes to verify |
//! | `recovery` | a start after a kill |
#![expect(clippy::print_stdout, reason = "a measurement is its output")]
#![expect(clippy::unwrap_used, reason = "measurements end loudly")]

mod callers;
mod figures;
mod machine;
mod receipts;
mod records;
mod recovery;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use comity_broker::ledger::decisions::Ledger;
use comity_runtime::clock::SystemClock;
use comity_transparency::LogKey;

use self::callers::Life;
use self::figures::Figures;

/// The log's origin.
const LOG: &str = "federation.example/decisions/broker";
/// How many callers commit at once.
const CALLERS: [usize; 5] = [1, 16, 64, 256, 1024];
/// Rounds of each setting: the least whose median says something.
const ROUNDS: usize = 5;
/// How long a round lasts, unless `--seconds` says otherwise.
const SECONDS: u64 = 2;

/// Where the log is, and its key.
pub(crate) struct Place(PathBuf);

impl Place {
    fn ledger(&self) -> PathBuf {
        self.0.join("decisions")
    }

    /// Makes the key of a log that does not exist yet.
    fn make_key(&self) {
        let keys = LogKey::generate(LOG).unwrap().to_pkcs8().unwrap();
        for (file, key) in self.keys().iter().zip(keys) {
            std::fs::write(file, key.reveal()).unwrap();
        }
    }

    fn keys(&self) -> [PathBuf; 2] {
        ["ed25519", "ml-dsa-44"].map(|name| self.0.join(name))
    }

    fn key(&self) -> LogKey {
        let [plain, post_quantum] = self.keys().map(|file| comity_types::Secret::new(std::fs::read(file).unwrap()));
        LogKey::from_pkcs8(LOG, &plain, &post_quantum).unwrap()
    }

    async fn open(&self) -> Ledger {
        Ledger::open(&self.ledger(), self.key(), Arc::new(SystemClock), None).await.unwrap().0
    }
}

#[tokio::main]
async fn main() {
    if let Some(dir) = argument(recovery::CHILD) {
        return recovery::commit_until_killed(&Place(dir.into())).await;
    }
    let round = Duration::from_secs(argument("--seconds").map_or(SECONDS, |seconds| seconds.parse().unwrap()));
    // Beside what is built: the folder for temporary files may be no disk at all.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let place = Place(dir.path().to_owned());
    place.make_key();
    machine::print_head(dir.path());
    println!("{ROUNDS} rounds of {round:?} for each setting, in turn; medians, and the lowest to the highest round");
    println!();
    measure(&place, round).await;
    recovery::measure(&place).await;
    machine::print_foot();
}

async fn measure(place: &Place, length: Duration) {
    let ledger = place.open().await;
    let verifier = comity_transparency::NoteVerifier::of(&place.key().verifiers()[0]);
    let mut figures = Figures::default();
    // Its outcome comes last, so that its receipt leads across the whole log.
    let first = ledger.commit(records::decision(u64::MAX)).await.unwrap();
    // What is cold is not what is measured.
    let _warm = callers::round(&ledger, 64, length, Life::Whole, &verifier).await;
    for _ in 0..ROUNDS {
        for callers in CALLERS {
            for life in Life::ALL {
                let raw = machine::raw_syncs(&place.0);
                figures.add(callers, life, raw, callers::round(&ledger, callers, length, life, &verifier).await);
            }
        }
    }
    ledger.log().flush().await.unwrap();
    figures.print();
    let leaves = ledger.log().reader().published().checkpoint.size;
    let each = |part: &str| bytes_below(&place.ledger().join(part)) as f64 / leaves as f64;
    let (records, tiles) = (each("records"), each("tile"));
    println!("\nthe log has {leaves} leaves at the end, half of them decisions; bytes on disk a leaf: {tiles:.0} for");
    println!("everybody, {records:.0} of its record\n");
    receipts::measure(place, &ledger, &first).await;
}

/// The bytes of all files below a folder.
pub(crate) fn bytes_below(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let bytes = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        // Some are replaced while we look.
        metadata => metadata.map_or(0, |metadata| metadata.len()),
    };
    entries.map(bytes).sum()
}

fn argument(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}
