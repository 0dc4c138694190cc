//! What the holder of an invite signs: by an operators' invite the application of its new organisation, by an
//! organisation's the statement that makes it a member.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_identity::{IdentityDir, Inviter, KeyPair};
use comity_membership::{Application, InviteId, Payload, Statement, TlsKey, sign as sign_statement};
use comity_policy::{Offer, OrganisationFile};
use comity_proto::enrolment::GetInviteResponse;
use comity_transparency::{Envelope, Signer as _};
use comity_types::SpiffeId;

use super::{EnrolError, Joining, taken};

/// One of the two, as JSON; the other is empty.
#[derive(Debug, Default)]
pub(super) struct Signed {
    pub(super) application: Vec<u8>,
    pub(super) admission: Vec<u8>,
}

/// Signs what the invite needs.
pub(super) fn sign(
    joining: &Joining<'_>,
    dir: &IdentityDir,
    key: &KeyPair,
    described: &GetInviteResponse,
) -> Result<Signed, EnrolError> {
    let member: SpiffeId = described.spiffe_id.parse().map_err(|_| EnrolError::Incomplete { field: "spiffe_id" })?;
    if let Err(wrong) = taken::check_kind(&member, joining.kinds) {
        // Nothing was sent: the invite is as good as before, elsewhere.
        dir.put_down(joining.invite)?;
        return Err(wrong);
    }
    match joining.invite.from {
        Inviter::Organisation => {
            Ok(Signed { admission: json(&admission(joining, key, member, described.version)?)?, ..Signed::default() })
        }
        Inviter::Operators => match joining.organisation {
            Some(file) if !described.hosted_anchor_der.is_empty() => {
                let application = application(joining, dir, key, member, file, &described.hosted_anchor_der)?;
                Ok(Signed { application: json(&application)?, ..Signed::default() })
            }
            Some(_) | None => Ok(Signed::default()),
        },
    }
}

fn application(
    joining: &Joining<'_>,
    dir: &IdentityDir,
    key: &KeyPair,
    member: SpiffeId,
    file: &OrganisationFile,
    hosted: &[u8],
) -> Result<Envelope, EnrolError> {
    let organisation_key = dir.pending_organisation_key()?;
    let anchors = match joining.authority {
        Some(own) => own.anchors().iter().map(|der| STANDARD.encode(der)).collect(),
        None => vec![STANDARD.encode(hosted)],
    };
    let offers = joining.offers.iter().map(|offer| Offer { node: member.clone(), ..offer.clone() }).collect();
    let application = Application {
        federation: joining.invite.root,
        invite: InviteId::from_bytes(joining.invite.id),
        organisation: file.facts.clone(),
        layers: file.layers.clone(),
        anchors,
        keys: vec![organisation_key.public_key()?],
        member,
        member_key: key.public_key()?,
        tls_key: tls_key(joining),
        offers,
    };
    Ok(application.sign(&[&organisation_key, key])?)
}

fn admission(joining: &Joining<'_>, key: &KeyPair, member: SpiffeId, version: u64) -> Result<Envelope, EnrolError> {
    let statement = Statement::MemberAdmitted {
        id: member,
        key: key.public_key()?,
        tls_key: tls_key(joining),
        invite: Some(InviteId::from_bytes(joining.invite.id)),
    };
    let at = joining.clock.now();
    let payload = Payload { federation: joining.invite.root, version, at, statement };
    Ok(sign_statement(&payload, &[&joining.invite.signer()?, key])?)
}

fn tls_key(joining: &Joining<'_>) -> TlsKey {
    joining.authority.map_or(TlsKey::Admitted, super::OwnAuthority::tls_key)
}

fn json(envelope: &Envelope) -> Result<Vec<u8>, EnrolError> {
    serde_json::to_vec(envelope).map_err(|_| EnrolError::Incomplete { field: "JSON form" })
}
