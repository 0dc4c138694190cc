//! Taking up an invite, and fresh certificates.
//!
//! The key is made in the member's own directory and stays there. The invite pins the federation's root document,
//! and the secret of the invite is sent to no one but the broker that the document names.

mod renewal;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use comity_identity::anchors::AnchorError;
use comity_identity::request::KeyError;
use comity_identity::root::RootError;
use comity_identity::store::StoreError;
use comity_identity::{CertificateDer, IdentityDir, Invite, Root, tls};
use comity_policy::Organisation;
use comity_proto::enrolment as wire;
use comity_proto::enrolment::enrolment_client::EnrolmentClient;
use comity_proto::enrolment::join_response::State;
use comity_runtime::clock::SystemClock;
use comity_types::ids::Kind;
use comity_types::{Clock, Digest, Name, SpiffeId, TrustDomain};
use tonic::Status;

use crate::connection::{Connection, ConnectionError};

pub use renewal::{renew, renew_due};

/// Where an enrolment stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JoinState {
    /// Operators have to approve first: ask again with the same invite and directory.
    Pending {
        /// What operators approve.
        enrolment_id: String,
        /// A short form of the key's digest, to compare with them over another channel.
        fingerprint: String,
    },
    /// Done: the directory holds the identity.
    Issued(IdentityDir),
    /// Operators said no.
    Rejected {
        /// Why.
        reason: String,
    },
}

/// Why an enrolment or a renewal failed.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The directory cannot be used.
    #[error("the identity's directory cannot be used")]
    Store(#[from] StoreError),
    /// The key cannot sign.
    #[error("no signing request can be made")]
    Key(#[from] KeyError),
    /// The broker showed another root document than the invite pins.
    #[error("the federation's root document is refused")]
    Root(#[from] RootError),
    /// TLS cannot be set up.
    #[error("no connection can be made")]
    Connection(#[from] ConnectionError),
    /// The broker refused, or cannot be reached.
    #[error("the broker did not enrol us")]
    Call(#[source] Box<Status>),
    /// The broker's answer lacks something.
    #[error("the broker's answer has no {field} (hint: update this program)")]
    Incomplete {
        /// What is missing.
        field: &'static str,
    },
    /// The directory holds an identity in another federation.
    #[error(
        "the directory holds an identity of the federation {found}, and the invite is to {invited} (hint: join in an empty directory)"
    )]
    OtherFederation {
        /// The digest of the root document in the directory.
        found: Digest,
        /// The digest in the invite.
        invited: Digest,
    },
}

impl From<Status> for EnrolError {
    fn from(status: Status) -> Self {
        Self::Call(Box::new(status))
    }
}

impl From<rustls::Error> for EnrolError {
    fn from(error: rustls::Error) -> Self {
        Self::Connection(error.into())
    }
}

impl From<AnchorError> for EnrolError {
    fn from(error: AnchorError) -> Self {
        Self::Connection(error.into())
    }
}

/// Takes up `invite` with a key in `dir`. `organisation` has its facts, where the invite is for a new one.
///
/// Safe to call again at any time: the same key asks, and gets the same answer.
///
/// # Errors
/// The broker cannot be reached, is not the one invited to, or refuses; or the directory cannot be used.
pub async fn join(invite: &Invite, organisation: Option<&Organisation>, dir: &Path) -> Result<JoinState, EnrolError> {
    join_with_clock(invite, organisation, dir, Arc::new(SystemClock)).await
}

/// Like [`join`], by another clock.
///
/// # Errors
/// As for [`join`].
pub async fn join_with_clock(
    invite: &Invite,
    organisation: Option<&Organisation>,
    dir: &Path,
    clock: Arc<dyn Clock>,
) -> Result<JoinState, EnrolError> {
    let dir = IdentityDir::create(dir)?;
    if dir.is_joined() {
        return joined_before(invite, dir);
    }
    let key = dir.pending_key()?;
    let root_json = fetch_root(invite, &clock).await?;
    let root = Root::pinned(&root_json, invite.root)?;
    let request = wire::JoinRequest {
        invite_id: invite.id_text(),
        secret: invite.secret.reveal().to_vec().into(),
        csr_der: key.signing_request(&nobody(&root.federation)?)?.into(),
        organisation: organisation.map(Into::into),
    };
    let anchors = Arc::new(root.organisation_anchors()?);
    let tls = tls::enrolment_client_config(root.broker, anchors, clock)?;
    let connection = Connection::for_enrolment(&invite.address, tls);
    let answer = EnrolmentClient::new(connection.channel()).join(request).await?.into_inner();
    match answer.state.ok_or(EnrolError::Incomplete { field: "state" })? {
        State::Pending(wire::Pending { enrolment_id, fingerprint }) => {
            Ok(JoinState::Pending { enrolment_id, fingerprint })
        }
        State::Rejected(wire::Rejected { reason }) => Ok(JoinState::Rejected { reason }),
        State::Issued(issued) => {
            dir.save(&chain(issued), &root_json)?;
            Ok(JoinState::Issued(dir))
        }
    }
}

fn joined_before(invite: &Invite, dir: IdentityDir) -> Result<JoinState, EnrolError> {
    let found = dir.identity()?.federation_root;
    if found == invite.root {
        Ok(JoinState::Issued(dir))
    } else {
        Err(EnrolError::OtherFederation { found, invited: invite.root })
    }
}

/// Whom we ask is not verified: the digest in the invite decides whether the answer is believed.
async fn fetch_root(invite: &Invite, clock: &Arc<dyn Clock>) -> Result<Vec<u8>, EnrolError> {
    let tls = tls::danger::unverified_enrolment_client_config(Arc::clone(clock))?;
    let connection = Connection::for_enrolment(&invite.address, tls);
    let answer = EnrolmentClient::new(connection.channel()).get_root(wire::GetRootRequest {}).await?;
    Ok(answer.into_inner().root.into())
}

/// The name in a signing request: which one we get is for the invite to say, so it is a placeholder.
fn nobody(federation: &TrustDomain) -> Result<SpiffeId, EnrolError> {
    let name: Name = "enrolling".parse().map_err(|_| KeyError::Unusable)?;
    Ok(SpiffeId::new(federation.clone(), Kind::App, name))
}

fn chain(issued: wire::Issued) -> Vec<CertificateDer<'static>> {
    issued.certificate_chain_der.into_iter().map(|der| Vec::from(der).into()).collect()
}
