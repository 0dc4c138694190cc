//! Those faults that take more than a kill.

use anyhow::{Result, ensure};
use comity_broker::ledger::log::{DecisionLog, LogError};

use super::{LIFE, World};
use crate::campaign::catalogue::Fault;
use crate::campaign::files;
use crate::campaign::flip::Flips;
use crate::campaign::known::May;
use crate::campaign::life::{self, Until};
use crate::campaign::space::Small;
use crate::victim::{self, Fails, Operation, Writer};

/// Most operations of a disk before it fails.
const OPERATIONS: u64 = 60;
/// Most syncs of the write-ahead log's names before one fails: there is one when a file of it begins or goes.
const NAMES: u64 = 8;
/// Most room that is left on a full disk at first, in bytes.
const ROOM_BYTES: u64 = 700 * 1024;
/// What a small file system needs for itself and for what a copy takes more, in bytes.
const SLACK_BYTES: u64 = 256 * 1024;
/// Bytes of a block, as a file system counts.
const BLOCK_BYTES: u64 = 4096;
/// Longest file under a limit, in blocks of 512 bytes.
const LIMIT_BLOCKS: u64 = 2048;

impl World {
    /// On a copy: nobody can tell a frame whose bytes never arrived from one that was acknowledged and is damaged.
    pub(super) fn garbage(&mut self) -> Result<()> {
        let fault = Fault::Garbage;
        self.killed(fault)?;
        let spoiled = self.home.join("spoiled");
        files::replace(&self.log(), &spoiled)?;
        self.durable.spoil(&spoiled, &mut self.chance)?;
        match DecisionLog::check(&spoiled, &victim::key(&self.keys())?) {
            Err(LogError::Damaged { .. }) => self.table.row(fault).refusals += 1,
            Err(error) => return Err(error.into()),
            Ok(()) => drop(self.look(fault, &spoiled)?),
        }
        // The unharmed one goes on.
        self.look(fault, &self.log()).map(drop)
    }

    pub(super) fn flips(&mut self) -> Result<()> {
        let fault = Fault::FlippedBit;
        self.killed(fault)?;
        let right = self.look(fault, &self.log())?;
        let (harmed, spare) = (self.home.join("harmed"), self.home.join("spare"));
        files::replace(&self.log(), &harmed)?;
        let keys = self.keys();
        let flips = Flips { harmed: &harmed, spare: &spare, keys: &keys, right: &right, known: &self.known };
        flips.run(&mut self.chance, self.table.row(fault))
    }

    pub(super) fn disk_fails(&mut self, fault: Fault, of: Writer, at: Operation) -> Result<()> {
        let most = if at == Operation::Names { NAMES } else { OPERATIONS };
        let fails = Fails { of, at, after: self.chance.within(0..most), always: self.chance.percent(50) };
        self.live(fault, Until::Failed, Some(fails))?;
        // What a failed sync has left may go with the power.
        if self.chance.percent(50) {
            self.durable.cut(&self.log(), &mut self.chance)?;
        }
        self.look(fault, &self.log()).map(drop)
    }

    pub(super) fn file_limit(&mut self, fault: Fault) -> Result<()> {
        let mut orders = self.orders(self.log(), Until::Failed, None);
        orders.blocks = Some(self.chance.within(64..LIMIT_BLOCKS));
        self.lived(fault, &orders)?;
        self.look(fault, &self.log()).map(drop)
    }

    /// Until it is full, and once more while it is; then there is room again.
    pub(super) fn full_disk(&mut self) -> Result<()> {
        let fault = Fault::FullDisk;
        let used: u64 = files::below(&self.log())?
            .iter()
            .map(|path| Ok(path.metadata()?.len().next_multiple_of(BLOCK_BYTES)))
            .sum::<Result<u64>>()?;
        let small = Small::mount(&self.home.join("small"), used + SLACK_BYTES + self.chance.within(0..ROOM_BYTES))?;
        files::replace(&self.log(), small.dir())?;
        for _ in 0..2 {
            let orders = self.orders(small.dir().to_owned(), Until::Failed, None);
            self.lived(fault, &orders)?;
        }
        files::replace(small.dir(), &self.log())?;
        self.look(fault, &self.log()).map(drop)
    }

    /// The end of a log: an older copy of it is put back. It goes on as if nothing had been, which nobody can know who has
    /// nothing but the folder; what was said tells.
    pub(super) fn put_back(&mut self) -> Result<()> {
        let Some(kept) = self.kept.filter(|kept| *kept < self.known.out) else { return Ok(()) };
        let fault = Fault::OlderCopy;
        self.trying = Some(fault);
        files::replace(&self.home.join("older"), &self.log())?;
        let after = self.time(LIFE);
        let orders = self.orders(self.log(), Until::Opened(after), None);
        let life = life::live(&orders)?;
        let row = self.table.row(fault);
        row.rounds += 1;
        if life.killed {
            row.kills += 1;
            row.seen_by_readers += 1;
        } else {
            row.refusals += 1;
        }
        ensure!(
            !life.killed || self.known.learn(&life, May::BeKilled).is_err(),
            "an older copy of {kept} leaves went on, and this campaign did not see it"
        );
        Ok(())
    }
}
