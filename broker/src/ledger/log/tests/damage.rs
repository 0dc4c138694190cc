//! What a kill, a power cut or a bad disk leaves: taken up where it can be reproduced, refused where it cannot.

use super::*;

#[tokio::test]
async fn any_flipped_bit_of_what_the_root_follows_from_is_found_at_the_start() {
    let key = Key::new();
    let kept = killed(&key).await;
    drop(open(kept.path(), &key));
    let kept = killed(&key).await;
    let edge = ["checkpoint", "tile/0/000", "tile/0/001.p/44", "tile/entries/001.p/44", "tile/1/000.p/1"];
    for name in edge {
        let path = kept.path().join(name);
        let whole = std::fs::read(&path).unwrap();
        for place in [0, whole.len() / 2] {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x10;
            std::fs::write(&path, &damaged).unwrap();
            assert!(matches!(refused(kept.path(), &key), LogError::Damaged { .. }), "{name} at {place}");
        }
        std::fs::write(&path, whole).unwrap();
    }
    let wal = files(&kept.path().join("wal")).pop().unwrap();
    let whole = std::fs::read(&wal).unwrap();
    for place in (0..whole.len() - 400).step_by(97) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x10;
        std::fs::write(&wal, &damaged).unwrap();
        assert!(matches!(refused(kept.path(), &key), LogError::Damaged { .. }), "wal at {place}");
    }
}

#[tokio::test]
async fn a_tail_that_was_torn_while_it_was_written_is_left_out() {
    let key = Key::new();
    let kept = killed(&key).await;
    let wal = files(&kept.path().join("wal")).pop().unwrap();
    let whole = std::fs::read(&wal).unwrap();
    for torn in [1, 100, 300] {
        std::fs::write(&wal, &whole[..whole.len() - torn]).unwrap();
        DecisionLog::check(kept.path(), &key.get()).unwrap();
    }
    let (log, _) = open(kept.path(), &key);
    log.append(decision(999), None).await.unwrap();
    log.flush().await.unwrap();
    assert_eq!(log.reader().published().checkpoint.size, 310, "the torn one was never acknowledged");
}

#[tokio::test]
async fn a_log_of_another_key_or_in_use_is_not_opened() {
    let key = Key::new();
    let kept = killed(&key).await;
    assert!(matches!(refused(kept.path(), &Key::new()), LogError::Damaged { .. }));
    let (_log, _) = open(kept.path(), &key);
    let second = DecisionLog::open(kept.path(), key.get(), Arc::new(SystemClock));
    assert!(matches!(second, Err(LogError::Locked { .. })));
}

#[tokio::test]
async fn a_missing_file_is_no_empty_log() {
    let key = Key::new();
    for name in ["checkpoint", "tile/0/000", "tile/0/001.p/44", "tile/entries/001.p/44"] {
        let kept = killed(&key).await;
        // What was written ahead goes when it is published, at the latest with the next start.
        drop(open(kept.path(), &key));
        let name = name.replace("44", "54");
        std::fs::remove_file(kept.path().join(&name)).unwrap();
        assert!(matches!(refused(kept.path(), &key), LogError::Damaged { .. }), "{name}");
    }
}

#[tokio::test]
async fn a_first_publication_that_was_cut_is_made_again() {
    let key = Key::new();
    let kept = killed(&key).await;
    std::fs::remove_file(kept.path().join("checkpoint")).unwrap();
    let (log, _) = open(kept.path(), &key);
    log.flush().await.unwrap();
    assert_eq!(log.reader().published().checkpoint.size, 310, "all of it was still written ahead");
}

/// A disk that takes no file of this name.
#[derive(Debug)]
struct Refusing(&'static str);

impl Disk for Refusing {
    fn write(&self, path: &Path, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        if path.file_stem().is_some_and(|name| name == self.0) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.write_all(bytes)
    }
}

/// What a kill has left may be in the system's memory alone, and read back all the same: whatever is signed on top of it
/// could not be reproduced after a power cut.
#[tokio::test]
async fn what_a_kill_has_left_is_durable_elsewhere_before_anything_is_signed_on_top_of_it() {
    let key = Key::new();
    let kept = killed(&key).await;
    for name in ["001", "54", "checkpoint"] {
        let refused = DecisionLog::open_on(kept.path(), key.get(), Arc::new(SystemClock), Arc::new(Refusing(name)));
        assert!(matches!(refused, Err(LogError::Io { .. })), "{name}");
    }
    let (log, _) = open(kept.path(), &key);
    assert_eq!(log.reader().published().checkpoint.size, 310);
}

#[tokio::test]
async fn a_decision_waits_once_wherever_a_publication_was_cut() {
    let (key, before, after) = (Key::new(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (log, _) = open(before.path(), &key);
    for number in 0..300 {
        if number == 200 {
            log.flush().await.unwrap();
        }
        log.append(decision(number), None).await.unwrap();
    }
    copy(before.path(), after.path());
    log.flush().await.unwrap();
    // All that was published but the checkpoint, which comes last.
    for name in ["open", "records", "tile"] {
        let (from, to) = (before.path().join(name), after.path().join(name));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).unwrap();
        }
    }
    let (_log, waiting) = open(after.path(), &key);
    assert_eq!(waiting.iter().map(|(index, _)| *index).collect::<Vec<_>>(), (0..300).collect::<Vec<_>>());
}

/// A start may publish what was never synced, be killed before the checkpoint, and lose it all to a power cut: then nothing of
/// that publication counts.
#[tokio::test]
async fn a_cut_publication_of_what_a_power_cut_takes_away_changes_nothing() {
    let (key, before, after) = (Key::new(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (log, _) = open(before.path(), &key);
    for number in 0..250 {
        log.append(decision(number), None).await.unwrap();
    }
    log.flush().await.unwrap();
    copy(before.path(), after.path());
    std::fs::remove_dir_all(after.path().join("wal")).unwrap();
    for number in 250..260 {
        log.append(entry(number - 250, Kind::Outcome { decision: number - 250 }), None).await.unwrap();
    }
    log.flush().await.unwrap();
    for name in ["open", "records", "tile"] {
        copy(&before.path().join(name), &after.path().join(name));
    }
    let (log, waiting) = open(after.path(), &key);
    assert_eq!(waiting.iter().map(|(index, _)| *index).collect::<Vec<_>>(), (0..250).collect::<Vec<_>>());
    for number in 250..253 {
        log.append(decision(number), None).await.unwrap();
    }
    log.flush().await.unwrap();
    let (reader, newest) = (log.reader(), decision(252).leaf);
    assert_eq!(reader.bundle(0).unwrap().last(), Some(&newest));
    let (path, root) = (reader.proof(252, 253).unwrap(), reader.published().checkpoint.root);
    verify_inclusion(252, 253, leaf_hash(&newest), &path, root).unwrap();
    drop(log);
    let (_log, waiting) = open(after.path(), &key);
    assert_eq!(waiting.len(), 253);
}

#[tokio::test]
async fn a_list_of_those_who_wait_that_is_damaged_or_gone_is_no_empty_one() {
    let key = Key::new();
    let kept = killed(&key).await;
    let path = kept.path().join("open/300");
    let whole = std::fs::read(&path).unwrap();
    for place in (0..whole.len()).step_by(61) {
        let mut damaged = whole.clone();
        damaged[place] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        assert!(matches!(refused(kept.path(), &key), LogError::Damaged { .. }), "{place}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(refused(kept.path(), &key), LogError::Damaged { .. }));
    // A decision that waits is told with its leaf, or not at all.
    std::fs::write(&path, whole).unwrap();
    let bundle = kept.path().join("tile/entries/000");
    let mut damaged = std::fs::read(&bundle).unwrap();
    damaged[1_000] ^= 1;
    std::fs::write(&bundle, damaged).unwrap();
    assert!(matches!(refused(kept.path(), &key), LogError::Damaged { .. }));
}

#[tokio::test]
async fn any_flipped_bit_of_the_checkpoint_is_found_whichever_signature_it_is_of() {
    let key = Key::new();
    let kept = killed(&key).await;
    let path = kept.path().join("checkpoint");
    let whole = std::fs::read(&path).unwrap();
    for place in (0..whole.len()).filter(|place| *place < 300 || place % 101 == 0) {
        let mut damaged = whole.clone();
        damaged[place] ^= 1 << (place % 8);
        std::fs::write(&path, &damaged).unwrap();
        assert!(matches!(refused(kept.path(), &key), LogError::Damaged { .. }), "{place}");
    }
}

#[tokio::test]
async fn records_that_are_gone_were_not_erased() {
    let key = Key::new();
    let kept = killed(&key).await;
    std::fs::remove_file(kept.path().join("records/001")).unwrap();
    assert!(matches!(refused(kept.path(), &key), LogError::Damaged { .. }));
}

/// Callers write part of a record. One that looks like what follows a torn write must not keep the log from starting.
#[tokio::test]
async fn what_a_record_says_does_not_make_a_torn_write_look_like_damage() {
    let (dir, key) = (tempfile::tempdir().unwrap(), Key::new());
    let (log, _) = open(dir.path(), &key);
    let placed = log.append(decision(0), None).await.unwrap();
    let (mut frames, mut planted) = (Vec::new(), decision(1));
    for first in [0, 1, 7] {
        // With the newest checkpoint that anybody has.
        let checkpoint = placed.checkpoint().to_owned();
        let batch = wal::Batch { first, entries: vec![decision(first)], checkpoint };
        crate::ledger::journal::frame::encode(&batch.to_bytes(), &mut frames);
    }
    planted.record.as_mut().unwrap().extend_from_slice(&frames);
    log.append(planted, None).await.unwrap();
    let torn = tempfile::tempdir().unwrap();
    copy(dir.path(), torn.path());
    let wal = files(&torn.path().join("wal")).pop().unwrap();
    let whole = std::fs::read(&wal).unwrap();
    std::fs::write(&wal, &whole[..whole.len() - 10]).unwrap();
    let (log, _) = open(torn.path(), &key);
    log.flush().await.unwrap();
    assert_eq!(log.reader().published().checkpoint.size, 1);
}
