//! What is measured, all of it running side by side: the peers, Comity's broker in each of its ways, and no proxy at all.

use std::path::Path;
use std::time::Duration;

use comity_tests::program::Program;
use tokio::time::Instant;

use crate::backend;
use crate::cases::Case;
use crate::figures::{Sample, percentile};
use crate::load::{Load, Target};
use crate::machine::{Cores, Counter, Used, WARM_UP};
use crate::options::Options;
use crate::peers::Peer;
use crate::stage::{Stage, Way};
use crate::tls::Peerage;

/// KiB of a MiB.
const MIB: f64 = 1024.0;
/// Comity's ways, and what they are.
const WAYS: [(&str, Way, &str); 3] = [
    ("comity-strict", Way::Strict, "`comity-broker`, `commit = \"strict\"`: permit, log and receipt"),
    ("comity-overlapped", Way::Overlapped, "`comity-broker`, `commit = \"overlapped\"`: permit, log and receipt"),
    (
        "comity-relay",
        Way::Relay,
        "`comity-broker-unlogged`: decides and relays; no permit, log or receipt that proves anything",
    ),
];
/// The peers, in the report's order.
const PEERS: [&str; 3] = ["haproxy", "nginx", "envoy"];

/// One of them.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) name: &'static str,
    /// What it says that it is.
    pub(crate) version: String,
    /// None where nothing is between the app and the backend.
    program: Option<Program>,
    target: Target,
    /// Resident memory before any load, in MiB.
    pub(crate) idle: Option<f64>,
}

/// Starts all that are wanted and there.
pub(crate) async fn start(options: &Options, stage: &Stage, cores: Cores, folder: &Path) -> Vec<Proxy> {
    let peerage = Peerage::make(&folder.join("certificates"));
    let (listener, backend) = backend::listen();
    backend::serve(listener, peerage.server(), None);
    let (backend, tls) = (backend.to_string(), peerage.client());
    let target = |address: String| Target { address, tls: tls.clone(), offer: None };
    let mut all = Vec::new();
    if options.wants("direct") {
        all.push(Proxy::new("direct", "nothing: the app calls the backend".into(), None, target(backend.clone())));
    }
    for name in PEERS.into_iter().filter(|name| options.wants(name)) {
        let Some((_, program)) = options.peers.iter().find(|(of, _)| of == name) else { continue };
        let peer = Peer::start(name, program, &options.libraries, (cores, &peerage, &backend), folder);
        all.push(Proxy::new(name, peer.version, Some(peer.program), target(peer.address)));
    }
    for (name, way, what) in WAYS.into_iter().filter(|(name, ..)| options.wants(name)) {
        let (program, target) = stage.broker(cores, way);
        let proxy = Proxy::new(name, what.into(), Some(program), target);
        let trailers = Load::connect(&proxy.target, Case::Unary1).await.unwrap().one(Case::Unary1).await.unwrap();
        stage.check(trailers, way);
        all.push(proxy);
    }
    all
}

impl Proxy {
    fn new(name: &'static str, version: String, program: Option<Program>, target: Target) -> Self {
        let idle = program.as_ref().map(|program| Used::by(program).resident as f64 / MIB);
        Self { name, version, program, target, idle }
    }

    /// Measures it in one case for about so long.
    ///
    /// # Errors
    /// A call failed, or its answer was not what was asked for.
    pub(crate) async fn measure(&self, case: Case, length: Duration, counted: bool) -> Result<Sample, String> {
        let load = Load::connect(&self.target, case).await?;
        if case != Case::Paced {
            let _warm = load.run(case, WARM_UP).await?;
        }
        let counter = self.program.as_ref().map(|program| Counter::start(counted, program));
        let (before, begun) = (self.used(), Instant::now());
        let mut done = load.run(case, length).await?;
        let (after, elapsed) = (self.used(), begun.elapsed());
        let instructions = counter.and_then(Counter::stop);
        done.times.sort_unstable();
        let calls = done.calls as f64;
        Ok(Sample {
            cpu: after.zip(before).map(|(after, before)| (after.cpu - before.cpu) / calls),
            instructions: instructions.map(|count| count / calls),
            p50: percentile(&done.times, 50),
            p99: percentile(&done.times, 99),
            rate: calls / elapsed.as_secs_f64(),
            resident: after.map(|after| after.resident as f64 / MIB),
        })
    }

    fn used(&self) -> Option<Used> {
        self.program.as_ref().map(Used::by)
    }
}
