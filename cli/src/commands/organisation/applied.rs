//! `comity organisation diff` of an enrolment: of somebody who waits to be let in, what it says of itself and means to offer,
//! beside what was known of it when it last was a member. Of somebody who is in, see [`approved`].

use std::collections::BTreeMap;

use comity_membership::{Application, Federation, InviteId, Subject};
use comity_policy::{Layers, Offer, Organisation};
use comity_transparency::Envelope;
use serde_json::{Value, json};

use super::approved::{self, Admissions};
use super::update::table;
use crate::args::Global;
use crate::changes;
use crate::commands::enrolment::approve;
use crate::error::CliError;
use crate::output::{Format, print_json, say};
use crate::session::Session;
use crate::view;

/// Shows what an application states, or what became of it.
pub(super) async fn run(id: &InviteId, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let mut admissions = Admissions::default();
    let followed = session.log_with(|epoch, entry| admissions.take(epoch, entry)).await?;
    let federation = followed.log().federation();
    match admissions.by(id) {
        Some(admitted) => approved::show(federation, &admissions, admitted, global),
        None => waiting(id, &session, federation, global).await,
    }
}

/// Shows what somebody states who is not in.
async fn waiting(id: &InviteId, session: &Session, federation: &Federation, global: &Global) -> Result<(), CliError> {
    let enrolment = approve::enrolment(session, &id.to_string()).await?;
    let opened = serde_json::from_slice::<Envelope>(&enrolment.application).ok();
    let opened = opened.and_then(|envelope| Application::open(&envelope).ok());
    let Application { organisation, layers, offers, .. } = opened.ok_or_else(|| CliError::Failed {
        problem: format!("the enrolment {id} is of no organisation that can be read"),
        hint: "`comity approve --dry-run` shows an enrolment of any kind".to_owned(),
    })?;
    let domain = organisation.trust_domain.clone();
    let left = federation.departure(&Subject::Organisation(domain.clone())).map(|left| left.epoch);
    let known = match left {
        Some(epoch) => {
            let log = session.log_at(Some(epoch.saturating_sub(1))).await?;
            let federation = log.federation();
            let offers = federation.offers().filter(|offer| *offer.node.trust_domain() == domain);
            let known = federation.organisation(&domain);
            known.map(|state| stated(&state.organisation, &state.layers, offers))
        }
        None => None,
    };
    let now = known.clone().unwrap_or_else(BTreeMap::new);
    let changes = changes::between(&now, &stated(&organisation, &layers, &offers));
    if global.output == Format::Json {
        return print_json(&json!({ "trustDomain": domain, "changes": changes, "wasMember": known.is_some() }));
    }
    table(&changes, global)?;
    match left {
        Some(_) => {
            for what in approve::left_before(federation, &domain) {
                say(&format!("{domain} was a member: {what}"));
            }
            say("`now` is what it said of itself until then");
        }
        None => say(&format!("{domain} has not been a member")),
    }
    Ok(())
}

/// Facts, demands and offers, by the keys of their files.
fn stated<'a>(
    facts: &Organisation,
    demanded: &Layers,
    offers: impl IntoIterator<Item = &'a Offer>,
) -> BTreeMap<String, Value> {
    view::by_key(facts, demanded).into_iter().chain(approved::fields(offers)).collect()
}
