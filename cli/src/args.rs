//! What may be written on the command line. The arguments of a command stand beside it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use comity_client::workload_api::Socket;

use crate::commands::{
    app, audit, auditor, budget, chat, claim, completions, demo, doctor, embed, enrolment, explain, federation,
    identity, invite, join, log, man, member, model, node, offer, operator, organisation, policy, preset, proposal,
    receipt, record, suspension, table, terms, usage,
};
use crate::exit;
use crate::output::Format;

/// Ask models of other organisations, on your terms and theirs.
#[derive(Debug, Parser)]
#[command(name = "comity", version, max_term_width = 100, subcommand_required = true, arg_required_else_help = true, after_help = exit::HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Directory of the identity to act as, as `comity join` or `comity federation init` made it
    #[arg(long, global = true, value_name = "DIR", env = "COMITY_IDENTITY")]
    pub(crate) identity: Option<PathBuf>,
    /// Workload API that has the identity's key and certificate, such as unix:///run/spire/agent.sock
    #[arg(long, global = true, value_name = "SOCKET", env = "COMITY_WORKLOAD_API")]
    pub(crate) workload_api: Option<Socket>,
    /// Folder with the federation's own tables (blocs.toml, ...), each in the place of the one that ships
    #[arg(long, global = true, value_name = "DIR", env = "COMITY_TABLES")]
    pub(crate) tables: Option<PathBuf>,
    /// How to print data
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show a whole federation on this machine: a broker, three nodes, two apps, and a story
    Demo(demo::DemoArgs),
    /// Find out what is wrong between an identity and its federation, and how to mend it; changes nothing
    Doctor(doctor::DoctorArgs),
    /// Found a federation, and look at one
    #[command(subcommand)]
    Federation(federation::Federation),
    /// The operators of the federation
    #[command(subcommand)]
    Operator(operator::Operator),
    /// Invite a new organisation or an operator (operators), or a member of one's own organisation
    Invite(invite::InviteArgs),
    /// Take up an invite for an app or an operator (nodes use `comity-node join`)
    Join(join::JoinArgs),
    /// The identity that commands act as: who it is, and a fresh certificate for it
    #[command(subcommand)]
    Identity(identity::IdentityCommand),
    /// Enrolments that wait for approval, and invites that nobody has taken up
    #[command(subcommand)]
    Enrolment(enrolment::Enrolment),
    /// Sign what waits for operators: an enrolment or a proposal (operators)
    Approve(enrolment::approve::ApproveArgs),
    /// Turn an enrolment down (operators), or revoke an invite
    Reject(enrolment::reject::RejectArgs),
    /// Statements that wait for more operators to sign (operators)
    #[command(subcommand)]
    Proposal(proposal::Proposal),
    /// Proofs of decisions and of what became of them
    #[command(subcommand)]
    Receipt(receipt::Receipt),
    /// What is recorded of decisions
    #[command(subcommand)]
    Record(record::Record),
    /// Report what went where and why, every row traceable to its leaf (operators)
    Audit(audit::AuditArgs),
    /// State what was used: requests, tokens and money, every line traceable to the leaves of the decision log
    Usage(usage::UsageArgs),
    /// What may be used, and what is left of it
    #[command(subcommand)]
    Budget(budget::Budget),
    /// The organisations of the federation
    #[command(subcommand)]
    Organisation(organisation::Organisation),
    /// The nodes of the federation
    #[command(subcommand)]
    Node(node::Node),
    /// The apps of the federation
    #[command(subcommand)]
    App(app::App),
    /// Whose terms one's own organisation accepts
    #[command(subcommand)]
    Terms(terms::Terms),
    /// What an organisation or an offer claims, and what auditors have signed of it
    #[command(subcommand)]
    Claim(claim::Claim),
    /// Whose word counts on what others claim
    #[command(subcommand)]
    Auditor(auditor::Auditor),
    /// Stop an organisation, a member or a certificate at once (operators, and organisations what is their own)
    Suspend(member::suspend::SuspendArgs),
    /// End a suspension
    Lift(member::lift::LiftArgs),
    /// Who is suspended, by whom, since when and why
    #[command(subcommand)]
    Suspension(suspension::SuspensionCommand),
    /// Put an organisation out (operators)
    Evict(member::evict::EvictArgs),
    /// Leave the federation, or take a member of one's own out of it
    Withdraw(member::withdraw::WithdrawArgs),
    /// The federation's log: list it, verify it, take it along
    #[command(subcommand)]
    Log(log::Log),
    /// The models of the federation
    #[command(subcommand)]
    Model(model::Model),
    /// The offers of the federation
    #[command(subcommand)]
    Offer(offer::Offer),
    /// Say for every offer whether it may serve a request, and why not; sends nothing to a node
    Explain(explain::ExplainArgs),
    /// Talk to a model
    Chat(chat::ChatArgs),
    /// Embed the texts of a JSONL file
    Embed(embed::EmbedArgs),
    /// The decision, offline: files in, verdicts out
    #[command(subcommand)]
    Policy(policy::Policy),
    /// The tables that verdicts are computed against: law and lists, as data
    #[command(subcommand)]
    Table(table::Table),
    /// Requirements that have a name
    #[command(subcommand)]
    Preset(preset::Preset),
    /// Print the completions of a shell
    Completions(completions::CompletionsArgs),
    /// Print the manual page
    Man(man::ManArgs),
}

/// Shortest time for a call of a model: less only makes refusals of what would have been answered.
const MIN_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest time for a call of a model: what holds a place longer than a day was forgotten.
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a call of a model may take.
pub(crate) fn timeout(text: &str) -> Result<Duration, String> {
    let timeout = humantime::parse_duration(text).map_err(|error| format!("{error}; write 30s, 2m or 1h"))?;
    let allowed = (MIN_TIMEOUT..=MAX_TIMEOUT).contains(&timeout);
    if allowed { Ok(timeout) } else { Err("a call may take 1s to 24h".to_owned()) }
}
