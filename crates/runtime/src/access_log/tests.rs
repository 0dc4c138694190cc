//! Lines on their way to files of every kind.

use std::fs;

use super::*;
use crate::testing::{Log, PATIENCE};

fn start(file: PathBuf) -> (AccessLog, Lines) {
    let lines = Lines::default();
    let config = Config { file: Some(file), format: Format::Text };
    (AccessLog::start(&config, lines.clone()).unwrap(), lines)
}

fn count(lines: &Lines, outcome: &'static str) -> u64 {
    lines.get_or_create(&[("outcome", outcome)]).get()
}

#[tokio::test]
async fn lines_are_appended_and_go_to_the_new_file_once_the_old_one_was_moved_away() {
    let folder = tempfile::tempdir().unwrap();
    let [file, moved] = ["access.log", "access.log.1"].map(|name| folder.path().join(name));
    fs::write(&file, "before\n").unwrap();
    let (log, lines) = start(file.clone());
    log.tell(|_| "one".to_owned());
    log.flush(PATIENCE).await;
    fs::rename(&file, &moved).unwrap();
    log.tell(|_| "two".to_owned());
    log.reopen();
    log.tell(|_| "three".to_owned());
    log.flush(PATIENCE).await;
    assert_eq!(fs::read_to_string(&moved).unwrap(), "before\none\ntwo\n");
    assert_eq!(fs::read_to_string(&file).unwrap(), "three\n");
    assert_eq!((count(&lines, "written"), count(&lines, "dropped")), (3, 0));
}

#[tokio::test]
async fn a_disk_that_is_full_costs_lines_which_are_counted_and_one_warning() {
    let (log, lines) = start("/dev/full".into());
    for _ in 0..3 {
        log.tell(|_| "lost".to_owned());
        log.flush(PATIENCE).await;
    }
    assert_eq!((count(&lines, "written"), count(&lines, "dropped")), (0, 3));
}

#[tokio::test]
async fn lines_that_nobody_takes_are_dropped_on_the_spot_and_told_of_once() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Held open and never read: as much as fits into it is taken, and then its writer hangs.
    let _reader = fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let (log, lines) = start(pipe);
    let told = Log::default();
    let _guard = told.collect();
    // Far more than fit into a pipe and the queue together.
    for _ in 0..2 * writer::QUEUE {
        log.tell(|_| "x".repeat(1000));
    }
    assert!(count(&lines, "dropped") > 0);
    assert_eq!(told.lines_with("lines of the access log are dropped").len(), 1);
}

#[test]
fn a_file_that_cannot_be_opened_is_named_with_its_field() {
    let config = Config { file: Some("/nowhere/access.log".into()), format: Format::Json };
    let refused = AccessLog::start(&config, Lines::default()).unwrap_err().to_string();
    assert!(refused.contains("access_log.file") && refused.contains("/nowhere/access.log"), "{refused}");
}
