//! What one member was shown of the log, held against what the log publishes for all.
//!
//! A permit proves that its decision is in *a* tree that the log signed. That it is in the one that everybody sees follows
//! from the published tree's tiles alone: no leaf is read.

use comity_transparency::CheckpointNote;
use comity_transparency::policy::Policy;
use comity_transparency::proof::Nodes as _;
use comity_transparency::tile::WIDTH;
use comity_transparency::tree::Tree;

use super::{DecisionLog, DecisionsError, Files, OnDemand, text};
use crate::witnessed::PolicyNotMet;

impl DecisionLog {
    /// What the log publishes now: a checkpoint that continues the one that was seen `before`, by proof. With a policy it is
    /// the newest that enough witnesses have cosigned, which is one history for all who count the same witnesses.
    ///
    /// # Errors
    /// It is not to be believed, or cannot be read.
    pub async fn published(
        &self,
        files: &mut impl Files,
        before: Option<&CheckpointNote>,
        policy: Option<&Policy>,
    ) -> Result<CheckpointNote, DecisionsError> {
        let note = match policy {
            None => self.checkpoint(files).await?,
            Some(policy) => self.cosigned(files, policy).await?,
        };
        if let Some(before) = before {
            self.continues(files, &mut OnDemand::of(note.checkpoint()), before, &note).await?;
        }
        Ok(note)
    }

    async fn cosigned(&self, files: &mut impl Files, policy: &Policy) -> Result<CheckpointNote, DecisionsError> {
        let bytes = files.cosigned().await?.ok_or(DecisionsError::NotCosigned)?;
        let note = self.signed(text(&bytes)?)?;
        let judged = policy.judge_of(&self.keys, &note).map_err(PolicyNotMet::from)?;
        judged.witnessed().map_err(PolicyNotMet::from)?;
        Ok(note)
    }

    /// Holds checkpoints that the log signed for somebody, smallest first and none larger than what is `published`, against
    /// that: each has to be what the published tree was at its size. Those that are go to `held`, some at a time, so that
    /// whoever has not the time for all of them goes on from there.
    ///
    /// One consistency proof is made for those that end in one tile; between them the tree grows by the hashes of its leaves.
    ///
    /// # Errors
    /// One of them is of another history, which [`DecisionsError::Contradiction`] proves, or a file cannot be read.
    pub async fn hold(
        &self,
        files: &mut impl Files,
        published: &CheckpointNote,
        shown: &[CheckpointNote],
        mut held: impl FnMut(&[CheckpointNote]),
    ) -> Result<(), DecisionsError> {
        let mut tiles = OnDemand::of(published.checkpoint());
        for of_one_tile in shown.chunk_by(|one, next| tile_of(one) == tile_of(next)) {
            let Some((last, earlier)) = of_one_tile.split_last() else { continue };
            self.continues(files, &mut tiles, last, published).await?;
            if !earlier.is_empty() {
                self.grows(files, &mut tiles, published, of_one_tile).await?;
            }
            held(of_one_tile);
        }
        Ok(())
    }

    /// Whether all of these, which the log signed, are of one log: by one way from the smallest to the largest.
    ///
    /// # Errors
    /// Two of them are not, or a file cannot be read.
    pub async fn hold_together(
        &self,
        files: &mut impl Files,
        mut notes: Vec<CheckpointNote>,
    ) -> Result<(), DecisionsError> {
        notes.sort_by_key(|note| note.checkpoint().size);
        let Some((largest, others)) = notes.split_last() else { return Ok(()) };
        self.hold(files, largest, others, |_| {}).await
    }

    /// Whether the tree, as it grows within one tile, comes to each of these.
    async fn grows(
        &self,
        files: &mut impl Files,
        tiles: &mut OnDemand,
        published: &CheckpointNote,
        of_one_tile: &[CheckpointNote],
    ) -> Result<(), DecisionsError> {
        let start = of_one_tile.first().map_or(0, tile_of) * WIDTH;
        let mut tree = tiles.ask(files, |tiles| Tree::at(tiles, start)).await?;
        for note in of_one_tile {
            let checkpoint = note.checkpoint();
            while tree.size() < checkpoint.size {
                let next = tree.size();
                tree.push_hash(tiles.ask(files, |tiles| tiles.node(0, next)).await?);
            }
            if checkpoint.size > 0 && tree.root() != checkpoint.root {
                self.continues(files, tiles, note, published).await?;
                // By that proof it does: the tiles are not those of the tree that they are said to be of.
                return Err(DecisionsError::OtherLeaves { size: checkpoint.size });
            }
        }
        Ok(())
    }
}

/// The tile of leaves that a checkpoint ends in.
fn tile_of(note: &CheckpointNote) -> u64 {
    note.checkpoint().size.saturating_sub(1) / WIDTH
}
