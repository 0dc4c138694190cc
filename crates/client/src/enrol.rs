//! Taking up an invite, and fresh certificates.
//!
//! The key is made in the member's own directory and stays there. The invite pins the federation's root document,
//! and the secret of the invite is shown to no one but the broker that the document names; that of an organisation's
//! invite is shown to nobody: it signs.
//!
//! | module | holds |
//! |---|---|
//! | `apply` | what the holder of an invite signs |
//! | `authority` | who signs certificates: the broker, or the organisation's own authority |
//! | `renewal` | fresh certificates |
//! | `taken` | one directory, one invite, one identity |

mod apply;
mod authority;
mod error;
mod renewal;
mod taken;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use comity_identity::request::KeyError;
use comity_identity::{CertificateDer, IdentityDir, Invite, Inviter, KeyPair, Root, leaf_identity, tls};
use comity_policy::OrganisationFile;
use comity_proto::enrolment as wire;
use comity_proto::enrolment::enrolment_client::EnrolmentClient;
use comity_proto::enrolment::join_response::State;
use comity_proto::membership::Kind as WireKind;
use comity_runtime::clock::SystemClock;
use comity_types::ids::Kind;
use comity_types::{Clock, Name, SpiffeId, TrustDomain};
use tonic::Status;

use crate::connection::{Connection, Unary};

pub use authority::{AuthorityError, OwnAuthority};
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
    /// The key is admitted, and the organisation's own authority has to sign a certificate for it.
    AwaitsCertificate {
        /// Whom the certificate has to name.
        id: SpiffeId,
        /// The signing request, PKCS #10 in PEM.
        request: PathBuf,
        /// Where the chain is expected, leaf first, in PEM.
        certificate: PathBuf,
    },
    /// Done: the directory holds the identity.
    Issued(IdentityDir),
    /// Operators said no.
    Rejected {
        /// Why.
        reason: String,
    },
}

/// What joins, and where.
#[derive(Debug, Clone)]
pub struct Joining<'a> {
    /// The invite.
    pub invite: &'a Invite,
    /// What the program can become.
    pub kinds: &'a [Kind],
    /// What the organisation's file says, where the invite is for a new one.
    pub organisation: Option<&'a OrganisationFile>,
    /// The organisation's own authority; none where the broker hosts one.
    pub authority: Option<&'a OwnAuthority>,
    /// Where the identity goes.
    pub dir: &'a Path,
    /// What tells the time.
    pub clock: Arc<dyn Clock>,
}

impl<'a> Joining<'a> {
    /// Takes up `invite` in `dir` with an authority that the broker hosts.
    #[must_use]
    pub fn new(
        invite: &'a Invite,
        kinds: &'a [Kind],
        organisation: Option<&'a OrganisationFile>,
        dir: &'a Path,
    ) -> Self {
        Self { invite, kinds, organisation, authority: None, dir, clock: Arc::new(SystemClock) }
    }
}

/// Takes up an invite with a key in a directory.
///
/// Safe to call again at any time with the same invite: the same key asks, and gets the same answer. Another
/// invite is refused, so that no directory ever holds more than one identity.
///
/// # Errors
/// The broker cannot be reached, is not the one invited to, or refuses; the invite is for something that the program
/// cannot become; or the directory cannot be used, or belongs to another invite.
pub async fn join(joining: Joining<'_>) -> Result<JoinState, EnrolError> {
    let (invite, kinds) = (joining.invite, joining.kinds);
    let dir = IdentityDir::create(joining.dir)?;
    taken::check(&dir, invite)?;
    if dir.is_joined() {
        taken::check_kind(&dir.identity()?.spiffe_id, kinds)?;
        return Ok(JoinState::Issued(dir));
    }
    let root_json = fetch_root(invite, &joining.clock).await?;
    let root = Root::pinned(&root_json, invite.root)?;
    taken::take_up(&dir, invite)?;
    let key = dir.pending_key()?;
    let anchors = Arc::new(root.organisation_anchors()?);
    let tls = tls::enrolment_client_config(root.broker.clone(), anchors, Arc::clone(&joining.clock))?;
    let desk = Desk {
        client: EnrolmentClient::new(Connection::for_enrolment(&invite.address, tls).unary()),
        csr: key.signing_request(&nobody(&root.federation)?)?,
    };
    let answer = match desk.ask(&joining, &dir, &key).await {
        Ok(answer) => answer,
        Err(EnrolError::Call(status)) => State::Issued(desk.admitted(&dir, invite, *status).await?),
        Err(other) => return Err(other),
    };
    match answer {
        State::Pending(wire::Pending { enrolment_id, fingerprint }) => {
            Ok(JoinState::Pending { enrolment_id, fingerprint })
        }
        State::Rejected(wire::Rejected { reason }) => {
            dir.put_down(invite)?;
            Ok(JoinState::Rejected { reason })
        }
        State::Issued(issued) => {
            let id: SpiffeId = issued.spiffe_id.parse().map_err(|_| EnrolError::Incomplete { field: "spiffe_id" })?;
            taken::check_kind(&id, kinds)?;
            let chain = chain(issued);
            if chain.is_empty() {
                return authority::certify(&joining, &dir, &key, id, &root_json);
            }
            taken::check_kind(&leaf_id(&chain)?, kinds)?;
            dir.save(&chain, &root_json)?;
            Ok(JoinState::Issued(dir))
        }
    }
}

/// The broker's desk, asked with one key.
struct Desk {
    client: EnrolmentClient<Unary>,
    csr: Vec<u8>,
}

impl Desk {
    /// Presents the invite.
    async fn ask(&self, joining: &Joining<'_>, dir: &IdentityDir, key: &KeyPair) -> Result<State, EnrolError> {
        let invite = joining.invite;
        let secret = match invite.from {
            Inviter::Operators => invite.secret.reveal().to_vec(),
            Inviter::Organisation => Vec::new(),
        };
        let question = wire::GetInviteRequest { invite_id: invite.id_text(), secret: secret.clone().into() };
        let described = self.client.clone().get_invite(question).await?.into_inner();
        let signed = apply::sign(joining, dir, key, &described)?;
        let request = wire::JoinRequest {
            invite_id: invite.id_text(),
            secret: secret.into(),
            csr_der: self.csr.clone().into(),
            application: signed.application.into(),
            admission: signed.admission.into(),
            kinds: joining.kinds.iter().filter_map(|kind| wire_kind(*kind)).map(Into::into).collect(),
        };
        let answer = self.client.clone().join(request).await?.into_inner();
        answer.state.ok_or(EnrolError::Incomplete { field: "state" })
    }

    /// The certificate of a key that is admitted, whatever the broker says of its invite: the answer to an earlier
    /// call may have been lost, and an invite that was taken up is none any more.
    async fn admitted(&self, dir: &IdentityDir, invite: &Invite, refused: Status) -> Result<wire::Issued, EnrolError> {
        if !taken::is_about_the_invite(&refused) {
            return Err(refused.into());
        }
        match self.client.clone().certify(wire::CertifyRequest { csr_der: self.csr.clone().into() }).await {
            Ok(answer) => answer.into_inner().issued.ok_or(EnrolError::Incomplete { field: "issued" }),
            Err(_) => Err(taken::refused(dir, invite, refused)),
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
