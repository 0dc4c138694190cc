//! Verdicts and refusals, as programs read them; `table` is for people.

mod table;

use comity_proto::policy::{Reason, Refusal, Relaxation, Side, Verdict};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{layers, view};

pub(crate) use table::{relaxed_lines, table, wrapped};

/// A verdict.
#[derive(Debug, Serialize)]
pub(crate) struct VerdictView {
    offer: String,
    model: String,
    eligible: bool,
    expires_at: Option<String>,
    reasons: Vec<ReasonView>,
}

#[derive(Debug, Serialize)]
struct ReasonView {
    side: &'static str,
    party: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    rule: String,
    code: String,
    subject: String,
    path: String,
    expected: String,
    actual: String,
    hint: String,
}

/// All of them, in their order.
pub(crate) fn views(verdicts: Vec<Verdict>) -> Vec<VerdictView> {
    verdicts.into_iter().map(view_of).collect()
}

/// What dropping one requirement would bring back.
pub(crate) fn relaxations(all: &[Relaxation]) -> Value {
    all.iter()
        .map(|one| json!({ "constraint": one.constraint, "offers": one.offers, "layers": layers_of(one) }))
        .collect()
}

fn layers_of(relaxation: &Relaxation) -> Vec<&'static str> {
    relaxation.layers.iter().map(|layer| layers::name(*layer)).collect()
}

/// A refusal: what a program gets on stdout where it asked for JSON and was refused.
pub(crate) fn refusal(refusal: &Refusal, considered: u32) -> Value {
    json!({
        "refused": {
            "decision_id": refusal.decision_id,
            "considered": considered,
            "layer_demands": layers::demands(&refusal.layer_demands),
            "verdicts": views(refusal.verdicts.clone()),
        }
    })
}

/// On whose behalf a reason was given.
pub(crate) fn side_name(number: i32) -> &'static str {
    match Side::try_from(number) {
        Ok(Side::Caller) => "caller",
        Ok(Side::Node) => "node",
        Ok(Side::Licence) => "licence",
        Ok(Side::Statute) => "statute",
        Ok(Side::Federation) => "federation",
        Ok(Side::Unspecified) | Err(_) => "unknown",
    }
}

fn view_of(verdict: Verdict) -> VerdictView {
    let reason = |reason: Reason| {
        let Reason { code, subject, side, path, expected, actual, hint, party, rule } = reason;
        ReasonView { side: side_name(side), party, rule, code, subject, path, expected, actual, hint }
    };
    VerdictView {
        expires_at: verdict.expires_at.as_ref().map(|instant| view::instant(Some(instant))),
        offer: verdict.offer,
        model: verdict.model,
        eligible: verdict.eligible,
        reasons: verdict.reasons.into_iter().map(reason).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_tells_a_program_every_reason() {
        let reason = Reason { code: "PURPOSE_UNDECLARED".into(), hint: "declare it".into(), ..Reason::default() };
        let verdict = Verdict { offer: "a.example/n1/chat".into(), reasons: vec![reason], ..Verdict::default() };
        let json = refusal(
            &Refusal { decision_id: "ab".into(), verdicts: vec![verdict], considered: 1, ..Refusal::default() },
            1,
        );
        let refused = &json["refused"];
        assert_eq!((&refused["decision_id"], &refused["considered"]), (&"ab".into(), &1.into()));
        assert_eq!(refused["verdicts"][0]["reasons"][0]["code"], "PURPOSE_UNDECLARED");
        assert_eq!(refused["verdicts"][0]["eligible"], false);
    }
}
