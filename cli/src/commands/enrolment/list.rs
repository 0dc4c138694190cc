//! `comity enrolment list`.

use clap::Args;
use comity_membership::Application;
use comity_proto::json::Canonical;
use comity_proto::membership::{Enrolment, EnrolmentRefusal, EnrolmentRejection, ListEnrolmentsRequest, OtherKey};

use comity_transparency::Envelope;

use crate::args::Global;
use crate::error::CliError;
use crate::session::Session;
use crate::{layers, output, view};

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Also those that operators turned down or revoked in the last 30 days: who, and why
    #[arg(long)]
    rejected: bool,
}

/// Lists what operators can still answer.
pub(super) async fn run(args: &ListArgs, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let request = ListEnrolmentsRequest { with_rejected: args.rejected, ..Default::default() };
    let answer = session.membership().list_enrolments(request).await;
    let answer = answer.map_err(|status| CliError::call("list the enrolments", status))?.into_inner();
    let rows = answer.enrolments.iter().map(row).collect::<Result<_, _>>()?;
    let header = [
        "id",
        "state",
        "for",
        "invited by",
        "ends",
        "fingerprint",
        "seat",
        "controllers",
        "demands",
        "since",
        "said no",
        "other keys",
    ];
    global.output.list(&header, rows, &Canonical(&answer))
}

/// An enrolment that waits, or an invite that is open: then there is no key, and nothing was asked for.
fn row(enrolment: &Enrolment) -> Result<Vec<String>, CliError> {
    let application = application(enrolment)?;
    let facts = application.as_ref().map(|application| &application.organisation);
    let demanded = application.as_ref().map(|application| layers::fields(&application.layers)).unwrap_or_default();
    Ok(vec![
        enrolment.id.clone(),
        view::enrolment_state(enrolment.state).to_owned(),
        enrolment.spiffe_id.clone(),
        enrolment.invited_by.clone(),
        view::instant(enrolment.expires_at.as_ref()),
        output::joined(Some(&enrolment.fingerprint).filter(|fingerprint| !fingerprint.is_empty())),
        facts.map_or_else(|| "-".to_owned(), |facts| view::claim(facts.seat.as_ref(), ToString::to_string)),
        output::joined(facts.map(view::controllers)),
        output::joined(demanded.into_iter().map(|(key, _)| key)),
        output::joined(enrolment.requested_at.as_ref().map(|at| view::instant(Some(at)))),
        output::joined(Some(refusals(enrolment)).filter(|noes| !noes.is_empty())),
        output::joined(Some(other_keys(enrolment)).filter(|keys| !keys.is_empty())),
    ])
}

/// Who said no, and why: so far, or of one that is turned down whose word was the last.
pub(crate) fn refusals(enrolment: &Enrolment) -> String {
    let no = |no: &EnrolmentRefusal| {
        if no.reason.is_empty() { no.operator.clone() } else { format!("{}: {}", no.operator, no.reason) }
    };
    match &enrolment.rejection {
        None => enrolment.refused_by.iter().map(no).collect::<Vec<_>>().join("; "),
        Some(EnrolmentRejection { operator, reason, .. }) => format!("{operator}: {reason}"),
    }
}

/// The keys that presented the invite after the first, which is who holds it: somebody else has a copy.
pub(crate) fn other_keys(enrolment: &Enrolment) -> String {
    let other = |key: &OtherKey| format!("{} at {}", key.fingerprint, view::instant(key.at.as_ref()));
    enrolment.other_keys.iter().map(other).collect::<Vec<_>>().join("; ")
}

/// What a new organisation signed to become a member.
pub(super) fn application(enrolment: &Enrolment) -> Result<Option<Application>, CliError> {
    if enrolment.application.is_empty() {
        return Ok(None);
    }
    let unreadable = |source: Box<dyn std::error::Error + Send + Sync>| CliError::Client {
        doing: "understand the enrolment",
        source,
        hint: Some("this version of comity may be older than the broker: bring it up to date".to_owned()),
    };
    let envelope: Envelope =
        serde_json::from_slice(&enrolment.application).map_err(|error| unreadable(error.into()))?;
    Application::open(&envelope).map(Some).map_err(|error| unreadable(error.into()))
}

#[cfg(test)]
mod tests {
    use comity_proto::membership::EnrolmentState;

    use super::*;

    #[test]
    fn an_open_invite_shows_who_invited_and_until_when_and_no_key() {
        let wire = Enrolment {
            id: "1".into(),
            spiffe_id: "spiffe://a.example/node/n1".into(),
            state: EnrolmentState::Open.into(),
            invited_by: "spiffe://f.example/operator/o1".into(),
            expires_at: Some(prost_types::Timestamp::default()),
            ..Default::default()
        };
        let row = row(&wire).unwrap_or_else(|_| panic!("the enrolment is whole"));
        let until = "1970-01-01T00:00:00Z";
        let expected = [
            "1",
            "open",
            "spiffe://a.example/node/n1",
            "spiffe://f.example/operator/o1",
            until,
            "-",
            "-",
            "-",
            "-",
            "-",
            "-",
            "-",
        ];
        assert_eq!(row, expected);
    }
}
