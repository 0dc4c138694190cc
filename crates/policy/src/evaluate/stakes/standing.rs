//! What follows from an ownership, whoever asks: who controls, and the graph that rules are held against. Names are left
//! out where no reason has them, so that organisations that are owned alike are alike.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};

use comity_types::Place;

use super::{Graph, Measure, Taint};
use crate::caller_rules::{Comparison, Indirect};
use crate::ownership::{Ownership, Party, PartyKind};

/// Control: more than half of the capital or the votes, or decisive influence at any share.
pub(super) const CONTROL: Measure<'static> = Measure {
    interests: &BTreeSet::new(),
    comparison: Comparison::MoreThan,
    threshold_bp: 5_000,
    aggregate: true,
    indirect: Indirect::Cascade,
    decisive: true,
};

/// What follows from an ownership.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) shape: Shape,
    pub(crate) controllers: Controllers,
}

/// Who holds how much, and where they are.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shape {
    pub(super) graph: Graph,
    /// By the order of their names.
    parties: Vec<(PartyKind, Option<Place>, Option<Place>)>,
}

/// Who controls the organisation.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Controllers {
    /// Each party that does or may.
    pub(crate) holders: Vec<Holder>,
    /// Whether somebody may of whom nothing is said.
    pub(crate) is_open: bool,
}

/// A party that controls an organisation, or may.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) name: String,
    pub(crate) control: Taint,
    seat: Option<Place>,
    headquarters: Option<Place>,
}

impl Standing {
    pub(crate) fn of(ownership: &Ownership) -> Self {
        let graph = Graph::new(ownership);
        let controllers = Controllers::of(ownership, &graph);
        let places = |party: &Party| (party.kind, party.seat.clone(), party.headquarters.clone());
        let parties = ownership.parties().values().map(places).collect();
        Self { shape: Shape { graph, parties }, controllers }
    }
}

impl Controllers {
    fn of(ownership: &Ownership, graph: &Graph) -> Self {
        let parties = ownership.parties();
        let mut alone = vec![Taint::No; parties.len()];
        let is_open = graph.judge(&CONTROL, &alone) != Taint::No;
        let mut holders = Vec::new();
        for (index, (name, party)) in parties.iter().enumerate() {
            set(&mut alone, index, Taint::Yes);
            let control = if party.kind == PartyKind::Dispersed { Taint::No } else { graph.judge(&CONTROL, &alone) };
            set(&mut alone, index, Taint::No);
            if control != Taint::No {
                let Party { seat, headquarters, .. } = party.clone();
                holders.push(Holder { name: name.clone(), control, seat, headquarters });
            }
        }
        Self { holders, is_open }
    }
}

fn set(taints: &mut [Taint], index: usize, taint: Taint) {
    if let Some(old) = taints.get_mut(index) {
        *old = taint;
    }
}

impl Holder {
    pub(crate) const fn has_seat(&self) -> bool {
        self.seat.is_some()
    }

    /// Its seat, and its headquarters.
    pub(crate) fn places(&self) -> impl Iterator<Item = &Place> {
        self.seat.iter().chain(&self.headquarters)
    }

    /// What reasons have of it: its name alone if it controls the organisation, and nobody says where it sits.
    fn said(&self) -> (Taint, Option<&Place>, Option<&Place>, Option<&str>) {
        let is_named = !self.has_seat() && self.control == Taint::Yes;
        (self.control, self.seat.as_ref(), self.headquarters.as_ref(), is_named.then_some(&self.name))
    }
}

impl PartialEq for Holder {
    fn eq(&self, other: &Self) -> bool {
        self.said() == other.said()
    }
}

impl Eq for Holder {}

impl Hash for Holder {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.said().hash(state);
    }
}
