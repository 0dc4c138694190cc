//! What never changes: the other side of every evaluation, and what must hold of a verdict.

use std::fmt::{Debug, Display};
use std::sync::{Arc, LazyLock};

use comity_policy::requirements::RequirementsFile;
use comity_policy::{Capability, Index, Offer, Organisation, Request, Tables, Usage, Verdict, evaluate};
use comity_types::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::seeds;

/// The offer that fuzzed demands are held against: it states all that an offer can.
pub(crate) static OFFER: LazyLock<Offer> = LazyLock::new(|| must(toml::from_str(seeds::OFFER)));
/// Who operates it.
pub(crate) static OPERATOR: LazyLock<Organisation> = LazyLock::new(|| must(toml::from_str(seeds::OPERATOR)));
/// The same offer, as a broker finds it.
pub(crate) static INDEX: LazyLock<Index> =
    LazyLock::new(|| Index::of_pairs([(OFFER.clone(), OPERATOR.clone())], Arc::new(tables().clone())));
/// Who asks.
pub(crate) static CALLER: LazyLock<Organisation> = LazyLock::new(|| must(toml::from_str(seeds::CALLER)));
/// What is demanded of fuzzed offers: every key of a requirements file, and nothing but a purpose.
pub(crate) static DEMANDS: LazyLock<[RequirementsFile; 2]> = LazyLock::new(|| {
    [seeds::REQUIREMENTS, "purposes = ['dpv:CustomerCare']"]
        .map(|text| must(RequirementsFile::from_toml(text, tables())))
});
/// The instant of every decision.
const AS_OF: &str = "2026-11-22";

/// What the seeds promise.
pub(crate) fn must<T, E: Debug>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error:?}"))
}

pub(crate) fn tables() -> &'static Tables {
    must(Tables::builtin())
}

pub(crate) fn as_of() -> Timestamp {
    must(AS_OF.parse())
}

/// A request of `caller`.
pub(crate) fn request<'a>(caller: &'a Organisation, asked: &'a RequirementsFile) -> Request<'a> {
    Request {
        caller,
        model: None,
        capability: Capability::Chat,
        declared: &asked.declared,
        requirements: &asked.requirements,
        broker_places: None,
        used: Usage::none(),
        as_of: as_of(),
    }
}

/// Evaluates, and holds the verdict to its laws.
pub(crate) fn evaluated(offer: &Offer, operator: &Organisation, request: &Request<'_>) -> Verdict {
    let verdict = evaluate(offer, operator, request, tables());
    match &verdict {
        Verdict::Eligible { expires_at } => {
            assert!(expires_at.is_none_or(|end| end > request.as_of), "eligible, and ended by {expires_at:?}");
        }
        Verdict::Rejected { reasons } => assert!(!reasons.is_empty(), "rejected without a reason (L6)"),
    }
    verdict.reasons().iter().for_each(said);
    assert_eq!(verdict, evaluate(offer, operator, request, tables()), "two verdicts on the same (L5)");
    verdict
}

/// What is shown to people is something.
pub(crate) fn said(text: impl Display) {
    assert!(!text.to_string().is_empty(), "nothing is said");
}

/// What is written, in TOML and in JSON, is read as the same.
pub(crate) fn survives<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let text = must(toml::to_string(value));
    let read: T = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}\nwas written:\n{text}"));
    assert_eq!(&read, value, "changed by TOML:\n{text}");
    let text = must(serde_json::to_string(value));
    let read: T = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}\nwas written:\n{text}"));
    assert_eq!(&read, value, "changed by JSON:\n{text}");
}
