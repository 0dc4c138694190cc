//! Takes up an invite: after it, the node has an identity.

use std::path::Path;

use comity_client::enrol::{self, EnrolError, JoinState};
use comity_identity::Invite;
use comity_identity::invite::InviteError;
use comity_identity::store::StoreError;
use comity_policy::check::{self, Unfit};
use comity_policy::organisation::{LayerError, OrganisationTable};
use comity_policy::{OrganisationFile, Tables};
use comity_runtime::config::ConfigError;
use comity_runtime::tables::TablesError;
use comity_types::SpiffeId;
use comity_types::ids::Kind;

use crate::config::Config;

#[cfg(test)]
mod tests;

/// Where an enrolment stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joined {
    /// The node has this identity.
    Issued(SpiffeId),
    /// Operators have to approve first.
    Pending {
        /// What operators approve.
        enrolment_id: String,
        /// A short form of the key's digest.
        fingerprint: String,
    },
}

/// Why a node cannot join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The invite is none.
    #[error("the invite cannot be read")]
    Invite(#[from] InviteError),
    /// The organisation's facts cannot be read.
    #[error("the organisation's facts cannot be read")]
    Organisation(#[from] Box<ConfigError>),
    /// What the organisation demands of its own requests cannot be used.
    #[error("the organisation's requirements cannot be used")]
    Layers(#[from] Box<LayerError>),
    /// The tables that the organisation's codes are held against cannot be used.
    #[error("node.tables cannot be used")]
    Tables(#[from] TablesError),
    /// A fact of the organisation cannot be as it stands.
    #[error("the organisation's facts cannot be used")]
    Facts(#[from] Unfit),
    /// Enrolment failed.
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    /// What was issued cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Operators said no.
    #[error("the federation's operators turned the enrolment down: {reason}")]
    Rejected {
        /// Their reason.
        reason: String,
    },
}

/// Takes up `invite`, with what is said in the file `organisation` where the invite is for a new one.
///
/// Safe to call again with the same invite: the same key asks, and gets the same answer.
///
/// # Errors
/// The invite, the facts or the directory cannot be used, or the broker refuses.
pub async fn join(config: &Config, invite: &str, organisation: Option<&Path>) -> Result<Joined, JoinError> {
    let invite: Invite = invite.parse()?;
    let organisation = organisation.map(|path| read(path, &*config.tables()?)).transpose()?;
    match enrol::join(&invite, &[Kind::Node], organisation.as_ref(), &config.identity_dir()).await? {
        JoinState::Issued(dir) => Ok(Joined::Issued(dir.identity()?.spiffe_id)),
        JoinState::Pending { enrolment_id, fingerprint } => Ok(Joined::Pending { enrolment_id, fingerprint }),
        JoinState::Rejected { reason } => Err(JoinError::Rejected { reason }),
    }
}

/// The facts in a file, none of which the operators would have to ask about, and what its owner demands of itself.
fn read(path: &Path, tables: &Tables) -> Result<OrganisationFile, JoinError> {
    let table: OrganisationTable = comity_runtime::config::load(path).map_err(Box::new)?;
    let file = table.expand(tables).map_err(Box::new)?;
    check::organisation_file(&file.facts, tables)?;
    Ok(file)
}
