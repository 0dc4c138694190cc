//! What a file that is read again changes, and what it does not.

use std::sync::Arc;
use std::time::Duration;

use comity_runtime::clock::SystemClock;

use super::*;
use crate::testing::World;

const FILE: &str = r#"
[node]
listen = "127.0.0.1:0"
data_dir = "data"

[backends.local]
kind = "embedded-embeddings"

[[offers]]
id = "embed"
"#;

#[test]
fn fields_that_differ_are_named_by_section_and_key() {
    let of = |new: &str| differing(FILE, new);
    assert_eq!(of(FILE), Vec::<String>::new());
    assert_eq!(of(&FILE.replace("\"data\"", "\"other\"")), ["node.data_dir"]);
    assert_eq!(of(&FILE.replace("[node]", "[node]\nmax_staleness = \"5m\"")), ["node.max_staleness"]);
    assert_eq!(of(&FILE.replace("\"embed\"", "\"other\"")), ["offers"]);
    assert_eq!(of(&FILE.replace("backends.local", "backends.other")), ["backends.local", "backends.other"]);
    assert_eq!(of(&format!("{FILE}\n[access_log]\n")), ["access_log"]);
    assert_eq!(of(&format!("# A comment is no change.\n{FILE}")), Vec::<String>::new());
}

#[test]
fn the_document_lists_what_can_change() {
    let document = include_str!("../../../docs/operations.md");
    let listed: Vec<_> = document
        .lines()
        .skip_while(|line| !line.starts_with("| of node.toml |"))
        .skip(2)
        .map_while(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    assert_eq!(listed, LIVE);
}

#[test]
fn a_file_that_is_wrong_or_needs_a_restart_changes_nothing_and_the_next_good_one_counts() {
    let example = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/node.example.toml")).unwrap();
    let read = |text: &str| Config::parse(text).unwrap();
    let replica = World::at("127.0.0.1:1").replica(Arc::new(SystemClock));
    let mut live = Live {
        text: example.clone(),
        node: "spiffe://org-a.example/node/n1".parse().unwrap(),
        replica: replica.clone(),
        access_log: None,
        metrics: Metrics::default(),
    };
    let before = replica.budgets();
    let more = "[node]\nmax_staleness = \"5m\"";
    let shorter = example.replacen("[node]", more, 1);
    let refused = live.apply(&read(&shorter.replacen("\"data\"", "\"other\"", 1))).unwrap_err().to_string();
    assert!(refused.starts_with("node.data_dir cannot change while the node runs"), "{refused}");
    // Longer than max_staleness.
    let wrong = format!("{shorter}\n[staleness]\nnew_callers = \"10m\"\n");
    assert!(live.apply(&read(&wrong)).unwrap_err().to_string().contains("staleness.new_callers"));
    assert_eq!(replica.budgets(), before);
    assert_eq!(live.apply(&read(&shorter)).unwrap(), ["node.max_staleness"]);
    assert_eq!(replica.budgets().all, Duration::from_secs(300));
}
