//! `comity organisation diff` of somebody who waits to be let in: what it says of itself, beside what was known of it when it
//! last was a member.

use std::collections::BTreeMap;

use comity_membership::{Application, InviteId, Subject};
use comity_transparency::Envelope;
use serde_json::json;

use super::update::table;
use crate::args::Global;
use crate::changes;
use crate::commands::enrolment::approve;
use crate::error::CliError;
use crate::output::{Format, print_json, say};
use crate::session::Session;
use crate::view;

/// Shows what an application states.
pub(super) async fn run(id: &InviteId, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let enrolment = approve::enrolment(&session, &id.to_string()).await?;
    let opened = serde_json::from_slice::<Envelope>(&enrolment.application).ok();
    let opened = opened.and_then(|envelope| Application::open(&envelope).ok());
    let Application { organisation, layers, .. } = opened.ok_or_else(|| CliError::Failed {
        problem: format!("the enrolment {id} is of no organisation that can be read"),
        hint: "`comity approve --dry-run` shows an enrolment of any kind".to_owned(),
    })?;
    let domain = organisation.trust_domain.clone();
    let followed = session.log().await?;
    let left = followed.log().federation().departure(&Subject::Organisation(domain.clone())).map(|left| left.epoch);
    let known = match left {
        Some(epoch) => {
            let log = session.log_at(Some(epoch.saturating_sub(1))).await?;
            log.federation().organisation(&domain).map(|state| view::by_key(&state.organisation, &state.layers))
        }
        None => None,
    };
    let changes = changes::between(&known.clone().unwrap_or_else(BTreeMap::new), &view::by_key(&organisation, &layers));
    if global.output == Format::Json {
        return print_json(&json!({ "trustDomain": domain, "changes": changes, "wasMember": known.is_some() }));
    }
    table(&changes, global)?;
    match left {
        Some(_) => {
            for what in approve::left_before(followed.log().federation(), &domain) {
                say(&format!("{domain} was a member: {what}"));
            }
            say("`now` is what it said of itself until then");
        }
        None => say(&format!("{domain} has not been a member")),
    }
    Ok(())
}
