use super::*;
use crate::index::bits::Bits;

/// Bits of which 8 MiB are made: two such answers fill a generation to the last byte.
const HALF: usize = GENERATION_BYTES / 2 * 8;

fn answer(offers: usize) -> Remembered {
    Remembered {
        to: Arc::new(Key::Instant),
        answer: Arc::new(PartAnswer::of_nothing("2026-11-22".parse().unwrap(), Bits::none(offers))),
    }
}

/// The answers that are in the young generation and in the old one, by their hashes.
fn kept(generations: &Generations) -> (Vec<u64>, Vec<u64>) {
    let hashes = |of: &HashMap<u64, Vec<Remembered>>| {
        let mut hashes: Vec<_> = of.iter().filter(|(_, all)| !all.is_empty()).map(|(hash, _)| *hash).collect();
        hashes.sort_unstable();
        hashes
    };
    (hashes(&generations.young), hashes(&generations.old))
}

#[test]
fn a_generation_that_is_full_becomes_the_old_one_and_the_old_one_goes() {
    let mut generations = Generations::default();
    let mut remember = |hash, offers| {
        generations.remember(hash, answer(offers), |_| false);
        kept(&generations)
    };
    assert_eq!(remember(1, HALF), (vec![1], vec![]));
    assert_eq!(remember(2, HALF), (vec![1, 2], vec![]), "as much as there is room for");
    assert_eq!(remember(3, 1), (vec![3], vec![1, 2]));
    assert_eq!(remember(4, HALF), (vec![3, 4], vec![1, 2]));
    assert_eq!(remember(5, HALF), (vec![5], vec![3, 4]));
}

#[test]
fn an_answer_takes_the_place_of_the_one_before_to_the_same() {
    let mut generations = Generations::default();
    generations.remember(1, answer(1), |_| true);
    generations.remember(1, answer(2), |_| true);
    assert_eq!(generations.young[&1].len(), 1);
    // Another question that happens to have the same hash.
    generations.remember(1, answer(3), |_| false);
    assert_eq!(generations.young[&1].len(), 2);
}
