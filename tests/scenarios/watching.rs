//! What watches the programs, `deploy/alerts.yml` and `deploy/dashboards/`, asks for metrics and labels that there are, and each
//! alert has an answer in the runbook.

use std::collections::{BTreeMap, BTreeSet};

use comity_tests::program::workspace;
use serde_json::Value;

/// Labels that Prometheus adds to all that it scrapes.
const SCRAPED: [&str; 2] = ["instance", "job"];
/// The parts that a histogram has.
const PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];
/// What stands before a list of labels that are grouped or matched by.
const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

fn text(path: &str) -> String {
    std::fs::read_to_string(workspace().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Each metric as a query names it, with its labels: those of `docs/metrics.md`, which the programs are held against.
fn metrics() -> BTreeMap<String, BTreeSet<String>> {
    let mut all = BTreeMap::from([("up".to_owned(), BTreeSet::new())]);
    let document = text("docs/metrics.md");
    for row in document.lines().filter_map(|line| line.strip_prefix("| `comity_")) {
        let mut cells = format!("comity_{row}").split(" | ").map(str::to_owned).collect::<Vec<_>>().into_iter();
        let (name, kind, labels) = (cells.next().unwrap(), cells.next().unwrap(), cells.next().unwrap());
        let name = name.trim_end_matches('`');
        let labels: BTreeSet<_> = labels.split(", ").map(|label| label.trim_matches(['`', ' ']).to_owned()).collect();
        if kind == "histogram" {
            for part in PARTS {
                let le = (part == "_bucket").then(|| "le".to_owned());
                all.insert(format!("{name}{part}"), labels.iter().cloned().chain(le).collect());
            }
        } else {
            all.insert(name.to_owned(), labels);
        }
    }
    assert!(all.len() > 30, "{all:?}");
    all
}

/// What is wrong with a query: names that there are not, and labels that its metrics do not have.
fn wrong(query: &str, metrics: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let (names, mut wrong) = (words(query), Vec::new());
    let mut known: BTreeSet<&str> = SCRAPED.into();
    for (word, after) in names.iter().filter(|(word, _)| word.starts_with("comity_") || word == "up") {
        let Some(labels) = metrics.get(word) else {
            wrong.push(format!("there is no metric {word}"));
            continue;
        };
        known.extend(labels.iter().map(String::as_str));
        for label in selected(after) {
            if !labels.contains(&label) && !SCRAPED.contains(&label.as_str()) {
                wrong.push(format!("{word} has no label {label}"));
            }
        }
    }
    for (_, after) in names.iter().filter(|(word, _)| GROUPING.contains(&word.as_str())) {
        let list = after.trim_start().strip_prefix('(').and_then(|rest| rest.split(')').next()).unwrap_or_default();
        for label in list.split(',').map(str::trim).filter(|label| !label.is_empty() && !known.contains(label)) {
            wrong.push(format!("none of the metrics has a label {label}"));
        }
    }
    if wrong.is_empty() && !names.iter().any(|(word, _)| metrics.contains_key(word)) {
        wrong.push("it asks for no metric".to_owned());
    }
    wrong
}

/// Every word outside quotes, with all that stands behind it.
fn words(query: &str) -> Vec<(String, &str)> {
    let (mut words, mut quoted, mut start) = (Vec::new(), false, None);
    for (at, letter) in query.char_indices().chain([(query.len(), ' ')]) {
        let is_word = letter.is_ascii_alphanumeric() || letter == '_';
        quoted ^= letter == '"';
        match (start, is_word && !quoted) {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                words.push((query[from..at].to_owned(), &query[at..]));
                start = None;
            }
            _ => {}
        }
    }
    words
}

/// The labels in the braces that directly follow a metric.
fn selected(after: &str) -> Vec<String> {
    let Some(inside) = after.strip_prefix('{') else { return Vec::new() };
    // Every other part stands in quotes, and is a value; the brace that ends it stands in none.
    let bare: String = inside.split('"').step_by(2).collect::<Vec<_>>().join("\"\"");
    let bare = bare.split('}').next().unwrap();
    bare.split(',').map(|one| one.split(['=', '!']).next().unwrap().trim().to_owned()).collect()
}

#[test]
fn a_query_for_what_there_is_not_is_found() {
    let metrics = metrics();
    let of = |query: &str| wrong(query, &metrics);
    assert_eq!(
        of("sum by (le) (rate(comity_broker_commit_seconds_bucket{instance=~\"a,b\"}[5m]))"),
        Vec::<String>::new()
    );
    assert_eq!(of("comity_broker_no_such_total > 0"), ["there is no metric comity_broker_no_such_total"]);
    assert_eq!(of("comity_broker_calls > 0"), ["there is no metric comity_broker_calls"]);
    assert_eq!(of("comity_broker_tunnels{who=\"node\"}"), ["comity_broker_tunnels has no label who"]);
    assert_eq!(of("sum by (offer) (comity_broker_tunnels)"), ["none of the metrics has a label offer"]);
    assert_eq!(of("vector(1)"), ["it asks for no metric"]);
}

/// The name, the query and the summary of each alert.
fn alerts() -> Vec<(String, String, String)> {
    let text = text("deploy/alerts.yml");
    let after = |key: &str| {
        text.lines().filter_map(|line| line.trim_start().strip_prefix(key)).map(str::to_owned).collect::<Vec<_>>()
    };
    let (names, queries, summaries) = (after("- alert: "), after("expr: "), after("annotations: {summary: "));
    assert!(names.len() == queries.len() && names.len() == summaries.len() && names.len() > 10);
    names.into_iter().zip(queries).zip(summaries).map(|((name, query), summary)| (name, query, summary)).collect()
}

#[test]
fn each_alert_asks_for_metrics_and_labels_that_there_are_and_has_its_answer_in_the_runbook() {
    let (metrics, runbook) = (metrics(), text("deploy/runbook.md"));
    for (name, query, summary) in alerts() {
        assert_eq!(wrong(&query, &metrics), Vec::<String>::new(), "{name}: {query}");
        for label in summary.split("$labels.").skip(1).map(|rest| rest.split(' ').next().unwrap()) {
            let has = words(&query).iter().any(|(word, _)| metrics.get(word).is_some_and(|of| of.contains(label)));
            assert!(has || SCRAPED.contains(&label), "{name} tells of {label}, which its metrics do not have");
        }
        assert!(runbook.contains(&format!("| `{name}` |")), "deploy/runbook.md has no row for the alert {name}");
    }
    for row in runbook.lines().filter_map(|line| line.strip_prefix("| `Comity")) {
        let name = format!("Comity{}", row.split('`').next().unwrap());
        assert!(alerts().iter().any(|(alert, ..)| *alert == name), "deploy/alerts.yml has no alert {name}");
    }
}

/// What shows nowhere else until it is too late.
const UNSEEN: [&str; 2] = ["comity_broker_decision_log_examined_age_seconds", "comity_broker_budget_used"];

#[test]
fn what_nobody_would_notice_by_itself_has_an_alert() {
    for metric in UNSEEN {
        assert!(alerts().iter().any(|(_, query, _)| query.contains(metric)), "no alert asks for {metric}");
    }
}

#[test]
fn each_panel_of_a_dashboard_asks_for_metrics_and_labels_that_there_are_and_together_they_show_every_metric() {
    let metrics = metrics();
    for program in ["broker", "node"] {
        let dashboard: Value = serde_json::from_str(&text(&format!("deploy/dashboards/{program}.json"))).unwrap();
        let mut shown = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row") {
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty() && panel["description"].is_string(), "{panel}");
            for target in targets {
                let query = target["expr"].as_str().unwrap();
                assert_eq!(wrong(query, &metrics), Vec::<String>::new(), "{}: {query}", panel["title"]);
                let words = words(query).into_iter().map(|(word, _)| word);
                shown.extend(words.map(|word| word.trim_end_matches("_bucket").to_owned()));
            }
        }
        let own = metrics.keys().map(|name| PARTS.iter().fold(name.as_str(), |name, part| name.trim_end_matches(part)));
        let hidden: BTreeSet<_> =
            own.filter(|name| name.starts_with(&format!("comity_{program}_")) && !shown.contains(*name)).collect();
        assert!(hidden.is_empty(), "the dashboard of {program} does not show {hidden:?}");
    }
}
