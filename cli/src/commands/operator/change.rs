//! `comity operator threshold` and `remove`: a new root, which the old and the new operators sign.

use comity_membership::Statement;
use comity_membership::federation::Governance;

use super::{named, unknown};
use crate::args::Global;
use crate::error::CliError;
use crate::session::Session;
use crate::signing::{Signatory, report};

/// Changes how many operators it takes.
pub(super) async fn thresholds(
    root: Option<u32>,
    membership: Option<u32>,
    dry_run: bool,
    global: &Global,
) -> Result<(), CliError> {
    if root.is_none() && membership.is_none() {
        return Err(CliError::Usage {
            problem: "no threshold is given".to_owned(),
            hint: "say --root N, --membership N or both".to_owned(),
        });
    }
    let signatory = Signatory::of(Session::open(global).await?)?;
    signatory.operator()?;
    let before = governance(&signatory).await?;
    let mut governance = before.clone();
    governance.root_threshold = root.unwrap_or(governance.root_threshold);
    governance.membership_threshold = membership.unwrap_or(governance.membership_threshold);
    let whom =
        format!("{} for the root, {} for membership", governance.root_threshold, governance.membership_threshold);
    if governance == before {
        return Err(CliError::Failed {
            problem: format!("nothing is proposed: it takes {whom} already"),
            hint: "`comity operator list` shows who governs, and how many of them it takes".to_owned(),
        });
    }
    change(&signatory, governance, ("thresholds", &whom), dry_run, global).await
}

/// Takes an operator's vote away.
pub(super) async fn remove(operator: &str, dry_run: bool, global: &Global) -> Result<(), CliError> {
    let signatory = Signatory::of(Session::open(global).await?)?;
    signatory.operator()?;
    let mut governance = governance(&signatory).await?;
    let id = named(operator, signatory.id().trust_domain())?;
    if governance.operators.remove(&id).is_none() {
        return Err(unknown(operator));
    }
    change(&signatory, governance, ("removed", id.as_str()), dry_run, global).await
}

async fn governance(signatory: &Signatory) -> Result<Governance, CliError> {
    let followed = signatory.session().log().await?;
    followed.log().federation().governance().cloned().ok_or_else(|| CliError::Failed {
        problem: "the federation's log is empty".to_owned(),
        hint: "ask the broker's operator".to_owned(),
    })
}

async fn change(
    signatory: &Signatory,
    governance: Governance,
    did: (&'static str, &str),
    dry_run: bool,
    global: &Global,
) -> Result<(), CliError> {
    let Governance { operators, root_threshold, membership_threshold } = governance;
    let statement = Statement::RootChanged { operators, root_threshold, membership_threshold };
    if dry_run {
        return signatory.would(global, &[statement]).await;
    }
    let said = signatory.say("change who governs", statement).await?;
    report(global, did, &said)
}
