//! The broker's desk: found by what an invite pins, and asked with one key.

use std::sync::Arc;

use comity_identity::request::KeyError;
use comity_identity::{IdentityDir, Invite, Inviter, KeyPair, Root, tls};
use comity_proto::enrolment as wire;
use comity_proto::enrolment::enrolment_client::EnrolmentClient;
use comity_proto::enrolment::join_response::State;
use comity_proto::error::Detail;
use comity_proto::membership::Kind as WireKind;
use comity_types::ids::Kind;
use comity_types::{Clock, Digest, Name, SpiffeId, TrustDomain};
use tonic::Status;

use super::{EnrolError, Joining, apply, authority, taken};
use crate::connection::{Connection, Unary};

/// A broker that has shown the root document that was asked for.
pub(super) struct Shown {
    address: String,
    root: Root,
    pub(super) root_json: Vec<u8>,
}

/// Has the broker at `address` show the root document of this digest.
///
/// Whom we ask is not verified: the digest decides whether the answer is believed.
pub(super) async fn show(address: &str, digest: Digest, clock: &Arc<dyn Clock>) -> Result<Shown, EnrolError> {
    let tls = tls::danger::unverified_enrolment_client_config(Arc::clone(clock))?;
    let connection = Connection::for_enrolment(address, tls);
    let answer = EnrolmentClient::new(connection.unary()).get_root(wire::GetRootRequest {}).await?;
    let root_json: Vec<u8> = answer.into_inner().root.into();
    Ok(Shown { address: address.to_owned(), root: Root::pinned(&root_json, digest)?, root_json })
}

/// The root document of this digest, as the broker at `address` shows it to anybody.
///
/// # Errors
/// It cannot be reached, or shows another one.
pub async fn pinned_root(address: &str, digest: Digest, clock: &Arc<dyn Clock>) -> Result<Root, EnrolError> {
    show(address, digest, clock).await.map(|shown| shown.root)
}

impl Shown {
    /// The desk of the broker that the root document names.
    pub(super) fn desk(&self, key: &KeyPair, clock: &Arc<dyn Clock>) -> Result<Desk, EnrolError> {
        desk(&self.root, &self.address, key, clock)
    }
}

/// The desk of the broker that a root document names, at this address.
pub(super) fn desk(root: &Root, address: &str, key: &KeyPair, clock: &Arc<dyn Clock>) -> Result<Desk, EnrolError> {
    let anchors = Arc::new(root.organisation_anchors()?);
    let tls = tls::enrolment_client_config(root.broker.clone(), anchors, Arc::clone(clock))?;
    Ok(Desk {
        client: EnrolmentClient::new(Connection::for_enrolment(address, tls).unary()),
        csr: key.signing_request(&nobody(&root.federation)?)?,
    })
}

/// The broker's desk, asked with one key.
pub(super) struct Desk {
    client: EnrolmentClient<Unary>,
    csr: Vec<u8>,
}

impl Desk {
    /// Presents the invite.
    pub(super) async fn ask(
        &self,
        joining: &Joining<'_>,
        dir: &IdentityDir,
        key: &KeyPair,
    ) -> Result<State, EnrolError> {
        let invite = joining.invite;
        let secret = match invite.from {
            Inviter::Operators => invite.secret.reveal().to_vec(),
            Inviter::Organisation => Vec::new(),
        };
        let question = wire::GetInviteRequest { invite_id: invite.id_text(), secret: secret.clone().into() };
        let described = self.client.clone().get_invite(question).await?.into_inner();
        let signed = apply::sign(joining, dir, key, &described)?;
        let before = dir.source()?;
        authority::prepare(joining, dir, key, &described.spiffe_id)?;
        let request = wire::JoinRequest {
            invite_id: invite.id_text(),
            secret: secret.into(),
            csr_der: self.csr.clone().into(),
            application: signed.application.into(),
            admission: signed.admission.into(),
            kinds: joining.kinds.iter().filter_map(|kind| wire_kind(*kind)).map(Into::into).collect(),
        };
        let answer = self.client.clone().join(request).await;
        if answer.as_ref().is_err_and(|status| Detail::of(status).is_some()) {
            // What the broker refuses changes nothing: an application that it has goes on with the authority that it named.
            // Of an answer that was lost nobody knows, and it may have taken this one.
            authority::put_back(dir, before)?;
        }
        answer?.into_inner().state.ok_or(EnrolError::Incomplete { field: "state" })
    }

    /// How it stands with a key whose invite the broker refuses: the answer to an earlier call may have been lost, and an
    /// invite that was taken up is none any more.
    pub(super) async fn admitted(
        &self,
        dir: &IdentityDir,
        invite: &Invite,
        refused: Status,
    ) -> Result<State, EnrolError> {
        if !taken::is_about_the_invite(&refused) {
            return Err(refused.into());
        }
        match self.standing().await {
            Ok(State::Pending(pending)) if pending.enrolment_id != invite.id_text() => {
                Err(taken::refused(dir, invite, refused))
            }
            // What was turned down is for the invite that it came by to say.
            Ok(State::Rejected(_)) | Err(_) => Err(taken::refused(dir, invite, refused)),
            Ok(stands) => Ok(stands),
        }
    }

    /// How it stands with the key.
    pub(super) async fn standing(&self) -> Result<State, EnrolError> {
        match self.certify().await {
            Ok(issued) => Ok(State::Issued(issued)),
            Err(EnrolError::Call(status)) => undecided(&status).ok_or(EnrolError::Call(status)),
            Err(other) => Err(other),
        }
    }

    /// The certificate of a key that is admitted.
    pub(super) async fn certify(&self) -> Result<wire::Issued, EnrolError> {
        let request = wire::CertifyRequest { csr_der: self.csr.clone().into(), dry_run: false };
        let answer = self.client.clone().certify(request).await?;
        answer.into_inner().issued.ok_or(EnrolError::Incomplete { field: "issued" })
    }

    /// Whether the key would get one: the broker makes none.
    pub(super) async fn would_certify(&self) -> Result<(), EnrolError> {
        let request = wire::CertifyRequest { csr_der: self.csr.clone().into(), dry_run: true };
        self.client.clone().certify(request).await?;
        Ok(())
    }
}

/// What a refusal of a certificate says of an enrolment that operators have not let in.
fn undecided(status: &Status) -> Option<State> {
    let detail = Detail::of(status)?;
    let said = |name: &str| detail.metadata.get(name).cloned().unwrap_or_default();
    match detail.reason.as_str() {
        "ENROLMENT_WAITS" => {
            Some(State::Pending(wire::Pending { enrolment_id: said("enrolment"), fingerprint: said("fingerprint") }))
        }
        "ENROLMENT_REJECTED" => Some(State::Rejected(wire::Rejected { reason: said("why") })),
        _ => None,
    }
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

/// The name in a signing request: which one we get is for the invite to say, so it is a placeholder.
fn nobody(federation: &TrustDomain) -> Result<SpiffeId, EnrolError> {
    let name: Name = "enrolling".parse().map_err(|_| KeyError::Unusable)?;
    Ok(SpiffeId::new(federation.clone(), Kind::App, name))
}
