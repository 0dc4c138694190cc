//! The accounts for many callers at once: one lock, held for as long as it takes to look at the budgets of one call.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use comity_types::OfferName;

use super::amount::Amount;
use super::book::{Book, Call, Hold, Key};
use super::definition::{Budget, Budgets};
use super::exceeded::Exceeded;

/// All accounts. Clones are the same.
#[derive(Debug, Clone)]
pub struct Accounts {
    budgets: Arc<Budgets>,
    book: Arc<Mutex<Book>>,
}

/// What is reserved for a call. It is settled by what is on record of the call. Where it is dropped instead, all of it counts
/// as used: whoever dropped it does not know what became of the call, and what is not known is not given back.
#[derive(Debug)]
#[must_use]
pub struct Reservation {
    accounts: Accounts,
    held: Vec<Hold>,
}

impl Accounts {
    /// Over a book.
    #[must_use]
    pub fn new(book: Book) -> Self {
        Self { budgets: Arc::clone(book.budgets()), book: Arc::new(Mutex::new(book)) }
    }

    /// The budgets.
    #[must_use]
    pub const fn budgets(&self) -> &Arc<Budgets> {
        &self.budgets
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Whoever panicked held it between two sums: at worst something is counted that was not used.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `read` says of the accounts, as they are at one instant.
    pub fn read<T>(&self, read: impl FnOnce(&Book) -> T) -> T {
        read(&self.book())
    }

    /// What stands against a call that would come to `amount`, if anything does.
    #[must_use]
    pub fn exceeded(
        &self,
        call: Call<'_>,
        offer: Option<&OfferName>,
        amount: &dyn Fn(&Budget) -> Amount,
    ) -> Option<Exceeded> {
        self.book().exceeded(call, offer, amount)
    }

    /// Reserves what a call may come to at the first of several offers that its own budgets have room for, and says which they
    /// have room for: both in one step, so that nobody takes that room in between.
    ///
    /// # Errors
    /// They have for none.
    pub fn reserve_first<A: Fn(&Budget) -> Amount>(
        &self,
        call: Call<'_>,
        amounts: &[A],
    ) -> Result<(Reservation, Vec<bool>), Box<Exceeded>> {
        let (held, have_room) = self.book().reserve_first(call, amounts)?;
        Ok((Reservation { accounts: self.clone(), held }, have_room))
    }

    /// Settles all reservations of a request at once: what it came to, by account. What nothing is reserved for is counted as
    /// well.
    pub fn settle(
        &self,
        reservations: impl IntoIterator<Item = Reservation>,
        call: Call<'_>,
        mut used: std::collections::HashMap<Key, Amount>,
    ) {
        let mut reservations: Vec<_> = reservations.into_iter().collect();
        let mut book = self.book();
        for hold in reservations.iter_mut().flat_map(|one| std::mem::take(&mut one.held)) {
            let used = used.remove(hold.key()).unwrap_or_default();
            book.settle(hold, used);
        }
        for (key, amount) in used {
            book.charge(key, call.at, amount);
        }
        drop(book);
    }
}

impl Reservation {
    /// Reserves what a try of the request that this is reserved for may come to at an offer, `of_try`, and makes it so much money
    /// that is held for the request, `of_request`: both, or neither.
    ///
    /// # Errors
    /// A budget of either has no room for it.
    pub fn reserve_try(
        &mut self,
        to: (Call<'_>, &OfferName),
        of_try: &dyn Fn(&Budget) -> Amount,
        of_request: &dyn Fn(&Budget) -> Amount,
    ) -> Result<Self, Box<Exceeded>> {
        let accounts = self.accounts.clone();
        let held = accounts.book().reserve_try(to, &mut self.held, of_try, of_request)?;
        Ok(Self { accounts, held })
    }

    /// No more money is held than this. It is less than was: what is more is reserved with the try that needs it.
    pub fn lower(&mut self, amount: &dyn Fn(&Budget) -> Amount) {
        let accounts = self.accounts.clone();
        // Where it were more after all, what is held stays.
        let _lowered = accounts.book().reprice(&mut self.held, amount);
    }

    /// The call no longer runs where this was reserved for it; what was reserved stays so.
    pub fn ended(&mut self) {
        let accounts = self.accounts.clone();
        let mut book = accounts.book();
        self.held.iter_mut().for_each(|hold| book.ended(hold));
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let accounts = self.accounts.clone();
        let mut book = accounts.book();
        std::mem::take(&mut self.held).into_iter().for_each(|hold| book.forfeit(hold));
    }
}
