//! `comity enrolment list`.

use comity_policy::Organisation;
use comity_proto::membership::{Enrolment, ListEnrolmentsRequest};
use serde::Serialize;

use crate::args::Global;
use crate::error::CliError;
use crate::session::Session;
use crate::{output, view};

#[derive(Serialize)]
struct Listing {
    enrolments: Vec<Waiting>,
}

#[derive(Serialize)]
struct Waiting {
    id: String,
    spiffe_id: String,
    fingerprint: String,
    organisation: Option<Organisation>,
    requested_at: String,
}

/// Lists what waits.
pub(crate) async fn run(global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let answer = session.membership().list_enrolments(ListEnrolmentsRequest {}).await;
    let answer = answer.map_err(|status| CliError::call("list the enrolments", status))?.into_inner();
    let enrolments = answer.enrolments.into_iter().map(waiting).collect::<Result<Vec<_>, _>>()?;
    let rows = enrolments.iter().map(row).collect();
    let header = ["id", "asks for", "fingerprint", "seat", "controllers", "since"];
    global.output.list(&header, rows, &Listing { enrolments })
}

fn waiting(wire: Enrolment) -> Result<Waiting, CliError> {
    Ok(Waiting {
        requested_at: view::instant(wire.requested_at.as_ref()),
        organisation: wire.organisation.map(|facts| view::organisation(Some(facts))).transpose()?,
        id: wire.id,
        spiffe_id: wire.spiffe_id,
        fingerprint: wire.fingerprint,
    })
}

fn row(waiting: &Waiting) -> Vec<String> {
    let facts = waiting.organisation.as_ref();
    vec![
        waiting.id.clone(),
        waiting.spiffe_id.clone(),
        waiting.fingerprint.clone(),
        facts.map_or_else(|| "-".to_owned(), |facts| view::claim(facts.seat.as_ref(), ToString::to_string)),
        output::joined(facts.map(view::controllers)),
        waiting.requested_at.clone(),
    ]
}
