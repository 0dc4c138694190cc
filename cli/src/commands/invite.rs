//! `comity invite`: a string by which a member may join.

use std::time::Duration;

use clap::{Args, ValueEnum};
use comity_proto::json::Canonical;
use comity_proto::membership::{InviteRequest, Kind};
use comity_types::{Name, TrustDomain};

use crate::args::Global;
use crate::error::CliError;
use crate::output::{Format, print_json, print_line, say};
use crate::session::Session;
use crate::view;

/// Shortest time that an invite may hold.
const MIN_TTL: Duration = Duration::from_secs(60);
/// Longest time that an invite may hold.
const MAX_TTL: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Invite a member. The string that is printed is a secret until it is used.
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
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum InviteKind {
    /// A program that serves models
    Node,
    /// A program that asks them
    App,
    /// A person who governs the federation
    Operator,
}

/// Asks for the invite and prints it.
pub(crate) async fn run(args: InviteArgs, global: &Global) -> Result<(), CliError> {
    let request = InviteRequest {
        trust_domain: args.organisation.to_string(),
        kind: wire_kind(args.kind).into(),
        name: args.name.to_string(),
        ttl_seconds: u32::try_from(args.ttl.as_secs()).unwrap_or(u32::MAX),
    };
    let session = Session::open(global).await?;
    let answer =
        session.membership().invite(request).await.map_err(|status| CliError::call("invite", status))?.into_inner();
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
