//! A log that was written once, with the state that the fold gave after each entry: `old_log/log.txt`.
//!
//! Every broker, node and auditor folds the whole log by itself, from the founding on. Where a new version gives another
//! state to the same entries, or refuses one, its federation falls apart: nodes on it and brokers on the version before
//! believe different members. The fold has no version, so that such a change is seen here or nowhere.
//!
//! A line of the file is `sha256-of-the-state entry`. When a test in here fails, it leaves what the file would have to be in
//! the folder of temporary files, and names it:
//!
//! 1. A new kind of statement: say one in [`script`], at its end, so that all lines before it stay as they are, and copy
//!    the file here. Nothing else changes by it.
//! 2. A line that was there has another state, or is refused: a log of a federation that exists may be understood in
//!    another way, or not at all. Rather change the fold so that old entries keep their meaning. If that must not be, as for
//!    a hole in the rules, copy the file here, say in decision 15 which logs are refused or read otherwise, and in the
//!    runbook's Upgrade what their operators do.
//! 3. Only how [`told`](state::told) writes a state has changed: copy the file, and say so in the commit.

mod script;
mod state;

use self::script::script;
use self::state::told;
use super::*;

/// As it stands in the repository.
const LOG: &str = include_str!("old_log/log.txt");
/// Where it stands.
const FILE: &str = "crates/membership/src/federation/tests/old_log/log.txt";

/// The entries, each with the digest of the state that it led to.
fn lines() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    LOG.lines().map(|line| line.split_once(' ').unwrap()).map(|(state, entry)| (state, entry.as_bytes()))
}

fn digest(federation: &Federation) -> String {
    Digest::of(told(federation).as_bytes()).to_string()
}

/// What the entry says: a kind of statement, or what needs no signature.
fn kind(entry: &Entry) -> String {
    match &entry.body {
        Body::Founded(_) => "founded".to_owned(),
        Body::Lapsed { .. } => "lapsed".to_owned(),
        Body::Signed(_) => entry.payload().unwrap().unwrap().statement.kind().to_owned(),
    }
}

/// What serde says that it knows, of whatever it does not know.
fn known<T: serde::de::DeserializeOwned>(unknown: &str) -> BTreeSet<String> {
    let Err(error) = serde_json::from_str::<T>(unknown) else { panic!("{unknown}") };
    let error = error.to_string();
    error.split('`').skip(3).step_by(2).map(str::to_owned).collect()
}

#[test]
fn an_old_log_gives_after_each_entry_the_state_that_it_gave_when_it_was_written() {
    let mut federation = Federation::default();
    for (number, (expected, bytes)) in lines().enumerate() {
        let entry = Entry::from_json(bytes).unwrap_or_else(|error| panic!("entry {}: {error}", number + 1));
        let what = format!("entry {} ({})", number + 1, kind(&entry));
        assert_eq!(entry.to_json().unwrap(), bytes, "{what} is spelled otherwise: its log has another root");
        federation.apply(&entry).unwrap_or_else(|refused| panic!("{what} is refused: {refused}"));
        let state = told(&federation);
        let hint = "the head of tests/old_log.rs says what that means";
        assert_eq!(digest(&federation), expected, "{what} led to another state; {hint}. It is now:\n{state}");
    }
}

#[test]
fn every_kind_of_entry_and_of_statement_is_in_the_old_log() {
    let held: BTreeSet<String> = lines().map(|(_, entry)| kind(&Entry::from_json(entry).unwrap())).collect();
    let mut expected = known::<Statement>(r#"{"?":{}}"#);
    assert!(expected.len() > 20, "{expected:?}");
    expected.extend(["founded", "lapsed"].map(str::to_owned));
    let missing: Vec<_> = expected.difference(&held).collect();
    assert!(
        missing.is_empty(),
        "not in the old log: {missing:?}; say one of each at the end of tests/old_log/script.rs"
    );
    assert_eq!(held, expected);
}

#[test]
fn the_old_log_is_what_its_script_writes() {
    let mut federation = Federation::default();
    let mut written = String::new();
    for bytes in script() {
        federation.apply(&Entry::from_json(&bytes).unwrap()).unwrap();
        written += &format!("{} {}\n", digest(&federation), String::from_utf8(bytes).unwrap());
    }
    if written != LOG {
        let file = std::env::temp_dir().join("comity-old-log.txt");
        std::fs::write(&file, &written).unwrap();
        let number = written.lines().zip(LOG.lines()).take_while(|(now, then)| now == then).count() + 1;
        panic!("line {number} differs; read the head of tests/old_log.rs, then: cp {} {FILE}", file.display());
    }
}
