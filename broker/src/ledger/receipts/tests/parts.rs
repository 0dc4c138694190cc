//! A list in parts is the list at once, wherever a part ends.

use std::sync::Arc;

use comity_policy::ENGINE_VERSION;
use comity_runtime::clock::SystemClock;
use comity_transparency::LogKey;
use comity_transparency::leaf::Epoch;
use comity_types::Digest;

use super::super::super::log::{DecisionLog, Entry};
use super::*;

/// One leaf after the other.
enum Leaves {
    /// A decision of the time that is asked for,
    Decided,
    /// or of another.
    Before,
    /// What became of the decision at this leaf.
    Ended(u64),
    /// That nobody knows what did.
    Aborted(u64),
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(1_795_000_000_000 + second * 1000).unwrap()
}

/// A log of these leaves; its handle has to live as long as its files are read.
async fn log(leaves: &[Leaves]) -> (tempfile::TempDir, DecisionLog) {
    let dir = tempfile::tempdir().unwrap();
    let key = LogKey::generate("fed.example/decisions/b1").unwrap();
    let (log, _) = DecisionLog::open(dir.path(), key, Arc::new(SystemClock)).unwrap();
    for (number, leaf) in (0..).zip(leaves) {
        let (kind, at, ends, of) = match *leaf {
            Leaves::Decided => (Kind::Decision, at(10), None, number),
            Leaves::Before => (Kind::Decision, at(0), None, number),
            Leaves::Ended(decision) => (Kind::Outcome { decision }, at(20), Some(decision), decision),
            Leaves::Aborted(decision) => (Kind::Abort { decision }, at(20), Some(decision), decision),
        };
        let leaf = Leaf {
            kind,
            at,
            decision: DecisionId::from_bytes(u128::from(of).to_be_bytes()),
            epoch: Epoch { size: 1, root: Digest::of(b"epoch") },
            engine: ENGINE_VERSION,
            record: Digest::of(b"record"),
        };
        let entry = Entry { leaf: leaf.to_bytes(), record: None, opens: matches!(kind, Kind::Decision) };
        log.append(entry, ends).await.unwrap();
    }
    log.flush().await.unwrap();
    (dir, log)
}

#[tokio::test]
async fn a_list_in_parts_of_any_size_has_what_the_list_at_once_has() {
    use Leaves::{Aborted, Before, Decided, Ended};
    let leaves = [
        Decided,
        Decided,
        Ended(1),
        Before,
        Decided,
        Decided,
        Ended(0),
        Ended(3),
        Decided,
        Ended(8),
        Decided,
        Aborted(5),
    ];
    let (_dir, log) = log(&leaves).await;
    let receipts = Receipts::new(log.reader());
    let (from, to) = (at(5), at(15));
    let part = |first, most| receipts.between(from, to, first, most).unwrap();
    let all = part(0, usize::MAX);
    let ends = [(0, Some(6)), (1, Some(2)), (4, None), (5, Some(11)), (8, Some(9)), (10, None)];
    let expected = ends.map(|(decision, outcome)| FoundDecision { decision, outcome });
    assert_eq!(all, Part { found: expected.to_vec(), next: None });
    for first in 0..=leaves.len() as u64 {
        let at_once: BTreeMap<_, _> =
            part(first, usize::MAX).found.into_iter().map(|found| (found.decision, found.outcome)).collect();
        for most in 1..=leaves.len() {
            let (mut together, mut next) = (BTreeMap::new(), Some(first));
            while let Some(begin) = next {
                let part = part(begin, most);
                assert!(part.found.len() <= most, "{} of {most}", part.found.len());
                assert!(part.next.is_none_or(|next| next > begin), "a part after {begin} goes on at {:?}", part.next);
                for FoundDecision { decision, outcome } in part.found {
                    let before = together.insert(decision, outcome);
                    assert!(before.is_none_or(|before| before.is_none() && outcome.is_some()), "leaf {decision} twice");
                }
                next = part.next;
            }
            assert_eq!(together, at_once, "from leaf {first}, {most} a part");
        }
    }
}
