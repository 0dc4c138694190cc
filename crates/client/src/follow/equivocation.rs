//! Of an entry that was refused: whether it is a second statement at a position that is taken, signed by those who have to
//! sign it. An entry that nobody signed is a fault of whoever sent it; this one is proof.

use comity_membership::equivocation::{Checked, Evidence};
use comity_membership::{Body, Entry, Equivocation, NotTaken, Refused};

use super::{FollowError, Followed};

impl Followed {
    /// Proves that the entry which was refused so is an equivocation, by the `lines` of this log from its founding on, whose
    /// signatures were checked when they were taken in. None where it is not, or these are not its lines.
    #[must_use]
    pub fn convict<E: AsRef<[u8]>>(
        &self,
        lines: &[E],
        refused: &[u8],
        why: &FollowError,
    ) -> Option<(Equivocation, Evidence)> {
        let FollowError::NotTaken(NotTaken::Refused { source, .. }) = why else { return None };
        let Refused::Equivocation { .. } = **source else { return None };
        let Body::Signed(second) = Entry::from_json(refused).ok()?.body else { return None };
        Evidence::of(self.log().genesis(), lines, &second, Checked::Before).ok()
    }
}
