//! A certificate chain and its key, which can be replaced while listeners and clients use them.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use comity_types::{Digest, SpiffeId};
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;

use crate::request::KeyPair;
use crate::spiffe::{LeafIdentity, SvidError, leaf_identity};
use crate::tls::provider;

/// Who we are in TLS, as server and as client. The next handshake uses the newest.
pub struct Credentials(ArcSwap<Held>);

struct Held {
    leaf: LeafIdentity,
    certified: Arc<CertifiedKey>,
}

/// Why a chain and a key are no credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// There is no certificate.
    #[error("the certificate chain is empty")]
    Empty,
    /// The leaf is not one of a federation.
    #[error("the certificate is not an X.509-SVID")]
    Svid(#[source] SvidError),
    /// The key is not the certificate's.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
    /// New credentials are for somebody else.
    #[error("the new certificate names {found} where {expected} is needed")]
    OtherId {
        /// Who we are.
        expected: SpiffeId,
        /// Whom the certificate names.
        found: SpiffeId,
    },
}

impl Credentials {
    /// Takes a chain, leaf first, and the leaf's key.
    ///
    /// # Errors
    /// They do not belong together, or the leaf is not an X.509-SVID.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Result<Self, CredentialsError> {
        Held::new(chain, key).map(|held| Self(ArcSwap::from_pointee(held)))
    }

    /// From the next handshake on, these; connections that stand keep what they have.
    ///
    /// # Errors
    /// As for [`Credentials::new`], and if they name somebody else; the old ones stay in use.
    pub fn replace(&self, chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Result<(), CredentialsError> {
        let (held, expected) = (Held::new(chain, key)?, self.leaf().id);
        if held.leaf.id != expected {
            return Err(CredentialsError::OtherId { expected, found: held.leaf.id });
        }
        self.0.store(Arc::new(held));
        Ok(())
    }

    /// What the leaf in use says.
    #[must_use]
    pub fn leaf(&self) -> LeafIdentity {
        self.0.load().leaf.clone()
    }

    /// The certificates in use, leaf first.
    #[must_use]
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.certified().cert.clone()
    }

    /// True if this certificate is the one in use.
    #[must_use]
    pub fn shows(&self, certificate: Digest) -> bool {
        self.0.load().leaf.certificate == certificate
    }

    fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.load().certified)
    }
}

impl Held {
    fn new(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Result<Self, CredentialsError> {
        let leaf = leaf_identity(chain.first().ok_or(CredentialsError::Empty)?).map_err(CredentialsError::Svid)?;
        let key =
            provider().key_provider.load_private_key(key.private_der()).map_err(|_| CredentialsError::Mismatch)?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(|_| CredentialsError::Mismatch)?;
        Ok(Self { leaf, certified: Arc::new(certified) })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.0.load().leaf.id)
    }
}

impl ResolvesServerCert for Credentials {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.certified())
    }
}

impl ResolvesClientCert for Credentials {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.certified())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Organisation, now};

    #[test]
    fn a_key_that_is_not_the_certificates_is_refused() {
        let (chain, _) = Organisation::new("org-a.example").issue("node", "n1", now());
        assert_eq!(Credentials::new(chain, &KeyPair::generate().unwrap()).unwrap_err(), CredentialsError::Mismatch);
        assert_eq!(Credentials::new(Vec::new(), &KeyPair::generate().unwrap()).unwrap_err(), CredentialsError::Empty);
    }

    #[test]
    fn refused_replacements_leave_the_old_credentials_in_use() {
        let organisation = Organisation::new("org-a.example");
        let (chain, key) = organisation.issue("node", "n1", now());
        let credentials = Credentials::new(chain, &key).unwrap();
        let before = credentials.leaf();
        let (other, other_key) = organisation.issue("node", "n2", now());
        assert!(matches!(credentials.replace(other.clone(), &other_key), Err(CredentialsError::OtherId { .. })));
        assert_eq!(credentials.replace(other, &key), Err(CredentialsError::Mismatch));
        assert_eq!(credentials.leaf(), before);
    }
}
