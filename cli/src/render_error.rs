//! What a failure looks like: the chain of causes, a refusal's table, and a hint.

use std::error::Error;

use comity_client::split_hint;
use comity_proto::policy::Refusal;
use tonic::Status;

use crate::error::{CliError, one_line, status_hint};
use crate::layers;
use crate::output::{Format, Stream, print_json, say};
use crate::verdict::{self, Refused};

/// Prints `error` to stderr. Where JSON is asked for, a refusal's reasons are data as well, and go to stdout.
pub(crate) fn print(error: &CliError, output: Format) {
    say(&render(error, Stream::Stderr.width()));
    if let (Format::Json, CliError::Refused { refusal, .. }) = (output, error) {
        // A stdout that cannot be written to changes nothing about the refusal, which has been said.
        drop(print_json(&Refused::from(refusal)));
    }
}

/// The whole message, with colours that the stream drops where there is no terminal.
fn render(error: &CliError, width: Option<u16>) -> String {
    let red = anstyle::AnsiColor::Red.on_default().bold();
    let cyan = anstyle::AnsiColor::Cyan.on_default().bold();
    let mut text = format!("{red}error{red:#}: {error}");
    let (causes, innermost_hint) = causes(error);
    for cause in causes {
        text.push_str(&format!("\n  because: {}", cause.replace('\n', "\n    ")));
    }
    if let CliError::Refused { refusal, considered } = error {
        text.push_str(&format!("\n{}", refusal_text(refusal, *considered, width)));
    }
    if let Some(hint) = error.hint().or(innermost_hint) {
        text.push_str(&format!("\n{cyan}hint{cyan:#}: {hint}"));
    }
    text
}

/// What an error came from, without the error itself, in one line: for warnings.
pub(crate) fn in_one_line(error: &(dyn Error + 'static)) -> String {
    let (causes, _) = causes(error);
    std::iter::once(error.to_string()).chain(causes).collect::<Vec<_>>().join(": ")
}

/// The causes of an error, outermost first, and the hint that the innermost of them gives.
fn causes(error: &(dyn Error + 'static)) -> (Vec<String>, Option<String>) {
    let (mut causes, mut hint) = (Vec::new(), None);
    let mut source = error.source();
    while let Some(cause) = source {
        let (text, own_hint) = explained(cause);
        causes.push(text);
        hint = own_hint.or(hint);
        // A status is explained with all that it came from.
        source = if status_of(cause).is_some() { None } else { cause.source() };
    }
    (causes, hint)
}

/// What a cause says, and the hint in it.
fn explained(cause: &(dyn Error + 'static)) -> (String, Option<String>) {
    match status_of(cause) {
        Some(status) => (one_line(status), status_hint(status)),
        None => split_hint(cause.to_string().trim_end()),
    }
}

/// The status that an error is, boxed or not: a box of an error is another type to whoever asks.
fn status_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Status> {
    error.downcast_ref().or_else(|| error.downcast_ref::<Box<Status>>().map(AsRef::as_ref))
}

/// A refusal's table, what is left out of it, and the decision's id.
fn refusal_text(refusal: &Refusal, considered: u32, width: Option<u16>) -> String {
    let mut text = verdict::table(&refusal.verdicts, width);
    let shown = u32::try_from(refusal.verdicts.len()).unwrap_or(u32::MAX);
    for line in layers::demand_lines(&refusal.layer_demands, width) {
        text.push_str(&format!("\n{line}"));
    }
    if shown < considered {
        text.push_str(&format!("\n{} more offers are not shown", considered - shown));
    }
    if !refusal.decision_id.is_empty() {
        text.push_str(&format!("\ndecision {}", refusal.decision_id));
    }
    text
}

#[cfg(test)]
mod tests {
    use comity_client::enrol::EnrolError;
    use comity_proto::error::Failure;
    use comity_proto::policy::{Layer, LayerDemands, Reason, Verdict};
    use tonic::Code;

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
        let demand = LayerDemands {
            layer: Layer::Organisation.into(),
            subject: "org-b.example".into(),
            constraints: vec!["allowed_processing_locations".into(), "no_training".into()],
        };
        Refusal { decision_id: "ab".repeat(16), verdicts: vec![verdict], considered: 3, layer_demands: vec![demand] }
    }

    fn rendered(error: &CliError) -> String {
        anstream::adapter::strip_str(&render(error, None)).to_string()
    }

    #[test]
    fn a_refusal_is_a_table_of_offers_reasons_and_how_to_mend_them() {
        let text = rendered(&CliError::Refused { refusal: refusal(), considered: 3 });
        let lines = [
            "PROCESSING_LOCATION_NOT_ALLOWED(US)",
            "TRAINING_ON_INPUTS",
            "allow the place",
            "choose another",
            "set by org-b.example: allowed_processing_locations, no_training",
            "2 more offers are not shown",
            "hint: `comity explain`",
        ];
        assert!(lines.iter().all(|line| text.contains(line)), "{text}");
    }

    #[test]
    fn a_refusal_is_as_wide_as_the_stream_that_it_is_printed_to() {
        let widest = |width| {
            let text = refusal_text(&refusal(), 3, width);
            text.lines().map(|line| line.chars().count()).max().unwrap()
        };
        assert!(widest(Some(60)) <= 60, "{}", refusal_text(&refusal(), 3, Some(60)));
        assert!(widest(None) > 60, "without a terminal, nothing is broken into lines");
    }

    #[test]
    fn what_a_node_could_not_do_is_not_blamed_on_the_broker() {
        let hint = |status: Status| status_hint(&status);
        let of_node = Failure::new(Code::Unavailable, "BACKEND_FAILED", "the backend failed");
        assert_eq!(hint(of_node.into()), None);
        assert!(hint(Status::unavailable("connection refused")).unwrap().contains("the broker runs"));
    }

    #[test]
    fn a_status_among_the_causes_is_explained_and_its_hint_is_shown() {
        let status = Failure::new(Code::PermissionDenied, "NOT_ACTIVE", "x is suspended (hint: ask an operator)");
        let source = Box::new(EnrolError::from(Status::from(status)));
        let text = rendered(&CliError::Client { doing: "renew the identity", source, hint: None });
        let lines = [
            "error: cannot renew the identity",
            "  because: the broker gave no certificate",
            "  because: x is suspended [NOT_ACTIVE]",
            "hint: ask an operator",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), lines);
    }

    #[test]
    fn a_hint_within_a_cause_is_shown_once_at_the_end() {
        let source = std::io::Error::other("k can be read by others (hint: chmod 600 k)");
        let text = rendered(&CliError::Client { doing: "use the identity", source: Box::new(source), hint: None });
        assert_eq!(text, "error: cannot use the identity\n  because: k can be read by others\nhint: chmod 600 k");
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
