//! Case files: a fixture, changes of it, and the complete reasons that are expected of each.
//!
//! ```toml
//! about = "what the file shows"
//!
//! [fixture]
//! as_of = 2026-11-22            # the instant of the decision
//! broker_places = ["DE"]        # leave out: the broker sees no content
//! capability = "chat"           # what the method needs; the default
//! app = "assistant"             # the caller's app that asks; leave out: one of which no layer speaks
//! used = { "op.example/n1/chat" = 5 }   # requests that the caller has sent to offers on the day of `as_of`
//! issuers = [{ id = "audit", up_to = "audited" }]   # whose word counts here, beside those of the table
//! [fixture.offer]               # an offer, as node.toml has it, with its `node` and its `terms`
//! [fixture.operator]            # an organisation, as organisation.toml has it
//! [fixture.caller]              # the same of the caller, with what it demands: `require`, `apps.NAME.require`
//! [fixture.require]             # a requirements file: what is demanded, what is declared
//!
//! [[case]]
//! id = "1"
//! about = "the United Kingdom left"
//! set = { "offer.{processing,storage,access}_locations" = ["GB"], "require.allowed_processing_locations" = ["EU"] }
//! unset = ["offer.price"]
//! app = "assistant"             # short for `app` in `set`
//! expect = ["PROCESSING_LOCATION_NOT_ALLOWED(GB)"]   # complete; [] is eligible
//! [[case.sub]]                  # what is changed on top
//! id = "b"
//! set = { as_of = 2020-01-31 }
//! expect = []
//! ```
//!
//! A case that cannot be put together fails by itself, with what is wrong with it; the others of its file are run.

mod change;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use comity_types::{Distinct, ModelName, Name, Place, Timestamp};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

pub use self::change::{MAX_ALTERNATIVES, MAX_CHANGES, MAX_PATH_BYTES, MAX_PATH_PARTS};
use self::change::{bytes_of, changed};
use crate::check::{self, Fault, unfit};
use crate::claim::Assurance;
use crate::limits::{MAX_LIST, MAX_TEXT_BYTES};
use crate::organisation::{LayerError, OrganisationTable};
use crate::requirements::RequirementsTable;
use crate::{
    Capability, Offer, Organisation, OrganisationFile, Reason, ReasonCode, Request, Tables, Usage, Verdict, evaluate,
};

/// Most cases of one file, with their sub-cases: what a person can still read.
pub const MAX_CASES: usize = 4_096;
/// Longest case file, in bytes: every case is a fixture of its own once it is read.
pub const MAX_CASE_FILE_BYTES: usize = 1024 * 1024;
/// Most bytes of keys and values of all cases together: each is the fixture, changed, and all are kept, in some twenty
/// times as many bytes of memory.
pub const MAX_EXPANDED_BYTES: usize = 16 * 1024 * 1024;

/// A case file that cannot be used: which case, which field.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// Not TOML of this form; the source names line and key.
    #[error("the case file cannot be understood")]
    Malformed(#[source] Box<toml::de::Error>),
    /// Longer than [`MAX_CASE_FILE_BYTES`].
    #[error("the case file has {0} bytes, at most {MAX_CASE_FILE_BYTES} are accepted (hint: make two files of it)")]
    TooLong(usize),
    /// A case that cannot be put together.
    #[error("case {case}: {problem}")]
    Case {
        /// The case, with its sub-case.
        case: String,
        /// What is wrong, with the field.
        problem: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    #[expect(dead_code, reason = "for whoever reads the file")]
    about: String,
    fixture: Table,
    #[serde(default)]
    case: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    #[serde(default)]
    about: String,
    #[serde(default)]
    set: BTreeMap<String, Value>,
    #[serde(default)]
    unset: Vec<String>,
    #[serde(default)]
    app: Option<String>,
    #[serde(default)]
    expect: Option<BTreeSet<String>>,
    #[serde(default)]
    expires_at: Option<Timestamp>,
    #[serde(default)]
    sub: Vec<Self>,
}

/// A fixture with its changes, read.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct World {
    /// The offer.
    pub offer: Offer,
    /// Who operates it.
    pub operator: Organisation,
    /// Who asks, and what it demands of its own requests.
    pub caller: OrganisationTable,
    /// The app that asks, whose layer counts as well; absent: one that the caller does not name.
    #[serde(default)]
    pub app: Option<Name>,
    /// What is demanded and declared.
    #[serde(default)]
    pub require: RequirementsTable,
    /// The instant.
    pub as_of: Timestamp,
    /// Where the broker is; absent: it sees no content.
    #[serde(default)]
    pub broker_places: Option<BTreeSet<Place>>,
    /// What the method needs.
    #[serde(default = "chat")]
    pub capability: Capability,
    /// The model that is asked for; absent: any.
    #[serde(default)]
    pub model: Option<ModelName>,
    /// How many requests the caller has sent to offers on the day of the decision.
    #[serde(default)]
    pub used: Usage,
    /// Whose word counts, beside the issuers of the table.
    #[serde(default)]
    pub issuers: Vec<TrustedIssuer>,
}

/// Somebody whose word counts in a case, and how far.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedIssuer {
    /// Its name in statements.
    pub id: String,
    /// The highest level that its word has.
    pub up_to: Assurance,
}

const fn chat() -> Capability {
    Capability::Chat
}

/// What a case expects.
#[derive(Debug)]
pub struct Expectation {
    /// The case, with its sub-case: `18/a`.
    pub id: String,
    /// What it shows.
    pub about: String,
    /// What is asked, or why nothing can be: the field, and what is wrong with it.
    pub world: Result<World, String>,
    /// The complete reasons; none is eligible.
    pub reasons: BTreeSet<String>,
    /// When an eligible verdict ends, if that is expected as well.
    pub expires_at: Option<Timestamp>,
}

/// What became of a case.
#[derive(Debug)]
pub struct Outcome {
    /// Reasons that were expected and not found.
    pub missing: BTreeSet<String>,
    /// Reasons that were found and not expected.
    pub unexpected: Vec<Reason>,
    /// When the verdict ends, where that was expected to be another instant.
    pub other_end: Option<Option<Timestamp>>,
}

impl Outcome {
    /// True if all is as expected.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.other_end.is_none()
    }
}

/// Reads a case file. A case that cannot be put together is among the expectations, and has no verdict.
///
/// # Errors
/// Names the line, or the case that makes the file as a whole unusable.
pub fn parse(text: &str) -> Result<Vec<Expectation>, CaseError> {
    if text.len() > MAX_CASE_FILE_BYTES {
        return Err(CaseError::TooLong(text.len()));
    }
    let malformed = |error| CaseError::Malformed(Box::new(error));
    let file: File = toml::from_str(text).map_err(malformed)?;
    let mut expanded = Expanded::default();
    for case in &file.case {
        expand(Ok(file.fixture.clone()), case, None, &mut expanded)?;
    }
    let all = expanded.all;
    toml::from_str::<Distinct>(text).map_err(malformed)?;
    if all.is_empty() {
        return Err(fail("of the file", "there are none, and at least 1 is accepted (hint: add a [[case]])"));
    }
    Ok(all)
}

fn fail(case: &str, problem: impl Into<String>) -> CaseError {
    CaseError::Case { case: case.to_owned(), problem: problem.into() }
}

/// The cases of a file, each with its own world.
#[derive(Default)]
struct Expanded {
    all: Vec<Expectation>,
    /// Bytes of all worlds together, before they were read.
    bytes: usize,
}

fn expand(
    fixture: Result<Table, String>,
    case: &Case,
    parent: Option<&Case>,
    expanded: &mut Expanded,
) -> Result<(), CaseError> {
    let all = &mut expanded.all;
    let id = parent.map_or_else(|| case.id.clone(), |parent| format!("{}/{}", parent.id, case.id));
    if all.iter().any(|other| other.id == id) {
        return Err(fail(&id, "another case has this id: rename one"));
    }
    for (field, text) in [("id", &case.id), ("about", &case.about)] {
        if let Some(problem) = unfit(text, MAX_TEXT_BYTES).filter(|_| field == "id" || !text.is_empty()) {
            return Err(fail(&id, format!("`{field}`: {problem}")));
        }
    }
    if case.expect.is_none() && case.sub.is_empty() {
        return Err(fail(&id, "`expect` is missing: [] expects that the offer is eligible"));
    }
    if parent.is_some() && !case.sub.is_empty() {
        return Err(fail(&id, "`sub`: a sub-case has none of its own"));
    }
    let table = fixture.and_then(|table| changed(table, case));
    expanded.bytes = expanded.bytes.saturating_add(table.as_ref().map_or(0, bytes_of));
    if expanded.bytes > MAX_EXPANDED_BYTES {
        let most = MAX_EXPANDED_BYTES / (1024 * 1024);
        let problem = format!(
            "with this one, all cases take more than {most} MiB (hint: make two files of it, or a smaller fixture)"
        );
        return Err(fail(&id, problem));
    }
    if let Some(reasons) = &case.expect {
        if all.len() >= MAX_CASES {
            return Err(fail(&id, format!("at most {MAX_CASES} cases are accepted (hint: make two files of it)")));
        }
        let world = known(reasons).and_then(|()| table.clone()).and_then(world);
        let about = if case.about.is_empty() {
            parent.map(|p| p.about.clone()).unwrap_or_default()
        } else {
            case.about.clone()
        };
        all.push(Expectation { id, about, world, reasons: reasons.clone(), expires_at: case.expires_at });
    }
    case.sub.iter().try_for_each(|sub| expand(table.clone(), sub, Some(case), expanded))
}

/// The world of a case, in which nothing is longer, larger or reversed that a broker would refuse.
fn world(table: Table) -> Result<World, String> {
    let world = World::deserialize(Value::Table(table)).map_err(|error| error.to_string().trim_end().to_owned())?;
    let mut faults: Vec<Fault> = check::offer(&world.offer).into_iter().map(|fault| fault.within("offer")).collect();
    for (name, facts) in [("operator", &world.operator), ("caller", world.caller.facts())] {
        faults.extend(check::organisation(facts).into_iter().map(|fault| fault.within(name)));
    }
    let broker_places = world.broker_places.as_ref().map_or(0, BTreeSet::len);
    faults.extend(check::too_many(broker_places, MAX_LIST).map(|problem| Fault::new("broker_places", problem)));
    faults.extend(check::too_many(world.issuers.len(), MAX_LIST).map(|problem| Fault::new("issuers", problem)));
    check::accept(faults).map_err(|unfit| unfit.to_string())?;
    Ok(world)
}

/// Who asks, with the layers of its requirements as a broker would accept them.
fn caller(world: &World, tables: &Tables) -> Result<OrganisationFile, String> {
    let wrong = |LayerError { table, source }| format!("caller.{table}: {source}");
    let caller = world.caller.clone().expand(tables).map_err(wrong)?;
    caller.layers.check(tables).map_err(|(path, problem)| format!("caller: {path}: {problem}"))?;
    Ok(caller)
}

/// Whether every reason that is expected begins with a code.
fn known(reasons: &BTreeSet<String>) -> Result<(), String> {
    let unknown = |text: &&String| text.split('(').next().unwrap_or_default().parse::<ReasonCode>().is_err();
    match reasons.iter().find(unknown) {
        Some(unknown) => Err(format!("`expect`: {unknown} begins with no code of docs/reasons.md")),
        None => Ok(()),
    }
}

impl Expectation {
    /// Evaluates the case.
    ///
    /// # Errors
    /// It cannot be put together, or its requirements cannot be used.
    pub fn verdict(&self, tables: &Tables) -> Result<Verdict, CaseError> {
        let world = self.world.as_ref().map_err(|problem| fail(&self.id, problem))?;
        let mut own = Cow::Borrowed(tables);
        for issuer in &world.issuers {
            own.to_mut().issuers.trust(&issuer.id, issuer.up_to, world.as_of);
        }
        let tables = own.as_ref();
        let file = world.require.clone().expand(tables).map_err(|error| fail(&self.id, format!("require: {error}")))?;
        let caller = caller(world, tables).map_err(|problem| fail(&self.id, problem))?;
        let demanded = caller.layers.demanded(world.app.as_ref(), &file.requirements);
        let request = Request {
            caller: &caller.facts,
            model: world.model.as_ref(),
            capability: world.capability,
            declared: &file.declared,
            requirements: &demanded.requirements,
            broker_places: world.broker_places.as_ref(),
            used: &world.used,
            as_of: world.as_of,
        };
        Ok(evaluate(&world.offer, &world.operator, &request, tables))
    }

    /// Holds a verdict against what is expected.
    #[must_use]
    pub fn compare(&self, verdict: &Verdict) -> Outcome {
        let found: BTreeSet<String> = verdict.reasons().iter().map(ToString::to_string).collect();
        let unexpected = verdict.reasons().iter().filter(|reason| !self.reasons.contains(&reason.to_string()));
        let end = match verdict {
            Verdict::Eligible { expires_at } => *expires_at,
            Verdict::Rejected { .. } => None,
        };
        let other_end = self.expires_at.filter(|expected| end != Some(*expected)).map(|_| end);
        Outcome {
            missing: self.reasons.difference(&found).cloned().collect(),
            unexpected: unexpected.cloned().collect(),
            other_end,
        }
    }
}

#[cfg(test)]
mod tests;
