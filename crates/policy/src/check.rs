//! Whether facts, offers and terms can be as they stand: lengths, ranges, intervals and names that stand twice.
//!
//! The types keep out what has no meaning (a place that is no code, a currency that is none). What is left is held
//! here, for files and for the wire alike, and every fault is reported, not the first. Whether codes are those of the
//! tables is [`codes`]' to say: tables grow, so that a stored fact with a code of tomorrow stays readable.

pub mod codes;
mod offer;
mod organisation;
mod terms;

use std::collections::BTreeSet;

use comity_types::{Interval, Timestamp};

use crate::claim::Statement;
use crate::limits::{MAX_TEXT_BYTES, MAX_URI_BYTES, WHOLE_BP};
use crate::{Claim, Offer, Organisation, Tables, Terms};

/// A field that cannot be as it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct Fault {
    /// The field's path, such as `terms.caller_rules.ownership[0].threshold_bp`.
    pub path: String,
    /// What is wrong, and what would be accepted.
    pub problem: String,
}

impl Fault {
    pub(crate) fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }

    /// Puts the name of what holds the field before the path.
    #[must_use]
    pub fn within(self, holder: &str) -> Self {
        Self { path: format!("{holder}.{}", self.path), ..self }
    }
}

/// Faults of something that cannot be used with them, a line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Unfit(pub Vec<Fault>);

/// Nothing, if nothing is wrong.
///
/// # Errors
/// All of the faults.
pub fn accept(faults: Vec<Fault>) -> Result<(), Unfit> {
    if faults.is_empty() { Ok(()) } else { Err(Unfit(faults)) }
}

/// Every fault of an offer, its terms included.
#[must_use]
pub fn offer(offer: &Offer) -> Vec<Fault> {
    let mut faults = Faults::default();
    offer::check(offer, &mut faults);
    let terms = offer.terms.iter().flat_map(terms).map(|fault| fault.within("terms"));
    faults.0.into_iter().chain(terms).collect()
}

/// Every fault of terms.
#[must_use]
pub fn terms(terms: &Terms) -> Vec<Fault> {
    let mut faults = Faults::default();
    terms::check(terms, &mut faults);
    faults.0
}

/// Every fault of an organisation's facts.
#[must_use]
pub fn organisation(facts: &Organisation) -> Vec<Fault> {
    let mut faults = Faults::default();
    organisation::check(facts, &mut faults);
    faults.0
}

/// Accepts an organisation's file, all of whose codes the tables have.
///
/// # Errors
/// Every fault, not the first.
pub fn organisation_file(facts: &Organisation, tables: &Tables) -> Result<(), Unfit> {
    accept(organisation(facts).into_iter().chain(codes::organisation(facts, tables)).collect())
}

/// What is found, field by field.
#[derive(Debug, Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, path: impl Into<String>, problem: impl Into<String>) {
        self.0.push(Fault::new(path, problem));
    }

    /// A list with a bound.
    fn bounded(&mut self, path: &str, found: usize, most: usize) {
        if let Some(problem) = too_many(found, most) {
            self.add(path, problem);
        }
    }

    /// A text that people read, with a bound.
    fn text(&mut self, path: &str, text: &str, most: usize) {
        if let Some(problem) = unfit(text, most) {
            self.add(path, problem);
        }
    }

    /// A name that stands in the subject of a reason, which has these signs of its own.
    fn quotable(&mut self, path: &str, name: &str) {
        if name.contains(['(', ')', ',']) {
            self.add(path, "has a parenthesis or a comma, by which reasons are read: leave it out");
        }
    }

    /// A set of short texts. It has no order of its own, so that a text is named by itself.
    fn texts<'a>(&mut self, path: &str, texts: impl IntoIterator<Item = &'a String>, most: usize) {
        if let Some(problem) = unfit_texts(texts, most) {
            self.add(path, problem);
        }
    }

    /// Names of which each stands once.
    fn once<T: Ord + std::fmt::Display>(&mut self, path: &str, names: impl IntoIterator<Item = T>) {
        let mut seen = BTreeSet::new();
        for name in names {
            let problem = format!("{} stands twice: rename or remove one", shown(&name.to_string()));
            if !seen.insert(name) {
                self.add(path, problem);
            }
        }
    }

    fn interval(&mut self, path: &str, interval: Interval) {
        if interval.is_empty() {
            self.add(path, "`from` must be before `until`");
        }
    }

    /// Two instants of which the first is before the last.
    fn in_order(&mut self, path: &str, bounds: [(&str, Option<Timestamp>); 2]) {
        if let [(first, Some(from)), (last, Some(until))] = bounds
            && from >= until
        {
            self.add(format!("{path}.{first}"), format!("{from} is not before `{last}`, which is {until}"));
        }
    }

    fn share(&mut self, path: &str, basis_points: u32) {
        if let Some(problem) = more_than_whole(basis_points) {
            self.add(path, problem);
        }
    }

    fn level(&mut self, path: &str, level: u8, least: u8, most: u8) {
        if !(least..=most).contains(&level) {
            self.add(path, format!("{level} is outside {least} to {most}"));
        }
    }

    /// What every claim has, and what this one's values need: `check` gets the path of a statement.
    fn claim<T>(&mut self, path: &str, claim: Option<&Claim<T>>, check: impl Fn(&mut Self, &str, &T)) {
        let statements = claim.map(Claim::statements).unwrap_or_default();
        for (index, statement) in statements.iter().enumerate() {
            let path = if statements.len() == 1 { path.to_owned() } else { format!("{path}[{index}]") };
            self.circumstances(&path, statement);
            check(self, &path, &statement.value);
        }
    }

    fn circumstances<T>(&mut self, path: &str, statement: &Statement<T>) {
        if let Some(issuer) = &statement.issuer {
            self.text(&format!("{path}.issuer"), issuer, MAX_TEXT_BYTES);
        }
        if let Some(evidence) = &statement.evidence {
            self.text(&format!("{path}.evidence.uri"), &evidence.uri, MAX_URI_BYTES);
        }
    }
}

/// What is wrong with the length of a list.
pub(crate) fn too_many(found: usize, most: usize) -> Option<String> {
    (found > most).then(|| format!("has {found} entries, at most {most} are accepted"))
}

/// What is wrong with a set of short texts.
pub(crate) fn unfit_texts<'a>(texts: impl IntoIterator<Item = &'a String>, most: usize) -> Option<String> {
    let mut found = 0_usize;
    for text in texts {
        if let Some(problem) = unfit(text, MAX_TEXT_BYTES) {
            return Some(format!("{:?}: {problem}", shown(text)));
        }
        found = found.saturating_add(1);
    }
    too_many(found, most)
}

/// The path of what `name` names, in a set or a table at `path`.
fn named(path: &str, name: &str) -> String {
    format!("{path}.{}", shown(name))
}

/// A text as far as a line of a message has room for it, without what would steer a terminal.
fn shown(text: &str) -> String {
    /// Enough to find it by.
    const SHOWN_CHARS: usize = 40;
    let cut = if text.chars().nth(SHOWN_CHARS).is_some() { "..." } else { "" };
    let shown = text.chars().take(SHOWN_CHARS).filter(|one| !comity_types::display::steers(*one)).collect::<String>();
    shown + cut
}

/// What is wrong with a text that people read.
pub(crate) fn unfit(text: &str, most: usize) -> Option<String> {
    if text.is_empty() || text.len() > most {
        return Some(format!("1 to {most} bytes are accepted, this has {}", text.len()));
    }
    let steers = text.chars().any(comity_types::display::steers);
    steers.then(|| "control characters and marks of writing direction are not accepted".to_owned())
}

/// What is wrong with a share.
pub(crate) fn more_than_whole(basis_points: u32) -> Option<String> {
    (basis_points > WHOLE_BP).then(|| format!("{basis_points} is more than {WHOLE_BP}, which is 100 %"))
}

#[cfg(test)]
mod tests;
