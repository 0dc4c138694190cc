//! `comity invite`: a string by which a member may join. Operators invite new organisations and operators; whoever has
//! an organisation's key invites its members.

use std::time::Duration;

use clap::{Args, ValueEnum};
use comity_identity::{Invite, Inviter};
use comity_membership::{InviteId, Statement};
use comity_proto::convert::wire_instant;
use comity_proto::json::Canonical;
use comity_proto::membership::{InviteRequest, InviteResponse, Kind};
use comity_transparency::Signer as _;
use comity_types::{Name, SpiffeId, TrustDomain, ids};
use serde_json::json;

use crate::args::Global;
use crate::error::CliError;
use crate::output::{Format, print_json, print_line, say};
use crate::session::Session;
use crate::signing::Signatory;
use crate::view;

/// Shortest time that an invite may hold.
const MIN_TTL: Duration = Duration::from_secs(60);
/// Longest time that an invite may hold.
const MAX_TTL: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Invite a member: as an operator a new organisation with its first member, or another operator; with an organisation's
/// key a node, an app or an operator of its own, without asking anyone. The string that is printed is a secret until it
/// is used.
#[derive(Debug, Args)]
pub(crate) struct InviteArgs {
    /// The organisation's trust domain, such as org-a.example; the federation's own for an operator
    organisation: TrustDomain,
    /// What it is for
    #[arg(long, value_enum)]
    kind: InviteKind,
    /// The member's name below the organisation, such as n1
    #[arg(long)]
    name: Name,
    /// How long it holds: 1m to 30d
    #[arg(long, default_value = "24h", value_parser = ttl)]
    ttl: Duration,
    /// Show what would be signed and who has to sign it, or that the broker would make the invite, and make none
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum InviteKind {
    /// A program that serves models
    Node,
    /// A program that asks them
    App,
    /// A person: of the federation, who governs it, or of an organisation
    Operator,
}

/// Makes the invite and prints it.
pub(crate) async fn run(args: InviteArgs, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let own = session.identity().id().trust_domain() == &args.organisation;
    let governs = session.identity().root().federation == *session.identity().id().trust_domain();
    let by_organisation = own && !governs;
    if args.dry_run && !by_organisation {
        return would_ask(&args, &session, global).await;
    }
    if args.dry_run {
        let (_, statement) = prepare(&args, &session)?;
        return Signatory::of(session)?.would(global, &[statement]).await;
    }
    let answer = if by_organisation { own_invite(&args, session).await? } else { ask(&args, &session).await? };
    if global.output == Format::Json {
        return print_json(&Canonical(&answer));
    }
    let expires_at = view::instant(answer.expires_at.as_ref());
    let program = if matches!(args.kind, InviteKind::Node) { "comity-node join" } else { "comity join" };
    say(&format!(
        "Hand this to {}/{} over a channel that you trust; `{program}` takes it, once, until {expires_at}.\n\
         `comity reject {} --reason WHY` revokes it until then:",
        args.organisation, args.name, answer.invite_id
    ));
    print_line(&answer.invite)
}

/// What the broker would say to an operators' invite, which is not a statement: nothing else knows whom others invited.
async fn would_ask(args: &InviteArgs, session: &Session, global: &Global) -> Result<(), CliError> {
    let answer = ask(args, session).await?;
    say("a dry run: no invite is made. An operators' invite is not a statement: they sign when they approve");
    let member = SpiffeId::new(args.organisation.clone(), own_kind(args.kind), args.name.clone());
    let until = view::instant(answer.expires_at.as_ref());
    let json = json!({ "wouldInvite": member, "until": until });
    global.output.record(vec![("would invite", member.to_string()), ("until", until)], &json)
}

/// An operators' invite: the broker makes it, or says whether it would.
async fn ask(args: &InviteArgs, session: &Session) -> Result<InviteResponse, CliError> {
    let request = InviteRequest {
        trust_domain: args.organisation.to_string(),
        kind: wire_kind(args.kind).into(),
        name: args.name.to_string(),
        ttl_seconds: u32::try_from(args.ttl.as_secs()).unwrap_or(u32::MAX),
        dry_run: args.dry_run,
    };
    let answer = session.membership().invite(request).await;
    Ok(answer.map_err(|status| CliError::call("invite", status))?.into_inner())
}

/// An organisation's invite: made here, so that nobody but its holder has its key.
async fn own_invite(args: &InviteArgs, session: Session) -> Result<InviteResponse, CliError> {
    let (invite, statement) = prepare(args, &session)?;
    let expires_at = session.identity().clock().now().plus(args.ttl);
    let _said = Signatory::of(session)?.say("invite", statement).await?;
    Ok(InviteResponse {
        invite: invite.encode().map_err(|error| unmade(error.into()))?.reveal().clone(),
        invite_id: invite.id_text(),
        expires_at: Some(wire_instant(expires_at)),
    })
}

/// An invite of the organisation's, and the statement that makes it count.
fn prepare(args: &InviteArgs, session: &Session) -> Result<(Invite, Statement), CliError> {
    let identity = session.identity();
    let address = identity.brokers().first().cloned().unwrap_or_default();
    let invite = Invite::generate(Inviter::Organisation, session.federation_root(), &address)
        .map_err(|error| unmade(error.into()))?;
    let key = invite.signer().and_then(|signer| signer.public_key()).map_err(|error| unmade(error.into()))?;
    let statement = Statement::MemberInvited {
        member: SpiffeId::new(args.organisation.clone(), own_kind(args.kind), args.name.clone()),
        invite: InviteId::from_bytes(invite.id),
        key,
        expires_at: identity.clock().now().plus(args.ttl),
    };
    Ok((invite, statement))
}

fn unmade(source: Box<dyn std::error::Error + Send + Sync>) -> CliError {
    CliError::Client { doing: "make the invite", source, hint: None }
}

const fn own_kind(kind: InviteKind) -> ids::Kind {
    match kind {
        InviteKind::Node => ids::Kind::Node,
        InviteKind::App => ids::Kind::App,
        InviteKind::Operator => ids::Kind::Operator,
    }
}

fn wire_kind(kind: InviteKind) -> Kind {
    match kind {
        InviteKind::Node => Kind::Node,
        InviteKind::App => Kind::App,
        InviteKind::Operator => Kind::Operator,
    }
}

fn ttl(text: &str) -> Result<Duration, String> {
    let ttl = humantime::parse_duration(text).map_err(|error| format!("{error}; write 30m, 24h or 7d"))?;
    if (MIN_TTL..=MAX_TTL).contains(&ttl) { Ok(ttl) } else { Err("an invite holds for 1m to 30d".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invite_holds_for_a_minute_to_thirty_days() {
        assert_eq!(ttl("24h"), Ok(Duration::from_secs(86_400)));
        for wrong in ["59s", "31d", "soon", "-1h"] {
            assert!(ttl(wrong).is_err(), "{wrong}");
        }
    }
}
