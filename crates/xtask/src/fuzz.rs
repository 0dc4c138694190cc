//! `cargo xtask fuzz`: looks for texts that break what files of policy promise, by libFuzzer, on the stable toolchain.
//!
//! ```text
//! target/fuzz/seeds/<target>/    what it begins with: examples, presets, cases
//! target/fuzz/corpus/<target>/   what it found worth keeping, for the next run
//! target/fuzz/found/<target>/    what broke a promise
//! target/fuzz/<target>.log       what libFuzzer said
//! ```

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use comity_fuzz::{Target, seeds};

use crate::layers::host;
use crate::process::{self, cargo, step};

/// What makes the compiler count edges and comparisons for libFuzzer. `cargo fuzz` passes the same; they are flags of
/// LLVM, which stable hands on.
const INSTRUMENTATION: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];
/// Longest input, in bytes: the largest seed three times over.
const MAX_INPUT_BYTES: usize = 16 * 1024;
/// Most memory of a run, in MiB; a text that needs more is a fault.
const MAX_MEMORY_MIB: usize = 1024;
/// Longest time for one input, in seconds; a text that needs more is a fault.
const MAX_INPUT_SECONDS: u64 = 10;
/// Lines of the log that are shown of a failure: the panic and where it came from.
const SHOWN_LINES: usize = 60;

/// What to fuzz, and for how long.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Seconds for each target.
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: u64,
    /// Kinds of file: requirements, node, organisation, cases [default: all].
    #[arg(value_name = "TARGET", value_parser = target)]
    pub(crate) targets: Vec<Target>,
}

fn target(name: &str) -> Result<Target, String> {
    let known = Target::ALL.iter().map(|target| target.as_str()).collect::<Vec<_>>().join(", ");
    let found = Target::ALL.iter().find(|target| target.as_str() == name);
    found.copied().ok_or_else(|| format!("there are {known}"))
}

/// Builds the targets and runs each for its time.
///
/// # Errors
/// If they do not build, are not instrumented, or an input breaks a promise; the message names the input, and the
/// commands that replay and keep it.
pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    let places = Places { root: root.to_owned(), host: host()? };
    step("build the fuzz targets", || build(&places))?;
    std::fs::create_dir_all(places.fuzz()).context("cannot make target/fuzz")?;
    let words: String = seeds::dictionary().iter().map(|word| format!("\"{}\"\n", escaped(word))).collect();
    std::fs::write(places.dictionary(), words).context("cannot write the dictionary")?;
    let targets = if args.targets.is_empty() { Target::ALL } else { &args.targets };
    for target in targets {
        step(&format!("fuzz {} for {} s", target.as_str(), args.seconds), || fuzz(&places, *target, args.seconds))?;
    }
    Ok(())
}

/// Where things are.
struct Places {
    root: PathBuf,
    host: String,
}

impl Places {
    fn fuzz(&self) -> PathBuf {
        self.root.join("target/fuzz")
    }

    fn dictionary(&self) -> PathBuf {
        self.fuzz().join("words.dict")
    }

    fn program(&self, target: Target) -> PathBuf {
        self.fuzz().join(&self.host).join("fuzz").join(format!("fuzz-{}", target.as_str()))
    }

    fn log(&self, target: Target) -> PathBuf {
        self.fuzz().join(format!("{}.log", target.as_str()))
    }

    fn folder(&self, of: &str, target: Target) -> Result<PathBuf> {
        let folder = self.fuzz().join(of).join(target.as_str());
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }

    fn regressions(&self, target: Target) -> PathBuf {
        self.root.join("tests/fuzz/regressions").join(target.as_str())
    }
}

/// A folder and a platform of its own, so that neither other builds nor build scripts are instrumented.
fn build(places: &Places) -> Result<()> {
    let mut build = cargo(&places.root);
    build.args(["build", "--locked", "--package", "comity-fuzz", "--features", "libfuzzer", "--bins"]);
    build.args(["--profile", "fuzz", "--target", &places.host, "--target-dir"]).arg(places.fuzz());
    build.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", INSTRUMENTATION.join("\u{1f}"));
    process::run(&mut build).context("libFuzzer needs a C++ compiler (on Debian: apt install g++)")
}

fn fuzz(places: &Places, target: Target, seconds: u64) -> Result<()> {
    let (corpus, begin) = (places.folder("corpus", target)?, places.folder("seeds", target)?);
    for (name, text) in seeds::of(target) {
        std::fs::write(begin.join(name), text).context("cannot write a seed")?;
    }
    let found = places.folder("found", target)?;
    let log = places.log(target);
    let file = std::fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut command = Command::new(places.program(target));
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={MAX_INPUT_BYTES}"));
    command.arg(format!("-rss_limit_mb={MAX_MEMORY_MIB}")).arg(format!("-timeout={MAX_INPUT_SECONDS}"));
    command.arg("-print_final_stats=1").arg(format!("-artifact_prefix={}/", found.display()));
    command.arg(format!("-dict={}", places.dictionary().display()));
    let folders = [corpus, begin, places.regressions(target)];
    command.args(folders.iter().filter(|folder| folder.exists()));
    let status = command.stderr(file).status().with_context(|| format!("cannot start {command:?}"))?;
    let said = std::fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
    let said = String::from_utf8_lossy(&said);
    if !status.success() {
        bail!("{}", broken(places, target, &said));
    }
    println!("{}: {}", target.as_str(), Summary::of(&said)?);
    Ok(())
}

/// What to say of an input that breaks a promise.
fn broken(places: &Places, target: Target, said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    // The stages before it are thousands of lines; the panic stands where they end.
    let panic = lines.iter().position(|line| line.contains("panicked at") || line.contains("ERROR: libFuzzer"));
    let start = panic.unwrap_or_else(|| lines.len().saturating_sub(SHOWN_LINES));
    let shown = lines.iter().skip(start).take(SHOWN_LINES).copied().collect::<Vec<_>>().join("\n");
    let saved = lines.iter().find_map(|line| line.split_once("Test unit written to ")).map_or("?", |(_, path)| path);
    let regressions = places.regressions(target);
    format!(
        "an input breaks what {name} files promise:\n{shown}\n\nreplay it: {program} {saved}\nkeep it:   mkdir -p \
         {folder} && cp {saved} {folder}/ && cargo test -p comity-fuzz\nall of it: {log}",
        name = target.as_str(),
        program = places.program(target).display(),
        folder = regressions.display(),
        log = places.log(target).display(),
    )
}

/// How a run went.
#[derive(Debug, PartialEq, Eq)]
struct Summary {
    executions: u64,
    /// Edges of the program that are known, and those that an input reached.
    edges: u64,
    covered: u64,
    corpus: u64,
}

impl Summary {
    fn of(said: &str) -> Result<Self> {
        let counters = said.split_once(" inline 8-bit counters): ").and_then(|(_, rest)| number(rest));
        let edges = counters.unwrap_or(0);
        ensure!(edges > 0, "the targets count no edges: see INSTRUMENTATION in crates/xtask/src/fuzz.rs");
        let last = said.lines().rfind(|line| line.contains(" cov: ")).unwrap_or_default();
        let of = |key: &str| last.split_once(key).and_then(|(_, rest)| number(rest)).unwrap_or(0);
        let executions = said.split_once("stat::number_of_executed_units:").and_then(|(_, rest)| number(rest));
        let executions = executions.context("libFuzzer changed its statistics")?;
        Ok(Self { executions, edges, covered: of(" cov: "), corpus: of(" corp: ") })
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { executions, edges, covered, corpus } = self;
        write!(f, "{executions} executions, {covered} of {edges} edges covered, {corpus} inputs in the corpus")
    }
}

/// The number that a text begins with.
fn number(text: &str) -> Option<u64> {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

/// A word as a dictionary of libFuzzer has it.
fn escaped(word: &str) -> String {
    let one = |byte: u8| match byte {
        b'"' | b'\\' => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\x{byte:02X}"),
    };
    word.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libfuzzer_says_is_read() {
        let said = "INFO: Loaded 1 modules   (5128 inline 8-bit counters): 5128 [0x1, 0x2),\n#2\tINITED cov: 7 ft: 9 \
            corp: 1/2b\n#99\tDONE   cov: 841 ft: 2000 corp: 42/12Kb lim: 4 exec/s: 9\nstat::number_of_executed_units: \
            1234\nstat::average_exec_per_sec: 3\n";
        let expected = Summary { executions: 1234, edges: 5128, covered: 841, corpus: 42 };
        assert_eq!(Summary::of(said).unwrap(), expected);
    }

    #[test]
    fn a_build_that_counts_nothing_is_no_success() {
        let error = Summary::of("stat::number_of_executed_units: 1234\n").unwrap_err();
        assert!(error.to_string().contains("INSTRUMENTATION"), "{error}");
    }

    #[test]
    fn a_broken_promise_is_shown_with_what_replays_and_what_keeps_it() {
        let places = Places { root: "/w".into(), host: "h".into() };
        let said = "#1 NEW\nthread 'main' panicked at a.rs:1:\nrejected without a reason\nartifact_prefix='x'; Test unit \
            written to /w/target/fuzz/found/node/crash-1\n";
        let shown = broken(&places, Target::Node, said);
        for part in
            ["rejected without", "/fuzz-node /w/target/fuzz/found/node/crash-1", "regressions/node", "cargo test"]
        {
            assert!(shown.contains(part), "{shown}");
        }
        assert!(!shown.contains("#1 NEW"), "{shown}");
    }

    #[test]
    fn words_are_quoted_as_libfuzzer_reads_them() {
        assert_eq!(escaped("a\"b\\c\u{e9}\n"), "a\\\"b\\\\c\\xC3\\xA9\\x0A");
    }
}
