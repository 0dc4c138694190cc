//! Tiles and bundles that are not full: whoever has a checkpoint finds those of its size, also from a web server that knows
//! files alone, until the full ones are there (c2sp.org/tlog-tiles).

use comity_transparency::tile::unbundle;

use super::*;

async fn append(log: &DecisionLog, numbers: std::ops::Range<u64>) {
    for number in numbers {
        log.append(decision(number), None).await.unwrap();
    }
    log.flush().await.unwrap();
}

/// The parts of the log's first tile and bundle of this width, whole and of the leaves that were appended.
fn is_served(dir: &Path, width: u64) {
    let (hashes, leaves): (Vec<_>, Vec<_>) =
        (0..width).map(|number| decision(number).leaf).map(|leaf| (*leaf_hash(&leaf).as_bytes(), leaf)).unzip();
    let name = if width == 256 { "000".to_owned() } else { format!("000.p/{width}") };
    assert_eq!(std::fs::read(dir.join("tile/0").join(&name)).unwrap(), hashes.concat(), "{name}");
    let bundle = std::fs::read(dir.join("tile/entries").join(&name)).unwrap();
    assert_eq!(unbundle(&bundle).unwrap(), leaves, "{name}");
}

#[tokio::test]
async fn the_parts_of_every_published_size_are_served_until_the_full_ones_are() {
    let (dir, key) = (tempfile::tempdir().unwrap(), Key::new());
    let (log, _) = open(dir.path(), &key);
    append(&log, 0..3).await;
    for (from, to) in [(3, 4), (4, 90), (90, 255)] {
        append(&log, from..to).await;
        for width in [3, from, to] {
            is_served(dir.path(), width);
        }
    }
    drop(log);
    let (log, _) = open(dir.path(), &key);
    [3, 4, 90, 255].into_iter().for_each(|width| is_served(dir.path(), width));

    append(&log, 255..256).await;
    is_served(dir.path(), 256);
    for parts in ["tile/0/000.p", "tile/entries/000.p"] {
        assert!(!dir.path().join(parts).exists(), "{parts} outlives the full one");
    }
    append(&log, 256..512).await;
    for part in ["tile/1/000.p/1", "tile/1/000.p/2"] {
        assert!(dir.path().join(part).exists(), "{part}");
    }
}

/// A cut publication may rest on batches that a power cut has taken away: its parts must not be taken for those of the leaves
/// that have come in their place.
#[tokio::test]
async fn parts_that_no_checkpoint_covered_are_gone_before_the_next_checkpoint() {
    #[derive(Debug)]
    struct Full;
    impl Disk for Full {
        fn write(&self, path: &Path, file: &mut File, bytes: &[u8]) -> io::Result<()> {
            let is_checkpoint = path.file_stem().is_some_and(|name| name == "checkpoint");
            if is_checkpoint { Err(io::ErrorKind::StorageFull.into()) } else { file.write_all(bytes) }
        }
    }
    let (dir, key) = (tempfile::tempdir().unwrap(), Key::new());
    append(&open(dir.path(), &key).0, 0..3).await;
    let lost =
        ["tile/0/000.p/9", "tile/0/000.p/9.new", "tile/0/001.p/7", "tile/entries/000.p/9", "tile/entries/001.p/7"];
    for part in lost {
        let path = dir.path().join(part);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "of others").unwrap();
    }
    let (log, _) = DecisionLog::open_on(dir.path(), key.get(), Arc::new(SystemClock), Arc::new(Full)).unwrap();
    let appended: Vec<_> = (3..300).map(|number| log.append(decision(number), None)).collect();
    futures::future::join_all(appended).await;
    log.flush().await.unwrap_err();
    is_served(dir.path(), 3);
    let left = |part: &&str| dir.path().join(part).exists();
    assert_eq!(lost.into_iter().filter(left).collect::<Vec<_>>(), [""; 0]);
}

#[tokio::test]
async fn a_start_takes_away_what_a_kill_behind_the_checkpoint_has_left() {
    let (dir, key) = (tempfile::tempdir().unwrap(), Key::new());
    let store = store::Store::new(dir.path());
    store.make().unwrap();
    let (mut tree, mut frames, log_key) = (Tree::default(), Vec::new(), key.get());
    for number in 0..300 {
        tree.push(&decision(number).leaf);
        let checkpoint = log_key.sign(&Checkpoint::of(ORIGIN, &tree), None).unwrap();
        let batch = wal::Batch { first: number, entries: vec![decision(number)], checkpoint };
        crate::ledger::journal::frame::encode(&batch.to_bytes(), &mut frames);
    }
    let _durable = wal::Segments::new(&store.wal(), Arc::new(System), 0).append(0, &frames).unwrap();
    let ahead = tempfile::tempdir().unwrap();
    copy(&store.wal(), ahead.path());
    drop(open(dir.path(), &key));
    // As it was before the publication took anything away.
    copy(ahead.path(), &store.wal());
    for parts in ["tile/0/000.p", "tile/entries/000.p"] {
        std::fs::create_dir_all(dir.path().join(parts)).unwrap();
        std::fs::write(dir.path().join(parts).join("250"), "a part").unwrap();
    }
    let (log, _) = open(dir.path(), &key);
    assert_eq!(log.reader().published().checkpoint.size, 300);
    for (path, kept) in
        [("tile/0/000", true), ("tile/0/000.p", false), ("tile/entries/000.p", false), ("tile/0/001.p/44", true)]
    {
        assert_eq!(dir.path().join(path).exists(), kept, "{path}");
    }
}
