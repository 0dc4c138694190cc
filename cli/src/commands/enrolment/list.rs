//! `comity enrolment list`.

use comity_policy::{Layers, Organisation};
use comity_proto::membership::{self, ListEnrolmentsRequest};
use serde::Serialize;

use crate::args::Global;
use crate::error::CliError;
use crate::session::Session;
use crate::{layers, output, view};

#[derive(Serialize)]
struct Listing {
    enrolments: Vec<Enrolment>,
}

/// An enrolment that waits, or an invite that is open: then there is no key, and nothing was asked for.
#[derive(Serialize)]
struct Enrolment {
    id: String,
    state: &'static str,
    spiffe_id: String,
    invited_by: String,
    expires_at: String,
    fingerprint: Option<String>,
    organisation: Option<Organisation>,
    /// What the organisation would demand of its own requests.
    layers: Option<Layers>,
    requested_at: Option<String>,
}

/// Lists what operators can still answer.
pub(crate) async fn run(global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let answer = session.membership().list_enrolments(ListEnrolmentsRequest {}).await;
    let answer = answer.map_err(|status| CliError::call("list the enrolments", status))?.into_inner();
    let enrolments = answer.enrolments.into_iter().map(enrolment).collect::<Result<Vec<_>, _>>()?;
    let rows = enrolments.iter().map(row).collect();
    let header = ["id", "state", "for", "invited by", "ends", "fingerprint", "seat", "controllers", "demands", "since"];
    global.output.list(&header, rows, &Listing { enrolments })
}

fn enrolment(wire: membership::Enrolment) -> Result<Enrolment, CliError> {
    Ok(Enrolment {
        state: view::enrolment_state(wire.state),
        expires_at: view::instant(wire.expires_at.as_ref()),
        requested_at: wire.requested_at.map(|at| view::instant(Some(&at))),
        organisation: wire.organisation.map(|facts| view::organisation(Some(facts))).transpose()?,
        layers: wire.layers.map(|layers| view::layers(Some(layers))).transpose()?,
        fingerprint: Some(wire.fingerprint).filter(|fingerprint| !fingerprint.is_empty()),
        id: wire.id,
        spiffe_id: wire.spiffe_id,
        invited_by: wire.invited_by,
    })
}

fn row(enrolment: &Enrolment) -> Vec<String> {
    let facts = enrolment.organisation.as_ref();
    vec![
        enrolment.id.clone(),
        enrolment.state.to_owned(),
        enrolment.spiffe_id.clone(),
        enrolment.invited_by.clone(),
        enrolment.expires_at.clone(),
        output::joined(enrolment.fingerprint.as_ref()),
        facts.map_or_else(|| "-".to_owned(), |facts| view::claim(facts.seat.as_ref(), ToString::to_string)),
        output::joined(facts.map(view::controllers)),
        output::joined(
            enrolment.layers.as_ref().map(layers::fields).unwrap_or_default().into_iter().map(|(key, _)| key),
        ),
        output::joined(enrolment.requested_at.as_ref()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_invite_shows_who_invited_and_until_when_and_no_key() {
        let wire = membership::Enrolment {
            id: "1".into(),
            spiffe_id: "spiffe://a.example/node/n1".into(),
            state: membership::EnrolmentState::Open.into(),
            invited_by: "spiffe://f.example/operator/o1".into(),
            expires_at: Some(prost_types::Timestamp::default()),
            ..Default::default()
        };
        let row = row(&enrolment(wire).unwrap_or_else(|_| panic!("the enrolment is whole")));
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
