//! What would help: offers that a caller would regain if it dropped one requirement (VOCABULARY D20).

use crate::{Index, Request};

/// A requirement, and how many offers come back without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relaxation {
    /// The requirement, by the key of its requirements file.
    pub constraint: &'static str,
    /// The offers, by their place in the index.
    pub regained: Vec<usize>,
}

/// For each requirement that is set: the rejected offers that would be eligible if only it were dropped. Most first;
/// requirements that bring nothing back are left out.
#[must_use]
pub fn relaxations(index: &Index, request: &Request<'_>) -> Vec<Relaxation> {
    let before = index.ask(request);
    let mut all = Vec::new();
    for (constraint, requirements) in request.requirements.without_each() {
        let relaxed = index.ask(&Request { requirements: &requirements, ..request.clone() });
        let regained: Vec<_> = relaxed.eligible().filter(|place| !before.is_eligible(*place)).collect();
        if !regained.is_empty() {
            all.push(Relaxation { constraint, regained });
        }
    }
    all.sort_by_key(|relaxation| std::cmp::Reverse(relaxation.regained.len()));
    all
}

#[cfg(test)]
mod tests;
