//! X.509-SVID: what a leaf certificate must look like, and whom it names.
//!
//! The rules are those of the SPIFFE standard's X509-SVID.md sections 2 to 4, with the narrower
//! grammar of [`SpiffeId`]. Chain, signature and the present time are the verifier's business.

use comity_types::{Digest, Invalid, SpiffeId, Timestamp};
use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, SubjectAlternativeName};

/// Whom a conformant leaf certificate names, and for how long.
///
/// It proves the certificate's form, not that anyone trustworthy signed it; that is [`crate::VerifiedPeer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafIdentity {
    /// The one SPIFFE ID.
    pub id: SpiffeId,
    /// First instant at which the certificate holds.
    pub not_before: Timestamp,
    /// Last instant at which it holds.
    pub not_after: Timestamp,
    /// SHA-256 of the certificate's DER.
    pub certificate: Digest,
    /// SHA-256 of its public key (SubjectPublicKeyInfo).
    pub public_key: Digest,
}

/// Why a leaf certificate is not an X.509-SVID that a federation accepts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SvidError {
    /// Not DER, or an extension that cannot be read or stands there twice.
    #[error("the certificate cannot be read")]
    Malformed,
    /// There must be exactly one URI among the subject's alternative names.
    #[error("the certificate has {found} URI names where exactly 1 is needed")]
    UriNames {
        /// How many there are.
        found: usize,
    },
    /// The URI is not an ID of this federation's grammar.
    #[error("the certificate's URI name is refused")]
    Id(#[source] Invalid),
    /// The subject is empty, so the alternative names have to be critical.
    #[error("the subject is empty and the alternative names are not critical")]
    NamesNotCritical,
    /// A leaf must not be an authority.
    #[error("the certificate is an authority's")]
    Authority,
    /// Key usage must be there and critical.
    #[error("key usage is missing or not critical")]
    KeyUsageNotCritical,
    /// Key usage must include digitalSignature.
    #[error("key usage lacks digitalSignature")]
    NoDigitalSignature,
    /// Key usage must not include keyCertSign or cRLSign.
    #[error("key usage allows signing certificates or revocation lists")]
    SigningUsage,
    /// If extended key usage is there, it has to name both directions.
    #[error("extended key usage lacks serverAuth or clientAuth")]
    ExtendedKeyUsage,
    /// The certificate ends before it begins, or outside the calendar.
    #[error("the certificate's validity is not an interval")]
    Validity,
}

/// Checks the form of a leaf certificate.
///
/// # Errors
/// The first rule that it breaks.
pub fn leaf_identity(leaf: &CertificateDer<'_>) -> Result<LeafIdentity, SvidError> {
    let (rest, parsed) = x509_parser::parse_x509_certificate(leaf).map_err(|_| SvidError::Malformed)?;
    if !rest.is_empty() {
        return Err(SvidError::Malformed);
    }
    let id = spiffe_id(&parsed)?;
    check_not_authority(&parsed)?;
    check_key_usage(&parsed)?;
    check_extended_key_usage(&parsed)?;
    let (not_before, not_after) = validity(&parsed)?;
    let public_key = Digest::of(parsed.public_key().raw);
    Ok(LeafIdentity { id, not_before, not_after, certificate: Digest::of(leaf), public_key })
}

fn spiffe_id(parsed: &X509Certificate<'_>) -> Result<SpiffeId, SvidError> {
    let names = parsed.subject_alternative_name().map_err(|_| SvidError::Malformed)?;
    let names = names.ok_or(SvidError::UriNames { found: 0 })?;
    if parsed.subject().iter().next().is_none() && !names.critical {
        return Err(SvidError::NamesNotCritical);
    }
    match uri_names(names.value).as_slice() {
        [uri] => uri.parse().map_err(SvidError::Id),
        other => Err(SvidError::UriNames { found: other.len() }),
    }
}

/// The URIs among a certificate's alternative names.
pub(crate) fn uri_names<'a>(names: &SubjectAlternativeName<'a>) -> Vec<&'a str> {
    let uri = |name: &GeneralName<'a>| if let GeneralName::URI(uri) = name { Some(*uri) } else { None };
    names.general_names.iter().filter_map(uri).collect()
}

fn check_not_authority(parsed: &X509Certificate<'_>) -> Result<(), SvidError> {
    let constraints = parsed.basic_constraints().map_err(|_| SvidError::Malformed)?;
    if constraints.is_some_and(|extension| extension.value.ca) { Err(SvidError::Authority) } else { Ok(()) }
}

fn check_key_usage(parsed: &X509Certificate<'_>) -> Result<(), SvidError> {
    let usage = parsed.key_usage().map_err(|_| SvidError::Malformed)?;
    let usage = usage.filter(|extension| extension.critical).ok_or(SvidError::KeyUsageNotCritical)?.value;
    if usage.key_cert_sign() || usage.crl_sign() {
        return Err(SvidError::SigningUsage);
    }
    if usage.digital_signature() { Ok(()) } else { Err(SvidError::NoDigitalSignature) }
}

fn check_extended_key_usage(parsed: &X509Certificate<'_>) -> Result<(), SvidError> {
    let usage = parsed.extended_key_usage().map_err(|_| SvidError::Malformed)?;
    let both = usage.is_none_or(|extension| extension.value.server_auth && extension.value.client_auth);
    if both { Ok(()) } else { Err(SvidError::ExtendedKeyUsage) }
}

fn validity(parsed: &X509Certificate<'_>) -> Result<(Timestamp, Timestamp), SvidError> {
    let instant = |seconds: i64| {
        let millis = seconds.checked_mul(1000).ok_or(SvidError::Validity)?;
        Timestamp::from_millis(millis).map_err(|_| SvidError::Validity)
    };
    let from = instant(parsed.validity().not_before.timestamp())?;
    let until = instant(parsed.validity().not_after.timestamp())?;
    if from <= until { Ok((from, until)) } else { Err(SvidError::Validity) }
}

#[cfg(test)]
mod tests;
