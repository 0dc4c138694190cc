//! What a failure looks like: the chain of causes, a refusal's table, and a hint.

use std::error::Error;

use comity_proto::policy::{Refusal, Verdict};

use crate::error::CliError;
use crate::output::{Format, lined_table, print_json, say};
use crate::verdict;

/// Prints `error` to stderr. Where JSON is asked for, a refusal's reasons are data as well, and go to stdout.
pub(crate) fn print(error: &CliError, output: Format) {
    say(&render(error));
    if let (Format::Json, CliError::Refused { refusal, considered }) = (output, error) {
        // A stdout that cannot be written to changes nothing about the refusal, which has been said.
        drop(print_json(&verdict::refusal(refusal, *considered)));
    }
}

/// The whole message, with colours that the stream drops where there is no terminal.
fn render(error: &CliError) -> String {
    let red = anstyle::AnsiColor::Red.on_default().bold();
    let cyan = anstyle::AnsiColor::Cyan.on_default().bold();
    let mut text = format!("{red}error{red:#}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!("\n  because: {}", cause.to_string().trim_end().replace('\n', "\n    ")));
        source = cause.source();
    }
    if let CliError::Refused { refusal, considered } = error {
        text.push_str(&format!("\n{}", refusal_text(refusal, *considered)));
    }
    if let Some(hint) = error.hint() {
        text.push_str(&format!("\n{cyan}hint{cyan:#}: {hint}"));
    }
    text
}

/// A refusal's table, what is left out of it, and the decision's id.
fn refusal_text(refusal: &Refusal, considered: u32) -> String {
    let mut text = verdict_table(&refusal.verdicts);
    let shown = u32::try_from(refusal.verdicts.len()).unwrap_or(u32::MAX);
    if shown < considered {
        text.push_str(&format!("\n{} more offers are not shown", considered - shown));
    }
    if !refusal.decision_id.is_empty() {
        text.push_str(&format!("\ndecision {}", refusal.decision_id));
    }
    text
}

/// Each offer, each reason, how to mend it.
pub(crate) fn verdict_table(verdicts: &[Verdict]) -> String {
    let rows = verdicts.iter().flat_map(verdict_rows).collect();
    lined_table(&["offer", "reason", "found", "accepted", "how to mend it"], rows)
}

fn verdict_rows(verdict: &Verdict) -> Vec<Vec<String>> {
    if verdict.eligible {
        return vec![vec![verdict.offer.clone(), "eligible".to_owned(), String::new(), String::new(), String::new()]];
    }
    let row = |(index, reason): (usize, &comity_proto::policy::Reason)| {
        let offer = if index == 0 { verdict.offer.clone() } else { String::new() };
        let code = if reason.subject.is_empty() {
            reason.code.clone()
        } else {
            format!("{}({})", reason.code, reason.subject)
        };
        vec![offer, code, reason.actual.clone(), reason.expected.clone(), reason.hint.clone()]
    };
    verdict.reasons.iter().enumerate().map(row).collect()
}

#[cfg(test)]
mod tests {
    use comity_proto::policy::Reason;

    use super::*;

    fn refusal() -> Refusal {
        let reason = |code: &str, subject: &str, hint: &str| Reason {
            code: code.into(),
            subject: subject.into(),
            expected: "EU".into(),
            actual: "US".into(),
            hint: hint.into(),
            ..Reason::default()
        };
        let verdict = Verdict {
            offer: "org-a.example/n1/chat".into(),
            reasons: vec![
                reason("PROCESSING_LOCATION_NOT_ALLOWED", "US", "allow the place"),
                reason("TRAINING_ON_INPUTS", "", "choose another"),
            ],
            ..Verdict::default()
        };
        Refusal { decision_id: "ab".repeat(16), verdicts: vec![verdict], considered: 3 }
    }

    fn rendered(error: &CliError) -> String {
        anstream::adapter::strip_str(&render(error)).to_string()
    }

    #[test]
    fn a_refusal_is_a_table_of_offers_reasons_and_how_to_mend_them() {
        let text = rendered(&CliError::Refused { refusal: refusal(), considered: 3 });
        let lines = [
            "PROCESSING_LOCATION_NOT_ALLOWED(US)",
            "TRAINING_ON_INPUTS",
            "allow the place",
            "choose another",
            "2 more offers are not shown",
            "hint: `comity explain`",
        ];
        assert!(lines.iter().all(|line| text.contains(line)), "{text}");
    }

    #[test]
    fn the_chain_of_causes_is_printed_and_the_hint_comes_last() {
        let source = std::io::Error::other("disk full");
        let text = rendered(&CliError::File { doing: "write", path: "a.jsonl".into(), source });
        assert_eq!(text, "error: cannot write a.jsonl\n  because: disk full");
        let text = rendered(&CliError::NotFound { kind: "node", name: "x".into(), list: "comity node list" });
        assert_eq!(text, "error: there is no node \"x\"\nhint: `comity node list` shows what there is");
    }
}
