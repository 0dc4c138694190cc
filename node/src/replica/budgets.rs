//! How old the copy of the state may be, by what is asked of the node.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use comity_types::Name;

/// How old it may be for a caller whom the node has not served yet, unless `node.toml` says otherwise: a dozen
/// checkpoints. Whoever is served already may go on for longer; whoever is not may have been suspended before it came.
const NEW_CALLERS: Duration = Duration::from_secs(60);

/// How old the state may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budgets {
    /// For everything: beyond, the node serves nobody.
    pub all: Duration,
    /// For callers that were not served yet.
    pub new_callers: Duration,
    /// For some offers, by their ids.
    pub offers: BTreeMap<Name, Duration>,
}

/// A class of requests that has a budget of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// Every request.
    All,
    /// Those of callers that were not served yet.
    NewCallers,
    /// Those for an offer.
    Offer(Name),
}

impl From<Duration> for Budgets {
    fn from(all: Duration) -> Self {
        Self { all, new_callers: NEW_CALLERS.min(all), offers: BTreeMap::new() }
    }
}

impl Budgets {
    /// Every class, with its budget.
    pub fn classes(&self) -> impl Iterator<Item = (Class, Duration)> {
        let offers = self.offers.iter().map(|(offer, budget)| (Class::Offer(offer.clone()), *budget));
        [(Class::All, self.all), (Class::NewCallers, self.new_callers)].into_iter().chain(offers)
    }
}

/// As refusals, metrics and health name it.
impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::NewCallers => f.write_str("new_callers"),
            Self::Offer(offer) => write!(f, "offers.{offer}"),
        }
    }
}
