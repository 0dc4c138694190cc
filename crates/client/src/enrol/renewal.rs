//! Fresh certificates for the same key, in time.

use std::time::Duration;

use comity_identity::{CertificateDer, KeyPair, LeafIdentity};
use comity_proto::enrolment as wire;
use comity_proto::enrolment::enrolment_client::EnrolmentClient;
use comity_types::Timestamp;

use super::{EnrolError, authority, chain};
use crate::connection::Connection;
use crate::identity::Identity;

/// Part of a certificate's life over which renewals are spread, so that members that joined together do not
/// come back together.
const SPREAD: u32 = 8;

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

fn renewal_time(leaf: &LeafIdentity) -> Timestamp {
    let life = leaf.not_after.since(leaf.not_before);
    leaf.not_before.plus(life / 2 + jitter(leaf, life / SPREAD))
}

/// Between zero and `most`, by the certificate's digest: no randomness is needed, and it stays the same.
fn jitter(leaf: &LeafIdentity, most: Duration) -> Duration {
    let [part, ..] = leaf.certificate.as_bytes();
    most * u32::from(*part) / u32::from(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(certificate: &[u8]) -> LeafIdentity {
        LeafIdentity {
            id: "spiffe://org-a.example/node/n1".parse().unwrap(),
            not_before: "2026-11-22T00:00:00Z".parse().unwrap(),
            not_after: "2026-11-23T00:00:00Z".parse().unwrap(),
            certificate: comity_types::Digest::of(certificate),
            public_key: comity_types::Digest::of(b"key"),
        }
    }

    #[test]
    fn renewal_is_due_in_the_eighth_after_half_life_and_differs_between_certificates() {
        let times: Vec<_> = (0..50_u8).map(|i| renewal_time(&leaf(&[i]))).collect();
        let (from, until) = ("2026-11-22T12:00:00Z".parse().unwrap(), "2026-11-22T15:00:00Z".parse().unwrap());
        assert!(times.iter().all(|time| (from..=until).contains(time)), "{times:?}");
        assert!(times.iter().collect::<std::collections::BTreeSet<_>>().len() > 25);
    }
}
