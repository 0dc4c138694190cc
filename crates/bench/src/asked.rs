//! Requests: what callers demand and declare, from nothing at all to a sovereign's list.

use std::collections::BTreeSet;

use comity_policy::requirements::{RequirementsFile, RequirementsTable};
use comity_policy::{Capability, Organisation, Request, Tables, Usage};
use comity_types::{ModelName, Place, Timestamp};

/// How many organisations ask.
pub(crate) const CALLERS: usize = 8;

/// Requirements files, by what they stand for.
const FILES: &[(&str, &str)] = &[
    ("nothing demanded", ""),
    (
        "processing in the EU, no training, 30 days",
        "allowed_processing_locations = ['EU']\nno_training = true\nmax_content_retention_days = 30\naccept_retention_triggers = ['legal-obligation']",
    ),
    ("EU-sovereign", "preset = ['eu-sovereign']\nno_training = true"),
    ("EEA and adequate places", "preset = ['eea-plus-adequate']\nno_human_review = true"),
    ("zero retention, strictly", "no_training = true\nmax_content_retention_days = 0\nno_content_logging = true"),
    ("like SecNumCloud", "preset = ['secnumcloud-like']"),
    (
        "certificates, a price and tools",
        "required_certifications = [{ scheme = 'ISO27001' }]\nrequired_capabilities = ['tools']\nmax_price = { currency = 'EUR', input_micros_per_million_tokens = 2500000, output_micros_per_million_tokens = 8000000 }",
    ),
    (
        "no compelled access by the US",
        "preset = ['no-us-compelled-access']\nforbidden_processing_locations = ['US', 'CN']",
    ),
];

/// A request without its model.
#[derive(Debug)]
pub struct Asked {
    /// What it stands for.
    pub about: &'static str,
    file: RequirementsFile,
    broker_places: BTreeSet<Place>,
    as_of: Timestamp,
}

/// Every kind of request.
///
/// # Panics
/// If a file is one that the policy refuses: a mistake in this crate.
#[must_use]
#[expect(clippy::expect_used, reason = "measurements end loudly")]
pub fn asked(tables: &Tables) -> Vec<Asked> {
    let read = |(about, text): &(&'static str, &str)| {
        let text = format!("purposes = ['dpv:CustomerCare']\n{text}");
        let table: RequirementsTable = toml::from_str(&text).expect("a requirements file");
        let file = table.expand(tables).expect("presets of the table");
        let broker_places = ["DE".parse().expect("a place")].into();
        Asked { about, file, broker_places, as_of: "2026-11-22".parse().expect("a day") }
    };
    FILES.iter().map(read).collect()
}

impl Asked {
    /// The request, by `caller`, for a model or for any.
    #[must_use]
    pub fn by<'a>(&'a self, caller: &'a Organisation, model: Option<&'a ModelName>) -> Request<'a> {
        Request {
            caller,
            model,
            capability: Capability::Chat,
            declared: &self.file.declared,
            requirements: &self.file.requirements,
            broker_places: Some(&self.broker_places),
            used: Usage::none(),
            as_of: self.as_of,
        }
    }
}
