//! A list that comes in parts is the one that comes at once.

use std::time::Duration;

use comity_proto::convert::wire_receipt;
use comity_transparency::leaf::Kind;
use futures::stream;

use super::super::row::Row;
use super::super::whole::Whole;
use super::*;
use crate::commands::receipt::testing::TestLog;

/// Decisions that end at once, behind others, and never; and one that was refused.
fn log() -> TestLog {
    let mut log = TestLog::new();
    let answered = [(Field::STATUS, "0")];
    let first = log.decision(1, &[(Field::MODEL, "one"), (Field::ELIGIBLE, "[o]")]);
    let second = log.decision(2, &[(Field::MODEL, "two"), (Field::ELIGIBLE, "[o]")]);
    log.outcome(2, second, &answered);
    log.decision(3, &[(Field::MODEL, "three"), (Field::ELIGIBLE, "[]")]);
    let fourth = log.decision(4, &[(Field::MODEL, "four"), (Field::ELIGIBLE, "[o]")]);
    log.outcome(1, first, &answered);
    log.decision(5, &[(Field::MODEL, "five"), (Field::ELIGIBLE, "[o]")]);
    let sixth = log.decision(6, &[(Field::MODEL, "six"), (Field::ELIGIBLE, "[o]")]);
    log.outcome(6, sixth, &answered);
    log.outcome(4, fourth, &[(Field::STATUS, "14")]);
    log
}

fn request() -> ListReceiptsRequest {
    ListReceiptsRequest { from: None, to: None, organisation: String::new(), first_leaf: 0 }
}

fn receipt(log: &TestLog, decision: u64, outcome: Option<u64>) -> ListReceiptsResponse {
    let receipt = Some(wire_receipt(&log.receipt(decision, outcome)));
    ListReceiptsResponse { receipt, ..ListReceiptsResponse::default() }
}

fn goes_on(next_leaf: u64) -> ListReceiptsResponse {
    ListReceiptsResponse { next_leaf, ..ListReceiptsResponse::default() }
}

/// As a broker does it that looks through `most` decisions for an answer.
fn part(log: &TestLog, first_leaf: u64, most: usize) -> Vec<ListReceiptsResponse> {
    let (mut found, mut next) = (BTreeMap::new(), None);
    for (index, leaf) in log.leaves().skip_while(|(index, _)| *index < first_leaf) {
        if found.len() >= most {
            next = Some(goes_on(index));
            break;
        }
        match leaf.kind {
            Kind::Decision => found.insert(index, None),
            Kind::Outcome { decision } | Kind::Abort { decision } => found.insert(decision, Some(index)),
        };
    }
    found.into_iter().map(|(decision, outcome)| receipt(log, decision, outcome)).chain(next).collect()
}

/// The rows of a report, and what goes against the log in them.
async fn rows(log: &TestLog, most: usize) -> (Vec<Row>, Vec<String>) {
    let mut whole = Whole::of(TestLog::at(), TestLog::at().plus(Duration::from_secs(1)));
    log.leaves().for_each(|(index, leaf)| whole.take(index, &leaf));
    let (mut rows, mut against) = (Vec::new(), Vec::new());
    let ask = async |request: ListReceiptsRequest| {
        let part = part(log, request.first_leaf, most);
        Ok(stream::iter(part.into_iter().map(Ok)))
    };
    let listed = in_parts(ask, request(), &log.root, |listed| {
        against.extend(whole.list(&listed.proven.as_ref().unwrap().1));
        rows.push(Row::listed(&listed));
    });
    listed.await.unwrap();
    against.extend(whole.missing().map(|(index, _)| format!("{index} is missing")));
    rows.sort_by_key(|row| row.leaf);
    (rows, against)
}

#[tokio::test]
async fn a_report_over_parts_of_any_size_is_the_report_at_once() {
    let log = log();
    let (at_once, against) = rows(&log, usize::MAX).await;
    let results: Vec<_> = at_once.iter().map(|row| row.result).collect();
    assert_eq!(results, ["answered", "answered", "refused", "failed", "running", "answered"]);
    assert_eq!(against, Vec::<String>::new());
    for most in 1..=7 {
        assert_eq!(rows(&log, most).await, (at_once.clone(), Vec::new()), "{most} decisions a part");
    }
}

/// What an `in_parts` over these parts gives: leaves, and whether they have an outcome.
async fn listed(log: &TestLog, parts: Vec<Vec<ListReceiptsResponse>>) -> Result<Vec<(u64, bool)>, CliError> {
    let parts = std::sync::Mutex::new(parts.into_iter());
    let ask = async |_| Ok(stream::iter(parts.lock().unwrap().next().unwrap().into_iter().map(Ok)));
    let mut all = Vec::new();
    in_parts(ask, request(), &log.root, |listed| all.push((listed.leaf, listed.has_outcome()))).await?;
    Ok(all)
}

#[tokio::test]
async fn a_decision_that_is_listed_twice_in_one_part_or_ended_in_two_is_not_taken_for_one() {
    let log = log();
    let (open, ended) = (|| receipt(&log, 0, None), || receipt(&log, 0, Some(5)));
    assert_eq!(listed(&log, vec![vec![open(), ended()]]).await.unwrap(), [(0, true), (0, false)]);
    assert_eq!(listed(&log, vec![vec![open(), open()]]).await.unwrap(), [(0, false), (0, false)]);
    let twice = vec![vec![ended(), goes_on(1)], vec![ended()]];
    assert_eq!(listed(&log, twice).await.unwrap(), [(0, true), (0, true)]);
    let later = vec![vec![open(), goes_on(1)], vec![ended()]];
    assert_eq!(listed(&log, later).await.unwrap(), [(0, true)]);
}

#[tokio::test]
async fn a_list_that_goes_on_where_it_was_is_given_up() {
    let log = log();
    let parts = vec![vec![goes_on(4)], vec![goes_on(4)]];
    let error = listed(&log, parts).await.unwrap_err().to_string();
    assert!(error.contains("goes on at leaf 4, and was asked for from leaf 4 on already"), "{error}");
}
