//! Key pairs, which stay where they are made, and signing requests, which travel.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519,
    UnparsedPublicKey, VerificationAlgorithm,
};
use comity_transparency::{PublicKey, Signer, SigningError};
use comity_types::{Digest, Secret, SpiffeId};
use rcgen::{PublicKeyData as _, SigningKey as _};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry as oid;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::AlgorithmIdentifier;

/// Largest signing request, in bytes: an honest one with such a key has under 1 KiB.
pub const MAX_REQUEST_BYTES: usize = 8 * 1024;

/// A private key and its public key: ECDSA on P-256 if made here.
pub struct KeyPair(rcgen::KeyPair);

/// Why a private key cannot be made or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The cryptographic library failed.
    #[error("the key cannot be made or used")]
    Unusable,
    /// The text holds no private key that is understood.
    #[error("no PKCS #8 private key in PEM")]
    Malformed,
}

impl KeyPair {
    /// Makes a new key.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn generate() -> Result<Self, KeyError> {
        rcgen::KeyPair::generate().map(Self).map_err(|_| KeyError::Unusable)
    }

    /// Reads PKCS #8 in PEM.
    ///
    /// # Errors
    /// It is something else.
    pub fn from_pem(pem: &Secret<String>) -> Result<Self, KeyError> {
        rcgen::KeyPair::from_pem(pem.reveal()).map(Self).map_err(|_| KeyError::Malformed)
    }

    /// Reads PKCS #8 in DER.
    ///
    /// # Errors
    /// It is something else.
    pub fn from_pkcs8(der: &Secret<Vec<u8>>) -> Result<Self, KeyError> {
        rcgen::KeyPair::try_from(der.reveal().as_slice()).map(Self).map_err(|_| KeyError::Malformed)
    }

    /// PKCS #8 in PEM.
    #[must_use]
    pub fn to_pem(&self) -> Secret<String> {
        Secret::new(self.0.serialize_pem())
    }

    /// SHA-256 of the public key's SubjectPublicKeyInfo.
    #[must_use]
    pub fn public_key_digest(&self) -> Digest {
        Digest::of(&self.0.subject_public_key_info())
    }

    /// A PKCS #10 request in DER for a certificate that names `id`.
    ///
    /// The broker's authority decides by the invite, and by nothing in here. An authority that is another program copies
    /// what every leaf has to say ([`leaf_identity`](crate::spiffe::leaf_identity)) from the request: the name, and the
    /// usages of the key.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn signing_request(&self, id: &SpiffeId) -> Result<Vec<u8>, KeyError> {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let uri = id.as_str().try_into().map_err(|_| KeyError::Unusable)?;
        params.subject_alt_names = vec![rcgen::SanType::URI(uri)];
        params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth, rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let request = params.serialize_request(&self.0).map_err(|_| KeyError::Unusable)?;
        Ok(request.der().to_vec())
    }

    /// The key in the form that rustls takes.
    pub(crate) fn private_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.0.serialized_der().to_vec()).into()
    }

    pub(crate) fn into_rcgen(self) -> rcgen::KeyPair {
        self.0
    }
}

impl Signer for KeyPair {
    fn public_key(&self) -> Result<PublicKey, SigningError> {
        PublicKey::from_spki(&self.0.subject_public_key_info())
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        self.0.sign(message).map_err(|_| SigningError::Unusable)
    }
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyPair({})", self.public_key_digest().fingerprint())
    }
}

/// A signing request whose maker has shown that the private key is theirs.
///
/// Of all that a request may ask for, only the public key is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningRequest {
    public_key_info: Vec<u8>,
    asked_for: Option<SpiffeId>,
}

/// Why a signing request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Larger than [`MAX_REQUEST_BYTES`].
    #[error("the signing request has {bytes} bytes where at most {MAX_REQUEST_BYTES} are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not one PKCS #10 request in DER.
    #[error("the signing request is not PKCS #10 in DER")]
    Malformed,
    /// Another kind of key or signature.
    #[error(
        "the signing request's key or signature is not allowed (hint: make an ECDSA P-256 or P-384 key with SHA-256 or SHA-384, or an Ed25519 key)"
    )]
    Algorithm,
    /// Whoever made the request does not have the private key.
    #[error("the signing request's signature is not by its own key")]
    Signature,
}

impl SigningRequest {
    /// Reads a request and checks that it is signed by the key in it (proof of possession).
    ///
    /// # Errors
    /// It is too large, malformed, uses another algorithm or is not signed by its own key.
    pub fn parse(der: &[u8]) -> Result<Self, RequestError> {
        if der.len() > MAX_REQUEST_BYTES {
            return Err(RequestError::TooLarge { bytes: der.len() });
        }
        let (rest, request) = X509CertificationRequest::from_der(der).map_err(|_| RequestError::Malformed)?;
        if !rest.is_empty() {
            return Err(RequestError::Malformed);
        }
        let info = &request.certification_request_info;
        let algorithm =
            algorithm(&info.subject_pki.algorithm, &request.signature_algorithm).ok_or(RequestError::Algorithm)?;
        UnparsedPublicKey::new(algorithm, &info.subject_pki.subject_public_key.data)
            .verify(info.raw, &request.signature_value.data)
            .map_err(|_| RequestError::Signature)?;
        let public_key_info = info.subject_pki.raw.to_vec();
        Ok(Self { public_key_info, asked_for: asked_for(&request) })
    }

    /// Whom it asks to name, where it asks for one SPIFFE ID. Nobody is named by it: who issues says whom the certificate
    /// names.
    #[must_use]
    pub const fn asked_for(&self) -> Option<&SpiffeId> {
        self.asked_for.as_ref()
    }

    /// SHA-256 of the public key's SubjectPublicKeyInfo.
    #[must_use]
    pub fn public_key_digest(&self) -> Digest {
        Digest::of(&self.public_key_info)
    }

    /// The public key, if it is of a kind that signs statements.
    ///
    /// # Errors
    /// It is of another kind.
    pub fn public_key(&self) -> Result<PublicKey, SigningError> {
        PublicKey::from_spki(&self.public_key_info)
    }

    /// The SubjectPublicKeyInfo in DER.
    pub(crate) fn public_key_info(&self) -> &[u8] {
        &self.public_key_info
    }
}

/// The one SPIFFE ID that a request asks for.
fn asked_for(request: &X509CertificationRequest<'_>) -> Option<SpiffeId> {
    let names = request.requested_extensions()?.find_map(|extension| {
        if let ParsedExtension::SubjectAlternativeName(names) = extension { Some(&names.general_names) } else { None }
    })?;
    let mut uris = names.iter().filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None });
    let uri = uris.next().filter(|_| uris.next().is_none())?;
    uri.parse().ok()
}

/// How to check a signature of that kind by a key of that kind, if both are allowed and fit.
fn algorithm(
    key: &AlgorithmIdentifier<'_>,
    signature: &AlgorithmIdentifier<'_>,
) -> Option<&'static dyn VerificationAlgorithm> {
    let signature = &signature.algorithm;
    if key.algorithm == oid::OID_SIG_ED25519 {
        return (*signature == oid::OID_SIG_ED25519).then_some(&ED25519);
    }
    if key.algorithm != oid::OID_KEY_TYPE_EC_PUBLIC_KEY {
        return None;
    }
    let curve = key.parameters.as_ref()?.as_oid().ok()?;
    let (p256, p384) = (curve == oid::OID_EC_P256, curve == oid::OID_NIST_EC_P384);
    let (sha256, sha384) = (*signature == oid::OID_SIG_ECDSA_WITH_SHA256, *signature == oid::OID_SIG_ECDSA_WITH_SHA384);
    match (p256, p384, sha256, sha384) {
        (true, _, true, _) => Some(&ECDSA_P256_SHA256_ASN1),
        (true, _, _, true) => Some(&ECDSA_P256_SHA384_ASN1),
        (_, true, true, _) => Some(&ECDSA_P384_SHA256_ASN1),
        (_, true, _, true) => Some(&ECDSA_P384_SHA384_ASN1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> SpiffeId {
        "spiffe://org-a.example/node/n1".parse().unwrap()
    }

    fn request_with(algorithm: &'static rcgen::SignatureAlgorithm) -> Vec<u8> {
        KeyPair(rcgen::KeyPair::generate_for(algorithm).unwrap()).signing_request(&id()).unwrap()
    }

    #[test]
    fn a_request_carries_the_public_key_of_its_maker() {
        let key = KeyPair::generate().unwrap();
        let request = SigningRequest::parse(&key.signing_request(&id()).unwrap()).unwrap();
        assert_eq!(request.public_key_digest(), key.public_key_digest());
    }

    /// Signs the request as a program does that copies its extensions, and says nothing itself.
    #[test]
    fn a_certificate_that_copies_what_the_request_asks_for_is_one_that_members_take() {
        let key = KeyPair::generate().unwrap();
        let der = key.signing_request(&id()).unwrap().into();
        let asked = rcgen::CertificateSigningRequestParams::from_der(&der).unwrap();
        let mut authority = rcgen::CertificateParams::default();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
        let authority = rcgen::Issuer::new(authority, rcgen::KeyPair::generate().unwrap());
        let leaf = crate::spiffe::leaf_identity(asked.signed_by(&authority).unwrap().der()).unwrap();
        assert_eq!((leaf.id, leaf.public_key), (id(), key.public_key_digest()));
    }

    #[test]
    fn a_key_survives_its_pem_and_does_not_print() {
        let key = KeyPair::generate().unwrap();
        let again = KeyPair::from_pem(&key.to_pem()).unwrap();
        assert_eq!(again.public_key_digest(), key.public_key_digest());
        assert_eq!(format!("{key:?}"), format!("KeyPair({})", key.public_key_digest().fingerprint()));
        assert_eq!(KeyPair::from_pem(&Secret::new(String::from("key"))).unwrap_err(), KeyError::Malformed);
    }

    #[test]
    fn a_key_signs_statements_with_the_key_that_its_certificate_is_for() {
        let key = KeyPair::generate().unwrap();
        let public = key.public_key().unwrap();
        assert!(public.verifies(b"statement", &key.sign(b"statement").unwrap()));
        assert_eq!(public.id(), key.public_key_digest());
        let request = SigningRequest::parse(&key.signing_request(&id()).unwrap()).unwrap();
        assert_eq!(request.public_key(), Ok(public));
    }

    #[test]
    fn elliptic_keys_are_allowed_and_no_others() {
        for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
            assert!(SigningRequest::parse(&request_with(algorithm)).is_ok(), "{algorithm:?}");
        }
        for algorithm in [&rcgen::PKCS_RSA_SHA256, &rcgen::PKCS_ECDSA_P521_SHA512] {
            assert_eq!(SigningRequest::parse(&request_with(algorithm)), Err(RequestError::Algorithm), "{algorithm:?}");
        }
    }

    #[test]
    fn a_request_for_a_key_that_its_maker_does_not_have_is_refused() {
        let mut der = request_with(&rcgen::PKCS_ED25519);
        let last = der.len() - 1;
        der[last] ^= 1;
        assert_eq!(SigningRequest::parse(&der), Err(RequestError::Signature));
    }

    #[test]
    fn what_is_not_one_request_is_refused() {
        let mut der = request_with(&rcgen::PKCS_ED25519);
        der.push(0);
        assert_eq!(SigningRequest::parse(&der), Err(RequestError::Malformed));
        assert_eq!(SigningRequest::parse(b""), Err(RequestError::Malformed));
        let bytes = MAX_REQUEST_BYTES + 1;
        assert_eq!(SigningRequest::parse(&vec![0; bytes]), Err(RequestError::TooLarge { bytes }));
    }
}
