//! Synthetic federations for measurements: the same one for the same size, on every machine.
//!
//! How facts are spread follows what is public of today's offers: most run in one country, many in the United States,
//! a few terms are written again and again, prices hardly ever twice.

mod asked;
mod dice;
mod members;
mod offers;

use comity_policy::{Offer, Organisation, Tables};

pub use asked::{Asked, asked};
use dice::Dice;

/// Offers that an organisation makes, on average.
const OFFERS_OF_ONE: usize = 10;
/// The fewest organisations, so that small federations are none of one member.
const FEWEST_ORGANISATIONS: usize = 12;

/// A federation.
#[derive(Debug)]
pub struct Federation {
    /// Who operates nodes.
    pub operators: Vec<Organisation>,
    /// What they offer.
    pub offers: Vec<Offer>,
    /// Who asks.
    pub callers: Vec<Organisation>,
}

impl Federation {
    /// One of so many offers.
    ///
    /// # Panics
    /// If the generator makes something that the policy's types refuse: a mistake in this crate.
    #[must_use]
    pub fn of(offers: usize) -> Self {
        let mut dice = Dice::new(0x00C0_4117);
        let count = (offers / OFFERS_OF_ONE).max(FEWEST_ORGANISATIONS);
        let operators: Vec<_> = (0..count).map(|index| members::operator(index, &mut dice)).collect();
        let offers = (0..offers).map(|index| offers::offer(index, &operators, &mut dice)).collect();
        let callers = (0..asked::CALLERS).map(|index| members::caller(index, &mut dice)).collect();
        Self { operators, offers, callers }
    }
}

/// The tables that ship.
///
/// # Panics
/// Never in a released version: a test of the policy reads them.
#[must_use]
#[expect(clippy::expect_used, reason = "measurements end loudly")]
pub fn tables() -> &'static Tables {
    Tables::builtin().expect("the tables that ship can be read")
}
