//! What would help: offers that a caller would regain if it dropped one requirement (VOCABULARY D20).

use crate::{Offer, Organisation, Request, Tables, Verdict, evaluate};

/// A requirement, and how many offers come back without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relaxation {
    /// The requirement, by the key of its requirements file.
    pub constraint: &'static str,
    /// The offers, by their place in the list that was asked about.
    pub regained: Vec<usize>,
}

/// For each requirement that is set: the rejected offers that would be eligible if only it were dropped. Most first;
/// requirements that bring nothing back are left out.
#[must_use]
pub fn relaxations(offers: &[(&Offer, &Organisation)], request: &Request<'_>, tables: &Tables) -> Vec<Relaxation> {
    let is_eligible = |(offer, operator): (&Offer, &Organisation), request: &Request<'_>| {
        matches!(evaluate(offer, operator, request, tables), Verdict::Eligible { .. })
    };
    let rejected: Vec<_> =
        offers.iter().copied().enumerate().filter(|(_, offer)| !is_eligible(*offer, request)).collect();
    let mut all = Vec::new();
    for (constraint, requirements) in request.requirements.without_each() {
        let relaxed = Request { requirements: &requirements, ..request.clone() };
        let regained: Vec<_> =
            rejected.iter().filter(|(_, offer)| is_eligible(*offer, &relaxed)).map(|(index, _)| *index).collect();
        if !regained.is_empty() {
            all.push(Relaxation { constraint, regained });
        }
    }
    all.sort_by_key(|relaxation| std::cmp::Reverse(relaxation.regained.len()));
    all
}

#[cfg(test)]
mod tests;
