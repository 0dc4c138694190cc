//! Rounds of faults on logs, each of which lives for some dozens of them, until there were enough.

mod catalogue;
mod files;
mod flip;
mod known;
mod life;
mod power;
mod space;
mod table;
mod verify;
mod wal;
mod world;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};

use self::catalogue::Fault;
use self::table::Table;
use self::world::World;

/// A folder in memory, on Linux.
const MEMORY: &str = "/dev/shm";
/// How often it says how far it is.
const TELLS: Duration = Duration::from_secs(10);

/// How much to do.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct Args {
    /// Rounds at least: each is a life of a log, with what is done to it then.
    #[arg(long, default_value_t = 1_000)]
    rounds: u64,
    /// What all choices follow from [default: a random one, which is printed].
    #[arg(long)]
    seed: Option<u64>,
    /// Minutes at most.
    #[arg(long)]
    minutes: Option<u64>,
    /// Kills at least, on top of the rounds.
    #[arg(long, default_value_t = 0)]
    kills: u64,
    /// Only this log of the seed.
    #[arg(long)]
    world: Option<u64>,
    /// How many logs at once.
    #[arg(long, default_value_t = 2)]
    jobs: u64,
    /// Where the logs are kept while they live, in turn, and where one stays that broke a promise [default: the folder for
    /// temporary files, and where there is one, a folder in memory, whose syncs leave kills other moments].
    #[arg(long)]
    dir: Vec<PathBuf>,
    /// How the figures are printed.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// A form of the figures.
#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    Text,
    Json,
}

/// What all jobs share.
struct Campaign<'a> {
    args: &'a Args,
    seed: u64,
    dirs: Vec<PathBuf>,
    next: AtomicU64,
    started: Instant,
    so_far: Mutex<SoFar>,
}

struct SoFar {
    table: Table,
    told: Instant,
    broken: Vec<String>,
}

/// Runs it and prints the figures. Exits with 1 where a promise was broken; the log stays then.
///
/// # Errors
/// There is no room for logs.
#[expect(clippy::disallowed_methods, reason = "a developer's stopwatch, nothing depends on it")]
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut random = [0; 8];
    std::fs::File::open("/dev/urandom").and_then(|mut file| std::io::Read::read_exact(&mut file, &mut random))?;
    // Short enough to be typed.
    let seed = args.seed.unwrap_or_else(|| u64::from_be_bytes(random) % 1_000_000_000);
    eprintln!("seed {seed}; a full disk is {}", if space::may_mount() { "a small tmpfs" } else { "a limit to files" });
    let now = Instant::now();
    let so_far = Mutex::new(SoFar { table: Table::default(), told: now, broken: Vec::new() });
    let dirs = if args.dir.is_empty() { dirs() } else { args.dir.clone() };
    let campaign = Campaign { args, seed, dirs, next: AtomicU64::new(args.world.unwrap_or(0)), started: now, so_far };
    std::thread::scope(|scope| {
        let jobs = if args.world.is_some() { 1 } else { args.jobs.max(1) };
        for _ in 0..jobs {
            scope.spawn(|| campaign.job());
        }
    });
    let so_far = campaign.so_far.into_inner().map_err(|_| anyhow!("a job has panicked"))?;
    match args.output {
        Output::Text => {
            println!("\nseed {seed}, {:.0} s\n\n{}", campaign.started.elapsed().as_secs_f64(), so_far.table.text());
        }
        Output::Json => println!("{}", serde_json::json!({ "seed": seed, "faults": so_far.table })),
    }
    so_far.broken.iter().for_each(|broken| eprintln!("VIOLATION: {broken}"));
    Ok(if so_far.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where logs are kept.
fn dirs() -> Vec<PathBuf> {
    let memory = Path::new(MEMORY);
    std::iter::once(std::env::temp_dir()).chain(memory.is_dir().then(|| memory.to_owned())).collect()
}

impl Campaign<'_> {
    /// One log after another.
    fn job(&self) {
        while !self.enough() {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if let Err(error) = self.world(number) {
                self.broken(Fault::Kill, format!("log {number}: {error:#}"));
            }
            if self.args.world.is_some() {
                return;
            }
        }
    }

    fn world(&self, number: u64) -> Result<()> {
        let dir = usize::try_from(number)?.checked_rem(self.dirs.len()).and_then(|turn| self.dirs.get(turn));
        let dir = dir.context("there is no folder for logs")?;
        let home = tempfile::Builder::new().prefix("comity-faults-").tempdir_in(dir);
        let home = home.with_context(|| format!("cannot make a folder in {}", dir.display()))?;
        let mut world = World::new(home.path(), self.seed, number)?;
        let lived = world.run(|| self.enough());
        self.count(&world.table);
        if let Err(error) = lived {
            let kept = home.keep();
            let fault = world.trying.unwrap_or(Fault::Kill);
            let again = format!("--seed {} --world {number}", self.seed);
            self.broken(fault, format!("{}: {error:#}\n  {again}\n  kept: {}", fault.name(), Path::display(&kept)));
        }
        Ok(())
    }

    /// Whether there were rounds and kills enough, or something is broken.
    fn enough(&self) -> bool {
        let Ok(so_far) = self.so_far.lock() else { return true };
        let total = so_far.table.total();
        let minutes = self.args.minutes.map(|minutes| Duration::from_secs(60 * minutes));
        !so_far.broken.is_empty()
            || minutes.is_some_and(|minutes| self.started.elapsed() >= minutes)
            || (self.args.world.is_none() && total.rounds >= self.args.rounds && total.kills >= self.args.kills)
    }

    #[expect(clippy::disallowed_methods, reason = "a developer's stopwatch, nothing depends on it")]
    fn count(&self, table: &Table) {
        let Ok(mut so_far) = self.so_far.lock() else { return };
        so_far.table.add(table);
        if so_far.told.elapsed() >= TELLS {
            let total = so_far.table.total();
            eprintln!(
                "{:.0} s: {} rounds, {} kills, {} acknowledgements checked",
                self.started.elapsed().as_secs_f64(),
                total.rounds,
                total.kills,
                total.checked
            );
            so_far.told = Instant::now();
        }
    }

    fn broken(&self, fault: Fault, what: String) {
        let Ok(mut so_far) = self.so_far.lock() else { return };
        so_far.table.row(fault).violations += 1;
        so_far.broken.push(what);
    }
}
