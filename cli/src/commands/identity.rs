//! The identity that a command acts as: who it is, and its certificate, which holds for a day.

mod keep;
mod renew;
mod show;

use clap::Subcommand;

use crate::args::Global;
use crate::error::CliError;

/// What `--help` says about who needs which.
const AFTER: &str = "\
Certificates hold for a day. Every command renews the identity that it uses past half of that, and programs that are \
built on the Rust SDK do so by themselves. For a program of another language, let `comity identity keep` run beside it: it \
puts a fresh cert.pem in place of the old one in one step (a rename), so that whoever reads the file, or watches the folder, \
sees one certificate or the other, whole. key.pem stays. A program reads both again when it connects anew. The certificate of an \
organisation's own authority is signed again if authority.json says where its key is.";

/// The identity that commands act as.
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER)]
pub(crate) enum IdentityCommand {
    /// Say who it is, and until when its certificate holds; asks nobody
    Show,
    /// Get a fresh certificate for the same key, now; also after the old one has ended, without an invite
    Renew,
    /// Keep the certificate fresh until stopped: renew it at half of its life, for programs of other languages
    Keep,
}

/// Does what is asked.
pub(crate) async fn run(command: IdentityCommand, global: &Global) -> Result<(), CliError> {
    match command {
        IdentityCommand::Show => show::run(global),
        IdentityCommand::Renew => renew::run(global).await,
        IdentityCommand::Keep => keep::run(global).await,
    }
}
