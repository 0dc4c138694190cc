//! What is older than a start looks at: damage is found by whoever reads it, and by the pass over everything, and ends the log.

use super::*;

/// Leaves of the log: four full tiles, of which a start looks at the last, and a part of one.
const LEAVES: u64 = 1_100;

/// That log, published.
async fn long(key: &Key) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path(), key);
    let append = |number| {
        let log = log.clone();
        let closed = Entry { opens: false, ..decision(number) };
        async move { log.append(closed, None).await.map(drop) }
    };
    futures::future::try_join_all((0..LEAVES).map(append)).await.unwrap();
    log.flush().await.unwrap();
    drop(log);
    dir
}

/// A file, with one bit that is another, cut, or gone.
fn harms(whole: &[u8]) -> [(&'static str, Option<Vec<u8>>); 3] {
    let mut flipped = whole.to_vec();
    flipped[whole.len() / 2] ^= 0x10;
    [("flipped", Some(flipped)), ("cut", Some(whole[..whole.len() - 32].to_vec())), ("gone", None)]
}

/// Harms `name` in every way, starts from it, which does not notice, and lets `by` find it.
async fn found(dir: &Path, key: &Key, name: &str, by: impl AsyncFn(&DecisionLog) -> LogError) {
    let path = dir.join(name);
    let whole = std::fs::read(&path).unwrap();
    for (how, harmed) in harms(&whole) {
        let (log, _) = open(dir, key);
        match harmed {
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let said = by(&log).await.to_string();
        assert!(said.contains(&path.display().to_string()), "{name} {how}: {said}");
        let cause = log.failed().await;
        assert!(cause.contains(&path.display().to_string()), "{name} {how}: {cause}");
        assert!(matches!(log.append(decision(LEAVES), None).await, Err(LogError::Failed { .. })), "{name} {how}");
        drop(log);
        std::fs::write(&path, &whole).unwrap();
    }
}

#[tokio::test]
async fn an_old_tile_that_is_damaged_makes_no_proof_and_ends_the_log() {
    let key = Key::new();
    let dir = long(&key).await;
    let proof = async |log: &DecisionLog| log.reader().proof(5, LEAVES).unwrap_err();
    let consistency = async |log: &DecisionLog| log.reader().consistency(300, LEAVES).unwrap_err();
    found(dir.path(), &key, "tile/0/000", proof).await;
    found(dir.path(), &key, "tile/0/001", consistency).await;
    // The root follows from this one, which somebody else has harmed since the start.
    let edge = async |log: &DecisionLog| {
        assert!(log.reader().proof(5, LEAVES).is_err());
        LogError::Failed { cause: log.failed().await }
    };
    let (path, checkpoint) = (dir.path().join("tile/1/000.p/4"), dir.path().join("checkpoint"));
    let whole = std::fs::read(&path).unwrap();
    let [(_, Some(flipped)), ..] = harms(&whole) else { unreachable!() };
    let (log, _) = open(dir.path(), &key);
    std::fs::write(&path, flipped).unwrap();
    assert!(edge(&log).await.to_string().contains(&checkpoint.display().to_string()));
    drop(log);
    std::fs::write(&path, whole).unwrap();
    let (log, _) = open(dir.path(), &key);
    let root = log.reader().published().checkpoint.root;
    let path = log.reader().proof(5, LEAVES).unwrap();
    verify_inclusion(5, LEAVES, leaf_hash(&decision(5).leaf), &path, root).unwrap();
}

#[tokio::test]
async fn an_outcome_is_not_proven_with_a_decision_in_a_tile_that_is_damaged() {
    let key = Key::new();
    let dir = long(&key).await;
    let path = dir.path().join("tile/0/000");
    let [(_, Some(flipped)), ..] = harms(&std::fs::read(&path).unwrap()) else { unreachable!() };
    std::fs::write(&path, flipped).unwrap();
    let (log, _) = open(dir.path(), &key);
    assert!(log.append(entry(5, Kind::Outcome { decision: 5 }), Some(5)).await.is_err());
    assert!(log.failed().await.contains(&path.display().to_string()));
}

#[tokio::test]
async fn the_pass_over_everything_finds_what_nobody_reads_and_ends_the_log() {
    let key = Key::new();
    let dir = long(&key).await;
    let pass = async |log: &DecisionLog| log.examine_once(std::time::Duration::ZERO).await.unwrap_err();
    for name in ["tile/0/000", "tile/0/002", "tile/entries/000", "tile/entries/003"] {
        found(dir.path(), &key, name, pass).await;
    }
    let (log, _) = open(dir.path(), &key);
    assert_eq!(log.examine_once(std::time::Duration::ZERO).await.unwrap(), 4 + 4, "full tiles, and full bundles");
}

#[tokio::test(start_paused = true)]
async fn the_pass_begins_at_the_start_says_when_it_has_ended_and_comes_again() {
    let key = Key::new();
    let dir = long(&key).await;
    let (log, _) = open(dir.path(), &key);
    let logged = crate::testing::Logged::default();
    let _collecting = logged.collect();
    let stop = tokio_util::sync::CancellationToken::new();
    let mut examined = log.0.examined.subscribe();
    assert_eq!(log.examined(), None);
    tokio::join!(log.clone().examine(Arc::new(SystemClock), stop.clone()), async {
        for _ in 0..2 {
            examined.changed().await.unwrap();
            assert!(log.examined().is_some());
        }
        stop.cancel();
    });
    // What the start looked at, and what it did not.
    let [begun] = <[_; 1]>::try_from(logged.lines_with("right edge")).unwrap();
    assert!(begun.contains("is read again now") && begun.contains(&format!("leaves={LEAVES}")), "{begun}");
}

/// With each publication parts of tiles go that somebody may be about to read.
#[tokio::test]
async fn who_reads_while_the_log_is_published_does_not_take_it_for_damaged() {
    let (dir, key) = (tempfile::tempdir().unwrap(), Key::new());
    let (log, _) = open(dir.path(), &key);
    log.append(decision(0), None).await.unwrap();
    log.flush().await.unwrap();
    let reader = log.reader();
    let reads = tokio::task::spawn_blocking(move || {
        (0..2_000).for_each(|_| {
            let Checkpoint { size, root, .. } = reader.published().checkpoint;
            let path = reader.proof(0, size).unwrap();
            verify_inclusion(0, size, leaf_hash(&decision(0).leaf), &path, root).unwrap();
        });
    });
    let mut number = 1;
    while !reads.is_finished() {
        log.append(decision(number), None).await.unwrap();
        log.flush().await.unwrap();
        number += 1;
    }
    reads.await.unwrap();
}
