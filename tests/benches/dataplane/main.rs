//! `cargo xtask bench dataplane`: what a request costs that passes through Comity's broker, beside nginx, HAProxy and Envoy
//! as plain gRPC proxies, and beside no proxy. Mutual TLS 1.3 on both hops, everything on this machine.
//!
//! ```text
//! load (app's connections) ─mTLS─▶ proxy, alone on its processor ─mTLS─▶ backend (fixed answers)
//!          └────────────────────── the other processor ─────────────────────────┘
//! ```
//! All proxies take turns within a round, and what is compared are ratios within one round: the machine's mood is shared by
//! all. Every answer is checked: its status, the number of its messages and their length, and that Comity's has a receipt
//! and comes from the offer that is preferred. One failure voids the round of that proxy in that case, and the report says so.
//!
//! | module | holds |
//! |---|---|
//! | `options` | what to measure |
//! | `cases` | what is asked |
//! | `stage` | the federation, its thousand offers, and the brokers |
//! | `peers` | the configurations of the peers |
//! | `tls` | the peers' certificates |
//! | `proxy` | what is measured, side by side |
//! | `backend` | the backend of all |
//! | `load`, `messages` | the load generator, and what it checks |
//! | `machine` | processors, and what a process has used |
//! | `figures`, `bars`, `report` | medians, promises, tables |
//! | `overload` | the same broker and load for `cargo xtask bench overload`: more than it can take, and abuse |
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a measurement is its output")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "measurements end loudly")]

mod backend;
mod bars;
mod cases;
mod figures;
mod load;
mod machine;
mod messages;
mod options;
mod overload;
mod peers;
mod proxy;
mod report;
mod stage;
mod tls;

use std::time::Duration;

use self::figures::Figures;
use self::machine::{Cores, Counter};
use self::options::Options;
use self::proxy::Proxy;
use self::stage::Stage;

fn main() {
    let options = Options::read();
    // Before the runtime: its threads keep to the processors that this one has.
    let cores = Cores::take();
    eprintln!("founding a federation with a thousand offers");
    let stage = Stage::set();
    if options.overload {
        return overload::run(&options, &stage, cores);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::Builder::new().prefix("comity-dataplane-").tempdir().unwrap();
    let proxies = runtime.block_on(proxy::start(&options, &stage, cores, folder.path()));
    let counted = Counter::works();
    let figures = runtime.block_on(measure(&options, &proxies, counted));
    // With its connections, for the end of which the proxies would wait.
    drop(runtime);
    report::print(&options, &stage, &proxies, &figures, counted);
}

async fn measure(options: &Options, proxies: &[Proxy], counted: bool) -> Figures {
    for (name, why) in &options.missing {
        eprintln!("NOT MEASURED: {name}: {why}");
    }
    let length = Duration::from_secs(options.seconds);
    let mut figures = Figures::default();
    for round in 0..options.rounds {
        figures.loads.push(machine::load());
        for case in &options.cases {
            for proxy in proxies {
                eprint!("round {} of {}, {}, {}: ", round + 1, options.rounds, case.name(), proxy.name);
                match proxy.measure(*case, length, counted).await {
                    Ok(sample) => {
                        let cpu = sample.cpu.map_or_else(String::new, |cpu| format!("{cpu:.1} CPU µs, "));
                        eprintln!("{cpu}{:.0} a second", sample.rate);
                        figures.add((*case, proxy.name, round), sample);
                    }
                    Err(why) => {
                        eprintln!("VOID: {why}");
                        figures.voided.push(format!("round {}, `{}`, `{}`: {why}", round + 1, case.name(), proxy.name));
                    }
                }
            }
        }
    }
    figures
}
