//! The commands: one file each, `<noun>/<verb>.rs`.

pub(crate) mod app;
pub(crate) mod audit;
pub(crate) mod auditor;
pub(crate) mod budget;
pub(crate) mod chat;
pub(crate) mod claim;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod embed;
pub(crate) mod enrolment;
pub(crate) mod explain;
pub(crate) mod federation;
pub(crate) mod identity;
pub(crate) mod invite;
pub(crate) mod join;
pub(crate) mod log;
pub(crate) mod man;
pub(crate) mod member;
pub(crate) mod model;
pub(crate) mod node;
pub(crate) mod offer;
pub(crate) mod operator;
pub(crate) mod organisation;
pub(crate) mod policy;
pub(crate) mod preset;
pub(crate) mod proposal;
pub(crate) mod receipt;
pub(crate) mod record;
pub(crate) mod suspension;
pub(crate) mod table;
pub(crate) mod terms;
pub(crate) mod usage;

use crate::args::{Cli, Command};
use crate::error::CliError;
use crate::session;

/// Does what the command line says.
pub(crate) async fn run(cli: Cli) -> Result<(), CliError> {
    let global = cli.global.clone();
    match dispatch(cli).await {
        Err(error) => Err(session::explained(error, &global).await),
        done => done,
    }
}

async fn dispatch(cli: Cli) -> Result<(), CliError> {
    let Cli { global, command } = cli;
    match command {
        Command::Demo(args) => Box::pin(demo::run(args)).await,
        Command::Doctor(args) => Box::pin(doctor::run(&args, &global)).await,
        Command::Identity(command) => identity::run(command, &global).await,
        Command::Federation(federation) => federation::run(federation, &global).await,
        Command::Operator(operator) => operator::run(operator, &global).await,
        Command::Invite(args) => invite::run(args, &global).await,
        Command::Join(args) => join::run(&args, &global).await,
        Command::Enrolment(command) => enrolment::run(&command, &global).await,
        Command::Approve(args) => enrolment::approve::run(args, &global).await,
        Command::Reject(args) => enrolment::reject::run(args, &global).await,
        Command::Organisation(organisation) => organisation::run(organisation, &global).await,
        Command::Node(node) => node::run(node, &global).await,
        Command::App(app) => app::run(app, &global).await,
        Command::Proposal(proposal) => proposal::run(&proposal, &global).await,
        Command::Log(log) => log::run(log, &global).await,
        Command::Receipt(receipt) => receipt::run(receipt, &global).await,
        Command::Record(record) => record::run(record, &global).await,
        Command::Audit(args) => audit::run(args, &global).await,
        Command::Usage(args) => usage::run(args, &global).await,
        Command::Evict(args) => member::evict::run(args, &global).await,
        Command::Withdraw(args) => member::withdraw::run(args, &global).await,
        Command::Suspend(args) => member::suspend::run(args, &global).await,
        Command::Lift(args) => member::lift::run(args, &global).await,
        Command::Suspension(command) => suspension::run(&command, &global).await,
        Command::Budget(budget::Budget::List) => budget::list::run(&global).await,
        Command::Model(model::Model::List) => model::list::run(&global).await,
        Command::Offer(offer) => offer::run(offer, &global).await,
        Command::Explain(args) => explain::run(&args, &global).await,
        Command::Chat(args) => Box::pin(chat::run(args, &global)).await,
        Command::Embed(args) => Box::pin(embed::run(args, &global)).await,
        Command::Table(table) => Box::pin(table::run(&table, &global)).await,
        Command::Terms(terms) => terms::run(terms, &global).await,
        Command::Auditor(auditor) => auditor::run(auditor, &global).await,
        Command::Claim(claim) => claim::run(claim, &global).await,
        Command::Policy(policy) => policy::run(&policy, &global),
        Command::Preset(preset) => preset::run(&preset, &global),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}
