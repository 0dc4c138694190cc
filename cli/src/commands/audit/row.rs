//! One decision of a report.

use comity_transparency::leaf::Kind;
use comity_transparency::receipt::Verified;
use comity_transparency::record::Field;
use serde::Serialize;
use serde_json::Value;

/// A decision and what became of it. Empty where it is not known, or not shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    pub(crate) decision: String,
    pub(crate) at: String,
    pub(crate) result: &'static str,
    pub(crate) caller: String,
    pub(crate) method: String,
    pub(crate) model: String,
    pub(crate) offer: String,
    pub(crate) operator: String,
    pub(crate) jurisdiction: String,
    pub(crate) governing_law: String,
    pub(crate) considered: String,
    pub(crate) status: String,
    pub(crate) input_tokens: String,
    pub(crate) output_tokens: String,
    pub(crate) epoch: u64,
    pub(crate) leaf: u64,
    pub(crate) outcome_leaf: Option<u64>,
}

/// The heads of its columns.
pub(super) const COLUMNS: [&str; 17] = [
    "decision",
    "at",
    "result",
    "caller",
    "method",
    "model",
    "offer",
    "operator",
    "jurisdiction",
    "governing_law",
    "considered",
    "status",
    "input_tokens",
    "output_tokens",
    "epoch",
    "leaf",
    "outcome_leaf",
];

impl Row {
    pub(crate) fn of(verified: &Verified) -> Self {
        let text = |field| verified.text(field).unwrap_or_default().to_owned();
        let json = |field| verified.get(field).and_then(|value| serde_json::from_slice::<Value>(value).ok());
        let tokens = |name: &str| {
            json(Field::USAGE).and_then(|usage| usage.get(name)?.as_u64()).map(|tokens| tokens.to_string())
        };
        let places = json(Field::JURISDICTION).and_then(|places| {
            let places = places.as_array()?.iter().filter_map(|place| Some(place.as_str()?.to_owned()));
            Some(places.collect::<Vec<_>>().join(" "))
        });
        let leaf = verified.decision().leaf();
        Self {
            decision: leaf.decision.to_string(),
            at: leaf.at.to_string(),
            result: result(verified),
            caller: text(Field::CALLER),
            method: text(Field::METHOD),
            model: text(Field::MODEL),
            offer: text(Field::OFFER),
            operator: text(Field::OPERATOR),
            jurisdiction: places.unwrap_or_default(),
            governing_law: text(Field::GOVERNING_LAW),
            considered: text(Field::CONSIDERED),
            status: text(Field::STATUS),
            input_tokens: tokens("input_tokens").unwrap_or_default(),
            output_tokens: tokens("output_tokens").unwrap_or_default(),
            epoch: leaf.epoch.size,
            leaf: verified.decision().index(),
            outcome_leaf: verified.outcome().map(comity_transparency::receipt::VerifiedLeaf::index),
        }
    }

    /// Its cells, as [`COLUMNS`] has them.
    pub(super) fn cells(&self) -> [String; 17] {
        [
            self.decision.clone(),
            self.at.clone(),
            self.result.to_owned(),
            self.caller.clone(),
            self.method.clone(),
            self.model.clone(),
            self.offer.clone(),
            self.operator.clone(),
            self.jurisdiction.clone(),
            self.governing_law.clone(),
            self.considered.clone(),
            self.status.clone(),
            self.input_tokens.clone(),
            self.output_tokens.clone(),
            self.epoch.to_string(),
            self.leaf.to_string(),
            self.outcome_leaf.map(|leaf| leaf.to_string()).unwrap_or_default(),
        ]
    }
}

/// What became of it, in a word.
fn result(verified: &Verified) -> &'static str {
    let eligible = verified.text(Field::ELIGIBLE);
    match verified.outcome().map(|outcome| outcome.leaf().kind) {
        _ if verified.decision().is_without_record() => "erased",
        Some(Kind::Abort { .. }) => "unknown",
        Some(_) if verified.text(Field::STATUS) == Some("0") => "answered",
        Some(_) => "failed",
        None if eligible == Some("[]") => "refused",
        None => "running",
    }
}
