//! A log that goes on as it began is followed; one that does not is convicted by what it signed.

use std::collections::BTreeMap;

use comity_transparency::LogKey;
use comity_transparency::leaf::{Epoch, Leaf};
use comity_transparency::tile::bundle;
use comity_types::{DecisionId, Digest, Timestamp};
use tempfile::TempDir;

use super::*;

const ORIGIN: &str = "fed.example/decisions/b1";
const AT: u64 = 1_795_000_000;

/// A log that signs whatever a test wants.
struct Lies {
    key: LogKey,
    leaves: Vec<Vec<u8>>,
    time: u64,
    /// Files that are answered with something else.
    instead: BTreeMap<String, Option<Vec<u8>>>,
    /// What was asked for.
    asked: Vec<Resource>,
}

fn leaf(number: u64, word: &str) -> Vec<u8> {
    let kind = if number.is_multiple_of(2) { Kind::Decision } else { Kind::Outcome { decision: number - 1 } };
    let at = Timestamp::from_millis(1_795_000_000_000).unwrap();
    let epoch = Epoch { size: 3, root: Digest::of(b"epoch") };
    let (decision, record) = (DecisionId::from_bytes([7; 16]), Digest::of(format!("{word} {number}").as_bytes()));
    Leaf { kind, at, decision, epoch, engine: 1, record }.to_bytes()
}

impl Lies {
    fn new() -> Self {
        let key = LogKey::generate(ORIGIN).unwrap();
        Self { key, leaves: Vec::new(), time: AT, instead: BTreeMap::new(), asked: Vec::new() }
    }

    fn log(&self) -> DecisionLog {
        DecisionLog { origin: ORIGIN.into(), keys: self.key.verifiers().clone() }
    }

    /// Grows to this size by leaves of this word.
    fn grow(&mut self, size: u64, word: &str) -> &mut Self {
        self.leaves.extend((self.leaves.len() as u64..size).map(|number| leaf(number, word)));
        self
    }

    fn shrink(&mut self, size: usize) -> &mut Self {
        self.leaves.truncate(size);
        self
    }

    fn tiles(&self) -> Tiles {
        let mut tiles = Tiles::default();
        self.leaves.iter().for_each(|leaf| tiles.push(leaf_hash(leaf)));
        tiles
    }

    fn note(&self) -> String {
        let mut tree = Tree::default();
        self.leaves.iter().for_each(|leaf| tree.push(leaf));
        self.key.sign(&Checkpoint::of(ORIGIN, &tree), Some(self.time)).unwrap()
    }

    /// What it signs of its first leaves, and of the last of them another one.
    fn checkpoint(&self, size: u64, other_end: bool) -> CheckpointNote {
        let mut tree = Tree::default();
        let size = usize::try_from(size).unwrap();
        self.leaves[..size - usize::from(other_end)].iter().for_each(|leaf| tree.push(leaf));
        if other_end {
            tree.push(b"another");
        }
        CheckpointNote::parse(&self.key.sign(&Checkpoint::of(ORIGIN, &tree), None).unwrap()).unwrap()
    }

    async fn hold(&mut self, shown: &[CheckpointNote]) -> Result<(), DecisionsError> {
        self.asked.clear();
        let log = self.log();
        let published = log.published(self, None, None).await?;
        let mut held = 0;
        log.hold(self, &published, shown, |some| held += some.len()).await?;
        assert_eq!(held, shown.len());
        Ok(())
    }

    async fn look(&mut self, seen: Option<&Seen>) -> Result<Seen, DecisionsError> {
        self.asked.clear();
        let log = self.log();
        log.advance(self, seen, |_, _, _| {}).await
    }

    async fn finding(&mut self, seen: &Seen) -> (Finding, Evidence) {
        match self.look(Some(seen)).await {
            Err(DecisionsError::Contradiction { finding, evidence }) => (finding, *evidence),
            other => panic!("{other:?}"),
        }
    }
}

impl Files for Lies {
    async fn read(&mut self, resource: Resource) -> Result<Option<Vec<u8>>, FilesError> {
        self.asked.push(resource);
        if let Some(instead) = self.instead.get(&resource.to_string()) {
            return Ok(instead.clone());
        }
        let size = self.leaves.len() as u64;
        Ok(match resource {
            Resource::Checkpoint => Some(self.note().into_bytes()),
            Resource::Tile { level, index, width } => {
                self.tiles().tile(level, index).and_then(|tile| tile.to_bytes(width))
            }
            Resource::Entries { index, width } => {
                let start = usize::try_from(index * WIDTH).unwrap();
                let end = usize::try_from(size).unwrap().min(start + usize::from(width));
                bundle(self.leaves.get(start..end).unwrap().iter().map(Vec::as_slice))
            }
        })
    }

    async fn cosigned(&mut self) -> Result<Option<Vec<u8>>, FilesError> {
        Ok(None)
    }
}

#[tokio::test]
async fn a_log_that_grows_is_followed_and_each_leaf_is_read_once() {
    let mut log = Lies::new();
    let mut seen = None;
    for size in [0, 2, 3, 256, 257, 700] {
        log.grow(size, "a");
        let mut indexes = Vec::new();
        let watched = log.log();
        let before = seen.as_ref().map_or(0, |seen: &Seen| seen.checkpoint().size);
        seen = Some(watched.advance(&mut log, seen.as_ref(), |index, of, _| indexes.push((index, of))).await.unwrap());
        assert_eq!(indexes, (before..size).map(|index| (index, size)).collect::<Vec<_>>());
    }
    // Nothing new: the checkpoint alone is read.
    log.time += 1;
    let again = log.look(seen.as_ref()).await.unwrap();
    assert_eq!((log.asked.as_slice(), again.checkpoint().size), (&[Resource::Checkpoint][..], 700));
}

#[tokio::test]
async fn a_fork_at_the_same_size_or_any_later_one_is_proven_to_strangers() {
    for (old, common, new) in [(6, 4, 6), (6, 4, 9), (8, 3, 9), (8, 0, 600), (256, 255, 257), (300, 299, 700)] {
        let mut log = Lies::new();
        let seen = log.grow(old, "a").look(None).await.unwrap();
        log.shrink(common).grow(new, "b");
        let (finding, evidence) = log.finding(&seen).await;
        assert_eq!(finding, Finding::Fork, "{old} {new}");
        let read: Evidence = evidence.to_string().parse().unwrap();
        assert_eq!(log.log().check(&read), Ok(Finding::Fork));
        assert_eq!(Lies::new().log().check(&read), Err(EvidenceError::NotSigned), "another log's key");
    }
}

#[tokio::test]
async fn a_log_that_shrank_is_convicted_by_when_it_signed_and_doubted_otherwise() {
    let mut log = Lies::new();
    let seen = log.grow(9, "a").look(None).await.unwrap();
    log.shrink(6);
    let (finding, evidence) = log.finding(&seen).await;
    assert_eq!(finding, Finding::Unconnected, "an old checkpoint was true once");
    let dir = TempDir::new().unwrap();
    let error = DecisionsError::Contradiction { finding, evidence: Box::new(evidence) };
    assert!(error.to_string().contains("restored from an old copy"), "{error}");
    assert!(kept::convict(dir.path(), &error).unwrap().unwrap().ends_with(kept::DOUBT_FILE));
    assert_eq!(kept::convicted(dir.path(), &log.log()).unwrap(), None);
    log.time += 1;
    let (finding, evidence) = log.finding(&seen).await;
    assert_eq!(finding, Finding::Rollback);
    let error = DecisionsError::Contradiction { finding, evidence: Box::new(evidence) };
    let file = kept::convict(dir.path(), &error).unwrap().unwrap();
    assert_eq!(kept::convicted(dir.path(), &log.log()).unwrap(), Some((file, Finding::Rollback)));
}

#[tokio::test]
async fn a_log_whose_files_are_not_what_it_signed_is_not_believed() {
    let mut log = Lies::new();
    let seen = log.grow(300, "a").look(None).await.unwrap();
    log.grow(310, "a");
    let last = "tile/entries/001.p/54";
    let other = bundle((256..310).map(|number| leaf(number, "b")).collect::<Vec<_>>().iter().map(Vec::as_slice));
    for (path, instead) in [
        (last, None),
        (last, Some(b"\0".to_vec())),
        (last, other),
        (last, Some(Vec::new())),
        ("tile/0/001.p/54", None),
        ("tile/0/001.p/54", Some(vec![1; 32])),
        ("tile/0/001.p/54", Some(vec![1; 54 * 32])),
        ("checkpoint", None),
        ("checkpoint", Some(b"fed.example/decisions/b1\n310\n".to_vec())),
        ("checkpoint", Some(Lies::new().grow(310, "a").note().into_bytes())),
    ] {
        log.instead = BTreeMap::from([(path.to_owned(), instead)]);
        let refused = log.look(Some(&seen)).await;
        assert!(refused.is_err(), "{path}");
    }
    log.instead.clear();
    assert!(log.look(Some(&seen)).await.is_ok());
}

#[tokio::test]
async fn leaves_that_are_none_or_out_of_order_are_refused_whoever_signed_them() {
    let mut log = Lies::new();
    log.leaves.push(b"not a leaf".to_vec());
    assert!(matches!(log.look(None).await, Err(DecisionsError::Leaf { index: 0, .. })));
    let mut log = Lies::new();
    let outcome = Leaf { kind: Kind::Outcome { decision: 0 }, ..Leaf::from_bytes(&leaf(0, "a")).unwrap() };
    log.leaves.push(outcome.to_bytes());
    assert!(matches!(log.look(None).await, Err(DecisionsError::Order { index: 0, of: 0 })));
}

/// A log of two decisions, the first of which has ended, and then `more` leaves.
fn with(more: &[(Kind, u8)]) -> Lies {
    let mut log = Lies::new();
    let ended = Kind::Outcome { decision: 0 };
    for (number, (kind, id)) in [(Kind::Decision, 1), (Kind::Decision, 2), (ended, 1)].iter().chain(more).enumerate() {
        let record = Digest::of(&number.to_be_bytes());
        let leaf = Leaf {
            kind: *kind,
            decision: DecisionId::from_bytes([*id; 16]),
            record,
            ..Leaf::from_bytes(&leaf(0, "a")).unwrap()
        };
        log.leaves.push(leaf.to_bytes());
    }
    log
}

#[tokio::test]
async fn a_decision_that_is_ended_twice_is_told_with_both_leaves_also_by_whoever_had_seen_the_first() {
    for second in [Kind::Outcome { decision: 0 }, Kind::Abort { decision: 0 }] {
        let mut log = with(&[(Kind::Decision, 3), (second, 1)]);
        let told = |error: DecisionsError| {
            let DecisionsError::TwoEnds { decision, first, second } = error else { panic!("{error:?}") };
            [decision, first, second]
        };
        assert_eq!(told(log.look(None).await.unwrap_err()), [0, 2, 4]);
        let mut before = with(&[]);
        let seen = before.look(None).await.unwrap();
        before.leaves.clone_from(&log.leaves);
        assert_eq!(told(before.look(Some(&seen)).await.unwrap_err()), [0, 2, 4]);
    }
}

#[tokio::test]
async fn an_outcome_is_of_a_decision_and_of_the_one_that_it_names() {
    assert!(with(&[(Kind::Outcome { decision: 1 }, 2)]).look(None).await.is_ok());
    let of_an_outcome = with(&[(Kind::Outcome { decision: 2 }, 1)]).look(None).await;
    assert!(matches!(of_an_outcome, Err(DecisionsError::NoDecision { index: 3, of: 2 })), "{of_an_outcome:?}");
    let of_another = with(&[(Kind::Outcome { decision: 1 }, 9)]).look(None).await;
    assert!(matches!(of_another, Err(DecisionsError::OtherDecision { index: 3, of: 1 })), "{of_another:?}");
    // Of a decision that was seen before, its leaf is read again.
    for (id, holds) in [(2, true), (9, false)] {
        let mut log = with(&[]);
        let seen = log.look(None).await.unwrap();
        log.leaves = with(&[(Kind::Outcome { decision: 1 }, id)]).leaves;
        let result = log.look(Some(&seen)).await;
        assert_eq!(result.is_ok(), holds, "{result:?}");
    }
}

#[tokio::test]
async fn what_was_kept_without_knowing_which_decisions_had_ended_is_gone_on_from_and_a_second_end_is_seen() {
    let (mut log, dir) = (with(&[]), TempDir::new().unwrap());
    let seen = log.look(None).await.unwrap();
    kept::keep(dir.path(), &seen, Timestamp::from_millis(1_795_000_000_000).unwrap()).unwrap();
    let file = dir.path().join(kept::SEEN_FILE);
    let mut kept: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    kept.as_object_mut().unwrap().remove("open").unwrap();
    std::fs::write(&file, kept.to_string()).unwrap();
    let old = kept::seen(dir.path(), &log.log()).unwrap().unwrap();
    let mut new = Vec::new();
    log.leaves = with(&[(Kind::Decision, 3)]).leaves;
    let watched = log.log();
    watched.advance(&mut log, Some(&old), |index, _, _| new.push(index)).await.unwrap();
    assert_eq!(new, [3], "leaves that were seen are not told again");
    log.leaves = with(&[(Kind::Outcome { decision: 0 }, 1)]).leaves;
    assert!(matches!(log.look(Some(&old)).await, Err(DecisionsError::TwoEnds { .. })));
}

#[tokio::test]
async fn what_is_kept_is_gone_on_from_and_not_where_somebody_changed_it() {
    let (mut log, dir) = (Lies::new(), TempDir::new().unwrap());
    assert_eq!(kept::seen(dir.path(), &log.log()).unwrap(), None);
    let seen = log.grow(300, "a").look(None).await.unwrap();
    let at = Timestamp::from_millis(1_795_000_000_000).unwrap();
    kept::keep(dir.path(), &seen, at).unwrap();
    let again = kept::seen(dir.path(), &log.log()).unwrap().unwrap();
    assert_eq!(again, seen);
    assert_eq!(log.grow(301, "a").look(Some(&again)).await.unwrap().checkpoint().size, 301);
    let file = dir.path().join(kept::SEEN_FILE);
    let text = std::fs::read_to_string(&file).unwrap();
    for changed in [
        text.replacen("\\n300\\n", "\\n299\\n", 1),
        text.replacen("\"subtrees\": [", "\"subtrees\": [ \"00\",", 1),
        text.replacen("\"open\": \"", "\"open\": \"AAAA", 1),
        "{".into(),
    ] {
        assert_ne!(changed, text);
        std::fs::write(&file, changed).unwrap();
        assert!(matches!(kept::seen(dir.path(), &log.log()), Err(kept::KeptError::Damaged { .. })));
    }
}

#[tokio::test]
async fn what_somebody_was_shown_is_held_against_what_is_published_without_reading_a_leaf() {
    let mut log = Lies::new();
    log.grow(700, "a");
    let shown: Vec<_> = (1..=700).map(|size| log.checkpoint(size, false)).collect();
    log.hold(&shown).await.unwrap();
    assert!(log.asked.iter().all(|resource| !matches!(resource, Resource::Entries { .. })), "{:?}", log.asked);
    // The checkpoint, three tiles of leaves and one above.
    assert_eq!(log.asked.len(), 5, "{:?}", log.asked);
    log.hold(&shown[300..301]).await.unwrap();
    log.hold(&[]).await.unwrap();
}

#[tokio::test]
async fn a_tree_that_was_signed_for_one_alone_convicts_the_log_whatever_its_size() {
    let mut log = Lies::new();
    log.grow(700, "a");
    for size in [1, 2, 5, 255, 256, 257, 300, 512, 513, 699, 700] {
        // Between others that are as they should be, so that it is found where several end in one tile.
        let mut shown: Vec<_> = (1..=700).map(|size| log.checkpoint(size, false)).collect();
        let place = usize::try_from(size - 1).unwrap();
        shown[place] = log.checkpoint(size, true);
        for shown in [&shown[..], &shown[place..=place]] {
            let Err(DecisionsError::Contradiction { finding, evidence }) = log.hold(shown).await else {
                panic!("{size} was held")
            };
            assert_eq!(finding, Finding::Fork, "{size}");
            let read: Evidence = evidence.to_string().parse().unwrap();
            assert_eq!((log.log().check(&read), read.checkpoints().0.unwrap().size), (Ok(Finding::Fork), size));
        }
    }
}

#[tokio::test]
async fn tiles_that_are_not_those_of_the_published_tree_hold_nothing_and_convict_nobody() {
    let mut log = Lies::new();
    log.grow(300, "a");
    let shown: Vec<_> = (257..=300).map(|size| log.checkpoint(size, false)).collect();
    let mut tile = log.tiles().tile(0, 1).unwrap().to_bytes(44).unwrap();
    tile[7] ^= 1;
    log.instead.insert("tile/0/001.p/44".into(), Some(tile));
    for shown in [&shown[..], &shown[3..4]] {
        match log.hold(shown).await {
            Err(DecisionsError::OtherLeaves { .. }) => {}
            Err(DecisionsError::Contradiction { finding, .. }) => assert_eq!(finding, Finding::Unconnected),
            other => panic!("{other:?}"),
        }
    }
    log.instead.insert("tile/0/001.p/44".into(), None);
    assert!(matches!(log.hold(&shown).await, Err(DecisionsError::Missing(_))));
}

#[tokio::test]
async fn every_tile_of_a_copy_is_held_against_its_leaves() {
    let mut log = Lies::new();
    let seen = log.grow(700, "a").look(None).await.unwrap();
    let watched = log.log();
    let mut leaves = 0;
    watched.tiles(&mut log, &seen, || leaves += 1).await.unwrap();
    assert_eq!(leaves, seen.checkpoint().size, "whoever waits is told of each leaf");
    let full = log.tiles().tile(0, 0).unwrap().to_bytes(256).unwrap();
    let other: Vec<u8> = full.iter().map(|byte| byte ^ 1).collect();
    for path in ["tile/0/000", "tile/0/001", "tile/0/002.p/188", "tile/1/000.p/2"] {
        for instead in [None, Some(full[..32].to_vec()), Some(other.clone())] {
            log.instead = BTreeMap::from([(path.to_owned(), instead)]);
            let refused = watched.tiles(&mut log, &seen, || {}).await;
            assert!(
                matches!(refused, Err(DecisionsError::Missing(_) | DecisionsError::OtherTile(_))),
                "{path}: {refused:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_bundle_is_read_once_for_all_the_late_ends_of_its_decisions() {
    let mut log = Lies::new();
    let leaf = |kind, id: u64| {
        let decision = DecisionId::from_bytes(u128::from(id).to_be_bytes());
        Leaf { kind, decision, ..Leaf::from_bytes(&leaf(0, "a")).unwrap() }.to_bytes()
    };
    let decisions = 3 * WIDTH;
    log.leaves.extend((0..decisions).map(|number| leaf(Kind::Decision, number)));
    let seen = log.look(None).await.unwrap();
    // In an order in which no two that follow one another are in one bundle.
    let order: Vec<_> = (0..decisions).map(|turn| turn % 3 * WIDTH + turn / 3).collect();
    log.leaves.extend(order.iter().map(|of| leaf(Kind::Outcome { decision: *of }, *of)));
    let all = log.look(Some(&seen)).await.unwrap();
    for index in 0..3 {
        let read =
            log.asked.iter().filter(|asked| matches!(asked, Resource::Entries { index: of, .. } if *of == index));
        assert_eq!(read.count(), 1, "bundle {index}");
    }
    assert_eq!(log.look(Some(&all)).await.unwrap().checkpoint(), all.checkpoint());

    // One that names another decision is found among them.
    let last = log.leaves.len() - 1;
    log.leaves[last] = leaf(Kind::Outcome { decision: order[order.len() - 1] }, 0);
    let refused = log.look(Some(&seen)).await.unwrap_err();
    assert!(matches!(refused, DecisionsError::OtherDecision { index, .. } if index == last as u64), "{refused:?}");
}

#[tokio::test]
async fn checkpoints_of_one_log_are_held_together_by_one_way_and_another_log_s_is_not() {
    let mut log = Lies::new();
    log.grow(700, "a");
    let notes: Vec<_> = (1..=700).rev().map(|size| log.checkpoint(size, false)).collect();
    log.asked.clear();
    let of = log.log();
    of.hold_together(&mut log, notes.clone()).await.unwrap();
    assert!(log.asked.len() <= 6, "{:?}", log.asked);
    let mut forked = notes;
    forked.push(log.checkpoint(300, true));
    let refused = of.hold_together(&mut log, forked).await.unwrap_err();
    assert!(matches!(refused, DecisionsError::Contradiction { finding: Finding::Fork, .. }), "{refused:?}");
}
