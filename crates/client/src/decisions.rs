//! The broker's decision log, followed by somebody who believes nobody: each checkpoint has to be the log's, to continue the
//! one before by proof, and to follow from the leaves themselves.
//!
//! ```text
//! checkpoint ─keys of the root─▶ size, root ─consistency proof─▶ continues what was seen ─leaves hashed again─▶ the root
//! ```
//! What does not continue is convicted where it can be: [`Evidence`] of two checkpoints, both signed, that anybody checks
//! with the root document alone.

mod ends;
mod files;
mod hold;
pub mod kept;
#[cfg(test)]
mod tests;
mod tiles;

use comity_identity::Root;
use comity_transparency::checkpoint::CheckpointError;
use comity_transparency::leaf::{Kind, Leaf, LeafError};
use comity_transparency::note::NoteError;
use comity_transparency::proof::{consistency, prefix, verify_consistency};
use comity_transparency::tile::{NotAtHand, Resource, Tile, Tiles, WIDTH, unbundle};
use comity_transparency::tree::{Tree, leaf_hash};
use comity_transparency::witness::{Evidence, EvidenceError, Finding};
use comity_transparency::{Checkpoint, CheckpointNote, Verifier};

use ends::{Ends, Open};
pub use files::{Files, FilesError, Folder, FromBroker};

use crate::witnessed::PolicyNotMet;

/// Levels of tiles that 2^64 leaves need.
const LEVELS: u8 = 8;

/// Which log it is, and whose signatures count.
#[derive(Debug, Clone)]
pub struct DecisionLog {
    origin: String,
    keys: [Verifier; 2],
}

/// A log as it was verified: its checkpoint, and what it takes to go on from there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    note: CheckpointNote,
    tree: Tree,
    /// Which decisions have not ended, a bit for each leaf, 125 KB for a million; none where that was not kept, and the leaves have to be read again.
    open: Option<Open>,
}

/// Why a log is not believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecisionsError {
    /// A file cannot be had.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// A file that such a log has is missing.
    #[error("the log's checkpoint says that there is {0}, and there is none")]
    Missing(Resource),
    /// A file that is none.
    #[error("{0} is not what c2sp.org/tlog-tiles says")]
    Malformed(Resource),
    /// What is called a checkpoint is none of this log.
    #[error("the log's checkpoint is refused")]
    Checkpoint(#[from] CheckpointError),
    /// A signature of the log's keys is missing or wrong.
    #[error("the checkpoint is not signed by the key of the root document")]
    NotSigned,
    /// A leaf is none.
    #[error("leaf {index} cannot be read")]
    Leaf {
        /// Its index.
        index: u64,
        /// Why.
        source: LeafError,
    },
    /// An outcome of something that is no decision before it.
    #[error("leaf {index} is the outcome of leaf {of}, which does not come before it")]
    Order {
        /// Its index.
        index: u64,
        /// What it says that it is of.
        of: u64,
    },
    /// An outcome of something that is no decision.
    #[error("leaf {index} is the outcome of leaf {of}, which is no decision")]
    NoDecision {
        /// Its index.
        index: u64,
        /// What it says that it is of.
        of: u64,
    },
    /// An outcome that names another decision than the leaf that it is of.
    #[error("leaf {index} is the outcome of leaf {of}, and names another decision than that")]
    OtherDecision {
        /// Its index.
        index: u64,
        /// What it says that it is of.
        of: u64,
    },
    /// A decision has two outcomes: two could be shown two different receipts of it, both of which hold.
    #[error(
        "the decision of leaf {decision} has two ends, leaf {first} and leaf {second} (hint: `comity log export --decisions DIR` keeps the log that shows it)"
    )]
    TwoEnds {
        /// Index of the decision's leaf.
        decision: u64,
        /// Index of the first end.
        first: u64,
        /// Index of the second.
        second: u64,
    },
    /// A tile is not what the leaves make.
    #[error("{0} is not what the leaves make of it")]
    OtherTile(Resource),
    /// The leaves are others than those that were signed.
    #[error("the leaves up to {size} do not lead to the root that the log signed")]
    OtherLeaves {
        /// How many there are said to be.
        size: u64,
    },
    /// No checkpoint has been cosigned by enough witnesses.
    #[error("the broker has no checkpoint that enough witnesses have cosigned")]
    NotCosigned,
    /// Too few of those that the policy counts have cosigned it.
    #[error("the log's checkpoint does not meet the policy")]
    Policy(#[from] PolicyNotMet),
    /// It does not continue what was seen before.
    #[error("{}", contradiction(.evidence, *.finding))]
    Contradiction {
        /// What the two come to.
        finding: Finding,
        /// Both checkpoints.
        evidence: Box<Evidence>,
    },
}

fn contradiction(evidence: &Evidence, finding: Finding) -> String {
    let (known, claimed) = evidence.checkpoints();
    let (before, now) = (known.map_or(0, |known| known.size), claimed.size);
    match finding {
        Finding::Fork => {
            format!("the log is another one now: it signed {before} leaves and {now} that do not go together")
        }
        Finding::Impossible => "the log signed a root of no leaves that no tree has".to_owned(),
        Finding::Rollback => format!("the log signed {now} leaves after it had signed {before}: it has lost some"),
        Finding::Unconnected if now < before => format!(
            "the log is shown with {now} leaves, and had {before} before (hint: the broker may have been restored from an old copy, or shows an old state: ask its operators)"
        ),
        Finding::Unconnected => format!("nothing shows that the log of {now} leaves continues that of {before}"),
    }
}

impl DecisionLog {
    /// The log of this origin, by its keys: Ed25519, then ML-DSA-44.
    #[must_use]
    pub fn new(origin: &str, keys: [Verifier; 2]) -> Self {
        Self { origin: origin.to_owned(), keys }
    }

    /// That of the federation's broker.
    #[must_use]
    pub fn of(root: &Root) -> Self {
        Self::new(&root.decision_log_origin(), root.decision_log.clone())
    }

    /// Its keys: Ed25519, then ML-DSA-44.
    #[must_use]
    pub const fn keys(&self) -> &[Verifier; 2] {
        &self.keys
    }

    /// Reads evidence against it.
    ///
    /// # Errors
    /// The log did not sign it, it is of another log, or there is nothing wrong.
    pub fn check(&self, evidence: &Evidence) -> Result<Finding, EvidenceError> {
        let (known, claimed) = evidence.checkpoints();
        if known.into_iter().chain([claimed]).any(|checkpoint| checkpoint.origin != self.origin) {
            return Err(EvidenceError::NotSigned);
        }
        evidence.check(&self.keys)
    }

    /// Looks at the log again: its checkpoint has to continue what was `seen`, and the leaves since then have to lead to its
    /// root. Each end has to be that of a decision before it, and its only one. `each` gets the index of each leaf, how many
    /// there are in all, and the leaf, before it is known that they do. Where nothing was seen, all of it is verified from the
    /// first leaf on.
    ///
    /// # Errors
    /// It is not to be believed, or cannot be read.
    pub async fn advance(
        &self,
        files: &mut impl Files,
        seen: Option<&Seen>,
        mut each: impl FnMut(u64, u64, &Leaf),
    ) -> Result<Seen, DecisionsError> {
        let note = self.checkpoint(files).await?;
        let new = note.checkpoint().clone();
        let (mut tree, mut open, mut known) = (Tree::default(), Open::default(), 0);
        if let Some(Seen { note: old, tree: before, open: still }) = seen {
            self.continues(files, &mut OnDemand::of(&new), old, &note).await?;
            known = before.size();
            // Where it was not kept which decisions have ended, the leaves say it again.
            if let Some(still) = still {
                (tree, open) = (before.clone(), still.clone());
            }
        }
        let (first, mut ends) = (tree.size(), Ends::from(open, &new));
        let bundles = if first < new.size { first / WIDTH..new.size.div_ceil(WIDTH) } else { 0..0 };
        for bundle in bundles {
            let resource = Resource::Entries { index: bundle, width: width(new.size, 0, bundle) };
            let bytes = files.read(resource).await?.ok_or(DecisionsError::Missing(resource))?;
            let leaves = unbundle(&bytes).ok_or(DecisionsError::Malformed(resource))?;
            let start = bundle * WIDTH;
            for (index, bytes) in (start..new.size).zip(leaves).skip_while(|(index, _)| *index < first) {
                tree.push_hash(leaf_hash(bytes));
                let leaf = read(index, bytes)?;
                ends.take(files, index, &leaf).await?;
                if index >= known {
                    each(index, new.size, &leaf);
                }
            }
        }
        if (tree.size(), tree.root()) != (new.size, new.root) {
            return Err(DecisionsError::OtherLeaves { size: new.size });
        }
        Ok(Seen { note, tree, open: Some(ends.open(files).await?) })
    }

    /// The log's checkpoint, signed.
    async fn checkpoint(&self, files: &mut impl Files) -> Result<CheckpointNote, DecisionsError> {
        let bytes = files.read(Resource::Checkpoint).await?.ok_or(DecisionsError::Missing(Resource::Checkpoint))?;
        self.signed(text(&bytes)?)
    }

    /// Reads a checkpoint that this log signed.
    ///
    /// # Errors
    /// It is none, is another log's, or a signature of the log's keys is missing or wrong.
    pub fn signed(&self, note: &str) -> Result<CheckpointNote, DecisionsError> {
        let note = CheckpointNote::parse(note)?;
        let found = &note.checkpoint().origin;
        if *found != self.origin {
            let (expected, found) = (self.origin.clone(), found.clone());
            return Err(CheckpointError::OtherOrigin { expected, found }.into());
        }
        let [plain, post_quantum] = &self.keys;
        let wrong = |error: NoteError| DecisionsError::Checkpoint(error.into());
        note.signed_by(plain).map_err(wrong)?.ok_or(DecisionsError::NotSigned)?;
        // One that is not published yet has none of the second kind; a wrong one is refused.
        note.signed_by(post_quantum).map_err(wrong)?;
        Ok(note)
    }

    /// Checks by proof that `note`, whose `tiles` they are, continues `known`.
    async fn continues(
        &self,
        files: &mut impl Files,
        tiles: &mut OnDemand,
        known: &CheckpointNote,
        note: &CheckpointNote,
    ) -> Result<(), DecisionsError> {
        let (old, new) = (known.checkpoint(), note.checkpoint());
        if old.size == new.size && old.root == new.root || old.size == 0 {
            return Ok(());
        }
        let path = if old.size < new.size {
            let path = tiles.ask(files, |tiles| consistency(tiles, old.size, new.size)).await?.unwrap_or_default();
            if verify_consistency(old.size, new.size, old.root, new.root, &path).is_ok() {
                return Ok(());
            }
            // What it takes to show others that the tree begins with another.
            tiles.ask(files, |tiles| prefix(tiles, old.size, new.size)).await?.unwrap_or_default()
        } else {
            Vec::new()
        };
        let evidence = Box::new(Evidence::between(known.clone(), note.clone(), path));
        let finding = evidence.check(&self.keys).unwrap_or(Finding::Unconnected);
        Err(DecisionsError::Contradiction { finding, evidence })
    }
}

impl Seen {
    /// The signed note that it was verified by.
    #[must_use]
    pub const fn note(&self) -> &CheckpointNote {
        &self.note
    }

    /// The checkpoint.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        self.note.checkpoint()
    }
}

fn text(checkpoint: &[u8]) -> Result<&str, DecisionsError> {
    std::str::from_utf8(checkpoint).map_err(|_| DecisionsError::Malformed(Resource::Checkpoint))
}

fn read(index: u64, bytes: &[u8]) -> Result<Leaf, DecisionsError> {
    let leaf = Leaf::from_bytes(bytes).map_err(|source| DecisionsError::Leaf { index, source })?;
    match leaf.kind {
        Kind::Outcome { decision: of } | Kind::Abort { decision: of } if of >= index => {
            Err(DecisionsError::Order { index, of })
        }
        Kind::Decision | Kind::Outcome { .. } | Kind::Abort { .. } => Ok(leaf),
    }
}

/// Tiles of a log, each read when it is asked for.
#[derive(Debug)]
struct OnDemand {
    size: u64,
    tiles: Tiles,
}

impl OnDemand {
    fn of(checkpoint: &Checkpoint) -> Self {
        Self { size: checkpoint.size, tiles: Tiles::at(checkpoint.size) }
    }

    /// Asks until all that is needed is at hand: each tile is read once, and has to have its whole width.
    async fn ask<T>(
        &mut self,
        files: &mut impl Files,
        ask: impl Fn(&Tiles) -> Result<T, NotAtHand>,
    ) -> Result<T, DecisionsError> {
        loop {
            let NotAtHand { level, index } = match ask(&self.tiles) {
                Ok(answer) => return Ok(answer),
                Err(missing) => missing,
            };
            let width = if level < LEVELS { width(self.size, level, index) } else { 0 };
            let resource = Resource::Tile { level, index, width };
            if width == 0 || self.tiles.tile(level, index).is_some() {
                return Err(DecisionsError::Missing(resource));
            }
            let bytes = files.read(resource).await?.ok_or(DecisionsError::Missing(resource))?;
            let tile = Tile::from_bytes(&bytes).filter(|tile| tile.width() == u64::from(width));
            self.tiles.put(level, index, tile.ok_or(DecisionsError::Malformed(resource))?);
        }
    }
}

/// How many hashes a tile has in a log of `size` leaves, or entries a bundle.
fn width(size: u64, level: u8, index: u64) -> u16 {
    let hashes = size.checked_shr(8 * u32::from(level)).unwrap_or_default();
    u16::try_from(hashes.saturating_sub(index.saturating_mul(WIDTH)).min(WIDTH)).unwrap_or_default()
}
