//! `comity lift`.

use clap::Args;
use comity_membership::{By, Statement, Subject};

use crate::args::Global;
use crate::error::CliError;
use crate::session::Session;
use crate::signing::{Role, Signatory, report};

/// End a suspension: operators the federation's, an organisation its own. Whoever braked alone takes it back alone.
#[derive(Debug, Args)]
pub(crate) struct LiftArgs {
    /// An organisation's trust domain, a member's SPIFFE ID, or SPIFFE-ID#sha256=DIGEST for one certificate
    member: Subject,
    /// Show what would be signed and who has to sign it, and sign nothing
    #[arg(long)]
    dry_run: bool,
}

/// Does so.
pub(crate) async fn run(args: LiftArgs, global: &Global) -> Result<(), CliError> {
    let signatory = Signatory::of(Session::open(global).await?)?;
    let subject = args.member;
    let by = match signatory.role() {
        Role::Organisation(_) => By::Organisation,
        Role::Operator => {
            let followed = signatory.session().log().await?;
            // One takes back a brake of one's own; what somebody else has said, only enough of them end.
            let own = followed.log().federation().is_braked_by(signatory.id(), &subject);
            if own { By::Brake } else { By::Federation }
        }
    };
    let statement = Statement::Lifted { subject: subject.clone(), by };
    if args.dry_run {
        return signatory.would(global, &[statement]).await;
    }
    let said = signatory.say("lift the member", statement).await?;
    report(global, ("lifted", &subject.to_string()), &said)
}
