//! The machine: which processor is whose, and what a process has used, all of its children counted.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use comity_tests::program::{Program, succeed};

/// How many of a second's parts the system counts a process's time in (`USER_HZ`, which is 100 on every Linux).
const TICKS: f64 = 100.0;

/// The processors: one for what is measured, and another for everything else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    proxy: usize,
}

impl Cores {
    /// The first two that we may use; we keep to the second from here on, with all that we start otherwise.
    pub(crate) fn take() -> Self {
        let status = read("/proc/self/status");
        let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
        let all: BTreeSet<usize> = allowed.split(',').flat_map(range).collect();
        let mut all = all.into_iter();
        let (Some(proxy), Some(load)) = (all.next(), all.next()) else {
            panic!("two processors are needed, one for the proxy and one for the load; there is {allowed}")
        };
        let own = std::process::id().to_string();
        let _said = succeed(Command::new("taskset").args(["-a", "-c", "-p", &load.to_string(), &own]));
        Self { proxy }
    }

    /// A command that runs on the proxy's processor alone.
    pub(crate) fn pinned(self, program: &Path) -> Command {
        let mut command = Command::new("taskset");
        command.args(["-c", &self.proxy.to_string()]).arg(program);
        command
    }
}

fn range(text: &str) -> std::ops::RangeInclusive<usize> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    from.parse().unwrap()..=to.parse().unwrap()
}

/// What a process and its children have used so far, and have now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Used {
    /// User and system time, in microseconds.
    pub(crate) cpu: f64,
    /// Resident memory, in KiB.
    pub(crate) resident: u64,
}

impl Used {
    /// Of a process that runs.
    pub(crate) fn by(program: &Program) -> Self {
        let tree = tree(program.id());
        let cpu = tree.iter().map(|id| cpu(*id)).sum();
        Self { cpu, resident: tree.iter().map(|id| resident(*id)).sum() }
    }
}

/// A process with all that it started.
fn tree(top: u32) -> Vec<u32> {
    let mut found = vec![top];
    let all = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let parents: Vec<(u32, u32)> = all.filter_map(|id| Some((id, stat(id).get(1)?.parse().ok()?))).collect();
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(id, _)| *id));
        at += 1;
    }
    found
}

/// The fields of `/proc/<pid>/stat` after the program's name, which may hold anything.
fn stat(id: u32) -> Vec<String> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit(')').next().unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

fn cpu(id: u32) -> f64 {
    let ticks: f64 = stat(id).iter().skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap_or_default()).sum();
    ticks * 1e6 / TICKS
}

fn resident(id: u32) -> u64 {
    let status = read(&format!("/proc/{id}/status"));
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
}

/// Counts the instructions that a process runs in user space, where the machine has a counter.
#[derive(Debug)]
pub(crate) struct Counter(Option<std::process::Child>);

impl Counter {
    /// Whether there is one that `perf` can read.
    pub(crate) fn works() -> bool {
        let tried = Command::new("perf").args(["stat", "-x,", "-e", EVENT, "true"]).output();
        tried.is_ok_and(|output| instructions(&output.stderr).is_some())
    }

    /// Counts from now on, if there is a counter.
    pub(crate) fn start(works: bool, program: &Program) -> Self {
        let ids: Vec<String> = tree(program.id()).iter().map(ToString::to_string).collect();
        let mut perf = Command::new("perf");
        perf.args(["stat", "-x,", "-e", EVENT, "-p", &ids.join(",")]);
        perf.stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped());
        Self(works.then(|| perf.spawn().unwrap()))
    }

    /// How many there were.
    pub(crate) fn stop(self) -> Option<f64> {
        let child = self.0?;
        let _told = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        instructions(&child.wait_with_output().unwrap().stderr)
    }
}

/// What is counted.
const EVENT: &str = "instructions:u";

fn instructions(said: &[u8]) -> Option<f64> {
    String::from_utf8_lossy(said).lines().find(|line| line.contains(EVENT))?.split(',').next()?.parse().ok()
}

/// The processor's name.
pub(crate) fn processor() -> String {
    let info = read("/proc/cpuinfo");
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or("an unknown processor", |(_, name)| name.trim()).to_owned()
}

/// The kernel's name and release.
pub(crate) fn system() -> String {
    read("/proc/sys/kernel/ostype").trim().to_owned() + " " + read("/proc/sys/kernel/osrelease").trim()
}

/// The load of the last minute.
pub(crate) fn load() -> String {
    read("/proc/loadavg").split(' ').next().unwrap_or("unknown").to_owned()
}

/// Today.
pub(crate) fn today() -> String {
    succeed(Command::new("date").arg("+%Y-%m-%d")).trim().to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// How long a proxy runs a case before it is measured: its connections are made by then, and its pools filled.
pub(crate) const WARM_UP: Duration = Duration::from_millis(400);
