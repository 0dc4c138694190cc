//! What was let in is known to the next run of the program, and nothing is let in of which that is not known.

use std::fs::{self, File};
use std::time::Duration;

use tempfile::TempDir;

use super::*;

/// How long the machine has run when it all begins.
const UP: Duration = Duration::from_secs(1_000);
const BOOT: Option<&str> = Some("b07e1d3c");

fn start() -> Timestamp {
    "2026-11-22T09:00:00Z".parse().unwrap()
}

fn after(seconds: u64) -> Timestamp {
    start().plus(Duration::from_secs(seconds))
}

/// Both clocks, where they go together.
fn moment(wall: Timestamp) -> Moment {
    Moment { wall, run: UP + wall.since(start()) }
}

fn open(dir: &TempDir, now: Timestamp) -> Seen {
    Seen::open_on(dir.path(), BOOT, moment(now)).unwrap()
}

/// The try of a decision of this number whose permit was issued then, by when it came.
fn claim(seen: &Seen, number: u8, issued_at: Timestamp, now: Timestamp) -> Result<(), Lie> {
    claim_at(seen, number.into(), issued_at, moment(now))
}

fn claim_at(seen: &Seen, number: u64, issued_at: Timestamp, now: Moment) -> Result<(), Lie> {
    let counts_until = issued_at.plus(Duration::from_secs(65));
    seen.claim_at((DecisionId::from_bytes(u128::from(number).to_be_bytes()), 1), (issued_at, counts_until), now)
}

#[test]
fn a_try_is_known_to_every_run_until_its_permit_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    claim(&open(&dir, start()), 1, start(), start()).unwrap();
    for seconds in [1, 2, 64] {
        let seen = open(&dir, after(seconds));
        assert_eq!(claim(&seen, 1, start(), after(seconds)), Err(Lie::Replayed));
    }
    assert_eq!(fs::read_to_string(dir.path().join("tries")).unwrap().lines().count(), 2);
    drop(open(&dir, after(130)));
    assert_eq!(fs::read_to_string(dir.path().join("tries")).unwrap().lines().count(), 1);
}

#[test]
fn that_a_decision_was_answered_is_known_to_every_run_and_forgotten_when_nothing_of_it_counts() {
    let dir = tempfile::tempdir().unwrap();
    let decision = |number: u8| DecisionId::from_bytes(u128::from(number).to_be_bytes());
    let another = |seen: &Seen, number, now| {
        let counts = (start(), start().plus(Duration::from_secs(125)));
        seen.claim_at((decision(number), 2), counts, moment(now))
    };
    let seen = open(&dir, start());
    claim(&seen, 1, start(), start()).unwrap();
    seen.answered_at(decision(1), after(125), moment(after(1))).unwrap();
    assert_eq!(another(&seen, 1, after(1)), Err(Lie::Answered));
    drop(seen);
    let seen = open(&dir, after(124));
    assert_eq!(another(&seen, 1, after(124)), Err(Lie::Answered));
    assert_eq!(another(&seen, 2, after(124)), Ok(()));
    drop(seen);
    let over = open(&dir, after(300));
    let memory = over.0.lock().unwrap();
    assert_eq!((memory.tries.len(), memory.answered.len(), memory.young.len()), (0, 0, 0));
}

#[test]
fn answers_take_no_room_from_tries() {
    let dir = tempfile::tempdir().unwrap();
    let seen = open(&dir, start());
    seen.0.lock().unwrap().most = 2;
    claim(&seen, 1, start(), start()).unwrap();
    seen.answered_at(DecisionId::from_bytes(1_u128.to_be_bytes()), after(125), moment(start())).unwrap();
    claim(&seen, 2, start(), start()).unwrap();
    assert_eq!(claim(&seen, 3, start(), start()), Err(Lie::Full));
}

impl Seen {
    /// From now on nothing can be written down.
    pub(crate) fn fill_disk(&self) {
        self.replace(File::options().append(true).open("/dev/full").unwrap());
    }

    /// Writes to another file from now on; gives the one before.
    fn replace(&self, file: File) -> File {
        std::mem::replace(&mut self.0.lock().unwrap().kept.file, file)
    }
}

#[test]
fn a_decision_is_answered_in_one_try_and_in_none_where_that_cannot_be_written_down() {
    let dir = tempfile::tempdir().unwrap();
    let seen = open(&dir, start());
    claim(&seen, 1, start(), start()).unwrap();
    let answered = || seen.answered_at(DecisionId::from_bytes(1_u128.to_be_bytes()), after(125), moment(start()));
    let usable = seen.replace(File::options().append(true).open("/dev/full").unwrap());
    assert_eq!(answered(), Err(Lie::Unkept));
    assert!(!seen.can_keep(), "nothing is let in, either");
    drop(seen.replace(usable));
    assert!(seen.can_keep());
    assert_eq!(answered(), Ok(()));
    assert_eq!(answered(), Err(Lie::Answered));
}

#[test]
fn what_was_issued_while_the_program_was_down_is_let_in() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(&dir, start()));
    let seen = open(&dir, after(50));
    claim(&seen, 1, after(1), after(50)).unwrap();
}

#[test]
fn the_files_take_turns_and_nothing_that_counts_is_lost_between_them() {
    let dir = tempfile::tempdir().unwrap();
    let seen = open(&dir, start());
    for (number, seconds) in (0..).zip((0..1000).step_by(10)) {
        claim(&seen, number, after(seconds), after(seconds)).unwrap();
        let again = Kept::open(&copy(&dir), BOOT, moment(after(seconds))).unwrap().1;
        let counting = seconds.min(120) / 10 + 1;
        assert_eq!(again.len() as u64, counting, "at {seconds} s");
    }
    let lines = |file: &str| fs::read_to_string(dir.path().join(file)).unwrap().lines().count();
    assert!(lines("tries") <= 15 && lines("tries.before") <= 15);
}

/// The files as a start would find them.
fn copy(dir: &TempDir) -> std::path::PathBuf {
    let copy = dir.path().join("copy");
    let _none = fs::remove_dir_all(&copy).is_err();
    fs::create_dir(&copy).unwrap();
    for file in ["tries", "tries.before"] {
        let _not_yet = fs::copy(dir.path().join(file), copy.join(file)).is_err();
    }
    copy
}

#[test]
fn a_line_that_was_being_written_when_the_program_ended_is_of_a_try_that_did_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let seen = open(&dir, start());
    claim(&seen, 1, start(), start()).unwrap();
    claim(&seen, 2, start(), start()).unwrap();
    let path = dir.path().join("tries");
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(file.metadata().unwrap().len() - 3).unwrap();
    let seen = open(&dir, after(1));
    assert_eq!(claim(&seen, 1, start(), after(1)), Err(Lie::Replayed));
    claim(&seen, 2, start(), after(1)).unwrap();
    assert_eq!(claim(&open(&dir, after(2)), 2, start(), after(2)), Err(Lie::Replayed));
}

#[test]
fn a_machine_that_started_anew_lets_in_nothing_that_was_issued_before() {
    let dir = tempfile::tempdir().unwrap();
    claim(&open(&dir, start()), 1, start(), start()).unwrap();
    // Power was cut: what was not written to the disk is gone, or is anything.
    fs::write(dir.path().join("tries"), [0; 512]).unwrap();
    let after_boot = |boot| Seen::open_on(dir.path(), boot, moment(after(20))).unwrap();
    for boot in [Some("another"), None] {
        let seen = after_boot(boot);
        assert_eq!(claim(&seen, 1, start(), after(20)), Err(Lie::BeforeStart));
        assert_eq!(claim(&seen, 2, after(14), after(20)), Err(Lie::BeforeStart));
        claim(&seen, 3, after(15), after(20)).unwrap();
        claim(&seen, 4, after(20), after(20)).unwrap();
    }
    // And so does its next run, which knows no more of the time before.
    drop(after_boot(BOOT));
    let seen = open(&dir, after(22));
    assert_eq!(claim(&seen, 1, start(), after(22)), Err(Lie::BeforeStart));
    claim(&seen, 5, after(16), after(22)).unwrap();
}

#[test]
fn what_cannot_be_written_down_is_not_let_in_and_is_once_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let seen = open(&dir, start());
    let full = File::options().append(true).open("/dev/full").unwrap();
    let usable = std::mem::replace(&mut seen.0.lock().unwrap().kept.file, full);
    assert_eq!(claim(&seen, 1, start(), start()), Err(Lie::Unkept));
    assert!(!seen.can_keep() && !seen.can_keep());
    seen.0.lock().unwrap().kept.file = usable;
    assert!(seen.can_keep(), "it tries again although nothing is sent");
    claim(&seen, 1, start(), start()).unwrap();
    assert_eq!(claim(&open(&dir, after(1)), 1, start(), after(1)), Err(Lie::Replayed));
}

#[test]
fn a_file_that_was_changed_stops_the_node_and_names_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let seen = open(&dir, start());
    (1..=3).for_each(|number| claim(&seen, number, start(), start()).unwrap());
    let path = dir.path().join("tries");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace(&format!("{}02", "00".repeat(15)), "two")).unwrap();
    let error = Seen::open_on(dir.path(), BOOT, moment(after(1))).unwrap_err();
    assert!(error.to_string().contains("line 3"), "{error}");
    assert!(matches!(error, SeenError::Damaged { line: 3, .. }));
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_wall_clock_that_jumps_ahead_and_back_lets_nothing_in_twice_nor_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let seen = open(&dir, start());
    claim(&seen, 1, start(), start()).unwrap();
    // Ahead, and a broker with it: its permits count, and those of before are over.
    let ahead = |seconds| Moment { wall: after(seconds).plus(HOUR), ..moment(after(seconds)) };
    for (number, seconds) in (2..).zip([1, 5, 9]) {
        claim_at(&seen, number, ahead(seconds).wall, ahead(seconds)).unwrap();
    }
    drop(Seen::open_on(dir.path(), BOOT, ahead(9)).unwrap());
    let again = Seen::open_on(dir.path(), BOOT, ahead(10)).unwrap();
    for seen in [&seen, &again, &Seen::open_on(dir.path(), BOOT, moment(after(20))).unwrap()] {
        assert_eq!(claim(seen, 1, start(), after(20)), Err(Lie::Replayed));
    }
}

#[test]
fn what_was_let_in_while_the_wall_clock_was_ahead_is_known_when_it_comes_there_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut seen = open(&dir, start());
    let then = start().plus(HOUR);
    claim_at(&seen, 1, then, Moment { wall: then, ..moment(start()) }).unwrap();
    for (number, seconds) in (2..).zip((10..3600).step_by(10)) {
        claim_at(&seen, number, after(seconds), moment(after(seconds))).unwrap();
        if seconds % 500 == 0 {
            seen = open(&dir, after(seconds));
        }
    }
    assert_eq!(claim_at(&seen, 1, then, moment(then)), Err(Lie::Replayed));
}

#[test]
fn the_files_do_not_grow_while_the_wall_clock_stands_back() {
    let dir = tempfile::tempdir().unwrap();
    let seen = open(&dir, start());
    let back = start().minus(HOUR);
    for number in 1..1_000 {
        let after = Duration::from_secs(number);
        let now = Moment { wall: back.plus(after), run: UP + A_FILE + after };
        claim_at(&seen, number, now.wall, now).unwrap();
    }
    let lines = |file: &str| fs::read_to_string(dir.path().join(file)).unwrap().lines().count() as u64;
    assert!(lines("tries") <= A_FILE.as_secs() + 2 && lines("tries.before") <= A_FILE.as_secs() + 2);
    assert!(seen.0.lock().unwrap().tries.len() as u64 <= A_FILE.as_secs() + 1);
}

#[test]
fn a_start_whose_clock_is_set_back_soon_after_lets_in_nothing_that_may_have_run_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let seen = Seen::open_on(dir.path(), BOOT, Moment { wall: start().plus(HOUR), run: UP }).unwrap();
    let before = start().minus(Duration::from_secs(20));
    assert_eq!(claim(&seen, 1, before, after(10)), Err(Lie::BeforeStart));
    let later = Duration::from_secs(A_FILE.as_secs() + 1);
    claim(&seen, 2, start().plus(later), start().plus(later)).unwrap();
}
