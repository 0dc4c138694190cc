//! One log and its lives: a fault after each, and what has to hold then.

mod more;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use comity_broker::ledger::log::DecisionLog;
use comity_runtime::clock::SystemClock;

use super::catalogue::Fault;
use super::known::{Known, May};
use super::life::{self, Orders, Until};
use super::power::{self, Durable};
use super::space;
use super::table::Table;
use super::verify::{self, Read};
use super::{files, wal};
use crate::chance::Chance;
use crate::victim::{self, Fails, Operation, Writer};

/// Rounds of one log: enough for some thousand leaves, so that every level of tiles begins and bundles fill up.
const ROUNDS: u64 = 40;
/// Longest time from the opening of a log to the kill.
const LIFE: Duration = Duration::from_millis(30);
/// Longest time from the start of a process to a kill that is to come while it starts.
const START: Duration = Duration::from_millis(25);
/// Most kills in a row under load.
const KILLS: u64 = 4;
/// Most kills in a row while it starts.
const EARLY_KILLS: u64 = 4;
/// Most tasks that append at once.
const TASKS: u64 = 48;

/// A log, what is known of it, and what was counted.
#[derive(Debug)]
pub(super) struct World {
    home: PathBuf,
    known: Known,
    durable: Durable,
    chance: Chance,
    lives: u64,
    /// How large the log was when a copy was kept.
    kept: Option<u64>,
    pub(super) table: Table,
    /// What is tried now, for whoever has to say where it went wrong.
    pub(super) trying: Option<Fault>,
}

impl World {
    /// A log without leaves, in `home`.
    pub(super) fn new(home: &Path, seed: u64, number: u64) -> Result<Self> {
        let [keys, log] = ["keys", "log"].map(|name| home.join(name));
        for dir in [&keys, &log] {
            std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        let known = Known::new(&victim::make_keys(&keys)?);
        Ok(Self {
            home: home.to_owned(),
            known,
            durable: Durable::default(),
            chance: Chance::new(seed, number),
            lives: 0,
            kept: None,
            table: Table::default(),
            trying: None,
        })
    }

    /// Runs all rounds, or until `enough` says so.
    pub(super) fn run(&mut self, enough: impl Fn() -> bool) -> Result<()> {
        for round in 0..ROUNDS {
            if enough() {
                break;
            }
            let fault = Fault::next(&mut self.chance);
            self.trying = Some(fault);
            self.table.row(fault).rounds += 1;
            self.round(fault)?;
            if self.kept.is_none() && round > 3 && self.chance.percent(10) {
                files::replace(&self.log(), &self.home.join("older"))?;
                self.kept = Some(self.known.out);
            }
        }
        self.trying = Some(Fault::Kill);
        self.look(Fault::Kill, &self.log())?;
        self.put_back()
    }

    fn round(&mut self, fault: Fault) -> Result<()> {
        match fault {
            Fault::Kill => {
                for _ in 0..=self.chance.within(0..KILLS) {
                    self.killed(fault)?;
                }
                self.sometimes_look(fault)
            }
            Fault::KillInRecovery => {
                for _ in 0..=self.chance.within(0..EARLY_KILLS) {
                    let after = self.time(START);
                    self.live(fault, Until::Started(after), None)?;
                }
                self.sometimes_look(fault)
            }
            Fault::PowerCut => {
                let after = self.time(LIFE);
                let mut orders = self.orders(self.log(), Until::Opened(after), None);
                // What was acknowledged and not synced goes with it; what was synced and not acknowledged may.
                orders.volatile = true;
                self.lived(fault, &orders)?;
                self.durable.cut(&self.log(), &mut self.chance)?;
                self.sometimes_look(fault)
            }
            Fault::Garbage => self.garbage(),
            Fault::TornBeside => {
                self.killed(fault)?;
                power::tear(&self.log(), &mut self.chance)?;
                self.look(fault, &self.log()).map(drop)
            }
            Fault::FlippedBit => self.flips(),
            Fault::FullDisk if space::may_mount() => self.full_disk(),
            Fault::FullDisk | Fault::FileLimit => self.file_limit(fault),
            Fault::SequencerSync => {
                let at = if self.chance.percent(75) { Operation::Sync } else { Operation::Names };
                self.disk_fails(fault, Writer::Sequencer, at)
            }
            Fault::PublisherSync => self.disk_fails(fault, Writer::Publisher, Operation::Sync),
            Fault::SequencerWrite => {
                let at = self.write();
                self.disk_fails(fault, Writer::Sequencer, at)
            }
            Fault::PublisherWrite => {
                let at = self.write();
                self.disk_fails(fault, Writer::Publisher, at)
            }
            Fault::OlderCopy => Ok(()),
        }
    }

    fn log(&self) -> PathBuf {
        self.home.join("log")
    }

    fn keys(&self) -> PathBuf {
        self.home.join("keys")
    }

    fn time(&mut self, longest: Duration) -> Duration {
        Duration::from_micros(self.chance.within(0..u64::try_from(longest.as_micros()).unwrap_or(u64::MAX)))
    }

    fn write(&mut self) -> Operation {
        if self.chance.percent(50) { Operation::Write } else { Operation::ShortWrite }
    }

    /// A life under load, and its end by SIGKILL.
    fn killed(&mut self, fault: Fault) -> Result<()> {
        let after = self.time(LIFE);
        self.live(fault, Until::Opened(after), None)
    }

    fn orders(&mut self, dir: PathBuf, until: Until, fails: Option<Fails>) -> Orders {
        self.lives += 1;
        Orders {
            dir,
            keys: self.keys(),
            life: self.lives,
            seed: self.chance.next(),
            tasks: self.chance.within(1..TASKS),
            fails,
            volatile: false,
            blocks: None,
            until,
        }
    }

    fn live(&mut self, fault: Fault, until: Until, fails: Option<Fails>) -> Result<()> {
        let orders = self.orders(self.log(), until, fails);
        self.lived(fault, &orders)
    }

    /// Lives, takes in what was said, and remembers what is durable.
    fn lived(&mut self, fault: Fault, orders: &Orders) -> Result<()> {
        let life = life::live(orders)?;
        let may = if orders.until == Until::Failed { May::Fail } else { May::BeKilled };
        let row = self.table.row(fault);
        if life.killed {
            row.kills += 1;
        } else {
            row.refusals += 1;
        }
        self.known.learn(&life, may)?;
        self.durable.after(&orders.dir, self.known.out)
    }

    fn sometimes_look(&mut self, fault: Fault) -> Result<()> {
        if self.chance.percent(40) { self.look(fault, &self.log()).map(drop) } else { Ok(()) }
    }

    /// Takes up a copy of `dir`, and compares what is there then with all that was said.
    fn look(&mut self, fault: Fault, dir: &Path) -> Result<Read> {
        let copy = self.home.join("copy");
        files::replace(dir, &copy)?;
        let batches = wal::all(&copy)?;
        let (log, _) = DecisionLog::open(&copy, victim::key(&self.keys())?, Arc::new(SystemClock))?;
        let (reader, published) = (log.reader(), log.reader().published().checkpoint);
        drop(log);
        if published.size == 0 {
            ensure!(self.known.out == 0, "nothing is left, and signatures over {} leaves got out", self.known.out);
            return Ok(Read { checkpoint: published, leaves: Vec::new(), tiles: Default::default() });
        }
        let read = verify::read(&copy)?;
        ensure!(read.checkpoint == published, "what is published is not what is on the disk");
        let checked = read.holds(&self.known)?;
        read.adopted(&batches, &self.known)?;
        read.served(&reader)?;
        // What was looked at before is looked at again now and then.
        let from = if self.chance.percent(10) { 0 } else { self.known.looked };
        read.records(&copy, &self.known, from)?;
        self.known.looked = self.known.out;
        self.known.waiting.clear();
        let row = self.table.row(fault);
        row.recoveries += 1;
        row.checked += checked;
        Ok(read)
    }
}
