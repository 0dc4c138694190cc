//! Fresh certificates for the same key, in time.

use comity_identity::lifetime::renewal_time;
use comity_identity::{CertificateDer, KeyPair};
use comity_proto::enrolment as wire;
use comity_proto::enrolment::enrolment_client::EnrolmentClient;
use comity_types::Timestamp;

use super::{EnrolError, authority, chain};
use crate::connection::Connection;
use crate::identity::Identity;

/// Gets a fresh certificate, stores it, and has the identity's connections and listeners use it from their next
/// handshake on. Answers when it ends.
///
/// # Errors
/// The broker cannot be reached or refuses, or the certificate cannot be stored; the old one stays in use.
pub async fn renew(identity: &Identity) -> Result<Timestamp, EnrolError> {
    let key = identity.dir().key()?;
    if let Some(chain) = authority::reissue(identity.dir(), &key, identity.id(), identity.clock().now())? {
        return take_over(identity, &key, chain);
    }
    let request = wire::RenewRequest { csr_der: key.signing_request(identity.id())?.into() };
    let connection = Connection::open(identity)?;
    let answer = EnrolmentClient::new(connection.unary()).renew(request).await?.into_inner();
    let chain = chain(answer.issued.ok_or(EnrolError::Incomplete { field: "issued" })?);
    if chain.is_empty() {
        return Err(EnrolError::NeedsAuthority { id: identity.id().clone() });
    }
    take_over(identity, &key, chain)
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

/// True once the certificate is past half of its life, and a little more that differs between certificates.
#[must_use]
pub fn renew_due(identity: &Identity, now: Timestamp) -> bool {
    now >= renewal_time(&identity.leaf())
}
