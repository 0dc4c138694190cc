//! The arithmetic of ownership: how much of an organisation belongs to tainted parties, at least and at most
//! (VOCABULARY D9, D10).
//!
//! Registers publish ranges and leave things out, so every answer is an interval: the lower end counts what is known
//! to be tainted, the upper end everything that is not known to be clean. A party whose owners nobody states is
//! judged by its own places alone; one whose owners are stated in part may belong to anybody with the rest.

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use self::standing::{Controllers, Holder, Shape, Standing};
use crate::caller_rules::{Comparison, Indirect};
use crate::ownership::{Interest, Ownership, Party, PartyKind, SELF, WHOLE};

mod standing;
#[cfg(test)]
mod tests;

/// Rounds of multiplying shares along cycles, beyond one for each party: each round at least halves what is left
/// of the interval in the cases that are not degenerate, and stopping early errs to the careful side.
const CYCLE_ROUNDS: usize = 24;
/// Millionths in a hundredth of a percent.
const PER_BASIS_POINT: u32 = WHOLE / 10_000;

/// How tainted shares are held against a threshold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measure<'a> {
    /// Kinds of holding, each for itself; empty: those that are counted in shares.
    pub(super) interests: &'a BTreeSet<Interest>,
    pub(super) comparison: Comparison,
    pub(super) threshold_bp: u32,
    pub(super) aggregate: bool,
    pub(super) indirect: Indirect,
    /// Whether a decisive holding counts as the whole.
    pub(super) decisive: bool,
}

/// Whether something is tainted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Taint {
    No,
    Maybe,
    Yes,
}

impl Measure<'_> {
    fn is_crossed_by(&self, share: u32) -> bool {
        let threshold = self.threshold_bp.saturating_mul(PER_BASIS_POINT);
        match self.comparison {
            Comparison::MoreThan => share > threshold,
            Comparison::AtLeast => share >= threshold,
        }
    }

    /// Kinds that count in shares.
    fn kinds(&self) -> impl Iterator<Item = Interest> {
        let counts = |kind: &Interest| self.interests.is_empty() || self.interests.contains(kind);
        Interest::COUNTED.into_iter().filter(counts)
    }

    /// Holdings that taint whatever their share.
    fn decides(&self, interest: Interest) -> bool {
        interest.is_decisive() && (self.decisive || self.interests.contains(&interest))
    }
}

/// Which parties are tainted themselves, in the order of their names.
pub(super) struct Taints(Vec<Taint>);

/// Asks it of each. Free float belongs to nobody in particular.
pub(super) fn taints(ownership: &Ownership, mut of: impl FnMut(&str, &Party) -> Taint) -> Taints {
    let own = |(name, party): (&String, &Party)| match party.kind {
        PartyKind::Dispersed => Taint::No,
        PartyKind::Organisation | PartyKind::Person | PartyKind::State => of(name, party),
    };
    Taints(ownership.parties.iter().map(own).collect())
}

/// Whether the organisation is tainted by `measure`, given which parties are tainted themselves.
pub(super) fn judge(ownership: &Ownership, measure: &Measure<'_>, taints: &Taints) -> Taint {
    ownership.standing().shape.graph.judge(measure, &taints.0)
}

/// One holding, with parties by index; the organisation itself has the index after the last party.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Edge {
    holder: usize,
    interest: Interest,
    /// At least; what more it may be is what others are not known to have.
    least: u32,
}

/// The holdings of each party, and of the organisation itself.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Graph {
    held: Vec<Vec<Edge>>,
    /// The parties that each party holds something of.
    holds: Vec<Vec<usize>>,
    /// Whether holders hold each other.
    is_circular: bool,
}

impl Graph {
    fn new(ownership: &Ownership) -> Self {
        let own = ownership.parties.len();
        let names: BTreeMap<&str, usize> =
            ownership.parties.keys().enumerate().map(|(index, name)| (name.as_str(), index)).collect();
        let index = |name: &str| if name == SELF { own } else { names.get(name).copied().unwrap_or(own) };
        let mut held: Vec<Vec<Edge>> = (0..=own).map(|_| Vec::new()).collect();
        for stake in &ownership.stakes {
            let edge = Edge { holder: index(&stake.holder), interest: stake.interest, least: stake.share.least() };
            if let Some(edges) = held.get_mut(index(&stake.subject)) {
                edges.push(edge);
            }
        }
        let mut holds: Vec<Vec<usize>> = (0..own).map(|_| Vec::new()).collect();
        for (subject, edges) in held.iter().enumerate().take(own) {
            for holder in edges.iter().map(|edge| edge.holder) {
                if let Some(subjects) = holds.get_mut(holder).filter(|subjects| subjects.last() != Some(&subject)) {
                    subjects.push(subject);
                }
            }
        }
        let is_circular = is_circular(&held);
        Self { held, holds, is_circular }
    }

    fn judge(&self, measure: &Measure<'_>, direct: &[Taint]) -> Taint {
        let Some((own, parties)) = self.held.split_last() else { return Taint::No };
        // Nothing is held at all: a public body. A graph in which only others are held says nothing of this one.
        if own.is_empty() {
            return if parties.iter().all(Vec::is_empty) { Taint::No } else { Taint::Maybe };
        }
        if measure.aggregate { self.together(measure, direct) } else { self.one_by_one(measure, direct) }
    }

    fn together(&self, measure: &Measure<'_>, direct: &[Taint]) -> Taint {
        match measure.indirect {
            Indirect::Cascade => self.cascade(measure, direct),
            Indirect::LookThrough => self.look_through(measure, direct),
        }
    }

    /// A holder that is tainted itself counts with its full stake, any other with nothing.
    fn cascade(&self, measure: &Measure<'_>, direct: &[Taint]) -> Taint {
        let taints = self.cascaded(measure, direct);
        let found = self.held.last().map_or(Taint::No, |edges| tainted_by(edges, measure, &taints));
        if found == Taint::No && self.is_circular && self.is_crossed_in_the_end(measure, direct) {
            return Taint::Maybe;
        }
        found
    }

    /// Where holders hold each other, no cascade begins, and yet all may belong to somebody tainted: what they have of each
    /// other is the outsiders' again. What ends with these is asked by multiplication, which settles only that it is open.
    fn is_crossed_in_the_end(&self, measure: &Measure<'_>, direct: &[Taint]) -> bool {
        let mut shares = measure.kinds().filter_map(|kind| self.multiplied(kind, direct));
        shares.any(|(least, _)| measure.is_crossed_by(least))
    }

    /// What each party is, once those that own it have had their say. A party is asked again only when one of its holders
    /// became worse, which each does twice at most.
    fn cascaded(&self, measure: &Measure<'_>, direct: &[Taint]) -> Vec<Taint> {
        let mut taints = direct.to_vec();
        let mut asked_again: Vec<usize> = (0..direct.len()).collect();
        while let Some(index) = asked_again.pop() {
            let by_owners = self.held.get(index).map_or(Taint::No, |edges| tainted_by(edges, measure, &taints));
            if let Some(taint) = taints.get_mut(index).filter(|taint| **taint < by_owners) {
                *taint = by_owners;
                asked_again.extend(self.holds.get(index).into_iter().flatten());
            }
        }
        taints
    }

    /// Shares are multiplied along the way, from both ends of the interval. Decisive influence has no share that could
    /// be multiplied: it passes through holders as it does in a cascade.
    fn look_through(&self, measure: &Measure<'_>, direct: &[Taint]) -> Taint {
        let decided =
            self.held.last().map_or(Taint::No, |own| match own.iter().any(|edge| measure.decides(edge.interest)) {
                true => decided(own, measure, &self.cascaded(measure, direct)),
                false => Taint::No,
            });
        let worst = measure.kinds().filter_map(|kind| {
            let (least, most) = self.multiplied(kind, direct)?;
            Some(between(measure, least, most))
        });
        worst.max().unwrap_or_else(|| unstated(measure)).max(decided)
    }

    /// What a single tainted party has by all ways together, known or not: the one that has most.
    fn one_by_one(&self, measure: &Measure<'_>, direct: &[Taint]) -> Taint {
        let alone = |index: usize| {
            direct.iter().enumerate().map(move |(other, taint)| if other == index { *taint } else { Taint::No })
        };
        let tainted = (0..direct.len()).filter(|index| direct.get(*index).is_some_and(|taint| *taint != Taint::No));
        let each = tainted.map(|index| self.together(measure, &alone(index).collect::<Vec<_>>()));
        let unknown = self.together(measure, &vec![Taint::No; direct.len()]);
        each.max().unwrap_or(Taint::No).max(unknown)
    }

    /// The tainted share of the organisation's holdings of one kind: at least, at most. `None` if nothing of the
    /// kind is stated of it.
    fn multiplied(&self, kind: Interest, direct: &[Taint]) -> Option<(u32, u32)> {
        let own: Vec<&Edge> = of_kind(self.held.last()?, kind).collect();
        if own.is_empty() {
            return None;
        }
        let stated = |index: usize| self.held.get(index).is_some_and(|edges| of_kind(edges, kind).next().is_some());
        // Whose owners are stated, of this kind or of another: what is not said of them may belong to anybody.
        let is_owned = |index: usize| self.held.get(index).is_some_and(|edges| !edges.is_empty());
        let start = |known: u32, unknown: u32| {
            let share = move |(index, taint): (usize, &Taint)| match taint {
                Taint::Yes => WHOLE,
                Taint::Maybe if unknown == WHOLE => WHOLE,
                Taint::Maybe | Taint::No if is_owned(index) => unknown,
                Taint::Maybe | Taint::No => known,
            };
            direct.iter().enumerate().map(share).collect::<Vec<u32>>()
        };
        let (mut least, mut most) = (start(0, 0), start(0, WHOLE));
        for _ in 0..direct.len().saturating_add(CYCLE_ROUNDS) {
            let before = (least.clone(), most.clone());
            for index in 0..direct.len() {
                let Some(edges) = self.held.get(index).filter(|_| stated(index)) else { continue };
                let taint = direct.get(index).copied().unwrap_or(Taint::No);
                if taint == Taint::Yes {
                    continue;
                }
                let (low, high) =
                    (known_share(of_kind(edges, kind), &least), possible_share(of_kind(edges, kind), &most));
                set(&mut least, index, low);
                if taint == Taint::No {
                    set(&mut most, index, high);
                }
            }
            if (&before.0, &before.1) == (&least, &most) {
                break;
            }
        }
        Some((known_share(own.iter().copied(), &least), possible_share(own.iter().copied(), &most)))
    }
}

/// Whether a party holds, through others, of itself: some remain when those whose holders are all gone go, again and
/// again.
fn is_circular(held: &[Vec<Edge>]) -> bool {
    let mut is_gone = vec![false; held.len()];
    loop {
        let goes = |index: usize| {
            let is_free = |edge: &Edge| is_gone.get(edge.holder).copied().unwrap_or(true);
            !is_gone.get(index).copied().unwrap_or(true)
                && held.get(index).is_some_and(|edges| edges.iter().all(is_free))
        };
        let next: Vec<usize> = (0..held.len()).filter(|index| goes(*index)).collect();
        if next.is_empty() {
            return is_gone.contains(&false);
        }
        for index in next {
            if let Some(gone) = is_gone.get_mut(index) {
                *gone = true;
            }
        }
    }
}

fn set(shares: &mut [u32], index: usize, share: u32) {
    if let Some(old) = shares.get_mut(index) {
        *old = share;
    }
}

fn of_kind(edges: &[Edge], kind: Interest) -> impl Iterator<Item = &Edge> + Clone {
    edges.iter().filter(move |edge| edge.interest == kind)
}

/// What is known to be tainted: the least of each stake, times what is tainted of its holder.
fn known_share<'e>(edges: impl Iterator<Item = &'e Edge>, tainted: &[u32]) -> u32 {
    let of = |edge: &Edge| times(edge.least, tainted.get(edge.holder).copied().unwrap_or(0));
    edges.map(of).fold(0_u32, u32::saturating_add).min(WHOLE)
}

/// What may be tainted: all but the least of each stake, times what is clean of its holder.
fn possible_share<'e>(edges: impl Iterator<Item = &'e Edge>, tainted: &[u32]) -> u32 {
    let clean = |edge: &Edge| WHOLE.saturating_sub(tainted.get(edge.holder).copied().unwrap_or(WHOLE));
    let of = |edge: &Edge| times(edge.least, clean(edge));
    WHOLE.saturating_sub(edges.map(of).fold(0, u32::saturating_add))
}

/// A part of a part, rounded down.
fn times(one: u32, other: u32) -> u32 {
    let product = u64::from(one).saturating_mul(u64::from(other)) / u64::from(WHOLE);
    u32::try_from(product).unwrap_or(WHOLE)
}

/// Whether holders taint what they hold, by any of the kinds that count.
fn tainted_by(edges: &[Edge], measure: &Measure<'_>, taints: &[Taint]) -> Taint {
    if edges.is_empty() {
        return Taint::No;
    }
    let stated = measure.kinds().filter(|kind| of_kind(edges, *kind).next().is_some());
    let by_share = stated.map(|kind| {
        let (least, most) = range(&of_kind(edges, kind), taints);
        between(measure, least, most)
    });
    by_share.max().unwrap_or_else(|| unstated(measure)).max(decided(edges, measure, taints))
}

/// Something is stated, and nothing of what counts: what counts may belong to anybody.
fn unstated(measure: &Measure<'_>) -> Taint {
    if measure.kinds().next().is_none() { Taint::No } else { Taint::Maybe }
}

/// Whether a tainted holder decides, whatever its share.
fn decided(edges: &[Edge], measure: &Measure<'_>, taints: &[Taint]) -> Taint {
    let deciding = edges.iter().filter(|edge| measure.decides(edge.interest));
    deciding.filter_map(|edge| taints.get(edge.holder).copied()).max().unwrap_or(Taint::No)
}

fn between(measure: &Measure<'_>, least: u32, most: u32) -> Taint {
    match (measure.is_crossed_by(least), measure.is_crossed_by(most)) {
        (true, _) => Taint::Yes,
        (false, true) => Taint::Maybe,
        (false, false) => Taint::No,
    }
}

/// The tainted share, full stakes of tainted holders: at least and at most.
fn range<'e>(edges: &(impl Iterator<Item = &'e Edge> + Clone), taints: &[Taint]) -> (u32, u32) {
    let of = |wanted: Taint| {
        let taint = move |edge: &&Edge| taints.get(edge.holder).copied().unwrap_or(Taint::Maybe) == wanted;
        edges.clone().filter(taint).map(|edge| edge.least).fold(0_u32, u32::saturating_add)
    };
    (of(Taint::Yes).min(WHOLE), WHOLE.saturating_sub(of(Taint::No)))
}
