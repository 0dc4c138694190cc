//! `cargo xtask bench`: measurements that say what they measured and on what.

mod dataplane;
mod overload;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{cargo, run as run_command, step};

/// How long the programs are left alone before their memory is read.
const SETTLE: Duration = Duration::from_secs(10);
/// Longest that the demonstration may take to tell its story, or to end: it may fetch its model first.
const LONGEST: Duration = Duration::from_secs(600);
/// How often it is looked at.
const GLANCE: Duration = Duration::from_millis(100);
/// What `comity demo` prints once its story is told and it only waits.
const STAYS_UP: &str = "Ctrl-C";
/// The profile of what is shipped.
const SHIPPED: &str = "dist";
/// The programs.
const PROGRAMS: &[&str] = &["comity", "comity-broker", "comity-node"];

/// What to measure.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Bench {
    /// The sizes of the programs, and the memory of a broker and its nodes when nothing happens.
    Idle {
        /// Measure the development build, which is not what anyone installs.
        #[arg(long)]
        debug: bool,
    },
    /// How long a decision takes, over 1,000, 10,000 and 100,000 offers, beside a full scan and beside Cedar.
    Policy,
    /// How long it takes from an operator's word to the end of the last stream of whoever is suspended.
    Suspension {
        /// What to build; `dev` is not what anyone installs.
        #[arg(long, default_value = SHIPPED)]
        profile: String,
        /// How often each kind of member is suspended in each way.
        #[arg(long)]
        runs: Option<usize>,
    },
    /// How many decisions a second the decision log takes and how long each waits, what a receipt costs to verify, what
    /// of a call is waiting for the log, and what a call waits longer than where there is none.
    Log {
        /// What to build; `dev` is not what anyone installs.
        #[arg(long, default_value = SHIPPED)]
        profile: String,
        /// How long each round of each setting lasts.
        #[arg(long)]
        seconds: Option<u64>,
    },
    /// What a request costs that passes through the broker, beside nginx, HAProxy and Envoy as plain gRPC proxies.
    Dataplane(dataplane::Args),
    /// What becomes of a broker that is asked for more than it can do, and of an honest caller while others mean harm.
    Overload(overload::Args),
}

/// Builds, measures, prints tables.
///
/// # Errors
/// If what is measured does not build, or does not do what it should.
pub(crate) fn run(root: &Path, cache: &Path, bench: &Bench) -> Result<()> {
    match bench {
        Bench::Idle { debug } => idle(root, *debug),
        Bench::Policy => step("measure decisions", || {
            run_command(&mut cargo_bench(root, &["--package", "comity-bench"], "policy", SHIPPED))
        }),
        Bench::Suspension { profile, runs } => {
            let runs = runs.map(|runs| ["--runs".to_owned(), runs.to_string()]);
            with_programs(root, profile, "suspension", runs.as_ref())
        }
        Bench::Log { profile, seconds } => {
            let beside = dataplane::Args::of_log(profile, *seconds);
            let seconds = seconds.map(|seconds| ["--seconds".to_owned(), seconds.to_string()]);
            step("measure the log", || {
                let mut bench = cargo_bench(root, &["--workspace"], "log", profile);
                run_command(bench.arg("--").args(seconds.iter().flatten()))
            })?;
            with_programs(root, profile, "calls", seconds.as_ref())?;
            dataplane::run(root, cache, &beside)
        }
        Bench::Dataplane(args) => dataplane::run(root, cache, args),
        Bench::Overload(args) => overload::run(root, args),
    }
}

fn cargo_bench(root: &Path, of: &[&str], bench: &str, profile: &str) -> Command {
    let mut command = cargo(root);
    command.args(["bench", "--locked"]).args(of).args(["--bench", bench, "--profile", profile]);
    command
}

/// The programs beside the measurement, of the whole workspace, so that both have one set of features.
fn with_programs(root: &Path, profile: &str, bench: &str, arguments: Option<&[String; 2]>) -> Result<()> {
    step("build the programs and the measurement", || {
        let build = ["build", "--locked", "--workspace", "--bins", "--bench", bench, "--profile", profile];
        run_command(cargo(root).args(build))
    })?;
    step(&format!("measure {bench}"), || {
        let mut command = cargo_bench(root, &["--workspace"], bench, profile);
        run_command(command.arg("--").args(arguments.into_iter().flatten()))
    })
}

fn idle(root: &Path, debug: bool) -> Result<()> {
    let profile = if debug { "debug" } else { SHIPPED };
    step("build the programs", || {
        let mut build = cargo(root);
        build.args(["build", "--locked", "--bins"]);
        if !debug {
            build.args(["--profile", SHIPPED]);
        }
        run_command(&mut build)
    })?;
    let folder = root.join("target").join(profile);
    println!("| what ({profile} build) | MB |\n|---|---|");
    for program in PROGRAMS {
        let bytes = std::fs::metadata(folder.join(program)).with_context(|| format!("{program} was not built"))?.len();
        println!("| size of `{program}` | {} |", megabytes(bytes));
    }
    let mut demo = start(&folder)?;
    let measured = wait_for_the_end_of_the_story(&mut demo).and_then(|()| {
        std::thread::sleep(SETTLE);
        resident_children(demo.id())
    });
    end(&mut demo)?;
    for (name, bytes) in measured? {
        println!("| resident memory of an idle `{name}`, after the demonstration's story | {} |", megabytes(bytes));
    }
    Ok(())
}

/// Starts the demonstration: a broker and three nodes as real processes.
fn start(folder: &Path) -> Result<Child> {
    let mut demo = Command::new(folder.join("comity"));
    demo.arg("demo").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    demo.spawn().context("cannot start the demonstration")
}

/// Ends the demonstration as a person would, so that it takes its programs with it.
fn end(demo: &mut Child) -> Result<()> {
    run_command(Command::new("kill").args(["-INT", &demo.id().to_string()]))?;
    for _ in 0..LONGEST.as_millis() / GLANCE.as_millis() {
        if demo.try_wait()?.is_some() {
            return Ok(());
        }
        std::thread::sleep(GLANCE);
    }
    bail!("the demonstration, process {}, does not end", demo.id())
}

/// Reads what the demonstration says until it only waits.
fn wait_for_the_end_of_the_story(demo: &mut Child) -> Result<()> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let streams: [Option<Box<dyn std::io::Read + Send>>; 2] = [
        demo.stdout.take().map(|stream| Box::new(stream) as Box<dyn std::io::Read + Send>),
        demo.stderr.take().map(|stream| Box::new(stream) as Box<dyn std::io::Read + Send>),
    ];
    for stream in streams.into_iter().flatten() {
        let sender = sender.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(std::io::Result::ok) {
                let _ended = sender.send(line).is_err();
            }
        });
    }
    drop(sender);
    loop {
        match receiver.recv_timeout(LONGEST) {
            Ok(line) if line.contains(STAYS_UP) => return Ok(()),
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => bail!("the demonstration has said nothing for {LONGEST:?}"),
            Err(RecvTimeoutError::Disconnected) => {
                bail!("the demonstration ended before it could be measured: run `comity demo` to see why")
            }
        }
    }
}

/// The names and resident bytes of a process's children.
fn resident_children(parent: u32) -> Result<Vec<(String, u64)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").context("memory is read from /proc, which only Linux has")? {
        let Ok(status) = std::fs::read_to_string(entry?.path().join("status")) else { continue };
        if field(&status, "PPid").and_then(|pid| pid.parse().ok()) == Some(parent) {
            let name = field(&status, "Name").unwrap_or_default().to_owned();
            let kibibytes: u64 =
                field(&status, "VmRSS").and_then(|size| size.trim_end_matches(" kB").parse().ok()).unwrap_or(0);
            found.push((name, kibibytes * 1024));
        }
    }
    found.sort();
    Ok(found)
}

/// A field of `/proc/<pid>/status`.
fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// Bytes as megabytes, with one decimal.
fn megabytes(bytes: u64) -> String {
    format!("{}.{}", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let status = "Name:\tcomity-node\nPPid:\t17\nVmRSS:\t  2048 kB\n";
        assert_eq!(field(status, "PPid"), Some("17"));
        assert_eq!(field(status, "VmRSS"), Some("2048 kB"));
        assert_eq!(field(status, "Vm"), None);
        assert_eq!(megabytes(12_345_678), "12.3");
    }
}
