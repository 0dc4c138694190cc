//! The figures.

use std::collections::BTreeMap;

use serde::Serialize;

use super::catalogue::Fault;

/// What was seen of one kind of fault.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Row {
    /// How often it was tried.
    pub(super) rounds: u64,
    /// Victims that were killed.
    pub(super) kills: u64,
    /// Acknowledgements that were looked for in what was recovered.
    pub(super) checked: u64,
    /// Logs that went on.
    pub(super) recoveries: u64,
    /// Logs that refused to start, or ended by themselves.
    pub(super) refusals: u64,
    /// Harm that a start does not look at, and whoever verifies sees.
    pub(super) seen_by_readers: u64,
    /// What must not be.
    pub(super) violations: u64,
}

/// All of them.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Table(BTreeMap<Fault, Row>);

impl Table {
    pub(super) fn row(&mut self, fault: Fault) -> &mut Row {
        self.0.entry(fault).or_default()
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (fault, row) in &other.0 {
            let sum = self.row(*fault);
            sum.rounds += row.rounds;
            sum.kills += row.kills;
            sum.checked += row.checked;
            sum.recoveries += row.recoveries;
            sum.refusals += row.refusals;
            sum.seen_by_readers += row.seen_by_readers;
            sum.violations += row.violations;
        }
    }

    pub(super) fn total(&self) -> Row {
        let mut total = Row::default();
        for row in self.0.values() {
            total.rounds += row.rounds;
            total.kills += row.kills;
            total.checked += row.checked;
            total.recoveries += row.recoveries;
            total.refusals += row.refusals;
            total.seen_by_readers += row.seen_by_readers;
            total.violations += row.violations;
        }
        total
    }

    /// As Markdown.
    pub(super) fn text(&self) -> String {
        let mut text = String::from(
            "| fault | rounds | kills | acknowledgements checked | went on | refused or ended | seen by readers only | violations |\n|---|---|---|---|---|---|---|---|\n",
        );
        let total = (String::from("all"), self.total());
        for (name, row) in self.0.iter().map(|(fault, row)| (fault.name().to_owned(), *row)).chain([total]) {
            let Row { rounds, kills, checked, recoveries, refusals, seen_by_readers, violations } = row;
            text += &format!(
                "| {name} | {rounds} | {kills} | {checked} | {recoveries} | {refusals} | {seen_by_readers} | {violations} |\n"
            );
        }
        text
    }
}
