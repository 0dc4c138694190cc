//! `comity enrolment show`.

use comity_membership::Application;
use comity_proto::json::Canonical;
use comity_proto::membership::Enrolment;
use serde_json::Value;

use super::{approve, list, offers};
use crate::args::Global;
use crate::error::CliError;
use crate::output::joined;
use crate::session::Session;
use crate::view;

/// Shows one.
pub(super) async fn run(id: &str, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let enrolment = approve::enrolment(&session, id).await?;
    let application = list::application(&enrolment)?;
    let mut fields = fields(&enrolment, application.as_ref());
    if let Some(application) = &application {
        let followed = session.log().await?;
        let left = approve::left_before(followed.log().federation(), &application.organisation.trust_domain);
        fields.extend(left.map(|what| ("was a member".to_owned(), what)));
    }
    let fields = fields.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    global.output.record(fields, &json(&enrolment, application.as_ref())?)
}

/// The message, and beside it what the application in it names as offers, which is signed and not the broker's word.
fn json(enrolment: &Enrolment, application: Option<&Application>) -> Result<Value, CliError> {
    let written = serde_json::to_value(Canonical(enrolment));
    let mut json = written.map_err(|source| CliError::System { doing: "write JSON", source: source.into() })?;
    if let (Some(application), Some(fields)) = (application, json.as_object_mut()) {
        fields.insert("offers".to_owned(), offers::json(application).into());
    }
    Ok(json)
}

fn fields(enrolment: &Enrolment, application: Option<&Application>) -> Vec<(String, String)> {
    let known = |text: &String| joined(Some(text).filter(|text| !text.is_empty()));
    let own = [
        ("id", enrolment.id.clone()),
        ("state", view::enrolment_state(enrolment.state).to_owned()),
        ("for", enrolment.spiffe_id.clone()),
        ("invited by", enrolment.invited_by.clone()),
        ("ends", view::instant(enrolment.expires_at.as_ref())),
        ("fingerprint", known(&enrolment.fingerprint)),
        ("since", joined(enrolment.requested_at.as_ref().map(|at| view::instant(Some(at))))),
        ("said no", known(&list::refusals(enrolment))),
        ("rejected", joined(enrolment.rejection.as_ref().map(|end| view::instant(end.at.as_ref())))),
        ("presented by other keys as well", known(&list::other_keys(enrolment))),
    ];
    let stated = application.map(|application| {
        let mut stated = view::stated(&application.organisation, &application.layers);
        stated.extend(offers::lines(application));
        stated
    });
    own.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(stated.unwrap_or_default()).collect()
}
