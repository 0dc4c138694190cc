//! The rows of a report, each held against the federation's own log at its epoch.

use std::sync::Arc;

use comity_client::follow::Followed;
use comity_client::receipt::{Against, CheckError, History, check};
use comity_identity::Root;
use comity_policy::Tables;
use comity_runtime::chain;
use comity_transparency::receipt::{Receipt, Verified};
use comity_types::Clock;
use serde::Serialize;

use super::row::{self, Row};
use crate::args::Global;
use crate::error::CliError;
use crate::session::Session;

/// Most contradictions that are said at the end: the report has all.
const SAID: usize = 3;

/// A decision of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Held {
    #[serde(flatten)]
    pub(super) row: Row,
    /// What in it goes against the federation's log, or against what a node signed; none where nothing does.
    pub(super) contradiction: Option<String>,
}

/// The heads of the columns.
pub(super) const COLUMNS: [&str; 18] = {
    let mut columns = ["contradiction"; 18];
    let (head, _) = columns.split_at_mut(row::COLUMNS.len());
    head.copy_from_slice(&row::COLUMNS);
    columns
};

impl Held {
    /// Its cells, as [`COLUMNS`] has them.
    pub(super) fn cells(&self) -> impl Iterator<Item = String> + use<> {
        let contradiction = self.contradiction.clone().unwrap_or_default();
        self.row.cells().into_iter().chain(std::iter::once(contradiction))
    }
}

/// Rows while they come.
pub(super) struct Holding<'a> {
    root: &'a Root,
    tables: Arc<Tables>,
    clock: &'a Arc<dyn Clock>,
    history: History,
    rows: Vec<Held>,
    /// Those that were decided by a later epoch than was known: which rows.
    ahead: Vec<(usize, Receipt)>,
}

impl<'a> Holding<'a> {
    pub(super) async fn open(session: &'a Session, global: &Global) -> Result<Self, CliError> {
        let (root, tables, clock) = (session.identity().root(), global.tables()?, session.identity().clock());
        Ok(Self { root, tables, clock, history: history(session).await?, rows: Vec::new(), ahead: Vec::new() })
    }

    pub(super) const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Takes in a receipt that was verified.
    pub(super) fn take(&mut self, receipt: Receipt, verified: &Verified) {
        let row = Row::of(verified);
        let contradiction = self.contradiction(&receipt, row.epoch);
        if usize::try_from(row.epoch).is_ok_and(|epoch| epoch > self.history.epochs()) {
            self.ahead.push((self.rows.len(), receipt));
        }
        self.rows.push(Held { row, contradiction });
    }

    /// All of them. What was decided while the report was made is held against the log as it is by now.
    pub(super) async fn rows(mut self, session: &Session) -> Result<Vec<Held>, CliError> {
        if !self.ahead.is_empty() {
            self.history = history(session).await?;
        }
        for (place, receipt) in std::mem::take(&mut self.ahead) {
            let Some(epoch) = self.rows.get(place).map(|held| held.row.epoch) else { continue };
            let contradiction = self.contradiction(&receipt, epoch);
            if let Some(held) = self.rows.get_mut(place) {
                held.contradiction = contradiction;
            }
        }
        Ok(self.rows)
    }

    fn contradiction(&self, receipt: &Receipt, epoch: u64) -> Option<String> {
        let Some(log) = self.history.at(epoch) else {
            return Some(format!("the federation's log has {} entries, and no epoch {epoch}", self.history.epochs()));
        };
        let (tables, now) = (&self.tables, self.clock.now());
        let against = Against { root: self.root, log: Some(log), policy: None, tables, now };
        check(receipt, &against).err().map(|error: CheckError| chain::text(&error))
    }
}

/// The federation's log as the broker shows it, every signature checked.
async fn history(session: &Session) -> Result<History, CliError> {
    let mut entries = Vec::new();
    let _verified = session.verified_log(|_, entry| entries.push(entry.to_vec())).await?;
    let identity = session.identity();
    let empty = Followed::new(identity.root(), session.federation_root(), Arc::clone(identity.clock()));
    let history = History::of(empty.log().clone(), entries.iter().map(Vec::as_slice));
    history.map_err(|error| CliError::Failed {
        problem: format!("the federation's log is not to be believed: {}", chain::text(&error)),
        hint: "`comity log verify` says more".to_owned(),
    })
}

/// What a report ends with: an error where a row contradicts what it is held against.
pub(super) fn verdict(rows: &[Held]) -> Result<(), CliError> {
    let said = |held: &Held| Some(format!("leaf {}: {}", held.row.leaf, held.contradiction.as_ref()?));
    let contradictions: Vec<_> = rows.iter().filter_map(said).collect();
    if contradictions.is_empty() {
        return Ok(());
    }
    let more = match contradictions.len().saturating_sub(SAID) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let (count, all) = (contradictions.len(), rows.len());
    let first = contradictions.into_iter().take(SAID).collect::<Vec<_>>().join("; ");
    Err(CliError::Failed {
        problem: format!("{count} of {all} decisions contradict the federation's own log: {first}{more}"),
        hint:
            "the report has them, in the column `contradiction`: the broker recorded what is not so. Keep it, and show \
               it to the operators and to whom it concerns"
                .to_owned(),
    })
}

/// All rows as CSV (RFC 4180), with their heads.
pub(super) fn csv(rows: &[Held]) -> String {
    let line = |cells: &mut dyn Iterator<Item = String>| cells.map(|cell| quoted(&cell)).collect::<Vec<_>>().join(",");
    let head = line(&mut COLUMNS.into_iter().map(str::to_owned));
    let rows = rows.iter().map(|row| line(&mut row.cells()));
    std::iter::once(head).chain(rows).map(|line| line + "\r\n").collect()
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\r', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

/// All rows as JSON.
pub(super) fn json(rows: &[Held]) -> String {
    // Rows hold text and numbers, and no map.
    serde_json::to_string_pretty(rows).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn row(caller: &str) -> Held {
        let row = Row {
            decision: "0".repeat(32),
            at: "2026-11-29T10:00:00Z".into(),
            result: "answered",
            caller: caller.into(),
            method: "Chat".into(),
            model: "m".into(),
            offer: "o".into(),
            operator: "org-a.example".into(),
            jurisdiction: "FR DE".into(),
            governing_law: String::new(),
            considered: "2".into(),
            status: "0".into(),
            input_tokens: "3".into(),
            output_tokens: "4".into(),
            epoch: 5,
            leaf: 6,
            outcome_leaf: Some(7),
        };
        Held { row, contradiction: None }
    }

    #[test]
    fn a_cell_cannot_leave_its_column() {
        let text = csv(&[row("a,\"b\"\nc")]);
        assert_eq!(text.lines().next().unwrap().split(',').count(), COLUMNS.len());
        assert!(text.contains(r#","a,""b""#), "{text}");
    }

    #[test]
    fn json_has_every_column() {
        let rows: Value = serde_json::from_str(&json(&[row("a")])).unwrap();
        assert_eq!(rows[0].as_object().unwrap().len(), COLUMNS.len());
        assert_eq!(rows[0]["contradiction"], Value::Null);
        assert_eq!((&rows[0]["leaf"], &rows[0]["outcomeLeaf"]), (&Value::from(6), &Value::from(7)));
    }

    #[test]
    fn a_report_with_a_contradiction_ends_in_an_error_that_names_its_leaf_and_has_the_row() {
        let mut rows = vec![row("a"), row("b")];
        verdict(&rows).unwrap();
        rows[1].contradiction = Some("it was processed elsewhere".into());
        rows[1].row.leaf = 41;
        let error = verdict(&rows).unwrap_err();
        assert_eq!(crate::exit::status(&error), 1);
        let said = error.to_string();
        assert!(said.contains("1 of 2 decisions") && said.contains("leaf 41: it was processed elsewhere"), "{said}");
        assert!(csv(&rows).lines().nth(2).unwrap().ends_with(",it was processed elsewhere"));
        let many: Vec<_> = std::iter::repeat_n(rows[1].clone(), SAID + 2).collect();
        assert!(verdict(&many).unwrap_err().to_string().ends_with("; and 2 more"));
    }
}
