//! Taking up an invite, and fresh certificates.
//!
//! The key is made in the member's own directory and stays there. The invite pins the federation's root document,
//! and the secret of the invite is sent to no one but the broker that the document names.

mod error;
mod renewal;
mod taken;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use comity_identity::request::KeyError;
use comity_identity::{CertificateDer, IdentityDir, Invite, Root, leaf_identity, tls};
use comity_policy::OrganisationFile;
use comity_proto::enrolment as wire;
use comity_proto::enrolment::enrolment_client::EnrolmentClient;
use comity_proto::enrolment::join_response::State;
use comity_proto::membership::Kind as WireKind;
use comity_runtime::clock::SystemClock;
use comity_types::ids::Kind;
use comity_types::{Clock, Name, SpiffeId, TrustDomain};

use crate::connection::Connection;

pub use error::EnrolError;
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

/// Takes up `invite` with a key in `dir`, as a program that can become one of `kinds`. `organisation` has what
/// its file says, where the invite is for a new one.
///
/// Safe to call again at any time with the same invite: the same key asks, and gets the same answer. Another
/// invite is refused, so that no directory ever holds more than one identity.
///
/// # Errors
/// The broker cannot be reached, is not the one invited to, or refuses; the invite is for none of `kinds`; or the
/// directory cannot be used, or belongs to another invite.
pub async fn join(
    invite: &Invite,
    kinds: &[Kind],
    organisation: Option<&OrganisationFile>,
    dir: &Path,
) -> Result<JoinState, EnrolError> {
    join_with_clock(invite, kinds, organisation, dir, Arc::new(SystemClock)).await
}

/// Like [`join`], by another clock.
///
/// # Errors
/// As for [`join`].
pub async fn join_with_clock(
    invite: &Invite,
    kinds: &[Kind],
    organisation: Option<&OrganisationFile>,
    dir: &Path,
    clock: Arc<dyn Clock>,
) -> Result<JoinState, EnrolError> {
    let dir = IdentityDir::create(dir)?;
    taken::check(&dir, invite)?;
    if dir.is_joined() {
        taken::check_kind(&dir.identity()?.spiffe_id, kinds)?;
        return Ok(JoinState::Issued(dir));
    }
    let root_json = fetch_root(invite, &clock).await?;
    let root = Root::pinned(&root_json, invite.root)?;
    taken::take_up(&dir, invite)?;
    let request = wire::JoinRequest {
        invite_id: invite.id_text(),
        secret: invite.secret.reveal().to_vec().into(),
        csr_der: dir.pending_key()?.signing_request(&nobody(&root.federation)?)?.into(),
        organisation: organisation.map(|file| (&file.facts).into()),
        layers: organisation.map(|file| &file.layers).filter(|layers| !layers.is_empty()).map(Into::into),
        kinds: kinds.iter().filter_map(|kind| wire_kind(*kind)).map(Into::into).collect(),
    };
    let anchors = Arc::new(root.organisation_anchors()?);
    let tls = tls::enrolment_client_config(root.broker, anchors, clock)?;
    let connection = Connection::for_enrolment(&invite.address, tls);
    let answer = EnrolmentClient::new(connection.unary()).join(request).await;
    let answer = answer.map_err(|status| taken::refused(&dir, invite, status))?.into_inner();
    match answer.state.ok_or(EnrolError::Incomplete { field: "state" })? {
        State::Pending(wire::Pending { enrolment_id, fingerprint }) => {
            Ok(JoinState::Pending { enrolment_id, fingerprint })
        }
        State::Rejected(wire::Rejected { reason }) => {
            dir.put_down(invite)?;
            Ok(JoinState::Rejected { reason })
        }
        State::Issued(issued) => {
            let chain = chain(issued);
            taken::check_kind(&leaf_id(&chain)?, kinds)?;
            dir.save(&chain, &root_json)?;
            Ok(JoinState::Issued(dir))
        }
    }
}

/// Whom a certificate names, before it is stored.
fn leaf_id(chain: &[CertificateDer<'static>]) -> Result<SpiffeId, EnrolError> {
    let leaf = chain.first().ok_or(EnrolError::Incomplete { field: "certificate_chain_der" })?;
    Ok(leaf_identity(leaf)?.id)
}

/// A kind as the wire has it; brokers are not invited.
const fn wire_kind(kind: Kind) -> Option<WireKind> {
    match kind {
        Kind::Node => Some(WireKind::Node),
        Kind::App => Some(WireKind::App),
        Kind::Operator => Some(WireKind::Operator),
        Kind::Broker => None,
    }
}

/// Whom we ask is not verified: the digest in the invite decides whether the answer is believed.
async fn fetch_root(invite: &Invite, clock: &Arc<dyn Clock>) -> Result<Vec<u8>, EnrolError> {
    let tls = tls::danger::unverified_enrolment_client_config(Arc::clone(clock))?;
    let connection = Connection::for_enrolment(&invite.address, tls);
    let answer = EnrolmentClient::new(connection.unary()).get_root(wire::GetRootRequest {}).await?;
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
