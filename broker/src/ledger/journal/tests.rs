//! What a journal promises: order, durability, and no quiet loss.

use std::io::Write;
use std::sync::Mutex;

use proptest::prelude::*;

use super::*;

fn file() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("test.journal");
    (dir, path)
}

async fn write(path: &Path, frames: &[&[u8]]) {
    let (journal, _) = Journal::open(path).unwrap();
    for frame in frames {
        journal.append(frame.to_vec()).await.unwrap();
    }
}

fn read(path: &Path) -> Result<Vec<Vec<u8>>, JournalError> {
    Journal::open(path).map(|(_, frames)| frames)
}

#[tokio::test]
async fn what_was_appended_is_read_back_in_order_and_positions_go_on() {
    let (_dir, path) = file();
    write(&path, &[b"a", b"bb"]).await;
    let (journal, frames) = Journal::open(&path).unwrap();
    assert_eq!(frames, [b"a".to_vec(), b"bb".to_vec()]);
    assert_eq!(journal.append(b"ccc".to_vec()).await.unwrap(), 2);
}

#[tokio::test]
async fn a_torn_tail_is_cut_at_every_length_and_the_rest_is_kept() {
    let (_dir, path) = file();
    write(&path, &[b"first", b"second"]).await;
    let whole = std::fs::read(&path).unwrap();
    let first = frame::HEADER_BYTES + b"first".len();
    for torn in first + 1..whole.len() {
        std::fs::write(&path, &whole[..torn]).unwrap();
        assert_eq!(read(&path).unwrap(), [b"first".to_vec()], "torn at {torn}");
        assert_eq!(std::fs::metadata(&path).unwrap().len(), first as u64);
    }
}

#[tokio::test]
async fn a_tail_of_zeros_is_cut() {
    let (_dir, path) = file();
    write(&path, &[b"first"]).await;
    OpenOptions::new().append(true).open(&path).unwrap().write_all(&[0; 4096]).unwrap();
    assert_eq!(read(&path).unwrap(), [b"first".to_vec()]);
}

#[tokio::test]
async fn a_damaged_frame_in_the_middle_is_refused_with_its_offset() {
    let (_dir, path) = file();
    write(&path, &[b"first", b"second", b"third"]).await;
    let whole = std::fs::read(&path).unwrap();
    let second = frame::HEADER_BYTES + b"first".len();
    // Every byte of the second frame, its length and its checksum included.
    for byte in second..second + frame::HEADER_BYTES + b"second".len() {
        let mut damaged = whole.clone();
        damaged[byte] ^= 0x55;
        std::fs::write(&path, &damaged).unwrap();
        let error = read(&path).unwrap_err();
        assert!(
            matches!(error, JournalError::Damaged { offset, .. } if offset == second as u64),
            "byte {byte}: {error}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), damaged, "a refused file is left as it is");
    }
}

/// It was acknowledged, so what it says may be a suspension.
#[tokio::test]
async fn any_flipped_bit_of_the_last_frame_is_damage_and_nothing_is_cut() {
    let (_dir, path) = file();
    write(&path, &[b"first", b"the last"]).await;
    let whole = std::fs::read(&path).unwrap();
    let last = frame::HEADER_BYTES + b"first".len();
    for bit in last * 8..whole.len() * 8 {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &damaged).unwrap();
        let error = read(&path).err().unwrap_or_else(|| panic!("bit {bit} passed for torn"));
        assert!(matches!(error, JournalError::Damaged { offset, .. } if offset == last as u64), "bit {bit}: {error}");
        assert!(error.to_string().contains(&format!("at byte {last}")), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), damaged, "a refused file is left as it is");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_appends_are_all_durable_and_stand_where_they_were_told() {
    let (_dir, path) = file();
    let (journal, _) = Journal::open(&path).unwrap();
    let appends = (0..500_u32).map(|n| {
        let journal = journal.clone();
        async move { (journal.append(n.to_le_bytes().to_vec()).await.unwrap(), n) }
    });
    let mut told = futures::future::join_all(appends).await;
    told.sort_unstable();
    drop(journal);
    let expected: Vec<_> = told.iter().map(|(_, n)| n.to_le_bytes().to_vec()).collect();
    assert_eq!(told.iter().map(|(position, _)| *position).collect::<Vec<_>>(), (0..500).collect::<Vec<_>>());
    assert_eq!(read(&path).unwrap(), expected);
}

#[tokio::test]
async fn a_file_that_another_holds_is_refused_until_it_is_let_go() {
    let (_dir, path) = file();
    let (holder, _) = Journal::open(&path).unwrap();
    assert!(matches!(Journal::open(&path), Err(JournalError::Locked { .. })));
    drop(holder);
    assert!(Journal::open(&path).is_ok());
}

#[tokio::test]
async fn frames_outside_the_bounds_are_refused_and_harm_nothing() {
    let (_dir, path) = file();
    let (journal, _) = Journal::open(&path).unwrap();
    for size in [0, MAX_FRAME_BYTES + 1] {
        assert!(matches!(journal.append(vec![0; size]).await, Err(JournalError::FrameSize { .. })));
    }
    assert_eq!(journal.append(vec![0; MAX_FRAME_BYTES]).await.unwrap(), 0);
}

/// A disk that fails once, at a write or at a sync, and would work afterwards.
struct Failing {
    on: &'static str,
    written: Arc<Mutex<Vec<u8>>>,
    failed: bool,
}

impl Failing {
    fn fails(&mut self, here: &str) -> io::Result<()> {
        if self.on != here || std::mem::replace(&mut self.failed, true) {
            return Ok(());
        }
        Err(io::Error::from(io::ErrorKind::StorageFull))
    }
}

impl Storage for Failing {
    fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        self.fails("write")?;
        self.written.lock().unwrap().extend_from_slice(batch);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.fails("sync")
    }
}

#[tokio::test]
async fn after_a_full_disk_nothing_more_is_accepted_or_written() {
    for on in ["write", "sync"] {
        let written = Arc::new(Mutex::new(Vec::new()));
        let journal = Journal::start(Failing { on, written: Arc::clone(&written), failed: false }, 0).unwrap();
        let first = journal.append(b"first".to_vec()).await.unwrap_err();
        assert!(matches!(first, JournalError::Poisoned { .. }), "{on}: {first}");
        let after_failure = written.lock().unwrap().len();
        assert!(matches!(journal.append(b"second".to_vec()).await, Err(JournalError::Poisoned { .. })));
        assert_eq!(written.lock().unwrap().len(), after_failure);
        assert!(journal.failed().await.contains("no storage space"), "{}", journal.failed().await);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_scan_panic_or_read_past_their_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let scan = frame::scan(&bytes[..], &mut |_| {}, &|_| true).unwrap();
        prop_assert!(scan.end <= bytes.len() as u64);
    }
}
