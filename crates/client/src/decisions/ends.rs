//! Whether each end, an outcome or an abort, is of a decision before it, and the only one of that.
//!
//! Of every leaf one bit is kept, 125 KB for a million: whether it is a decision that nothing has ended yet. Which decision that
//! is, is remembered of the newest alone; of others their leaf is read again, with the proof that it is in the same tree. Those
//! are asked many at a time, in the order of the log: a bundle that holds some of them is read once for all of them.

use std::collections::VecDeque;

use comity_transparency::Checkpoint;
use comity_transparency::leaf::{Kind, Leaf};
use comity_transparency::proof::{inclusion, verify_inclusion};
use comity_transparency::tile::{Resource, WIDTH, unbundle};
use comity_transparency::tree::leaf_hash;
use comity_types::DecisionId;

use super::{DecisionsError, Files, OnDemand, read, width};

/// Decisions whose id is remembered: those of the last minutes of a busy broker, which end soon. 1.5 MiB.
const REMEMBERED: usize = 64 * 1024;
/// Ends of other decisions that are looked up together. They wait in 256 KiB; the tiles that they are looked up in are 8 KiB each,
/// 64 MiB where no two ends are in one.
const LATE: usize = 8 * 1024;
/// Leaves to a word of the bits.
const WORD: u64 = 64;

/// Which leaves are decisions that have not ended: a bit each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Open {
    bits: Vec<u64>,
    size: u64,
}

/// What is followed along the leaves.
#[derive(Debug)]
pub(super) struct Ends {
    open: Open,
    recent: VecDeque<(u64, DecisionId)>,
    late: Vec<Late>,
    checkpoint: Checkpoint,
}

/// An end of which it is not known yet whether it is of the decision that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Late {
    of: u64,
    index: u64,
    decision: DecisionId,
}

impl Open {
    fn push(&mut self, open: bool) {
        if self.size.is_multiple_of(WORD) {
            self.bits.push(0);
        }
        if let Some(word) = self.bits.last_mut().filter(|_| open) {
            *word |= 1 << (self.size % WORD);
        }
        self.size += 1;
    }

    fn word(&mut self, index: u64) -> Option<&mut u64> {
        self.bits.get_mut(usize::try_from(index / WORD).ok()?)
    }

    /// Ends a decision; false where it is none, or has ended.
    fn end(&mut self, index: u64) -> bool {
        let bit = 1 << (index % WORD);
        let was = self.word(index).is_some_and(|word| *word & bit != 0);
        if let Some(word) = self.word(index) {
            *word &= !bit;
        }
        was
    }

    /// Its form where it is kept: the bits, eight to a byte, the first leaf's the lowest of the first.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let bytes = self.bits.iter().flat_map(|word| word.to_le_bytes());
        bytes.take(usize::try_from(self.size.div_ceil(8)).unwrap_or(usize::MAX)).collect()
    }

    /// Reads that form, of a log of `size` leaves; none where it is of another.
    pub(super) fn from_bytes(bytes: &[u8], size: u64) -> Option<Self> {
        let fits = bytes.len() as u64 == size.div_ceil(8);
        let word = |part: &[u8]| part.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        let bits: Vec<_> = bytes.chunks(8).map(word).collect();
        let spare = if size.is_multiple_of(WORD) { 0 } else { bits.last().map_or(0, |last| last >> (size % WORD)) };
        (fits && spare == 0).then_some(Self { bits, size })
    }
}

impl Ends {
    /// From what is open, along the leaves of this tree.
    pub(super) fn from(open: Open, checkpoint: &Checkpoint) -> Self {
        Self { open, recent: VecDeque::new(), late: Vec::new(), checkpoint: checkpoint.clone() }
    }

    /// What is open now, once all ends are known to be of the decisions that they name.
    pub(super) async fn open(mut self, files: &mut impl Files) -> Result<Open, DecisionsError> {
        self.look_up(files).await?;
        Ok(self.open)
    }

    /// Takes the next leaf.
    pub(super) async fn take(&mut self, files: &mut impl Files, index: u64, leaf: &Leaf) -> Result<(), DecisionsError> {
        match leaf.kind {
            Kind::Decision => {
                if self.recent.len() == REMEMBERED {
                    self.recent.pop_front();
                }
                self.recent.push_back((index, leaf.decision));
            }
            Kind::Outcome { decision: of } | Kind::Abort { decision: of } => {
                if !self.open.end(of) {
                    return Err(self.ended(files, index, of).await?);
                }
                match self.recent(of) {
                    Some(decision) if decision == leaf.decision => {}
                    Some(_) => return Err(DecisionsError::OtherDecision { index, of }),
                    None => self.late.push(Late { of, index, decision: leaf.decision }),
                }
                if self.late.len() >= LATE {
                    self.look_up(files).await?;
                }
            }
        }
        self.open.push(leaf.kind == Kind::Decision);
        Ok(())
    }

    /// Which decision a leaf is, if it is one of the newest.
    fn recent(&self, of: u64) -> Option<DecisionId> {
        let place = self.recent.binary_search_by_key(&of, |(index, _)| *index).ok()?;
        self.recent.get(place).map(|(_, decision)| *decision)
    }

    /// Reads which decisions the late ends are of: each bundle once.
    async fn look_up(&mut self, files: &mut impl Files) -> Result<(), DecisionsError> {
        let mut late = std::mem::take(&mut self.late);
        late.sort_unstable();
        let mut tiles = OnDemand::of(&self.checkpoint);
        for of_one_bundle in late.chunk_by(|one, next| one.of / WIDTH == next.of / WIDTH) {
            let Some(Late { of, .. }) = of_one_bundle.first() else { continue };
            let leaves = bundle_of(files, of / WIDTH, self.checkpoint.size).await?;
            for end in of_one_bundle {
                self.is_of(files, &mut tiles, &leaves, *end).await?;
            }
        }
        Ok(())
    }

    /// Whether an end is of the decision that it names; `leaves` are the bundle of that.
    async fn is_of(
        &self,
        files: &mut impl Files,
        tiles: &mut OnDemand,
        leaves: &[Vec<u8>],
        Late { of, index, decision }: Late,
    ) -> Result<(), DecisionsError> {
        let Checkpoint { size, root, .. } = self.checkpoint;
        let other = || DecisionsError::OtherLeaves { size };
        let bytes = usize::try_from(of % WIDTH).ok().and_then(|place| leaves.get(place)).ok_or_else(other)?;
        let path = tiles.ask(files, |tiles| inclusion(tiles, of, size)).await?.unwrap_or_default();
        verify_inclusion(of, size, leaf_hash(bytes), &path, root).map_err(|_| other())?;
        if read(of, bytes)?.decision == decision { Ok(()) } else { Err(DecisionsError::OtherDecision { index, of }) }
    }

    /// Why leaf `index` cannot be the end of leaf `of`: it is no decision, or had ended before.
    async fn ended(&self, files: &mut impl Files, index: u64, of: u64) -> Result<DecisionsError, DecisionsError> {
        let size = self.checkpoint.size;
        if read(of, &leaf_of(files, of, size).await?)?.kind != Kind::Decision {
            return Ok(DecisionsError::NoDecision { index, of });
        }
        for bundle in of / WIDTH..=index / WIDTH {
            let leaves = bundle_of(files, bundle, size).await?;
            for (first, bytes) in (bundle * WIDTH..index).zip(leaves).skip_while(|(first, _)| *first <= of) {
                let Ok(Leaf { kind: Kind::Outcome { decision } | Kind::Abort { decision }, .. }) = read(first, &bytes)
                else {
                    continue;
                };
                if decision == of {
                    return Ok(DecisionsError::TwoEnds { decision: of, first, second: index });
                }
            }
        }
        // What was read first is not what is read now.
        Ok(DecisionsError::OtherLeaves { size })
    }
}

/// The leaves of a bundle.
async fn bundle_of(files: &mut impl Files, index: u64, size: u64) -> Result<Vec<Vec<u8>>, DecisionsError> {
    let resource = Resource::Entries { index, width: width(size, 0, index) };
    let bytes = files.read(resource).await?.ok_or(DecisionsError::Missing(resource))?;
    let leaves = unbundle(&bytes).ok_or(DecisionsError::Malformed(resource))?;
    Ok(leaves.into_iter().map(<[u8]>::to_vec).collect())
}

/// One leaf's bytes.
async fn leaf_of(files: &mut impl Files, index: u64, size: u64) -> Result<Vec<u8>, DecisionsError> {
    let leaves = bundle_of(files, index / WIDTH, size).await?;
    let place = usize::try_from(index % WIDTH).unwrap_or(usize::MAX);
    leaves.into_iter().nth(place).ok_or(DecisionsError::OtherLeaves { size })
}
