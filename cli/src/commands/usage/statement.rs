//! The lines of a statement, and their sums.

use std::collections::BTreeMap;

use comity_types::{OfferName, SpiffeId, Timestamp};
use serde::Serialize;

use crate::commands::audit::{Held, Wanted, quoted};
use crate::error::CliError;
use crate::output::plain_table;

/// Most contradictions that are said at the end: `comity audit` has all.
const SAID: usize = 3;

/// What was used in a time.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Statement {
    from: Timestamp,
    to: Option<Timestamp>,
    organisation: Option<String>,
    /// What shows that no request is missing: the `log`, or the `broker`'s word.
    completeness: &'static str,
    pub(super) lines: Vec<Line>,
    /// Of what nodes signed, and of the rest.
    totals: Vec<Total>,
    /// How many decisions are in no line, by what became of them.
    apart: BTreeMap<&'static str, u64>,
    /// What goes against the logs, and is in no line.
    contradictions: Vec<Contradiction>,
}

/// Whose line it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
struct Of {
    organisation: String,
    app: String,
    model: String,
    offer: String,
    node: String,
    /// `signed` by the node, or `unsigned`.
    basis: &'static str,
    /// Of the price; empty where there is none.
    currency: String,
}

/// What was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Used {
    requests: u64,
    input_tokens: u64,
    output_tokens: u64,
    /// In millionths of the currency's unit.
    micros: u64,
}

/// A line.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    #[serde(flatten)]
    of: Of,
    #[serde(flatten)]
    used: Used,
    leaves: Vec<Leaves>,
}

/// Where a request is in the decision log.
#[derive(Debug, Serialize)]
struct Leaves {
    /// The decision's id, as its receipt has it.
    id: String,
    decision: u64,
    outcome: Option<u64>,
}

/// The sum of some lines.
#[derive(Debug, Serialize)]
struct Total {
    basis: &'static str,
    currency: String,
    #[serde(flatten)]
    used: Used,
}

#[derive(Debug, Serialize)]
struct Contradiction {
    leaf: u64,
    problem: String,
}

/// The heads of a statement's columns.
const COLUMNS: [&str; 12] = [
    "organisation",
    "app",
    "model",
    "offer",
    "node",
    "basis",
    "requests",
    "input_tokens",
    "output_tokens",
    "currency",
    "micros",
    "money",
];
/// The heads of those that name leaves.
const LEAVES: [&str; 2] = ["decision_leaves", "outcome_leaves"];

impl Used {
    const fn add(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.micros = self.micros.saturating_add(other.micros);
    }
}

impl Statement {
    /// Sums up decisions that were held against both logs.
    pub(super) fn of(wanted: &Wanted, rows: &[Held]) -> Self {
        let (mut lines, mut apart) = (BTreeMap::<Of, (Used, Vec<Leaves>)>::new(), BTreeMap::new());
        let mut contradictions = Vec::new();
        for held in rows {
            if let Some(problem) = &held.contradiction {
                contradictions.push(Contradiction { leaf: held.row.leaf, problem: problem.clone() });
                continue;
            }
            let Some((of, used)) = counted(held) else {
                *apart.entry(held.row.result).or_default() += 1;
                continue;
            };
            let (sum, leaves) = lines.entry(of).or_default();
            sum.add(used);
            let row = &held.row;
            leaves.push(Leaves { id: row.decision.clone(), decision: row.leaf, outcome: row.outcome_leaf });
        }
        let lines: Vec<_> = lines.into_iter().map(|(of, (used, leaves))| Line { of, used, leaves }).collect();
        Self {
            from: wanted.from,
            to: wanted.to,
            organisation: wanted.organisation.as_ref().map(ToString::to_string),
            completeness: rows.first().map_or("", |held| held.completeness),
            totals: totals(&lines),
            lines,
            apart,
            contradictions,
        }
    }

    /// As JSON.
    pub(super) fn json(&self) -> String {
        // It holds text and numbers.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// As CSV (RFC 4180), with its heads.
    pub(super) fn csv(&self, with_leaves: bool) -> String {
        let heads = heads(with_leaves).into_iter().map(str::to_owned).collect();
        let rows = self.lines.iter().map(|line| line.cells(with_leaves));
        let row = |cells: Vec<String>| cells.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",") + "\r\n";
        std::iter::once(heads).chain(rows).map(row).collect()
    }

    /// For people.
    pub(super) fn table(&self, with_leaves: bool) -> String {
        let total = |total: &Total| {
            let empty = String::new;
            let of = [format!("all {}", total.basis), empty(), empty(), empty(), empty(), total.basis.to_owned()];
            of.into_iter().chain(numbers(&total.used, &total.currency)).collect::<Vec<_>>()
        };
        let rows = self.lines.iter().map(|line| line.cells(with_leaves)).chain(self.totals.iter().map(total));
        plain_table(&heads(with_leaves), rows.collect())
    }

    /// What is in no line.
    pub(super) fn notes(&self) -> Vec<String> {
        let apart: Vec<_> = self.apart.iter().map(|(result, number)| format!("{number} {result}")).collect();
        let mut notes = Vec::new();
        if !apart.is_empty() {
            notes.push(format!("in no line, by what became of them: {}", apart.join(", ")));
        }
        if self.completeness == "broker" {
            notes.push(
                "that no request is missing is the broker's word; the operators of the federation can check it"
                    .to_owned(),
            );
        }
        notes
    }

    /// An error where something goes against the logs.
    pub(super) fn verdict(&self) -> Result<(), CliError> {
        let said = self.contradictions.iter().take(SAID).map(|one| format!("leaf {}: {}", one.leaf, one.problem));
        let said: Vec<_> = said.collect();
        if said.is_empty() {
            return Ok(());
        }
        let number = self.contradictions.len();
        Err(CliError::Failed {
            problem: format!(
                "{number} decisions contradict what they are held against, and are in no line: {}",
                said.join("; ")
            ),
            hint:
                "`comity audit` has all of them, in the column `contradiction`: keep it, and show it to the operators"
                    .to_owned(),
        })
    }
}

impl Line {
    fn cells(&self, with_leaves: bool) -> Vec<String> {
        let Of { organisation, app, model, offer, node, basis, currency } = &self.of;
        let of = [organisation, app, model, offer, node].map(Clone::clone);
        let mut cells: Vec<_> = of.into_iter().chain([(*basis).to_owned()]).collect();
        cells.extend(numbers(&self.used, currency));
        if with_leaves {
            let all = |leaf: &dyn Fn(&Leaves) -> Option<u64>| {
                self.leaves.iter().filter_map(leaf).map(|leaf| leaf.to_string()).collect::<Vec<_>>().join(" ")
            };
            cells.extend([all(&|leaves| Some(leaves.decision)), all(&|leaves| leaves.outcome)]);
        }
        cells
    }
}

fn heads(with_leaves: bool) -> Vec<&'static str> {
    COLUMNS.into_iter().chain(LEAVES.into_iter().filter(|_| with_leaves)).collect()
}

fn numbers(used: &Used, currency: &str) -> [String; 6] {
    let Used { requests, input_tokens, output_tokens, micros } = used;
    let money =
        if currency.is_empty() { String::new() } else { format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000) };
    let micros = if currency.is_empty() { String::new() } else { micros.to_string() };
    [requests.to_string(), input_tokens.to_string(), output_tokens.to_string(), currency.to_owned(), micros, money]
}

/// What a decision adds to which line; none where nobody answered, and nothing is signed.
fn counted(held: &Held) -> Option<(Of, Used)> {
    let row = &held.row;
    let basis = match (held.node_signed, row.result) {
        ("yes", _) => "signed",
        (_, "answered") => "unsigned",
        _ => return None,
    };
    let tokens = |text: &str| text.parse::<u64>().unwrap_or_default();
    let (input_tokens, output_tokens) = (tokens(&row.input_tokens), tokens(&row.output_tokens));
    let price = held.price.as_ref();
    let caller: Option<SpiffeId> = row.caller.parse().ok();
    let offer: Option<OfferName> = row.offer.parse().ok();
    let of = Of {
        organisation: caller.as_ref().map(|caller| caller.trust_domain().to_string()).unwrap_or_default(),
        app: row.caller.clone(),
        model: row.model.clone(),
        offer: row.offer.clone(),
        node: offer.as_ref().map(|offer| offer.node().as_str().to_owned()).unwrap_or_default(),
        basis,
        currency: price.map(|price| price.currency.to_string()).unwrap_or_default(),
    };
    let micros = price.map_or(0, |price| price.cost(input_tokens, output_tokens));
    Some((of, Used { requests: 1, input_tokens, output_tokens, micros }))
}

/// By basis and currency.
fn totals(lines: &[Line]) -> Vec<Total> {
    let mut sums = BTreeMap::<(&'static str, String), Used>::new();
    for Line { of, used, .. } in lines {
        sums.entry((of.basis, of.currency.clone())).or_default().add(*used);
    }
    sums.into_iter().map(|((basis, currency), used)| Total { basis, currency, used }).collect()
}

#[cfg(test)]
mod tests {
    use comity_types::Price;
    use serde_json::Value;

    use super::*;
    use crate::commands::audit::row::Row;

    fn held(app: &str, leaf: u64, result: &'static str, node_signed: &'static str) -> Held {
        let row = Row {
            decision: format!("{leaf:032x}"),
            result,
            caller: format!("spiffe://org-a.example/app/{app}"),
            model: "m".into(),
            offer: "op.example/n1/chat".into(),
            input_tokens: "9".into(),
            output_tokens: "4".into(),
            leaf,
            outcome_leaf: Some(leaf + 1),
            ..Row::default()
        };
        let price = Price {
            currency: "EUR".parse().unwrap(),
            input_micros_per_million_tokens: 100_000,
            output_micros_per_million_tokens: 300_000,
        };
        let price = Some(price);
        Held { row, organisation_requirements: None, node_signed, completeness: "log", contradiction: None, price }
    }

    fn statement(rows: &[Held]) -> Statement {
        let wanted = Wanted { from: "2026-11-01".parse().unwrap(), to: None, organisation: None };
        Statement::of(&wanted, rows)
    }

    #[test]
    fn a_line_is_of_one_app_and_offer_and_names_the_leaves_of_both_ends_of_every_request() {
        let rows = [held("a", 1, "answered", "yes"), held("b", 3, "answered", "yes"), held("a", 5, "failed", "yes")];
        let statement = statement(&rows);
        let json: Value = serde_json::from_str(&statement.json()).unwrap();
        let line = &json["lines"][0];
        assert_eq!((&line["app"], &line["requests"]), (&"spiffe://org-a.example/app/a".into(), &2.into()));
        assert_eq!(
            (&line["organisation"], &line["node"]),
            (&"org-a.example".into(), &"spiffe://op.example/node/n1".into())
        );
        // Each request is rounded up: 2.1 is 3.
        assert_eq!((&line["inputTokens"], &line["outputTokens"], &line["micros"]), (&18.into(), &8.into(), &6.into()));
        assert_eq!((&line["leaves"][1]["decision"], &line["leaves"][1]["outcome"]), (&5.into(), &6.into()));
        assert_eq!(json["totals"][0]["requests"], 3);
        let csv = statement.csv(true);
        assert!(csv.lines().nth(1).unwrap().ends_with(",signed,2,18,8,EUR,6,0.000006,1 5,2 6"), "{csv}");
        assert_eq!(csv.lines().next().unwrap(), [&COLUMNS[..], &LEAVES].concat().join(","));
    }

    #[test]
    fn what_no_node_signed_is_apart_and_what_was_not_answered_is_in_no_line() {
        let rows = [
            held("a", 1, "answered", "yes"),
            held("a", 3, "answered", "no"),
            held("a", 5, "refused", ""),
            held("a", 7, "failed", ""),
            held("a", 9, "erased", ""),
        ];
        let statement = statement(&rows);
        let bases: Vec<_> = statement.lines.iter().map(|line| (line.of.basis, line.used.requests)).collect();
        assert_eq!(bases, [("signed", 1), ("unsigned", 1)]);
        assert_eq!(statement.notes(), ["in no line, by what became of them: 1 erased, 1 failed, 1 refused"]);
        statement.verdict().unwrap();
    }

    #[test]
    fn what_contradicts_the_logs_is_in_no_line_and_an_error_names_its_leaf() {
        let mut rows = vec![held("a", 1, "answered", "yes"), held("a", 3, "answered", "yes")];
        rows[1].contradiction = Some("it was another one".into());
        let statement = statement(&rows);
        assert_eq!(statement.lines[0].used.requests, 1);
        let error = statement.verdict().unwrap_err();
        assert_eq!(crate::exit::status(&error), 1);
        assert!(error.to_string().contains("leaf 3: it was another one"), "{error}");
    }

    #[test]
    fn an_offer_without_a_price_has_no_currency_and_costs_nothing() {
        let mut free = held("a", 1, "answered", "yes");
        free.price = None;
        let statement = statement(&[free]);
        assert!(statement.csv(false).lines().nth(1).unwrap().ends_with(",signed,1,9,4,,,"), "{}", statement.csv(false));
    }
}
