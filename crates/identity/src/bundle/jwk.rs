//! A public key as JWK has it (RFC 7518, section 6; RFC 8037 for Ed25519).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Why a key cannot be written, or is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not ECDSA on P-256, P-384 or P-521, not RSA, not Ed25519.
    #[error(
        "the certificate's key is of no kind that a bundle can hold (ECDSA on P-256, P-384 or P-521, RSA, Ed25519)"
    )]
    Unsupported,
    /// The members of the JWK name another key than its certificate does, or too little of one.
    #[error("the key is not the key of its certificate")]
    Mismatch,
}

/// The members of a JWK that are its key. Those that its kind does not have are `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Members {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kty: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crv: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    y: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    e: Option<String>,
}

impl Members {
    /// The key of a certificate.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Result<Self, KeyError> {
        let parsed = x509_parser::parse_x509_certificate(certificate).map_err(|_| KeyError::Unsupported)?.1;
        let info = parsed.public_key();
        match info.parsed().map_err(|_| KeyError::Unsupported)? {
            PublicKey::DSA(_) | PublicKey::GostR3410(_) | PublicKey::GostR3410_2012(_) => Err(KeyError::Unsupported),
            PublicKey::EC(point) => elliptic(point.data()),
            PublicKey::RSA(key) => {
                Ok(Self { n: Some(text(positive(key.modulus))), e: Some(text(positive(key.exponent))), ..kind("RSA") })
            }
            PublicKey::Unknown(_) => edwards(info),
        }
    }

    /// True if it is that key: the kind has to be said; the rest, where it is said, has to be the same.
    pub(super) fn agrees_with(&self, key: &Self) -> bool {
        let same = |said: &Option<String>, is: &Option<String>| said.is_none() || said == is;
        self.kty == key.kty
            && [(&self.crv, &key.crv), (&self.x, &key.x), (&self.y, &key.y), (&self.n, &key.n), (&self.e, &key.e)]
                .into_iter()
                .all(|(said, is)| same(said, is))
    }
}

/// An uncompressed point: 4, x, y.
fn elliptic(point: &[u8]) -> Result<Members, KeyError> {
    let [4, both @ ..] = point else { return Err(KeyError::Unsupported) };
    let crv = match both.len() {
        64 => "P-256",
        96 => "P-384",
        132 => "P-521",
        _ => return Err(KeyError::Unsupported),
    };
    let (x, y) = both.split_at(both.len() / 2);
    Ok(Members { crv: Some(crv.to_owned()), x: Some(text(x)), y: Some(text(y)), ..kind("EC") })
}

/// Ed25519, whose object identifier is 1.3.101.112.
fn edwards(info: &SubjectPublicKeyInfo<'_>) -> Result<Members, KeyError> {
    if info.algorithm.algorithm.to_id_string() != "1.3.101.112" {
        return Err(KeyError::Unsupported);
    }
    Ok(Members { crv: Some("Ed25519".to_owned()), x: Some(text(&info.subject_public_key.data)), ..kind("OKP") })
}

fn kind(kty: &str) -> Members {
    Members { kty: Some(kty.to_owned()), ..Members::default() }
}

/// DER puts a zero before a number whose first bit is set; JWK does not.
fn positive(number: &[u8]) -> &[u8] {
    match number {
        [0, rest @ ..] if !rest.is_empty() => rest,
        other => other,
    }
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
