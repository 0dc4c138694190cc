//! What it was measured on: the processor, its load and its time, and the disk.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

/// Bytes of an append, the disk's block.
const BLOCK: usize = 4096;
/// How many appends a look at the disk is made of.
const APPENDS: usize = 100;
/// How many of a second's parts the system counts a process's time in (`USER_HZ`, which is 100 on every Linux).
const TICKS: f64 = 100.0;

/// The machine, and how busy it is.
pub(crate) fn print_head(dir: &Path) {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let processor = read("/proc/cpuinfo");
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let processor = processor.map_or("an unknown processor", |(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("On {processor}, {cores} cores, load {} at the start; the log is on {}", load(), disk(dir));
    if cfg!(debug_assertions) {
        println!("the development build, which is not what anyone installs");
    }
}

/// How busy it is at the end.
pub(crate) fn print_foot() {
    println!("load at the end: {} (the measurement's own included)", load());
}

/// The load of the last minute.
pub(crate) fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or("unknown").to_owned()
}

/// The file system of a folder: its device and kind.
fn disk(dir: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let holds = fields.filter(|fields| fields.get(1).is_some_and(|mount| dir.starts_with(mount)));
    let deepest = holds.max_by_key(|fields| fields.get(1).map_or(0, |mount| mount.len()));
    match deepest.as_deref() {
        Some([device, _, kind, ..]) => format!("{device}, {kind}"),
        _ => "an unknown disk".to_owned(),
    }
}

/// Seconds of processor time that this process has used.
pub(crate) fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // After the program's name, which may hold anything: user and system time are the 12th and 13th fields.
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap()).sum();
    ticks / TICKS
}

/// How long the disk takes to make one block durable that is appended to a file.
pub(crate) fn raw_syncs(dir: &Path) -> Vec<Duration> {
    let path = dir.join("raw");
    let mut file = File::create(&path).unwrap();
    let append = |_| {
        let begun = Instant::now();
        file.write_all(&[b'r'; BLOCK]).unwrap();
        file.sync_data().unwrap();
        begun.elapsed()
    };
    let taken = (0..APPENDS).map(append).collect();
    std::fs::remove_file(path).unwrap();
    taken
}
