//! A SPIFFE trust bundle: the authorities of one trust domain as a JWK set, as others publish and read it
//! (SPIFFE_Trust_Domain_and_Bundle.md, section 4).
//!
//! A bundle is of exactly one domain, and bundles are never merged: an authority that names another domain is refused,
//! and so is JSON in which a name stands twice, where readers may differ on which one counts.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_types::TrustDomain;
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use crate::anchors::{AnchorError, MAX_ANCHORS, OrganisationAnchors, check_anchor};

mod jwk;
mod strict;
#[cfg(test)]
mod tests;

pub use jwk::KeyError;

/// Largest bundle, in bytes: eight authorities of RSA and many keys for JWT, which are not for us, fit in.
pub const MAX_BUNDLE_BYTES: usize = 256 * 1024;
/// Most keys in a bundle, those that are not for us included.
pub const MAX_KEYS: usize = 128;
/// How often a bundle is fetched that does not say how often: the standard leaves it to the reader.
pub const DEFAULT_REFRESH: Duration = Duration::from_secs(5 * 60);
/// Most often: whoever publishes a hint of a second is not asked every second.
pub const SHORTEST_REFRESH: Duration = Duration::from_secs(60);
/// Least often: an authority that was taken back is believed no longer than this.
pub const LONGEST_REFRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// What keys for X.509-SVIDs are marked with.
const USE: &str = "x509-svid";

/// The authorities of one trust domain, and what its publisher says of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Whose they are.
    pub domain: TrustDomain,
    /// The authorities; none, if nobody of the domain is to be believed.
    pub anchors: Vec<CertificateDer<'static>>,
    /// Grows whenever the content changes.
    pub sequence: Option<u64>,
    /// How often to look for a new one, as its publisher proposes.
    pub refresh_hint: Option<Duration>,
}

/// Why bytes are no bundle of a domain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// More than [`MAX_BUNDLE_BYTES`].
    #[error("the bundle has {bytes} bytes where at most {MAX_BUNDLE_BYTES} are allowed")]
    TooLarge {
        /// How many there are.
        bytes: usize,
    },
    /// Not JSON, or a name stands twice in it, or not of a bundle's form.
    #[error("the bundle cannot be read")]
    Json(#[from] serde_json::Error),
    /// More than [`MAX_KEYS`].
    #[error("field keys: {found} keys where at most {MAX_KEYS} are allowed")]
    Keys {
        /// How many there are.
        found: usize,
    },
    /// More than [`MAX_ANCHORS`] of them are authorities.
    #[error("field keys: {found} authorities where at most {MAX_ANCHORS} are allowed")]
    Anchors {
        /// How many there are.
        found: usize,
    },
    /// A key for X.509-SVIDs has to have exactly one certificate.
    #[error("field keys[{index}].x5c: {found} certificates where exactly 1 is needed")]
    Certificates {
        /// Its place in the list.
        index: usize,
        /// How many there are.
        found: usize,
    },
    /// A certificate is not base64.
    #[error("field keys[{index}].x5c: not base64")]
    Base64 {
        /// Its place in the list.
        index: usize,
    },
    /// A certificate is not an authority's, or of another domain.
    #[error("field keys[{index}].x5c")]
    Anchor {
        /// Its place in the list.
        index: usize,
        /// Why.
        #[source]
        source: AnchorError,
    },
    /// A key is not that of its certificate, or of no kind that is known.
    #[error("field keys[{index}]")]
    Key {
        /// Its place in the list.
        index: usize,
        /// Why.
        #[source]
        source: KeyError,
    },
}

/// The document. What is unknown is skipped, as the standard says.
#[derive(Debug, Serialize, Deserialize)]
struct Document {
    keys: Vec<Entry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spiffe_sequence: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spiffe_refresh_hint: Option<u64>,
}

/// A key of the set. One that is not for X.509-SVIDs may have any form.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    purpose: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    x5c: Option<serde_json::Value>,
    #[serde(flatten)]
    key: jwk::Members,
}

impl Bundle {
    /// Reads a bundle that is to be of `domain`.
    ///
    /// # Errors
    /// It is not; says which field is wrong.
    pub fn from_json(domain: TrustDomain, bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > MAX_BUNDLE_BYTES {
            return Err(BundleError::TooLarge { bytes: bytes.len() });
        }
        strict::check(bytes)?;
        let document: Document = serde_json::from_slice(bytes)?;
        if document.keys.len() > MAX_KEYS {
            return Err(BundleError::Keys { found: document.keys.len() });
        }
        let ours = document.keys.iter().enumerate().filter(|(_, key)| key.purpose.as_deref() == Some(USE));
        let anchors = ours.map(|(index, key)| anchor(&domain, index, key)).collect::<Result<Vec<_>, _>>()?;
        if anchors.len() > MAX_ANCHORS {
            return Err(BundleError::Anchors { found: anchors.len() });
        }
        let refresh_hint = document.spiffe_refresh_hint.map(Duration::from_secs);
        Ok(Self { domain, anchors, sequence: document.spiffe_sequence, refresh_hint })
    }

    /// Writes the bundle.
    ///
    /// # Errors
    /// There are too many authorities, or one of them is none of the domain's, or has a key of no kind that is known.
    pub fn to_json(&self) -> Result<Vec<u8>, BundleError> {
        if self.anchors.len() > MAX_ANCHORS {
            return Err(BundleError::Anchors { found: self.anchors.len() });
        }
        let keys = self.anchors.iter().enumerate().map(|(index, anchor)| entry(&self.domain, index, anchor));
        let document = Document {
            keys: keys.collect::<Result<_, _>>()?,
            spiffe_sequence: self.sequence,
            spiffe_refresh_hint: self.refresh_hint.map(|hint| hint.as_secs()),
        };
        Ok(serde_json::to_vec_pretty(&document)?)
    }

    /// How long after it was fetched the next one is: its hint, within bounds.
    #[must_use]
    pub fn refresh_after(&self) -> Duration {
        self.refresh_hint.unwrap_or(DEFAULT_REFRESH).clamp(SHORTEST_REFRESH, LONGEST_REFRESH)
    }

    /// The authorities, ready to verify with.
    ///
    /// # Errors
    /// There are none.
    pub fn organisation_anchors(&self) -> Result<OrganisationAnchors, AnchorError> {
        OrganisationAnchors::new(self.domain.clone(), &self.anchors)
    }
}

fn anchor(domain: &TrustDomain, index: usize, key: &Entry) -> Result<CertificateDer<'static>, BundleError> {
    let x5c: Vec<String> = key.x5c.clone().map_or_else(|| Ok(Vec::new()), serde_json::from_value)?;
    let [certificate] = x5c.as_slice() else { return Err(BundleError::Certificates { index, found: x5c.len() }) };
    let der = CertificateDer::from(STANDARD.decode(certificate).map_err(|_| BundleError::Base64 { index })?);
    check(domain, index, &der)?;
    // Readers differ in which of the two they take: they have to be one.
    let expected = jwk::Members::of(&der).map_err(|source| BundleError::Key { index, source })?;
    if key.key.agrees_with(&expected) {
        return Ok(der);
    }
    Err(BundleError::Key { index, source: KeyError::Mismatch })
}

fn entry(domain: &TrustDomain, index: usize, anchor: &CertificateDer<'_>) -> Result<Entry, BundleError> {
    check(domain, index, anchor)?;
    let key = jwk::Members::of(anchor).map_err(|source| BundleError::Key { index, source })?;
    let x5c = serde_json::to_value([STANDARD.encode(anchor)])?;
    Ok(Entry { purpose: Some(USE.to_owned()), x5c: Some(x5c), key })
}

/// An authority that names no domain is one that this bundle's domain has brought.
fn check(domain: &TrustDomain, index: usize, anchor: &CertificateDer<'_>) -> Result<(), BundleError> {
    match check_anchor(anchor).map_err(|source| BundleError::Anchor { index, source })?.domain {
        Some(found) if found != *domain => {
            let source = AnchorError::OtherDomain { expected: domain.clone(), found };
            Err(BundleError::Anchor { index, source })
        }
        Some(_) | None => Ok(()),
    }
}
