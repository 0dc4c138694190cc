//! What every part of Comity means by an identifier, a place, an amount of
//! money, an instant or a secret.
//!
//! Each type has one door: `FromStr` checks, serde and the wire go through it,
//! and inside there are only values that cannot be wrong. Pure: no clock, no I/O.
//!
//! | module | holds |
//! |---|---|
//! | [`ids`] | trust domains, SPIFFE IDs, names of nodes, offers and models |
//! | [`lei`] | legal entity identifiers |
//! | [`place`] | ISO 3166 places, and places or blocs |
//! | [`money`] | currencies and prices |
//! | [`time`] | timestamps, intervals, the clock trait |
//! | [`digest`] | SHA-256 |
//! | [`display`] | text of others that people read |
//! | [`distinct`] | files in whose lists nothing stands twice |
//! | [`secret`] | values that must not be printed |

pub mod digest;
pub mod display;
pub mod distinct;
pub mod ids;
pub mod lei;
pub mod money;
pub mod place;
pub mod secret;
mod text;
pub mod time;

pub use digest::Digest;
pub use distinct::Distinct;
pub use ids::{DecisionId, ModelName, Name, OfferName, SpiffeId, TrustDomain};
pub use lei::Lei;
pub use money::{Currency, Money, Price};
pub use place::{Place, PlaceOrBloc};
pub use secret::Secret;
pub use time::{Clock, Interval, Timestamp};

/// A text that is not a value of the type it was given as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not {expected}")]
pub struct Invalid {
    /// What was given, cut to 80 characters.
    pub value: String,
    /// What would have been accepted.
    pub expected: &'static str,
}

impl Invalid {
    /// Says that `value` is not `expected`.
    pub fn new(value: &str, expected: &'static str) -> Self {
        /// Enough to recognise a mistake by, little enough for a log line.
        const SHOWN_CHARS: usize = 80;
        Self { value: value.chars().take(SHOWN_CHARS).collect(), expected }
    }
}
