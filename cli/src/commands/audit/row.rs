//! One decision of a report.

use comity_proto::inference;
use comity_transparency::leaf::{Kind, Leaf};
use comity_transparency::receipt::Verified;
use comity_transparency::record::Field;
use prost::Message as _;
use serde::Serialize;
use serde_json::Value;

use super::listed::Listed;
use super::why::Why;

/// A decision and what became of it. Empty where it is not known, or not shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
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
    pub(crate) purposes: String,
    pub(crate) reasons: String,
    #[serde(flatten)]
    pub(crate) why: Why,
    pub(crate) offer_sha256: String,
    pub(crate) status: String,
    pub(crate) input_tokens: String,
    pub(crate) output_tokens: String,
    pub(crate) epoch: u64,
    pub(crate) leaf: u64,
    pub(crate) outcome_leaf: Option<u64>,
}

/// The heads of its columns.
pub(super) const COLUMNS: [&str; 28] = [
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
    "purposes",
    "reasons",
    "requirements",
    "preferences",
    "eligible",
    "eligible_count",
    "refused_count",
    "rank",
    "chosen_by",
    "tries",
    "offer_sha256",
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
            purposes: purposes(verified).unwrap_or_default(),
            reasons: json(Field::REFUSED).as_ref().and_then(reasons).unwrap_or_default(),
            why: Why::of(verified),
            offer_sha256: text(Field::OFFER_SHA256),
            status: text(Field::STATUS),
            input_tokens: tokens("input_tokens").unwrap_or_default(),
            output_tokens: tokens("output_tokens").unwrap_or_default(),
            epoch: leaf.epoch.size,
            leaf: verified.decision().index(),
            outcome_leaf: verified.outcome().map(comity_transparency::receipt::VerifiedLeaf::index),
        }
    }

    /// A decision of which its leaf alone is known, with a word for why.
    pub(crate) fn bare(index: u64, leaf: Option<&Leaf>, result: &'static str) -> Self {
        Self {
            decision: leaf.map(|leaf| leaf.decision.to_string()).unwrap_or_default(),
            at: leaf.map(|leaf| leaf.at.to_string()).unwrap_or_default(),
            result,
            epoch: leaf.map_or(0, |leaf| leaf.epoch.size),
            leaf: index,
            ..Self::default()
        }
    }

    /// What was listed: as much as is proven of it.
    pub(crate) fn listed(listed: &Listed) -> Self {
        let Some((_, verified)) = &listed.proven else { return Self::bare(listed.leaf, None, "unproven") };
        let row = Self::of(verified);
        if listed.problem.is_some() { Self { result: "damaged", ..row } } else { row }
    }

    /// Its cells, as [`COLUMNS`] has them.
    pub(super) fn cells(&self) -> impl Iterator<Item = String> + use<> {
        let what = [
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
            self.purposes.clone(),
            self.reasons.clone(),
        ];
        let ended = [
            self.offer_sha256.clone(),
            self.status.clone(),
            self.input_tokens.clone(),
            self.output_tokens.clone(),
            self.epoch.to_string(),
            self.leaf.to_string(),
            self.outcome_leaf.map(|leaf| leaf.to_string()).unwrap_or_default(),
        ];
        what.into_iter().chain(self.why.cells()).chain(ended)
    }
}

/// What for, as the caller declared it.
fn purposes(verified: &Verified) -> Option<String> {
    let envelope = inference::Envelope::decode(verified.get(Field::ENVELOPE)?).ok()?;
    Some(envelope.purposes.join(" "))
}

/// Every offer with the reasons against it: `org/node/offer: CODE(subject) CODE; …`.
fn reasons(refused: &Value) -> Option<String> {
    let of_offer = |refused: &Value| {
        let reasons = refused.get("reasons")?.as_array()?.iter().filter_map(Value::as_str).collect::<Vec<_>>();
        Some(format!("{}: {}", refused.get("offer")?.as_str()?, reasons.join(" ")))
    };
    Some(refused.as_array()?.iter().filter_map(of_offer).collect::<Vec<_>>().join("; "))
}

/// What became of it, in a word.
fn result(verified: &Verified) -> &'static str {
    let eligible = verified.text(Field::ELIGIBLE);
    let is_hidden = |field| verified.outcome().is_some_and(|outcome| outcome.hides(field));
    match verified.outcome().map(|outcome| outcome.leaf().kind) {
        _ if verified.decision().is_without_record() => "erased",
        None if verified.decision().hides(Field::ELIGIBLE) => "hidden",
        Some(Kind::Outcome { .. }) if is_hidden(Field::STATUS) => "hidden",
        Some(Kind::Abort { .. }) => "unknown",
        Some(_) if verified.text(Field::STATUS) == Some("0") => "answered",
        Some(_) => "failed",
        None if eligible == Some("[]") => "refused",
        None => "running",
    }
}

#[cfg(test)]
mod tests {
    use comity_transparency::NoteVerifier;

    use super::*;
    use crate::commands::receipt::testing::TestLog;

    #[test]
    fn a_row_says_why_for_which_purposes_and_by_which_form_of_the_offer() {
        let mut log = TestLog::new();
        let purposes = vec!["dpv:CustomerCare".to_owned(), "dpv:ResearchAndDevelopment".to_owned()];
        let envelope = inference::Envelope { purposes, ..inference::Envelope::default() }.encode_to_vec();
        let refused = r#"[{"offer":"b.example/n1/o","reasons":["PRICE_ABOVE_MAX(EUR)","QUOTA_EXCEEDED"]},{"offer":"c.example/n1/o","reasons":["X"]}]"#;
        let envelope = String::from_utf8(envelope).unwrap();
        let decision =
            log.decision(1, &[(Field::ENVELOPE, &envelope), (Field::REFUSED, refused), (Field::ELIGIBLE, "[]")]);
        let answered = log.decision(2, &[]);
        let outcome = log.outcome(2, answered, &[(Field::OFFER_SHA256, "ab12"), (Field::STATUS, "0")]);
        let row = |decision, outcome| {
            let receipt = log.receipt(decision, outcome);
            let key = NoteVerifier::of(&log.root.decision_log[0]);
            Row::of(&receipt.verify(&log.root.decision_log_origin(), &key).unwrap())
        };
        let refused = row(decision, None);
        assert_eq!(
            (refused.result, refused.purposes.as_str()),
            ("refused", "dpv:CustomerCare dpv:ResearchAndDevelopment")
        );
        assert_eq!(refused.reasons, "b.example/n1/o: PRICE_ABOVE_MAX(EUR) QUOTA_EXCEEDED; c.example/n1/o: X");
        let answered = row(answered, Some(outcome));
        assert_eq!((answered.result, answered.offer_sha256.as_str()), ("answered", "ab12"));
    }
}
