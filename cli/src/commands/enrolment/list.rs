//! `comity enrolment list`.

use comity_proto::json::Canonical;
use comity_proto::membership::{Enrolment, ListEnrolmentsRequest};

use crate::args::Global;
use crate::error::CliError;
use crate::session::Session;
use crate::{layers, output, view};

/// Lists what operators can still answer.
pub(crate) async fn run(global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let answer = session.membership().list_enrolments(ListEnrolmentsRequest {}).await;
    let answer = answer.map_err(|status| CliError::call("list the enrolments", status))?.into_inner();
    let rows = answer.enrolments.iter().map(row).collect::<Result<_, _>>()?;
    let header = ["id", "state", "for", "invited by", "ends", "fingerprint", "seat", "controllers", "demands", "since"];
    global.output.list(&header, rows, &Canonical(&answer))
}

/// An enrolment that waits, or an invite that is open: then there is no key, and nothing was asked for.
fn row(enrolment: &Enrolment) -> Result<Vec<String>, CliError> {
    let facts = enrolment.organisation.clone().map(|facts| view::organisation(Some(facts))).transpose()?;
    let demanded = enrolment.layers.clone().map(|layers| view::layers(Some(layers))).transpose()?;
    let demanded = demanded.as_ref().map(layers::fields).unwrap_or_default();
    Ok(vec![
        enrolment.id.clone(),
        view::enrolment_state(enrolment.state).to_owned(),
        enrolment.spiffe_id.clone(),
        enrolment.invited_by.clone(),
        view::instant(enrolment.expires_at.as_ref()),
        output::joined(Some(&enrolment.fingerprint).filter(|fingerprint| !fingerprint.is_empty())),
        facts.as_ref().map_or_else(|| "-".to_owned(), |facts| view::claim(facts.seat.as_ref(), ToString::to_string)),
        output::joined(facts.as_ref().map(view::controllers)),
        output::joined(demanded.into_iter().map(|(key, _)| key)),
        output::joined(enrolment.requested_at.as_ref().map(|at| view::instant(Some(at)))),
    ])
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
        ];
        assert_eq!(row, expected);
    }
}
