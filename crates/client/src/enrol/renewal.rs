//! Fresh certificates for the same key, in time, and after it.

use comity_identity::lifetime::renewal_time;
use comity_identity::verify::lasts_too_long;
use comity_identity::{CertificateDer, KeyPair, leaf_identity};
use comity_proto::enrolment as wire;
use comity_proto::enrolment::enrolment_client::EnrolmentClient;
use comity_proto::error::Detail;
use comity_types::Timestamp;
use tonic::Status;

use super::desk::Desk;
use super::{EnrolError, authority, chain, desk};
use crate::connection::Connection;
use crate::error::{Cause, explain};
use crate::identity::Identity;

/// What the broker says of whoever takes part no more.
const LEFT: [&str; 2] = ["EVICTED", "WITHDRAWN"];

/// Gets a fresh certificate, stores it, and has the identity's connections and listeners use it from their next
/// handshake on. Answers when it ends.
///
/// A certificate that has ended, or that nobody takes any more, shows nothing to the broker: the key that was admitted
/// asks then. No new invite is needed.
///
/// # Errors
/// The broker cannot be reached or refuses, or the certificate cannot be stored; the old one stays in use.
pub async fn renew(identity: &Identity) -> Result<Timestamp, EnrolError> {
    let (key, now) = (identity.dir().key()?, identity.clock().now());
    if let Some(chain) = authority::reissue(identity.dir(), &key, identity.id(), now)? {
        return take_over(identity, &key, chain);
    }
    let issued = if is_shown_in_vain(identity, now) {
        by_key(identity, &key).await?
    } else {
        match by_certificate(identity, &key).await {
            Err(EnrolError::Call(status)) if is_refused(&status) => by_key(identity, &key).await?,
            answered => answered?,
        }
    };
    let fresh = chain(issued.certificate_chain_der);
    if fresh.is_empty() {
        return put_there(identity, &key);
    }
    take_over(identity, &key, fresh)
}

/// What the broker says to the key of a member whose certificate it does not even shake hands with: that its organisation
/// was evicted or has left, at which epoch and why. Nothing where it says nothing of the kind. No certificate is made by it, which
/// nobody would use, and which a broker would have to remember.
pub async fn why_refused(identity: &Identity) -> Option<Status> {
    let key = identity.dir().key().ok()?;
    match at_first_broker(identity, &key, async |desk| desk.would_certify().await).await {
        Err(EnrolError::Call(status))
            if Detail::of(&status).is_some_and(|detail| LEFT.contains(&detail.reason.as_str())) =>
        {
            Some(*status)
        }
        Ok(_) | Err(_) => None,
    }
}

/// True once the certificate is past half of its life, and a little more that differs between certificates.
#[must_use]
pub fn renew_due(identity: &Identity, now: Timestamp) -> bool {
    now >= renewal_time(&identity.leaf())
}

/// Whether no handshake takes the certificate: it has ended, or lasts longer than may be.
fn is_shown_in_vain(identity: &Identity, now: Timestamp) -> bool {
    let leaf = identity.leaf();
    now > leaf.not_after || lasts_too_long(&leaf)
}

fn is_refused(status: &Status) -> bool {
    matches!(explain(status).cause, Cause::CertificateEnded | Cause::CertificateRefused)
}

/// Over a connection with the certificate that is to be replaced.
async fn by_certificate(identity: &Identity, key: &KeyPair) -> Result<wire::Issued, EnrolError> {
    let request = wire::RenewRequest { csr_der: key.signing_request(identity.id())?.into() };
    let connection = Connection::open_as_it_is(identity)?;
    let answer = EnrolmentClient::new(connection.unary()).renew(request).await?.into_inner();
    answer.issued.ok_or(EnrolError::Incomplete { field: "issued" })
}

/// Without a certificate, by the key alone, at the first broker that answers.
async fn by_key(identity: &Identity, key: &KeyPair) -> Result<wire::Issued, EnrolError> {
    at_first_broker(identity, key, async |desk| desk.certify().await).await
}

/// Asks the first broker that answers.
async fn at_first_broker<T>(
    identity: &Identity,
    key: &KeyPair,
    ask: impl AsyncFn(Desk) -> Result<T, EnrolError>,
) -> Result<T, EnrolError> {
    let mut last = EnrolError::Incomplete { field: "brokers" };
    for address in identity.brokers() {
        match ask(desk::desk(identity.root(), address, key, identity.clock())?).await {
            Err(EnrolError::Call(status)) if explain(&status).cause != Cause::Answered => {
                last = EnrolError::Call(status);
            }
            answered => return answered,
        }
    }
    Err(last)
}

/// The organisation's own authority signs: what it has put into the directory since is taken into use.
fn put_there(identity: &Identity, key: &KeyPair) -> Result<Timestamp, EnrolError> {
    let there = identity.dir().chain()?;
    let leaf = there.first().map(leaf_identity).transpose()?;
    let fresh = leaf.is_some_and(|leaf| leaf.not_after > identity.leaf().not_after);
    if fresh { take_over(identity, key, there) } else { Err(EnrolError::NeedsAuthority { id: identity.id().clone() }) }
}

/// Stores a certificate and has it used.
fn take_over(identity: &Identity, key: &KeyPair, chain: Vec<CertificateDer<'static>>) -> Result<Timestamp, EnrolError> {
    identity.dir().save_certificate(&chain)?;
    let refused = |source| comity_identity::store::StoreError::Credentials {
        path: identity.dir().path().join(comity_identity::store::CERTIFICATE_FILE),
        source: Box::new(source),
    };
    identity.credentials().replace(chain, key).map_err(refused)?;
    Ok(identity.leaf().not_after)
}
