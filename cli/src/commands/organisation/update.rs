//! `comity organisation update`.

use std::collections::BTreeMap;
use std::path::Path;

use comity_client::say::Said;
use comity_membership::Statement;
use comity_policy::{Organisation, OrganisationFile};
use comity_types::TrustDomain;
use serde_json::json;

use super::list;
use crate::args::Global;
use crate::changes::{self, Change};
use crate::error::CliError;
use crate::output::{Format, print_json, say};
use crate::session::Session;
use crate::signing::Signatory;
use crate::{organisation_file, view};

/// What `--help` says about who may, and what stays.
pub(super) const AFTER: &str = "\
What changes is shown before it is signed, and counts from the next request on. The trust domain, the certificate \
authorities, members and suspensions stay as they are. The organisation signs it: use the identity that has its key, \
that of its first member.";

/// Shows what changes, and changes it unless this is a dry run.
pub(super) async fn run(path: &Path, dry_run: bool, global: &Global) -> Result<(), CliError> {
    let file = organisation_file::read(path, &*global.tables()?)?;
    let domain = file.facts.trust_domain.clone();
    let session = Session::open(global).await?;
    check_own(&session, &domain)?;
    let now = list::row(&list::one(&session, &domain).await?)?;
    // What it accepts is no part of the file, and stays.
    let facts = Organisation { accepted_terms: BTreeMap::new(), ..now.facts };
    let changes = changes::between(
        &view::by_key(&facts, &now.layers.unwrap_or_default()),
        &view::by_key(&file.facts, &file.layers),
    );
    if global.output == Format::Table {
        table(&changes, global)?;
    }
    let epoch = if dry_run || changes.is_empty() { None } else { Some(update(session, file).await?) };
    if global.output == Format::Json {
        return print_json(&json!({ "trustDomain": domain, "changes": changes, "epoch": epoch }));
    }
    match epoch {
        Some(epoch) => say(&format!("{domain} is updated (epoch {epoch})")),
        None if dry_run => say("a dry run: nothing is changed"),
        None => say(&format!("{domain} is as the file says already")),
    }
    Ok(())
}

/// Nobody updates another organisation. An operator of the federation may look at what a file would change.
fn check_own(session: &Session, domain: &TrustDomain) -> Result<(), CliError> {
    let identity = session.identity();
    let own = identity.id().trust_domain();
    if own == domain || *own == identity.root().federation {
        return Ok(());
    }
    Err(CliError::Usage {
        problem: format!("the file is of {domain}, and this identity signs for {own}"),
        hint: "use the identity that has the key of that organisation".to_owned(),
    })
}

async fn update(session: Session, file: OrganisationFile) -> Result<u64, CliError> {
    let signatory = Signatory::of(session)?;
    signatory.organisation()?;
    let OrganisationFile { facts, layers } = file;
    let statement = Statement::OrganisationUpdated { organisation: Box::new(facts), layers: Box::new(layers) };
    match signatory.say("update the organisation", statement).await? {
        Said::InForce(epoch) => Ok(epoch),
        Said::Waits(_) => Err(CliError::Failed {
            problem: "the broker waits for operators to sign what is the organisation's own".to_owned(),
            hint: "bring broker and program to the same version".to_owned(),
        }),
    }
}

/// Changes, for people.
pub(super) fn table(changes: &[Change], global: &Global) -> Result<(), CliError> {
    changes::table(changes, &["field", "now", "then"], global)
}
