//! What the facets that read one part of a request say of every offer.

use std::collections::BTreeSet;
use std::ops::Range;

use comity_types::Timestamp;
use comity_types::time::earlier;

use super::Index;
use super::bits::Bits;
use crate::evaluate::facet::{FACETS, PartName, Piece, Which};
use crate::evaluate::findings::{Findings, Outcome};
use crate::evaluate::membership::Known;
use crate::reason::ReasonCodes;
use crate::{Reason, Request};

/// What the facets that read one part of a request say of every offer.
#[derive(Debug)]
pub(super) struct PartAnswer {
    /// The instant that it was computed for.
    as_of: Timestamp,
    /// The first instant from which it may be another one.
    changes_at: Option<Timestamp>,
    /// Offers that no facet of the part speaks against.
    pub(super) eligible: Bits,
    /// Facets that speak against an offer, or for one only until some instant.
    facets: Vec<FacetAnswer>,
}

/// What one facet says of each class of offers.
#[derive(Debug)]
struct FacetAnswer {
    facet: usize,
    /// By class: the codes of every reason against it.
    codes: Vec<ReasonCodes>,
    /// By class: when a favourable answer ends. Empty where none of them does.
    ends: Vec<Option<Timestamp>>,
}

impl PartAnswer {
    /// Asks every facet of a part, once for each class.
    pub(super) fn new(index: &Index, part: PartName, request: &Request<'_>) -> Self {
        Self::asking(index, part, request, None)
    }

    /// As [`PartAnswer::new`], where no facet of the part says anything of other offers than those at these places.
    pub(super) fn of_some(index: &Index, part: PartName, request: &Request<'_>, offers: &BTreeSet<usize>) -> Self {
        Self::asking(index, part, request, Some(offers))
    }

    fn asking(index: &Index, part: PartName, request: &Request<'_>, offers: Option<&BTreeSet<usize>>) -> Self {
        let known = Known::default();
        let mut answer = Self {
            as_of: request.as_of,
            changes_at: None,
            eligible: Bits::all(index.entries.len()),
            facets: Vec::new(),
        };
        for (facet, asks) in FACETS.iter().enumerate().filter(|(_, facet)| facet.part == part) {
            if asks.is_asked(request) {
                answer.ask(facet, index, request, offers, &known);
            }
        }
        answer
    }

    fn ask<'t>(
        &mut self,
        facet: usize,
        index: &'t Index,
        request: &Request<'t>,
        offers: Option<&BTreeSet<usize>>,
        known: &'t Known<'t>,
    ) {
        let (Some(asks), Some(classes)) = (FACETS.get(facet), index.facets.get(facet)) else { return };
        let (lists, tables, as_of) = (asks.lists(request), &*index.tables, request.as_of);
        let by_lists = |piece: &Piece| known.outcome(lists.as_ref()?, piece.place.as_ref()?, tables, as_of);
        let in_full = |piece: &Piece| {
            let mut findings = Findings::of_many(tables, as_of, known);
            if let Some(entry) = index.entries.get(piece.offer) {
                asks.check(entry.facts(), Which::One(piece.number), request, &mut findings);
            }
            findings.outcome()
        };
        let outcome = |class: usize| {
            let of = |piece| by_lists(piece).unwrap_or_else(|| in_full(piece));
            classes.first(class).map(of).unwrap_or_default()
        };
        let mut answer = FacetAnswer { facet, codes: Vec::with_capacity(classes.len()), ends: Vec::new() };
        let mut says_something = false;
        let mut give = |run: Range<usize>, outcome: Outcome| {
            self.changes_at = earlier(self.changes_at, outcome.changes_at);
            if !outcome.codes.is_empty() {
                classes.leave(run.clone(), &mut self.eligible);
            }
            says_something |= !outcome.codes.is_empty() || outcome.expires_at.is_some();
            answer.add(run.len(), outcome);
        };
        if let Some(offers) = offers {
            let asked: BTreeSet<_> = offers.iter().flat_map(|offer| classes.classes(*offer)).collect();
            let mut next = 0;
            for class in asked {
                give(next..class, Outcome::default());
                next = class.saturating_add(1);
                give(class..next, outcome(class));
            }
            give(next..classes.len(), Outcome::default());
        }
        for run in classes.runs().filter(|_| offers.is_none()) {
            let low = outcome(run.start);
            if run.len() == 1 {
                give(run, low);
            } else {
                let high = outcome(run.end.saturating_sub(1));
                halve(run, (low, high), &outcome, &mut give);
            }
        }
        if says_something {
            self.facets.push(answer);
        }
    }

    /// True if it is the answer at `as_of` as well.
    pub(super) fn stands_at(&self, as_of: Timestamp) -> bool {
        self.as_of <= as_of && self.changes_at.is_none_or(|changes| as_of < changes)
    }

    /// One that says nothing of these offers.
    #[cfg(test)]
    pub(super) const fn of_nothing(as_of: Timestamp, eligible: Bits) -> Self {
        Self { as_of, changes_at: None, eligible, facets: Vec::new() }
    }

    /// The first instant from which it may be another one.
    pub(super) const fn changes_at(&self) -> Option<Timestamp> {
        self.changes_at
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        let of_facet = |facet: &FacetAnswer| {
            let codes = facet.codes.len().saturating_mul(size_of::<ReasonCodes>());
            codes.saturating_add(facet.ends.len().saturating_mul(size_of::<Option<Timestamp>>()))
        };
        self.facets.iter().map(of_facet).fold(self.eligible.bytes(), usize::saturating_add)
    }

    /// Adds the codes of every reason to those of each offer.
    pub(super) fn add_codes(&self, index: &Index, all: &mut [ReasonCodes]) {
        for answer in &self.facets {
            let Some(classes) = index.facets.get(answer.facet) else { continue };
            for (class, more) in answer.codes.iter().enumerate().filter(|(_, codes)| !codes.is_empty()) {
                classes.for_each(class, |offer| {
                    if let Some(codes) = all.get_mut(offer) {
                        *codes = codes.union(*more);
                    }
                });
            }
        }
    }

    /// What is said of one offer: the codes, and when a favourable answer ends.
    pub(super) fn of(&self, index: &Index, offer: usize) -> (ReasonCodes, Option<Timestamp>) {
        let mut said = (ReasonCodes::NONE, None);
        for answer in &self.facets {
            for class in index.facets.get(answer.facet).into_iter().flat_map(|classes| classes.classes(offer)) {
                said.0 = said.0.union(answer.codes.get(class).copied().unwrap_or_default());
                said.1 = earlier(said.1, answer.ends.get(class).copied().flatten());
            }
        }
        said
    }

    /// The facets that speak against an offer, each with a class of the offer that it speaks against.
    pub(super) fn against(&self, index: &Index, offer: usize) -> impl Iterator<Item = (usize, usize)> {
        self.facets.iter().flat_map(move |answer| {
            let classes = index.facets.get(answer.facet).into_iter().flat_map(move |classes| classes.classes(offer));
            let is_against = |class: &usize| answer.codes.get(*class).is_some_and(|codes| !codes.is_empty());
            classes.filter(is_against).map(|class| (answer.facet, class))
        })
    }
}

impl FacetAnswer {
    /// What is said of the next classes.
    fn add(&mut self, classes: usize, outcome: Outcome) {
        if outcome.expires_at.is_some() {
            self.ends.resize(self.codes.len(), None);
            self.ends.resize(self.codes.len().saturating_add(classes), outcome.expires_at);
        }
        self.codes.resize(self.codes.len().saturating_add(classes), outcome.codes);
    }
}

/// Gives the outcome of each class of a run, of which the first and the last are known, from the first to the last.
fn halve(
    run: Range<usize>,
    (low, high): (Outcome, Outcome),
    outcome: &impl Fn(usize) -> Outcome,
    give: &mut impl FnMut(Range<usize>, Outcome),
) {
    if low == high {
        return give(run, low);
    }
    let middle = run.start.midpoint(run.end);
    halve(run.start..middle, (low, outcome(middle.saturating_sub(1))), outcome, give);
    halve(middle..run.end, (outcome(middle), high), outcome, give);
}

/// Why a facet speaks against a class, in words.
pub(super) fn words(index: &Index, facet: usize, class: usize, request: &Request<'_>) -> Vec<Reason> {
    let piece = index.facets.get(facet).and_then(|classes| classes.first(class));
    let found = piece.and_then(|piece| Some((index.entries.get(piece.offer)?, piece.number)));
    let (Some(facet), Some((entry, piece))) = (FACETS.get(facet), found) else { return Vec::new() };
    let mut findings = Findings::in_words(&index.tables, request.as_of);
    facet.check(entry.facts(), Which::One(piece), request, &mut findings);
    findings.verdict().into_reasons()
}
