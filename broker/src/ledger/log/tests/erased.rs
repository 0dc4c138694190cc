//! What is to be erased goes wholly, whoever leaves and whatever fails; until then, whoever asked may ask for it again.

use comity_policy::disclosure::Viewer;
use comity_types::TrustDomain;
use futures::FutureExt as _;

use super::*;
use crate::ledger::receipts::{ReceiptError, Receipts};

/// A decision on the request of an app of `asks.example`.
fn asked(number: u64) -> Entry {
    let Entry { leaf, record, opens } = decision(number);
    let record = Record::from_bytes(&record.unwrap()).unwrap();
    let record = record.with(Field::CALLER, "spiffe://asks.example/app/a1").unwrap();
    let leaf = Leaf { record: record.commitment(), ..Leaf::from_bytes(&leaf).unwrap() };
    Entry { leaf: leaf.to_bytes(), record: Some(record.to_bytes()), opens }
}

/// What an operator of `asks.example` may have erased of that decision.
fn erasable(log: &DecisionLog, asked: &Entry) -> Result<Vec<u64>, ReceiptError> {
    let (id, domain): (_, TrustDomain) =
        (Leaf::from_bytes(&asked.leaf).unwrap().decision, "asks.example".parse().unwrap());
    Receipts::new(log.reader()).erasable(id, Viewer::Member(&domain))
}

/// Polls so often at most, and leaves, as a call does whose deadline has come.
async fn polled(polls: usize, work: impl Future) {
    let mut work = std::pin::pin!(work);
    for _ in 0..polls {
        if work.as_mut().now_or_never().is_some() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_erasure_is_done_wholly_whenever_whoever_asked_for_it_leaves() {
    for polls in 0..6 {
        let (dir, key) = (tempfile::tempdir().unwrap(), Key::new());
        let (log, _) = open(dir.path(), &key);
        log.append(asked(0), None).await.unwrap();
        log.append(entry(0, Kind::Outcome { decision: 0 }), None).await.unwrap();
        log.flush().await.unwrap();
        polled(polls, log.erase(vec![0, 1])).await;
        // A stop waits for it.
        drop(log);
        let never_begun = polls == 0;
        assert_eq!(holds(dir.path(), "planted-0-marker"), never_begun, "{polls} polls");
        let (log, _) = open(dir.path(), &key);
        match erasable(&log, &asked(0)) {
            Ok(indexes) => log.erase(indexes).await.unwrap(),
            Err(error) => assert!(matches!(error, ReceiptError::Unknown(_)) && !never_begun, "{polls} polls: {error}"),
        }
        assert!(!holds(dir.path(), "planted-0-marker"), "{polls} polls");
    }
}

/// A disk that is full after so many files of records, once it is told how many.
#[derive(Debug, Default)]
struct FullOfRecords(Mutex<Option<u32>>);

impl Disk for FullOfRecords {
    fn write(&self, path: &Path, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        if path.components().any(|part| part.as_os_str() == "records")
            && let Some(left) = self.0.lock().unwrap().as_mut()
        {
            *left = left.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
        }
        file.write_all(bytes)
    }
}

#[tokio::test]
async fn of_an_erasure_that_fails_between_two_bundles_the_decision_is_left_which_says_who_may_ask_for_it_again() {
    const LAST: u64 = 255;
    let (dir, key, disk) = (tempfile::tempdir().unwrap(), Key::new(), Arc::new(FullOfRecords::default()));
    let (log, _) = DecisionLog::open_on(dir.path(), key.get(), Arc::new(SystemClock), disk.clone()).unwrap();
    for number in 0..LAST {
        log.append(decision(number), None).await.unwrap();
    }
    log.append(asked(LAST), None).await.unwrap();
    log.append(entry(LAST, Kind::Outcome { decision: LAST }), None).await.unwrap();
    log.flush().await.unwrap();
    *disk.0.lock().unwrap() = Some(1);
    assert!(matches!(log.erase(vec![LAST, LAST + 1]).await, Err(LogError::Failed { .. })));
    drop(log);

    let (log, _) = open(dir.path(), &key);
    let left = |log: &DecisionLog| {
        let records = |bundle| log.reader().records(bundle).unwrap();
        (records(0).last().unwrap().is_some(), records(1).first().unwrap().is_some())
    };
    assert_eq!(left(&log), (true, false));
    let again = erasable(&log, &asked(LAST)).unwrap();
    assert_eq!(again, [LAST, LAST + 1]);
    log.erase(again).await.unwrap();
    assert_eq!((left(&log), holds(dir.path(), "planted-255-marker")), ((false, false), false));
}
