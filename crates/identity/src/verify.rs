//! The two rustls verifiers: whoever calls us, and the server that we mean to call.
//!
//! Both read the leaf's SPIFFE ID first and then check the chain against that organisation's roots alone.

use std::sync::Arc;
use std::time::Duration;

use comity_types::{SpiffeId, TrustDomain};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::verify_tls13_signature;
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, PeerIncompatible, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::anchors::{AnchorSource, OrganisationAnchors, StaticAnchors};
use crate::authority::MAX_LEAF_LIFETIME;
use crate::spiffe::{LeafIdentity, SvidError, leaf_identity};
use crate::tls::provider;

/// Why a peer's certificate is refused before its chain is looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerRefused {
    /// The certificate is not one of a federation.
    #[error("the peer's certificate is not an X.509-SVID")]
    Svid(#[source] SvidError),
    /// No member in good standing has this domain.
    #[error("{domain} is not a member in good standing")]
    UnknownOrganisation {
        /// The domain in the certificate.
        domain: TrustDomain,
    },
    /// The certificate lasts longer than any may: nothing but its end bounds what a stolen key is worth.
    #[error("the certificate holds for {} h {} min, and none may for more than {} h (hint: have the authority sign for a day or less)", lasts.as_secs() / 3600, lasts.as_secs() % 3600 / 60, MAX_LEAF_LIFETIME.as_secs() / 3600)]
    TooLong {
        /// From its beginning to its end.
        lasts: Duration,
    },
    /// Somebody else answers.
    #[error("expected {expected}, but {presented} answers")]
    WrongServer {
        /// Whom we mean to call.
        expected: SpiffeId,
        /// Who answers.
        presented: SpiffeId,
    },
    /// Somebody answers with the name that we mean to call, and the name alone.
    #[error(
        "expected {expected}, and who answers has that name from an authority that is not its organisation's ({found})"
    )]
    OtherAuthority {
        /// Whom we mean to call.
        expected: SpiffeId,
        /// What is wrong with the chain.
        found: String,
    },
}

/// By how much a certificate may last longer than [`MAX_LEAF_LIFETIME`]: authorities begin it before they sign, for
/// verifiers whose clocks are slow, ours by half of this.
pub const LIFETIME_TOLERANCE: Duration = Duration::from_secs(10 * 60);

/// Refuses a certificate that lasts longer than a day, whoever signed it.
///
/// # Errors
/// It does.
pub fn check_lifetime(leaf: &LeafIdentity) -> Result<(), PeerRefused> {
    let lasts = leaf.not_after.since(leaf.not_before);
    if lasts <= MAX_LEAF_LIFETIME + LIFETIME_TOLERANCE { Ok(()) } else { Err(PeerRefused::TooLong { lasts }) }
}

/// True if every handshake refuses a certificate for how long it lasts.
#[must_use]
pub fn lasts_too_long(leaf: &LeafIdentity) -> bool {
    check_lifetime(leaf).is_err()
}

/// Verifies callers: each by the roots of the organisation that its certificate names.
#[derive(Debug)]
pub struct PeerVerifier {
    anchors: Arc<dyn AnchorSource>,
}

impl PeerVerifier {
    /// Takes the anchors from `anchors`, anew at every handshake.
    #[must_use]
    pub const fn new(anchors: Arc<dyn AnchorSource>) -> Self {
        Self { anchors }
    }
}

impl ClientCertVerifier for PeerVerifier {
    /// Empty: hints would not help clients choose, and would show the member list to strangers.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        true
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let identity = svid(leaf)?;
        let domain = identity.id.trust_domain().clone();
        let anchors = self.anchors.anchors(&domain).filter(|anchors| *anchors.domain() == domain);
        let anchors = anchors.ok_or_else(|| refuse(PeerRefused::UnknownOrganisation { domain }))?;
        let verified = anchors.clients().verify_client_cert(leaf, intermediates, now)?;
        check_lifetime(&identity).map_err(refuse)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signature, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Whether members take this chain, leaf first, by the roots of its own organisation at this time.
///
/// # Errors
/// They do not, and why.
pub fn check_chain(
    chain: &[CertificateDer<'_>],
    anchors: OrganisationAnchors,
    now: comity_types::Timestamp,
) -> Result<(), Error> {
    let (leaf, intermediates) = chain.split_first().ok_or(Error::NoCertificatesPresented)?;
    let millis = u64::try_from(now.as_millis()).unwrap_or_default();
    let now = UnixTime::since_unix_epoch(Duration::from_millis(millis));
    let verifier = PeerVerifier::new(Arc::new(std::iter::once(anchors).collect::<StaticAnchors>()));
    verifier.verify_client_cert(leaf, intermediates, now).map(drop)
}

/// Verifies that the server is exactly the one that we mean to call. Host names play no part.
#[derive(Debug)]
pub struct ExpectedServer {
    expected: SpiffeId,
    anchors: Arc<OrganisationAnchors>,
}

impl ExpectedServer {
    /// Expects `expected`, by the roots of its own organisation.
    #[must_use]
    pub const fn new(expected: SpiffeId, anchors: Arc<OrganisationAnchors>) -> Self {
        Self { expected, anchors }
    }

    fn check(&self, presented: SpiffeId) -> Result<(), PeerRefused> {
        if presented != self.expected {
            return Err(PeerRefused::WrongServer { expected: self.expected.clone(), presented });
        }
        if presented.trust_domain() != self.anchors.domain() {
            return Err(PeerRefused::UnknownOrganisation { domain: presented.trust_domain().clone() });
        }
        Ok(())
    }

    /// Where another authority has signed, whom we expected: who reads it knows the address, and not the name.
    fn named(&self, error: Error) -> Error {
        let Error::InvalidCertificate(found @ (CertificateError::UnknownIssuer | CertificateError::BadSignature)) =
            &error
        else {
            return error;
        };
        refuse(PeerRefused::OtherAuthority { expected: self.expected.clone(), found: format!("{found:?}") })
    }
}

impl ServerCertVerifier for ExpectedServer {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let identity = svid(leaf)?;
        self.check(identity.id.clone()).map_err(refuse)?;
        let parsed = ParsedCertificate::try_from(leaf)?;
        let algorithms = provider().signature_verification_algorithms.all;
        let verified =
            verify_server_cert_signed_by_trust_anchor(&parsed, self.anchors.roots(), intermediates, now, algorithms);
        verified.map_err(|error| self.named(error))?;
        check_lifetime(&identity).map_err(refuse)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signature, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

fn svid(leaf: &CertificateDer<'_>) -> Result<LeafIdentity, Error> {
    leaf_identity(leaf).map_err(|error| refuse(PeerRefused::Svid(error)))
}

fn refuse(reason: PeerRefused) -> Error {
    CertificateError::Other(OtherError(Arc::new(reason))).into()
}

pub(crate) fn no_tls12() -> Error {
    PeerIncompatible::Tls12NotOffered.into()
}
