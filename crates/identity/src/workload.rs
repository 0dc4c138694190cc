//! An identity as SPIFFE's Workload API hands it out: a chain, its key and the domain's authorities, all in DER
//! (SPIFFE_Workload_API.md, section 5.2.1).

use comity_types::{Secret, SpiffeId};
use rustls_pki_types::CertificateDer;

use crate::request::{KeyError, KeyPair};
use crate::spiffe::{SvidError, leaf_identity};
use crate::tls::{Credentials, CredentialsError};

/// An X.509-SVID with its key.
#[derive(Debug)]
pub struct Svid {
    id: SpiffeId,
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
    /// The authorities of its own trust domain.
    pub anchors: Vec<CertificateDer<'static>>,
}

/// Why what was handed out is no identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkloadSvidError {
    /// Not certificates in DER, one after another.
    #[error("the certificates cannot be read")]
    Certificates,
    /// Not a private key in PKCS #8.
    #[error("the key cannot be read")]
    Key(#[from] KeyError),
    /// The leaf is not one of a federation.
    #[error("the certificate is not an X.509-SVID that a federation accepts")]
    Svid(#[from] SvidError),
}

impl Svid {
    /// Takes what the API sent: certificates of the chain, leaf first, the leaf's key, the certificates of the bundle.
    ///
    /// # Errors
    /// One of them cannot be read, or the leaf is not an X.509-SVID.
    pub fn from_der(chain: &[u8], key: &Secret<Vec<u8>>, bundle: &[u8]) -> Result<Self, WorkloadSvidError> {
        let (chain, anchors) = (certificates(chain)?, certificates(bundle)?);
        let id = leaf_identity(chain.first().ok_or(WorkloadSvidError::Certificates)?)?.id;
        Ok(Self { id, chain, key: KeyPair::from_pkcs8(key)?, anchors })
    }

    /// Whom it names.
    #[must_use]
    pub const fn id(&self) -> &SpiffeId {
        &self.id
    }

    /// Ready for TLS.
    ///
    /// # Errors
    /// The key is not the certificate's.
    pub fn into_credentials(self) -> Result<Credentials, CredentialsError> {
        Credentials::new(self.chain, &self.key)
    }

    /// In place of those that are in use.
    ///
    /// # Errors
    /// The key is not the certificate's, or it names somebody else; the old ones stay in use.
    pub fn replace(self, credentials: &Credentials) -> Result<(), CredentialsError> {
        credentials.replace(self.chain, &self.key)
    }
}

/// Certificates that stand one after another with nothing between them.
fn certificates(mut der: &[u8]) -> Result<Vec<CertificateDer<'static>>, WorkloadSvidError> {
    let mut found = Vec::new();
    while !der.is_empty() {
        let (rest, _) = x509_parser::parse_x509_certificate(der).map_err(|_| WorkloadSvidError::Certificates)?;
        let (one, _) = der.split_at(der.len() - rest.len());
        found.push(CertificateDer::from(one.to_vec()));
        der = rest;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Organisation, now};

    fn handed_out(organisation: &Organisation) -> (Vec<u8>, Secret<Vec<u8>>, Vec<u8>) {
        let (chain, key) = organisation.issue("node", "n1", now());
        let anchor = organisation.authority.anchor().to_vec();
        (chain[0].to_vec(), Secret::new(key.into_rcgen().serialize_der()), [anchor.clone(), anchor].concat())
    }

    #[test]
    fn what_the_api_hands_out_becomes_credentials_and_replaces_them() {
        let organisation = Organisation::new("org-a.example");
        let svid = || {
            let (chain, key, bundle) = handed_out(&organisation);
            Svid::from_der(&chain, &key, &bundle).unwrap()
        };
        let first = svid();
        assert_eq!((first.id().as_str(), first.anchors.len()), ("spiffe://org-a.example/node/n1", 2));
        let credentials = first.into_credentials().unwrap();
        let before = credentials.leaf();
        svid().replace(&credentials).unwrap();
        assert_ne!(credentials.leaf().public_key, before.public_key);
    }

    #[test]
    fn what_is_no_identity_is_refused() {
        let organisation = Organisation::new("org-a.example");
        let ((chain, key, bundle), (_, other_key, _)) = (handed_out(&organisation), handed_out(&organisation));
        let refused = |chain: &[u8], key, bundle: &[u8]| Svid::from_der(chain, key, bundle).unwrap_err();
        assert_eq!(refused(&[], &key, &bundle), WorkloadSvidError::Certificates);
        assert_eq!(refused(&chain[..chain.len() - 1], &key, &bundle), WorkloadSvidError::Certificates);
        assert_eq!(refused(&chain, &key, b"x"), WorkloadSvidError::Certificates);
        let no_key = Secret::new(vec![1]);
        assert_eq!(refused(&chain, &no_key, &bundle), WorkloadSvidError::Key(KeyError::Malformed));
        assert!(matches!(refused(&bundle, &key, &bundle), WorkloadSvidError::Svid(_)));
        let mixed = Svid::from_der(&chain, &other_key, &bundle).unwrap().into_credentials();
        assert_eq!(mixed.unwrap_err(), CredentialsError::Mismatch);
    }
}
