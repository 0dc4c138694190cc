//! A power cut at any moment: what was acknowledged is there, what is published holds, and what was erased stays away.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;

use super::*;

/// What a power cut leaves at worst: of each file what was synced last, under the names that were synced last.
#[derive(Debug, Clone, Default)]
struct Durable {
    /// The names in each directory; with each its inode, and whether it is a directory.
    names: BTreeMap<PathBuf, BTreeMap<OsString, (u64, bool)>>,
    /// What is in each inode; nothing in one that was never synced.
    bytes: BTreeMap<u64, Arc<Vec<u8>>>,
    /// The leaves that may be acknowledged: the disk has given its word for their batches.
    promised: u64,
}

impl Durable {
    /// Makes `dir` again as it is after the cut, in `to`.
    fn restore(&self, dir: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for (name, (inode, is_dir)) in self.names.get(dir).into_iter().flatten() {
            let to = to.join(name);
            if *is_dir {
                self.restore(&dir.join(name), &to);
            } else {
                std::fs::write(to, self.bytes.get(inode).map_or(&[][..], |bytes| bytes)).unwrap();
            }
        }
    }
}

/// A disk that knows what a cut would leave, after each sync.
#[derive(Debug, Default)]
struct Power(Mutex<Cuts>);

#[derive(Debug, Default)]
struct Cuts {
    now: Durable,
    all: Vec<Durable>,
    /// Every file that was synced, so that no inode comes twice.
    held: Vec<File>,
}

impl Power {
    fn cuts(&self) -> Vec<Durable> {
        self.0.lock().unwrap().all.clone()
    }
}

impl Disk for Power {
    fn sync_data(&self, path: &Path, file: &File) -> io::Result<()> {
        self.sync_all(path, file)?;
        let first = path.file_stem().and_then(|first| first.to_str()?.parse().ok()).unwrap();
        let batches = wal::read(path.parent().unwrap(), first, &|_| None).unwrap();
        let mut cuts = self.0.lock().unwrap();
        let promised = batches.last().unwrap().end();
        cuts.now.promised = promised;
        cuts.all.last_mut().unwrap().promised = promised;
        Ok(())
    }

    fn sync_all(&self, path: &Path, file: &File) -> io::Result<()> {
        let mut cuts = self.0.lock().unwrap();
        if file.metadata()?.is_dir() {
            let named = |file: io::Result<std::fs::DirEntry>| {
                let file = file?;
                let about = file.metadata()?;
                Ok((file.file_name(), (about.ino(), about.is_dir())))
            };
            let names = std::fs::read_dir(path)?.map(named).collect::<io::Result<_>>()?;
            cuts.now.names.insert(path.to_owned(), names);
        } else {
            cuts.held.push(file.try_clone()?);
            cuts.now.bytes.insert(file.metadata()?.ino(), Arc::new(std::fs::read(path)?));
        }
        let now = cuts.now.clone();
        cuts.all.push(now);
        Ok(())
    }
}

#[tokio::test]
async fn a_power_cut_at_any_moment_takes_nothing_acknowledged_and_brings_back_nothing_erased() {
    let (dir, key, power) = (tempfile::tempdir().unwrap(), Key::new(), Arc::new(Power::default()));
    let open = |dir: &Path, disk| DecisionLog::open_on(dir, key.get(), Arc::new(SystemClock), disk);
    let (log, _) = open(dir.path(), power.clone()).unwrap();
    for number in 0..4 {
        log.append(decision(number), None).await.unwrap();
        if number % 2 == 1 {
            log.flush().await.unwrap();
        }
    }
    let cosigned = log.reader().published();
    log.keep_cosigned(cosigned.clone()).unwrap();
    let cosigned_at = power.cuts().len() - 1;
    // Another segment, and a bundle that becomes full.
    log.erase(vec![0]).await.unwrap();
    let erased_at = power.cuts().len() - 1;
    let rest = futures::future::try_join_all((4..270).map(|number| log.append(decision(number), None)));
    let places: Vec<_> = rest.await.unwrap().iter().map(Placed::index).zip(4..).collect();
    log.flush().await.unwrap();
    drop(log);

    let (mut tree, mut roots) = (Tree::default(), vec![Tree::default().root()]);
    let numbers: BTreeMap<u64, u64> = (0..4).map(|number| (number, number)).chain(places).collect();
    let entries: Vec<Entry> = numbers.into_values().map(decision).collect();
    for entry in &entries {
        tree.push(&entry.leaf);
        roots.push(tree.root());
    }
    let cuts = power.cuts();
    assert_eq!(cuts.last().unwrap().promised, 270);
    for (at, cut) in cuts.iter().enumerate() {
        let left = tempfile::tempdir().unwrap();
        cut.restore(dir.path(), left.path());
        if at == cuts.len() - 1 {
            has_no_parts_of_full_ones(left.path());
        }
        let (log, _) = open(left.path(), Arc::new(Power::default()))
            .unwrap_or_else(|error| panic!("cut {at}: {}", comity_runtime::chain::text(&error)));
        let found = log.reader().published().checkpoint;
        let kept = log.reader().cosigned().map(|cosigned| cosigned.note);
        assert!(at < cosigned_at || kept.as_ref() == Some(&cosigned.note), "cut {at}: what was cosigned is gone");
        assert!(found.size >= cut.promised, "cut {at}: {} of {} leaves are there", found.size, cut.promised);
        assert_eq!(found.root, roots[usize::try_from(found.size).unwrap()], "cut {at}");
        for (bundle, entries) in (0..).zip(entries[..usize::try_from(found.size).unwrap()].chunks(256)) {
            let leaves: Vec<_> = entries.iter().map(|entry| entry.leaf.clone()).collect();
            assert_eq!(log.reader().bundle(bundle).unwrap(), leaves, "cut {at}");
            let records: Vec<_> = entries.iter().map(|entry| entry.record.clone()).collect();
            // The first one is erased at some time.
            let kept = usize::from(bundle == 0);
            assert_eq!(log.reader().records(bundle).unwrap()[kept..], records[kept..], "cut {at}");
        }
        assert!(at < erased_at || !holds(left.path(), "planted-0-marker"), "cut {at}: what was erased is back");
    }
}

/// Of the first tile and the first bundle, which are full, the parts have gone for good: nothing that is left says that they are
/// to go.
fn has_no_parts_of_full_ones(dir: &Path) {
    for (full, parts) in [("tile/0/000", "tile/0/000.p"), ("tile/entries/000", "tile/entries/000.p")] {
        assert_eq!((dir.join(full).exists(), dir.join(parts).exists()), (true, false), "{parts} is back");
    }
}
