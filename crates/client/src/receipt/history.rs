//! The federation at each of its epochs, for whoever holds many receipts against the state that each was decided by.

use comity_membership::{Log, NotTaken};

use super::AsOf;

/// The log as it was after each entry. The states share what did not change between them: an epoch costs some kilobytes.
#[derive(Debug, Default)]
pub struct History(Vec<Log>);

impl History {
    /// Of entries that were verified, in order, after a log in which nothing is yet ([`Followed::new`]): their signatures are
    /// not checked again.
    ///
    /// # Errors
    /// They do not follow from each other.
    ///
    /// [`Followed::new`]: crate::follow::Followed::new
    pub fn of<'a>(mut empty: Log, verified: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, NotTaken> {
        let states = verified.into_iter().map(|entry| {
            empty.take_again(entry)?;
            Ok(empty.clone())
        });
        states.collect::<Result<_, _>>().map(Self)
    }

    /// The federation while this epoch was its newest; none if it has not come as far.
    #[must_use]
    pub fn at(&self, epoch: u64) -> Option<AsOf<'_>> {
        let place = usize::try_from(epoch.checked_sub(1)?).ok()?;
        let until = self.0.get(place + 1).and_then(|next| next.federation().at());
        Some(AsOf { log: self.0.get(place)?, until })
    }

    /// How many there are: the last one.
    #[must_use]
    pub const fn epochs(&self) -> usize {
        self.0.len()
    }
}
