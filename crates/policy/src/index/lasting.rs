//! What of an answer holds for every request like the one that was asked, and until when.

use comity_types::Timestamp;
use comity_types::time::earlier;

use super::Index;
use crate::{Request, Usage, Verdict, evaluate_quota};

/// The offers that are eligible for a request, and for every other one that differs from it in its instant, before the first
/// from which others may be, and in what its caller has used: that alone is asked each time anew. Each comes with what
/// whoever keeps this has to say of it.
#[derive(Debug)]
pub struct Lasting<T> {
    since: Timestamp,
    until: Option<Timestamp>,
    offers: Vec<Lasts<T>>,
}

/// An offer that nothing but its quota may speak against.
#[derive(Debug)]
struct Lasts<T> {
    place: usize,
    expires_at: Option<Timestamp>,
    is_limited: bool,
    of: T,
}

impl Index {
    /// What lasts of the answer to a request, of the offers at `places`; `of` says what is kept of each, and leaves out the
    /// offers of which nothing is. What the caller has used makes no difference here.
    pub fn lasting<T>(&self, request: &Request<'_>, places: &[usize], of: impl Fn(usize) -> Option<T>) -> Lasting<T> {
        let answer = self.ask(&Request { used: Usage::none(), ..request.clone() });
        let lasts = |place: usize| {
            let (of, is_limited) = (of(place)?, self.entries.get(place)?.is_limited());
            Some(Lasts { place, expires_at: answer.expires_at(place), is_limited, of })
        };
        let eligible = places.iter().copied().filter(|place| answer.is_eligible(*place));
        Lasting { since: request.as_of, until: answer.changes_at(), offers: eligible.filter_map(lasts).collect() }
    }
}

impl<T> Lasting<T> {
    /// True if it is what a request of this instant would be answered.
    #[must_use]
    pub fn stands_at(&self, as_of: Timestamp) -> bool {
        self.since <= as_of && self.until.is_none_or(|until| as_of < until)
    }

    /// How many offers there are, whatever was used of them.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.offers.len()
    }

    /// True if there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.offers.is_empty()
    }

    /// The offers that are eligible for a caller that has used so much, each with when that ends: at an instant at which this
    /// stands, and by the index that it is of.
    pub fn eligible(
        &self,
        index: &Index,
        used: &Usage,
        as_of: Timestamp,
    ) -> impl Iterator<Item = (&T, Option<Timestamp>)> {
        self.offers.iter().filter_map(move |one| {
            if !one.is_limited {
                return Some((&one.of, one.expires_at));
            }
            match evaluate_quota(index.offer(one.place)?, used, as_of, &index.tables) {
                Verdict::Eligible { expires_at } => Some((&one.of, earlier(one.expires_at, expires_at))),
                Verdict::Rejected { .. } => None,
            }
        })
    }
}
