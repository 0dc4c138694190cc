//! `comity terms accept` and `withdraw`.

use comity_membership::{Federation, Statement};
use comity_types::TrustDomain;

use crate::args::Global;
use crate::error::CliError;
use crate::output::say;
use crate::session::Session;
use crate::signing::{Signatory, report};

/// What `--help` says about who may, and what it does.
pub(super) const AFTER: &str = "\
The organisation signs it: use the identity that has its key, that of its first member. It counts from the next request \
on, at brokers and at nodes, and until it is withdrawn or another version is accepted. `comity offer show OFFER` shows \
the terms themselves.";

/// Accepts terms.
pub(super) async fn run(
    of: &TrustDomain,
    version: Option<u32>,
    dry_run: bool,
    global: &Global,
) -> Result<(), CliError> {
    let signatory = Signatory::of(Session::open(global).await?)?;
    let organisation = signatory.organisation()?.clone();
    let followed = signatory.session().log().await?;
    let federation = followed.log().federation();
    let version = version.map_or_else(|| newest(federation, of), Ok)?;
    let terms = federation.terms_of(of, version);
    terms.iter().for_each(|digest| say(&format!("terms of version {version}: SHA-256 {digest}")));
    let statement = Statement::TermsAccepted { organisation, of: of.clone(), version, terms };
    if dry_run {
        return signatory.would(global, &[statement]).await;
    }
    let said = signatory.say("accept the terms", statement).await?;
    report(global, ("accepted", &format!("version {version} of {of}")), &said)
}

/// Takes an acceptance back.
pub(super) async fn withdraw(of: &TrustDomain, dry_run: bool, global: &Global) -> Result<(), CliError> {
    let signatory = Signatory::of(Session::open(global).await?)?;
    let statement = Statement::TermsWithdrawn { organisation: signatory.organisation()?.clone(), of: of.clone() };
    if dry_run {
        return signatory.would(global, &[statement]).await;
    }
    let said = signatory.say("withdraw the acceptance", statement).await?;
    report(global, ("withdrawn", of.as_str()), &said)
}

fn newest(federation: &Federation, of: &TrustDomain) -> Result<u32, CliError> {
    federation.newest_terms_of(of).ok_or_else(|| CliError::Failed {
        problem: format!("no offer of {of} states a version of its terms"),
        hint: "`comity terms list` shows whose do; there is nothing to accept of others".to_owned(),
    })
}
