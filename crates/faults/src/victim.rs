//! The log under load: opens it, appends decisions and outcomes by many tasks at once, publishes and erases in between, and
//! says what came of each.

mod disk;
mod load;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use comity_broker::ledger::log::{DecisionLog, Disk, LogError, System};
use comity_runtime::clock::SystemClock;
use comity_transparency::LogKey;
use comity_types::Secret;

pub(crate) use self::disk::{Fails, Operation, Writer};
use crate::said::{Said, say};

/// Which log every victim keeps.
pub(crate) const ORIGIN: &str = "fed.example/decisions/b1";
/// Threads of its runtime: those of a small machine.
const THREADS: usize = 2;
/// What it exits with when the log has failed, or does not open.
const ENDED: u8 = 3;

/// What a campaign starts a victim with.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct Args {
    /// The log's folder.
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// The folder with the log's keys.
    #[arg(long)]
    pub(crate) keys: PathBuf,
    /// Which life of the log it is; its leaves are told apart by it.
    #[arg(long)]
    pub(crate) life: u64,
    /// What its load depends on.
    #[arg(long)]
    pub(crate) seed: u64,
    /// How many append at once.
    #[arg(long)]
    pub(crate) tasks: u64,
    /// What its disk fails at, such as `wal:sync:7`, and then once or always: `wal:sync:7:always`.
    #[arg(long)]
    pub(crate) fails: Option<Fails>,
    /// Whether what was not synced to the write-ahead log is lost with a kill.
    #[arg(long, conflicts_with = "fails")]
    pub(crate) volatile: bool,
}

/// Runs until it is killed, or the log fails.
///
/// # Errors
/// There are no keys, or no runtime.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let key = key(&args.keys)?;
    let disk: Arc<dyn Disk> = match args.fails {
        Some(fails) => Arc::new(disk::Failing::new(fails)),
        None if args.volatile => Arc::new(disk::Volatile::default()),
        None => Arc::new(System),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
    match DecisionLog::open_on(&args.dir, key, Arc::new(SystemClock), disk) {
        Ok((log, open)) => {
            let note = log.reader().published().note.to_string();
            say(&Said::Opened { note, open: open.iter().map(|(index, _)| *index).collect() });
            runtime.block_on(load::run(log, args));
        }
        Err(error) => {
            let damaged = matches!(error, LogError::Damaged { .. });
            say(&Said::Refused { damaged, why: comity_runtime::chain::text(&error) });
        }
    }
    Ok(ExitCode::from(ENDED))
}

/// Makes the keys of a log in `folder`.
pub(crate) fn make_keys(folder: &Path) -> Result<LogKey> {
    let key = LogKey::generate(ORIGIN)?;
    let [plain, post_quantum] = key.to_pkcs8()?;
    std::fs::write(folder.join("ed25519.der"), plain.reveal())?;
    std::fs::write(folder.join("ml-dsa-44.der"), post_quantum.reveal())?;
    Ok(key)
}

/// The keys in `folder`.
pub(crate) fn key(folder: &Path) -> Result<LogKey> {
    let read = |name: &str| {
        std::fs::read(folder.join(name)).map(Secret::new).with_context(|| format!("cannot read the key {name}"))
    };
    Ok(LogKey::from_pkcs8(ORIGIN, &read("ed25519.der")?, &read("ml-dsa-44.der")?)?)
}
