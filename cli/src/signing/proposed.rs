//! Statements that wait for operators, as commands find and show them, and what became of one's own.

use comity_client::say::Said;
use comity_membership::{Payload, Statement};
use comity_proto::json::Canonical;
use comity_proto::membership::{ListProposalsRequest, Proposal, Quorum};
use comity_transparency::Envelope;
use serde_json::{Value, json};

use crate::args::Global;
use crate::error::CliError;
use crate::output::{Format, print_json, say as tell};
use crate::session::Session;

/// All statements that wait for operators.
pub(crate) async fn proposals(session: &Session) -> Result<Vec<Proposal>, CliError> {
    let answer = session.membership().list_proposals(ListProposalsRequest {}).await;
    Ok(answer.map_err(|status| CliError::call("list the proposals", status))?.into_inner().proposals)
}

/// Shortest beginning of a proposal's id that names it.
const MIN_PREFIX: usize = 8;

/// The proposal of this id, or the one whose id begins so. Whoever signs has to know what: where two begin alike, none is
/// taken.
pub(crate) fn named<'a>(proposals: &'a [Proposal], id: &str) -> Result<Option<&'a Proposal>, CliError> {
    if let Some(proposal) = proposals.iter().find(|proposal| proposal.id == id) {
        return Ok(Some(proposal));
    }
    let mut found = proposals.iter().filter(|proposal| id.len() >= MIN_PREFIX && proposal.id.starts_with(id));
    match (found.next(), found.count()) {
        (first, 0) => Ok(first),
        (_, others) => Err(CliError::Usage {
            problem: format!("{} proposals have an id that begins with {id}", others.saturating_add(1)),
            hint: "give the whole id, as `comity proposal list` shows it".to_owned(),
        }),
    }
}

/// Prints what became of a statement: `did` is what was done, to whom.
pub(crate) fn report(global: &Global, did: (&'static str, &str), said: &Said) -> Result<(), CliError> {
    let (done, whom) = did;
    match said {
        Said::InForce(epoch) => {
            let fields = vec![(done, whom.to_owned()), ("epoch", epoch.to_string())];
            global.output.record(fields, &json!({ done: whom, "epoch": epoch }))
        }
        Said::Waits(proposal) => {
            if global.output == Format::Json {
                return print_json(&json!({ "proposed": whom, "proposal": proposal_json(proposal) }));
            }
            tell(&format!("{} have signed; another one runs: comity approve {}", counted(proposal), proposal.id));
            let fields = vec![
                ("proposed", whom.to_owned()),
                ("proposal", proposal.id.clone()),
                ("signed by", proposal.signed_by.join(" ")),
                ("needed", proposal.needed.to_string()),
            ];
            global.output.record(fields, &json!({}))
        }
    }
}

/// How many have signed of whom, each quorum by itself: a new operator's signature is none of those that govern now.
pub(crate) fn counted(proposal: &Proposal) -> String {
    let of = |quorum: &Quorum| format!("{} of {} {}", quorum.signed, quorum.needed, quorum.who);
    if proposal.quorums.is_empty() {
        // A broker that is older than this program.
        return format!("{} of {} operators", proposal.signed_by.len(), proposal.needed);
    }
    proposal.quorums.iter().map(of).collect::<Vec<_>>().join(" and ")
}

/// A proposal, as JSON.
pub(crate) fn proposal_json(proposal: &Proposal) -> Value {
    json!({
        "id": proposal.id,
        "signedBy": proposal.signed_by,
        "needed": proposal.needed,
        "quorums": proposal.quorums.iter().map(Canonical).collect::<Vec<_>>(),
        "statement": statement_of(proposal).map(|statement| json!(statement)).ok(),
    })
}

/// What a proposal says.
pub(crate) fn statement_of(proposal: &Proposal) -> Result<Statement, CliError> {
    Ok(payload_of(&envelope_of(proposal)?)?.statement)
}

/// The envelope of a proposal.
pub(crate) fn envelope_of(proposal: &Proposal) -> Result<Envelope, CliError> {
    serde_json::from_slice(&proposal.envelope).map_err(|error| unreadable(Box::new(error)))
}

/// What an envelope says, whoever signed it.
pub(crate) fn payload_of(envelope: &Envelope) -> Result<Payload, CliError> {
    Payload::peek(envelope).map_err(|error| unreadable(Box::new(error)))
}

fn unreadable(source: Box<dyn std::error::Error + Send + Sync>) -> CliError {
    let hint = Some("this version of comity may be older than the broker: bring it up to date".to_owned());
    CliError::Client { doing: "understand the broker's answer", source, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_an_id_names_a_proposal_where_no_other_begins_so() {
        let all =
            ["abcdef0123", "abcdef0145", "0123456789"].map(|id| Proposal { id: id.into(), ..Proposal::default() });
        let id = |text| named(&all, text).map(|found| found.map(|proposal| proposal.id.as_str()));
        assert_eq!(id("01234567").unwrap(), Some("0123456789"));
        assert_eq!(id("abcdef0145").unwrap(), Some("abcdef0145"));
        assert_eq!(id("abcdef012").unwrap(), Some("abcdef0123"));
        assert!(matches!(id("abcdef01"), Err(CliError::Usage { .. })));
        assert_eq!((id("0123456").unwrap(), id("ffffffff").unwrap()), (None, None));
    }
}
