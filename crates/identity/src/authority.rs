//! The hosted certificate authority of one trust domain.
//!
//! Each has its own key, so that every organisation is verified by the same rule whether it brings
//! an authority of its own or not. What is issued is decided here, never by the signing request.

use std::time::Duration;

use comity_types::{Digest, Secret, SpiffeId, Timestamp, TrustDomain};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyUsagePurpose, PublicKeyData as _, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use rustls_pki_types::CertificateDer;

use crate::anchors::{AnchorError, check_anchor};
use crate::host::HostName;
use crate::request::{KeyPair, SigningRequest};

/// How long an authority lasts: long enough to outlive any plan, and it is replaced long before.
pub const AUTHORITY_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// How long a leaf lasts at most, whoever signs it: what a stolen key is worth, where nobody notices (decision 3).
pub const MAX_LEAF_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// How far before its issue a certificate begins, for verifiers whose clocks are slow.
pub const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// The authority of one trust domain: it can sign for that domain and no other.
pub struct Authority {
    domain: TrustDomain,
    anchor: CertificateDer<'static>,
    not_after: Timestamp,
    issuer: Issuer<'static, rcgen::KeyPair>,
}

/// What an authority hands out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedCertificate {
    /// The leaf, and what chains it to the anchor, without the anchor.
    pub chain: Vec<CertificateDer<'static>>,
    /// Last instant at which the leaf holds.
    pub not_after: Timestamp,
}

/// Why an authority cannot be made or does not issue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// The ID belongs to somebody else.
    #[error("{id} is not of the trust domain {domain}")]
    ForeignId {
        /// The ID asked for.
        id: SpiffeId,
        /// The authority's own domain.
        domain: TrustDomain,
    },
    /// The lifetime is zero or above [`MAX_LEAF_LIFETIME`].
    #[error("a certificate cannot last {} s (hint: at least 1 s and at most {} s)", .asked.as_secs(), MAX_LEAF_LIFETIME.as_secs())]
    Lifetime {
        /// What was asked for.
        asked: Duration,
    },
    /// The authority's own certificate has ended.
    #[error("the authority of {domain} ended at {not_after}")]
    Ended {
        /// The authority's domain.
        domain: TrustDomain,
        /// When it ended.
        not_after: Timestamp,
    },
    /// The authority's certificate does not serve as an anchor.
    #[error("the authority's certificate is refused")]
    Anchor(#[source] AnchorError),
    /// The key is not the one in the certificate, or cannot be read.
    #[error("the authority's key is not the key of its certificate")]
    Key,
    /// The cryptographic library failed.
    #[error("the certificate cannot be made")]
    Unusable,
}

impl Authority {
    /// Makes the authority of `domain`, with a new ECDSA P-256 key.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn generate(domain: TrustDomain, now: Timestamp) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate().map_err(|_| AuthorityError::Unusable)?;
        let params = anchor_params(&domain, key.public_key_digest(), now)?;
        let key = key.into_rcgen();
        let anchor = params.self_signed(&key).map_err(|_| AuthorityError::Unusable)?;
        Self::new(domain, anchor.der().clone(), key)
    }

    /// Takes up an authority again from its key and its certificate.
    ///
    /// # Errors
    /// They do not belong together, or the certificate is not that of one trust domain's authority.
    pub fn from_pem(key_pem: &Secret<String>, anchor: &CertificateDer<'_>) -> Result<Self, AuthorityError> {
        let key = KeyPair::from_pem(key_pem).map_err(|_| AuthorityError::Key)?;
        let domain = check_anchor(anchor).map_err(AuthorityError::Anchor)?.domain;
        let domain = domain.ok_or(AuthorityError::Anchor(AnchorError::NoDomain))?;
        Self::new(domain, anchor.clone().into_owned(), key.into_rcgen())
    }

    fn new(domain: TrustDomain, anchor: CertificateDer<'static>, key: rcgen::KeyPair) -> Result<Self, AuthorityError> {
        let facts = check_anchor(&anchor).map_err(AuthorityError::Anchor)?;
        if facts.public_key_info != key.subject_public_key_info() {
            return Err(AuthorityError::Key);
        }
        let issuer = Issuer::from_ca_cert_der(&anchor, key).map_err(|_| AuthorityError::Unusable)?;
        Ok(Self { domain, anchor, not_after: facts.not_after, issuer })
    }

    /// The domain that it signs for.
    #[must_use]
    pub const fn domain(&self) -> &TrustDomain {
        &self.domain
    }

    /// Its own certificate, which others trust for this domain.
    #[must_use]
    pub fn anchor(&self) -> CertificateDer<'static> {
        self.anchor.clone()
    }

    /// Its private key, PKCS #8 in PEM, to be stored.
    #[must_use]
    pub fn key_pem(&self) -> Secret<String> {
        Secret::new(self.issuer.key().serialize_pem())
    }

    /// Issues a leaf certificate that names `id`, for `lifetime` from `now` or until the authority ends.
    ///
    /// `hosts` are for clients that check host names; nothing in a federation relies on them.
    ///
    /// # Errors
    /// The ID is of another domain, the lifetime is out of bounds, or the authority has ended.
    pub fn issue(
        &self,
        request: &SigningRequest,
        id: &SpiffeId,
        hosts: &[HostName],
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<IssuedCertificate, AuthorityError> {
        if *id.trust_domain() != self.domain {
            return Err(AuthorityError::ForeignId { id: id.clone(), domain: self.domain.clone() });
        }
        if lifetime < Duration::from_secs(1) || lifetime > MAX_LEAF_LIFETIME {
            return Err(AuthorityError::Lifetime { asked: lifetime });
        }
        if now >= self.not_after {
            return Err(AuthorityError::Ended { domain: self.domain.clone(), not_after: self.not_after });
        }
        let not_after = whole_second(now.plus(lifetime).min(self.not_after))?;
        let public_key =
            SubjectPublicKeyInfo::from_der(request.public_key_info()).map_err(|_| AuthorityError::Unusable)?;
        let params = leaf_params(id, hosts, now, not_after)?;
        let leaf = params.signed_by(&public_key, &self.issuer).map_err(|_| AuthorityError::Unusable)?;
        Ok(IssuedCertificate { chain: vec![leaf.der().clone()], not_after })
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authority({})", self.domain)
    }
}

fn anchor_params(domain: &TrustDomain, key: Digest, now: Timestamp) -> Result<CertificateParams, AuthorityError> {
    let mut params = params(format!("Comity CA {}", key.fingerprint()), now, now.plus(AUTHORITY_LIFETIME))?;
    params.subject_alt_names = vec![uri(&format!("spiffe://{domain}"))?];
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn leaf_params(
    id: &SpiffeId,
    hosts: &[HostName],
    now: Timestamp,
    not_after: Timestamp,
) -> Result<CertificateParams, AuthorityError> {
    let mut params = params(id.name().to_string(), now, not_after)?;
    params.subject_alt_names = vec![uri(id.as_str())?];
    for host in hosts {
        params.subject_alt_names.push(host_name(host)?);
    }
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// What anchors and leaves have in common. A subject is always there: without one, alternative names would have to be critical.
fn params(common_name: String, now: Timestamp, not_after: Timestamp) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.serial_number = Some(random_serial()?);
    params.not_before = calendar(now.minus(CLOCK_SKEW))?;
    params.not_after = calendar(not_after)?;
    Ok(params)
}

/// 127 random bits: positive and under the 20 bytes of RFC 5280, section 4.1.2.2.
fn random_serial() -> Result<SerialNumber, AuthorityError> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| AuthorityError::Unusable)?;
    bytes[0] &= 0x7f;
    Ok(SerialNumber::from_slice(&bytes))
}

fn uri(text: &str) -> Result<SanType, AuthorityError> {
    text.try_into().map(SanType::URI).map_err(|_| AuthorityError::Unusable)
}

fn host_name(host: &HostName) -> Result<SanType, AuthorityError> {
    match host.ip() {
        Some(ip) => Ok(SanType::IpAddress(ip)),
        None => host.to_string().try_into().map(SanType::DnsName).map_err(|_| AuthorityError::Unusable),
    }
}

fn calendar(instant: Timestamp) -> Result<time::OffsetDateTime, AuthorityError> {
    time::OffsetDateTime::from_unix_timestamp(instant.as_millis().div_euclid(1000))
        .map_err(|_| AuthorityError::Unusable)
}

/// Certificates count whole seconds; so does what is said about them.
fn whole_second(instant: Timestamp) -> Result<Timestamp, AuthorityError> {
    let millis = instant.as_millis().div_euclid(1000) * 1000;
    Timestamp::from_millis(millis).map_err(|_| AuthorityError::Unusable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leaf_identity;
    use crate::testing::now;

    const HOUR: Duration = Duration::from_secs(3600);

    fn authority() -> Authority {
        Authority::generate("org-a.example".parse().unwrap(), now()).unwrap()
    }

    fn request() -> SigningRequest {
        let key = KeyPair::generate().unwrap();
        SigningRequest::parse(&key.signing_request(&id("spiffe://org-b.example/node/other")).unwrap()).unwrap()
    }

    fn id(text: &str) -> SpiffeId {
        text.parse().unwrap()
    }

    #[test]
    fn the_authority_decides_the_name_and_not_the_request() {
        let id = id("spiffe://org-a.example/node/n1");
        let key = request();
        let issued = authority().issue(&key, &id, &[], HOUR, now()).unwrap();
        let leaf = leaf_identity(&issued.chain[0]).unwrap();
        assert_eq!(leaf.id, id);
        assert_eq!((leaf.not_before, leaf.not_after), (now().minus(CLOCK_SKEW), now().plus(HOUR)));
        assert_eq!(issued.not_after, leaf.not_after);
        assert_eq!(leaf.public_key, key.public_key_digest());
    }

    #[test]
    fn two_certificates_of_one_key_have_different_serial_numbers() {
        let (authority, request, id) = (authority(), request(), id("spiffe://org-a.example/app/a"));
        let serial = || {
            let issued = authority.issue(&request, &id, &[], HOUR, now()).unwrap();
            x509_parser::parse_x509_certificate(&issued.chain[0]).unwrap().1.raw_serial().to_vec()
        };
        assert_ne!(serial(), serial());
    }

    #[test]
    fn hosts_are_for_clients_that_check_them() {
        let hosts = ["broker.example", "127.0.0.1", "::1"].map(|host| host.parse::<HostName>().unwrap());
        let issued =
            authority().issue(&request(), &id("spiffe://org-a.example/broker/b"), &hosts, HOUR, now()).unwrap();
        let parsed = rustls::server::ParsedCertificate::try_from(&issued.chain[0]).unwrap();
        for host in &hosts {
            assert_eq!(rustls::client::verify_server_name(&parsed, host.server_name()), Ok(()), "{host}");
        }
        let other = rustls_pki_types::ServerName::try_from("other.example").unwrap();
        assert!(rustls::client::verify_server_name(&parsed, &other).is_err());
    }

    #[test]
    fn an_id_of_another_trust_domain_is_never_issued() {
        let refused = authority().issue(&request(), &id("spiffe://org-b.example/node/n1"), &[], HOUR, now());
        assert!(matches!(refused, Err(AuthorityError::ForeignId { .. })), "{refused:?}");
    }

    #[test]
    fn lifetimes_are_bounded_and_end_with_the_authority() {
        let (authority, request, id) = (authority(), request(), id("spiffe://org-a.example/node/n1"));
        for asked in [Duration::ZERO, MAX_LEAF_LIFETIME + Duration::from_secs(1)] {
            assert_eq!(authority.issue(&request, &id, &[], asked, now()), Err(AuthorityError::Lifetime { asked }));
        }
        let end = now().plus(AUTHORITY_LIFETIME);
        let last = authority.issue(&request, &id, &[], HOUR, end.minus(Duration::from_secs(60))).unwrap();
        assert_eq!(last.not_after, end);
        assert!(matches!(authority.issue(&request, &id, &[], HOUR, end), Err(AuthorityError::Ended { .. })));
    }

    #[test]
    fn an_authority_is_taken_up_again_from_its_key_and_certificate() {
        let first = authority();
        let again = Authority::from_pem(&first.key_pem(), &first.anchor()).unwrap();
        assert_eq!((again.domain(), again.anchor()), (first.domain(), first.anchor()));
        assert!(again.issue(&request(), &id("spiffe://org-a.example/node/n1"), &[], HOUR, now()).is_ok());
        assert_eq!(Authority::from_pem(&authority().key_pem(), &first.anchor()).unwrap_err(), AuthorityError::Key);
    }
}
