//! The rows of a report, each held against the federation's own log at its epoch, and against the decision log at one checkpoint.

use std::collections::BTreeMap;
use std::sync::Arc;

use comity_client::decisions::{DecisionsError, kept};
use comity_client::follow::Followed;
use comity_client::receipt::{Account, Against, History, check};
use comity_identity::Root;
use comity_policy::{Layers, Requirements, Tables};
use comity_proto::json::Canonical;
use comity_proto::policy;
use comity_runtime::chain;
use comity_transparency::NoteVerifier;
use comity_transparency::receipt::{Receipt, Verified};
use comity_transparency::record::Field;
use comity_types::{Clock, Name, OfferName, Price, SpiffeId};
use serde::Serialize;
use serde_json::Value;

use super::asked::{Asked, hidden};
use super::listed::Listed;
use super::row::{self, Row};
use super::whole::{Published, Whole, ended_later};
use super::why::plain;
use crate::args::Global;
use crate::error::CliError;
use crate::output::say;
use crate::session::Session;

/// Most contradictions that are said at the end: the report has all.
const SAID: usize = 3;

/// A decision of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Held {
    #[serde(flatten)]
    pub(crate) row: Row,
    /// What the caller's organisation demands besides of all its requests, and of those of this app, by the federation's log at the
    /// decision's epoch: `comity.policy.v1.Requirements` by layer, in the contract's JSON form.
    pub(crate) organisation_requirements: Option<Value>,
    /// Whether a node signed what became of it, by its key of the federation's log; empty where none had to.
    pub(crate) node_signed: &'static str,
    /// What shows that the report has every decision: the `log`, or the `broker`'s word.
    pub(crate) completeness: &'static str,
    /// What in it goes against what it is held against, or cannot be proven; none where nothing does.
    pub(crate) contradiction: Option<String>,
    /// What the offer that answered costs, as its organisation signed it; none where it has no price, or is not known.
    #[serde(skip)]
    pub(crate) price: Option<Price>,
}

/// The heads of the columns.
pub(super) const COLUMNS: [&str; 32] = {
    let mut columns = ["organisation_requirements", "node_signed", "completeness", "contradiction"].as_slice();
    let mut all = [""; 32];
    let (head, mut tail) = all.split_at_mut(row::COLUMNS.len());
    head.copy_from_slice(&row::COLUMNS);
    while let ([first, rest @ ..], [place, more @ ..]) = (columns, tail) {
        *place = first;
        (columns, tail) = (rest, more);
    }
    all
};

impl Held {
    /// Its cells, as [`COLUMNS`] has them.
    pub(super) fn cells(&self) -> impl Iterator<Item = String> + use<> {
        let demanded = self.organisation_requirements.as_ref().map(plain).unwrap_or_default();
        let contradiction = self.contradiction.clone().unwrap_or_default();
        let last = [demanded, self.node_signed.to_owned(), self.completeness.to_owned(), contradiction];
        self.row.cells().chain(last)
    }

    /// True if it is recorded as answered, and no node said so.
    fn is_unsigned(&self) -> bool {
        self.row.result == "answered" && self.node_signed != "yes"
    }
}

/// Rows while they come.
pub(super) struct Holding<'a> {
    session: &'a Session,
    root: &'a Root,
    tables: Arc<Tables>,
    clock: &'a Arc<dyn Clock>,
    history: History,
    asked: Asked,
    published: Published,
    whole: Whole,
    rows: Vec<Held>,
    /// Those that were decided by a later epoch than was known: which rows.
    ahead: Vec<(usize, Receipt)>,
    /// The checkpoints that receipts are proven by: which rows.
    notes: BTreeMap<String, Vec<usize>>,
}

impl<'a> Holding<'a> {
    pub(super) async fn open(
        session: &'a Session,
        (published, whole): (Published, Whole),
        asked: Asked,
        global: &Global,
    ) -> Result<Self, CliError> {
        let (root, tables, clock) = (session.identity().root(), global.tables()?, session.identity().clock());
        let (history, rows, ahead, notes) = (history(session).await?, Vec::new(), Vec::new(), BTreeMap::new());
        Ok(Self { session, root, tables, clock, history, asked, published, whole, rows, ahead, notes })
    }

    pub(super) const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Takes in what was listed, as it was at the checkpoint that the report is of.
    pub(super) fn take(&mut self, mut listed: Listed) {
        let Some((receipt, verified)) = &mut listed.proven else {
            self.whole.list_unproven(listed.leaf);
            return self.push(Row::listed(&listed), "", listed.problem);
        };
        // Every checkpoint has to be of the one log, also where the row came after it.
        self.notes.entry(receipt.checkpoint.clone()).or_default();
        let size = self.whole.size();
        if verified.decision().index() >= size {
            return;
        }
        if ended_later(verified, size) {
            self.take_back_the_end(receipt, verified);
        }
        let row = Row::listed(&listed);
        let Some((receipt, verified)) = listed.proven else { return };
        // Before all else: it was listed, whatever is wrong with it.
        let against_log = self.whole.list(&verified);
        let hidden = match self.asked {
            Asked::Governor(_) => hidden(&verified).map(|field| format!("the broker hides its {field}")),
            Asked::Member(_) => None,
        };
        let problem = listed.problem.or(against_log).or(hidden);
        let elsewhere = match &self.asked {
            Asked::Member(of) if !self.asked.covers(&verified) => {
                Some(format!("it is none that {of} asked or answered"))
            }
            Asked::Governor(_) if problem.is_none() && !self.asked.covers(&verified) => return,
            Asked::Governor(_) | Asked::Member(_) => None,
        };
        let (signed, against_federation) = self.held(&receipt, row.epoch);
        self.notes.entry(receipt.checkpoint.clone()).or_default().push(self.rows.len());
        if usize::try_from(row.epoch).is_ok_and(|epoch| epoch > self.history.epochs()) {
            self.ahead.push((self.rows.len(), receipt));
        }
        self.push(row, signed, problem.or(elsewhere).or(against_federation));
    }

    /// Leaves out what became of a decision after the report's checkpoint.
    fn take_back_the_end(&self, receipt: &mut Receipt, verified: &mut Verified) {
        let bare = Receipt { outcome: None, ..receipt.clone() };
        let [plain, _] = &self.root.decision_log;
        if let Ok(alone) = bare.verify(&self.root.decision_log_origin(), &NoteVerifier::of(plain)) {
            (*receipt, *verified) = (bare, alone);
        }
    }

    fn push(&mut self, row: Row, signed: &'static str, contradiction: Option<String>) {
        let node_signed = if signed.is_empty() && row.result == "answered" { "no" } else { signed };
        let completeness = self.asked.completeness();
        let organisation_requirements = None;
        self.rows.push(Held { row, organisation_requirements, node_signed, completeness, contradiction, price: None });
    }

    /// All of them. What was decided while the report was made is held against the federation's log as it is by now; every
    /// checkpoint against the one that the report is of; and a decision that was not listed is a row too.
    pub(super) async fn rows(mut self) -> Result<Vec<Held>, CliError> {
        if !self.ahead.is_empty() {
            self.history = history(self.session).await?;
        }
        for (place, receipt) in std::mem::take(&mut self.ahead) {
            let Some(epoch) = self.rows.get(place).map(|held| held.row.epoch) else { continue };
            let (signed, against) = self.held(&receipt, epoch);
            if let Some(held) = self.rows.get_mut(place) {
                let of_federation = held.contradiction.as_ref().is_none_or(|said| said.contains(NO_EPOCH));
                if of_federation {
                    held.contradiction = against;
                }
                held.node_signed = if signed.is_empty() && held.row.result == "answered" { "no" } else { signed };
            }
        }
        self.hold_checkpoints().await?;
        if let Asked::Governor(_) = self.asked {
            let missing: Vec<_> =
                self.whole.missing().map(|(index, leaf)| Row::bare(index, Some(leaf), "unlisted")).collect();
            for row in missing {
                self.push(row, "", Some("the log has this decision, and the broker did not list it".to_owned()));
            }
        }
        let of_epoch: Vec<_> = self.rows.iter().map(|Held { row, .. }| (self.price(row), self.layers(row))).collect();
        for (held, (price, layers)) in self.rows.iter_mut().zip(of_epoch) {
            (held.price, held.organisation_requirements) = (price, layers);
        }
        self.rows.sort_by_key(|held| held.row.leaf);
        Ok(self.rows)
    }

    /// Holds the checkpoint of every receipt against the one that the report is of. What connects the two may not come: then there
    /// is no report, and nobody is accused by it.
    async fn hold_checkpoints(&mut self) -> Result<(), CliError> {
        let notes = std::mem::take(&mut self.notes);
        // All by one way; which of them is another log's, if one is, the ways of each say.
        if self.published.holds(self.session, notes.keys().map(String::as_str)).await.is_ok() {
            return Ok(());
        }
        let mut kept_in = None;
        for (note, places) in notes {
            let Err(error) = self.published.holds(self.session, [&*note]).await else { continue };
            if let DecisionsError::Files(_) = error {
                return Err(CliError::Client {
                    doing: "hold the receipts against the decision log",
                    source: Box::new(error),
                    hint: Some("try again; a shorter time (--from, --to) asks less of the broker".to_owned()),
                });
            }
            let said = format!("its receipt is of another log than the one that is published: {}", chain::text(&error));
            if kept_in.is_none() {
                kept_in = kept::convict(self.session.identity().dir().path(), &error).ok().flatten();
            }
            if places.is_empty() {
                self.push(Row::bare(self.whole.size(), None, "unproven"), "", Some(said.clone()));
            }
            for place in places {
                if let Some(held) = self.rows.get_mut(place) {
                    held.contradiction.get_or_insert_with(|| said.clone());
                }
            }
        }
        if let Some(file) = kept_in {
            say(&format!("what shows that the log is another one is kept in {}", file.display()));
        }
        Ok(())
    }

    /// What the offer of a row cost at its epoch, if it was the form of the offer that is recorded.
    fn price(&self, row: &Row) -> Option<Price> {
        let federation = self.history.at(row.epoch)?.log.federation();
        let name: OfferName = row.offer.parse().ok()?;
        let is_it = federation.offer_sha256(&name).is_some_and(|sha256| sha256.to_string() == row.offer_sha256);
        federation.offer(&name).filter(|_| is_it)?.price.clone()
    }

    /// What the organisation of a row's caller demanded at its epoch, whatever the request said.
    fn layers(&self, row: &Row) -> Option<Value> {
        let federation = self.history.at(row.epoch)?.log.federation();
        let caller: SpiffeId = row.caller.parse().ok()?;
        Some(demanded_besides(&federation.organisation(caller.trust_domain())?.layers, caller.name()))
    }

    /// Whether a node signed it, and what goes against the federation's log.
    fn held(&self, receipt: &Receipt, epoch: u64) -> (&'static str, Option<String>) {
        let Some(state) = self.history.at(epoch) else {
            let epochs = self.history.epochs();
            return ("", Some(format!("the federation's log has {epochs} entries, and {NO_EPOCH} {epoch}")));
        };
        let (tables, now) = (&self.tables, self.clock.now());
        let against = Against { root: self.root, log: Some(state), policy: None, tables, now };
        match check(receipt, &against) {
            Ok(account) => (if is_signed(&account) { "yes" } else { "" }, None),
            Err(error) => ("", Some(chain::text(&error))),
        }
    }
}

/// What layers demand of a request of `app`, by layer, in the contract's JSON form; one that demands nothing is left out.
pub(in crate::commands) fn demanded_besides(layers: &Layers, app: &Name) -> Value {
    let of_app = layers.apps.get(app);
    let all = [("organisation", Some(&layers.organisation)), ("app", of_app)].into_iter();
    let demanding = all.filter_map(|(layer, demanded)| Some((layer, demanded.filter(|one| !one.keys().is_empty())?)));
    let json = |demanded: &Requirements| serde_json::to_value(Canonical(&policy::Requirements::from(demanded)));
    demanding.filter_map(|(layer, demanded)| Some((layer.to_owned(), json(demanded).ok()?))).collect()
}

/// What is said of an epoch that has not come yet.
const NO_EPOCH: &str = "no epoch";

/// Whether the node's word was verified.
fn is_signed(account: &Account) -> bool {
    account.findings.iter().any(|finding| finding.proven && finding.fields.contains(&Field::NODE_OUTCOME))
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

/// What a report ends with: an error where a row contradicts what it is held against, or an answer has no node's signature.
pub(super) fn verdict(rows: &[Held]) -> Result<(), CliError> {
    let contradicted = rows.iter().filter_map(|held| Some((held.row.leaf, held.contradiction.as_deref()?)));
    let unsigned = rows.iter().filter(|held| held.contradiction.is_none() && held.is_unsigned());
    let unsigned = unsigned.map(|held| (held.row.leaf, "no node signed it"));
    let of_all = |what: &str, some: Vec<(u64, &str)>| {
        let first: Vec<_> = some.iter().take(SAID).map(|(leaf, said)| format!("leaf {leaf}: {said}")).collect();
        let more = match some.len().saturating_sub(SAID) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let said = format!("{} of {} decisions {what}: {}{more}", some.len(), rows.len(), first.join("; "));
        (!some.is_empty()).then_some(said)
    };
    let said = [
        of_all("contradict what they are held against", contradicted.collect()),
        of_all("are recorded as answered, and nobody but the broker says so", unsigned.collect()),
    ];
    let said: Vec<_> = said.into_iter().flatten().collect();
    if said.is_empty() {
        return Ok(());
    }
    Err(CliError::Failed {
        problem: said.join("; and "),
        hint: "the report has them, in the columns `contradiction` and `node_signed`: what is recorded is not so, is damaged, \
               or is the broker's word alone. Keep it, and show it to the operators and to whom it concerns"
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

/// A cell of CSV. What a spreadsheet would take for a formula gets an apostrophe before it, which makes it a text there: members
/// name their things, and a report is opened by others.
pub(crate) fn quoted(cell: &str) -> String {
    let is_formula =
        cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}']);
    let cell = if is_formula { format!("'{cell}") } else { cell.to_owned() };
    // Also where the one that opens it separates columns by semicolons or tabs.
    if cell.contains([',', ';', '\t', '"', '\r', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}

/// All rows as JSON.
pub(super) fn json(rows: &[Held]) -> String {
    // Rows hold text and numbers, and no map.
    serde_json::to_string_pretty(rows).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::commands::audit::why::Why;

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
            purposes: "dpv:CustomerCare".into(),
            reasons: String::new(),
            why: Why::default(),
            offer_sha256: String::new(),
            status: "0".into(),
            input_tokens: "3".into(),
            output_tokens: "4".into(),
            epoch: 5,
            leaf: 6,
            outcome_leaf: Some(7),
        };
        let (node_signed, completeness) = ("yes", "log");
        Held { row, organisation_requirements: None, node_signed, completeness, contradiction: None, price: None }
    }

    #[test]
    fn a_cell_cannot_leave_its_column() {
        let text = csv(&[row("a,\"b\"\nc")]);
        assert_eq!(text.lines().next().unwrap().split(',').count(), COLUMNS.len());
        assert!(text.contains(r#","a,""b""#), "{text}");
    }

    #[test]
    fn no_cell_is_a_formula_where_the_report_is_opened() {
        for begins in ["=", "+", "-", "@", "\t", "\r", "\u{ff1d}"] {
            let text = csv(&[row(&format!("{begins}cmd|' /C calc'!A0"))]);
            let cell = text.split_once(",answered,").unwrap().1.trim_start_matches('"');
            assert!(cell.starts_with(&format!("'{begins}cmd")), "{text}");
        }
        // As many columns for whoever separates them by semicolons.
        assert_eq!(quoted("a;=1+1"), "\"a;=1+1\"");
        assert_eq!(quoted("spiffe://a.example/app/x"), "spiffe://a.example/app/x");
    }

    #[test]
    fn the_callers_organisation_demands_by_layer_and_what_is_not_demanded_is_left_out() {
        let requirements =
            |no_training, no_human_review| Requirements { no_training, no_human_review, ..Requirements::default() };
        let both = Layers {
            organisation: requirements(true, false),
            apps: [("a".parse().unwrap(), requirements(false, true))].into(),
        };
        let demanded = |layers: &Layers, app: &str| demanded_besides(layers, &app.parse().unwrap());
        let (organisation, app) = (json!({ "noTraining": true }), json!({ "noHumanReview": true }));
        assert_eq!(demanded(&both, "a"), json!({ "organisation": organisation, "app": app }));
        assert_eq!(demanded(&both, "b"), json!({ "organisation": organisation }));
        assert_eq!(demanded(&Layers::default(), "a"), json!({}));
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

    #[test]
    fn an_answer_that_no_node_signed_is_not_clean() {
        let mut rows = vec![row("a")];
        rows[0].node_signed = "no";
        let said = verdict(&rows).unwrap_err().to_string();
        assert!(said.contains("1 of 1 decisions are recorded as answered") && said.contains("leaf 6"), "{said}");
        rows[0].row.result = "failed";
        verdict(&rows).unwrap();
    }
}
