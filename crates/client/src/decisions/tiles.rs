//! The hash tiles of a log, held against its leaves: others prove by them that a leaf is in it, and a copy without them is none.

use comity_transparency::tile::{Resource, Tiles, WIDTH, unbundle};
use comity_transparency::tree::leaf_hash;

use super::{DecisionLog, DecisionsError, Files, Seen, width};

impl DecisionLog {
    /// Reads every tile of a log that was verified, and holds it against what its leaves make. `each` is called for every leaf.
    ///
    /// # Errors
    /// One is missing, or is another.
    pub async fn tiles(
        &self,
        files: &mut impl Files,
        seen: &Seen,
        mut each: impl FnMut(),
    ) -> Result<(), DecisionsError> {
        let (size, mut made, mut at) = (seen.checkpoint().size, Tiles::default(), 0);
        for index in 0..size.div_ceil(WIDTH) {
            let resource = Resource::Entries { index, width: width(size, 0, index) };
            let bytes = files.read(resource).await?.ok_or(DecisionsError::Missing(resource))?;
            for leaf in unbundle(&bytes).ok_or(DecisionsError::Malformed(resource))? {
                made.push(leaf_hash(leaf));
                at += 1;
                each();
            }
            for (tile, bytes) in made.ending(at, size) {
                let found = files.read(tile).await?.ok_or(DecisionsError::Missing(tile))?;
                if found != bytes {
                    return Err(DecisionsError::OtherTile(tile));
                }
            }
            made.forget(at);
        }
        Ok(())
    }
}
