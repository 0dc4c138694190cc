//! `comity lift`.

use clap::Args;
use comity_membership::{By, Statement, Subject};

use crate::args::Global;
use crate::error::CliError;
use crate::session::Session;
use crate::signing::{Role, Signatory, report};

/// What `--help` says about members without a certificate.
pub(crate) const AFTER: &str = "\
What an organisation suspended of itself, its key ends at any time: also from the directory of the only member that it \
has, when that is suspended and its certificate has ended.";

/// End a suspension: operators the federation's, an organisation its own. Whoever braked alone takes it back alone.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct LiftArgs {
    /// An organisation's trust domain, a member's SPIFFE ID, or SPIFFE-ID#sha256=DIGEST for one certificate
    member: Subject,
    /// Show what would be signed and who has to sign it, and sign nothing
    #[arg(long)]
    dry_run: bool,
}

/// Does so.
pub(crate) async fn run(args: LiftArgs, global: &Global) -> Result<(), CliError> {
    let signatory = signatory(global).await?;
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
    let doing = "lift the member";
    let said = if signatory.session().is_shut_out() {
        signatory.lift_unseen(doing, statement).await?
    } else {
        signatory.say(doing, statement).await?
    };
    report(global, ("lifted", &subject.to_string()), &said)
}

/// Whoever has an organisation's key and no certificate that holds, nor gets one, may be suspended by the organisation
/// itself: the key alone ends that.
async fn signatory(global: &Global) -> Result<Signatory, CliError> {
    let refused = match Session::open(global).await {
        Ok(session) => return Signatory::of(session),
        Err(refused) => refused,
    };
    let shut_out = Session::shut_out(global).and_then(|session| Signatory::of(session).ok());
    shut_out.filter(|signatory| matches!(signatory.role(), Role::Organisation(_))).ok_or(refused)
}
