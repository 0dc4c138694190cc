//! `comity suspend`.

use std::collections::BTreeSet;

use clap::Args;
use comity_client::say::Said;
use comity_membership::{By, Federation, Refused, Statement, Subject};
use serde_json::json;
use tonic::Code;

use crate::args::Global;
use crate::error::CliError;
use crate::output::{Format, print_json, say};
use crate::session::Session;
use crate::signing::{Role, Signatory, membership_threshold, proposal_json, proposals, report, statement_of};

/// What `--help` says about who may.
pub(crate) const AFTER: &str = "\
An operator of the federation stops whom they name at once. Where the federation needs more than one operator for it, \
this is a brake: it lapses after 72 hours unless enough others ratify it with `comity approve`, and no operator may \
brake the same member twice, nor a second certificate of it, before the threshold has spoken. Where somebody is braked already, or may not be \
braked, it says so and goes on to what the threshold signs: so it is repeated safely, and whoever says it second, with the same reason, \
ratifies it. Whoever has an organisation's key stops the organisation itself or what is its own; \
operators and the organisation each lift their own suspension.";

/// How often a brake is tried: once more where somebody else said something meanwhile.
const TRIES: usize = 2;

/// Stop an organisation, a member or a member's certificate. New calls are refused at once, and those that run are cut.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct SuspendArgs {
    /// An organisation's trust domain, a member's SPIFFE ID, or SPIFFE-ID#sha256=DIGEST for one certificate
    member: Subject,
    /// Why; the member sees it
    #[arg(long)]
    reason: String,
    /// Show what would be signed and who has to sign it, and sign nothing
    #[arg(long)]
    dry_run: bool,
}

/// Does so.
pub(crate) async fn run(args: SuspendArgs, global: &Global) -> Result<(), CliError> {
    let signatory = Signatory::of(Session::open(global).await?)?;
    let SuspendArgs { member, reason, dry_run } = args;
    let suspended = |by| Statement::Suspended { subject: member.clone(), reason: reason.clone(), by };
    if let Role::Organisation(_) = signatory.role() {
        if dry_run {
            return signatory.would(global, &[suspended(By::Organisation)]).await;
        }
        let said = signatory.say("suspend the member", suspended(By::Organisation)).await?;
        return report(global, ("suspended", &member.to_string()), &said);
    }
    let stop =
        Stop { signatory, subject: member.clone(), brake: suspended(By::Brake), whole: suspended(By::Federation) };
    stop.run(global, dry_run).await
}

/// What an operator says of somebody: at once, and for good with the others.
struct Stop {
    signatory: Signatory,
    subject: Subject,
    brake: Statement,
    whole: Statement,
}

impl Stop {
    async fn run(&self, global: &Global, dry_run: bool) -> Result<(), CliError> {
        let followed = self.signatory.session().log().await?;
        let federation = followed.log().federation();
        // What the threshold could not say either is not said at all.
        self.check(federation, &self.whole).map_err(|why| refused(&why))?;
        let alone = membership_threshold(federation) == 1;
        let no_brake = if alone { None } else { self.check(federation, &self.brake).err() };
        if dry_run {
            no_brake.iter().for_each(|why| self.tell(federation, &why.to_string()));
            let brake = (!alone && no_brake.is_none()).then(|| self.brake.clone());
            let all: Vec<_> = brake.into_iter().chain([self.whole.clone()]).collect();
            return self.signatory.would(global, &all).await;
        }
        if alone {
            let said = self.signatory.say("suspend the member", self.whole.clone()).await?;
            return report(global, ("suspended", &self.subject.to_string()), &said);
        }
        let braked = self.brake().await?;
        self.tell_of_others().await?;
        let proposed = self.signatory.say("propose the suspension", self.whole.clone()).await;
        if proposed.is_err() && braked.is_ok() {
            say(&format!(
                "{} is braked, which lapses after 72 hours; what follows is why it cannot be proposed for good; to try that again, say the same again",
                self.subject
            ));
        }
        self.report(global, &braked, &proposed?)
    }

    /// Whether this operator could say it now, if enough others did.
    fn check(&self, federation: &Federation, statement: &Statement) -> Result<(), Refused> {
        let key = federation.member(self.signatory.id()).map(|member| member.key.id());
        let now = self.signatory.session().identity().clock().now();
        federation.check_said(statement, &BTreeSet::from_iter(key), now)
    }

    /// Brakes, or tells why that cannot be said: what the threshold says does not depend on it.
    async fn brake(&self) -> Result<Result<Said, String>, CliError> {
        let mut last = String::new();
        for _ in 0..TRIES {
            let followed = self.signatory.session().log().await?;
            let federation = followed.log().federation();
            if let Err(why) = self.check(federation, &self.brake) {
                last = why.to_string();
                self.tell(federation, &last);
                return Ok(Err(last));
            }
            match self.signatory.say("suspend the member", self.brake.clone()).await {
                Ok(said) => return Ok(Ok(said)),
                Err(CliError::Status { status, .. }) if is_refusal(status.code()) => {
                    last = status.message().to_owned();
                }
                Err(other) => return Err(other),
            }
        }
        say(&format!("no brake: {last}"));
        Ok(Err(last))
    }

    fn tell(&self, federation: &Federation, why: &str) {
        let by = federation.braked_by(&self.subject).map(|who| format!(", by a brake of {who}")).unwrap_or_default();
        say(&format!("no brake: {why}{by}; what the threshold of operators signs is said all the same"));
    }

    /// Of two that say the same for different reasons only one comes into force: whoever proposes the second has to know.
    async fn tell_of_others(&self) -> Result<(), CliError> {
        for proposal in proposals(self.signatory.session()).await? {
            let Statement::Suspended { subject, reason, by: By::Federation } = statement_of(&proposal)? else {
                continue;
            };
            if subject == self.subject
                && !matches!(&self.whole, Statement::Suspended { reason: own, .. } if *own == reason)
            {
                let (who, id) = (proposal.signed_by.join(" "), proposal.id);
                say(&format!(
                    "{who} has proposed it for another reason, {reason:?}; to sign that: comity approve {id}"
                ));
            }
        }
        Ok(())
    }

    /// What it comes to: it holds now, and others have to ratify it.
    fn report(&self, global: &Global, braked: &Result<Said, String>, proposed: &Said) -> Result<(), CliError> {
        let whom = self.subject.to_string();
        if global.output == Format::Json {
            let epoch = [Some(proposed), braked.as_ref().ok()].into_iter().flatten().find_map(|said| match said {
                Said::InForce(epoch) => Some(*epoch),
                Said::Waits(_) => None,
            });
            let waits = match proposed {
                Said::Waits(proposal) => Some(proposal_json(proposal)),
                Said::InForce(_) => None,
            };
            let why = braked.as_ref().err();
            return print_json(&json!({ "suspended": whom, "epoch": epoch, "ratification": waits, "noBrake": why }));
        }
        if let Ok(braked) = braked {
            report(global, ("suspended", &whom), braked)?;
            say("this is a brake: it lapses after 72 hours unless it is ratified");
        }
        report(global, ("suspended", &whom), proposed)
    }
}

/// Whether the broker understood a statement and does not take it: nothing is in force by it.
fn is_refusal(code: Code) -> bool {
    matches!(code, Code::FailedPrecondition | Code::ResourceExhausted | Code::Aborted)
}

fn refused(refused: &Refused) -> CliError {
    let text = refused.to_string();
    let (why, hint) = text.split_once(" (hint: ").unwrap_or((&text, ""));
    let hint = hint.strip_suffix(')').unwrap_or("`comity suspension list` shows who is suspended, by whom and why");
    CliError::Failed { problem: format!("this cannot be said: {why}"), hint: hint.to_owned() }
}
