//! Verdicts and refusals, as programs read them; `table` is for people.

mod table;

use comity_proto::json::Canonical;
use comity_proto::policy::{Refusal, Side};
use serde::Serialize;

pub(crate) use table::{relaxed_lines, table, wrapped};

/// What a program gets on stdout where it asked for JSON and was refused.
#[derive(Debug, Serialize)]
pub(crate) struct Refused<'a> {
    refused: Canonical<'a, Refusal>,
}

impl<'a> From<&'a Refusal> for Refused<'a> {
    fn from(refusal: &'a Refusal) -> Self {
        Self { refused: Canonical(refusal) }
    }
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

#[cfg(test)]
mod tests {
    use comity_proto::policy::{Reason, Verdict};

    use super::*;

    #[test]
    fn a_refusal_tells_a_program_every_reason() {
        let reason = Reason { code: "PURPOSE_UNDECLARED".into(), hint: "declare it".into(), ..Reason::default() };
        let verdict = Verdict { offer: "a.example/n1/chat".into(), reasons: vec![reason], ..Verdict::default() };
        let refusal =
            Refusal { decision_id: "ab".into(), verdicts: vec![verdict], considered: 1, ..Refusal::default() };
        let json = serde_json::to_value(Refused::from(&refusal)).unwrap();
        let refused = &json["refused"];
        assert_eq!((&refused["decisionId"], &refused["considered"]), (&"ab".into(), &1.into()));
        assert_eq!(refused["verdicts"][0]["reasons"][0]["code"], "PURPOSE_UNDECLARED");
    }
}
