//! Who signs certificates: the broker's hosted authority unless the organisation has its own. Its key, where it is given,
//! stays on this machine and signs here; where it is not, the organisation's authority signs the request by itself.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use comity_identity::authority::AuthorityError as IssueError;
use comity_identity::bundle::BundleError;
use comity_identity::request::KeyError;
use comity_identity::store::CERTIFICATE_FILE;
use comity_identity::{
    Authority, Bundle, CertificateDer, IdentityDir, IdentitySource, IssuedCertificate, KeyPair, OrganisationAnchors,
    SigningRequest, pem,
};
use comity_membership::TlsKey;
use comity_types::ids::Kind;
use comity_types::{Secret, SpiffeId, Timestamp, TrustDomain};

use super::{EnrolError, JoinState, Joining};

/// The signing request for an authority that is elsewhere.
const REQUEST_FILE: &str = "request.pem";
/// How long certificates last that are signed here: those of programs that run all the time a day, those of people
/// and apps a month, as the broker's (decision 3).
const NODE_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
const OTHER_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The certificate authority of an organisation that brings its own.
#[derive(Debug, Clone)]
pub struct OwnAuthority {
    anchors: Vec<CertificateDer<'static>>,
    issuer: Option<Arc<Authority>>,
    files: Option<IdentitySource>,
    tls_key: TlsKey,
}

/// Why an authority of one's own cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file holds no certificates.
    #[error("{} holds no certificates in PEM", path.display())]
    NoCertificates {
        /// The file.
        path: PathBuf,
    },
    /// The key does not sign for the certificate.
    #[error("{} cannot sign for the authority", path.display())]
    Key {
        /// The key's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: IssueError,
    },
    /// The authority is another organisation's, or none.
    #[error("the authority is refused")]
    Anchors(#[from] comity_identity::anchors::AnchorError),
    /// The bundle cannot be used.
    #[error("the trust bundle is refused")]
    Bundle(#[from] BundleError),
    /// It does not sign.
    #[error("the authority does not sign")]
    Issue(#[from] IssueError),
}

impl OwnAuthority {
    /// Reads the authority's certificates, and its key where it is to sign here: both in PEM.
    ///
    /// # Errors
    /// A file cannot be read, or they do not belong together.
    pub fn read(ca: &Path, key: Option<&Path>) -> Result<Self, AuthorityError> {
        let anchors = pem::decode(&read(ca)?).filter(|all| !all.is_empty());
        let anchors = anchors.ok_or_else(|| AuthorityError::NoCertificates { path: ca.to_owned() })?;
        let Some(key) = key else { return Ok(Self { anchors, issuer: None, files: None, tls_key: TlsKey::Admitted }) };
        let text = Secret::new(String::from_utf8_lossy(&read(key)?).into_owned());
        let first = anchors.first().ok_or_else(|| AuthorityError::NoCertificates { path: ca.to_owned() })?;
        let issuer = Authority::from_pem(&text, first);
        let issuer = issuer.map_err(|source| AuthorityError::Key { path: key.to_owned(), source })?;
        let files = IdentitySource { ca: absolute(ca)?, ca_key: absolute(key)? };
        Ok(Self { anchors, issuer: Some(Arc::new(issuer)), files: Some(files), tls_key: TlsKey::Admitted })
    }

    /// An authority that makes a new key with every certificate, such as SPIRE's, by its trust bundle (JWKS). Its
    /// certificates come from the Workload API, and none is asked of anybody else.
    ///
    /// # Errors
    /// It is no bundle of `domain`, or has no authority.
    pub fn of_bundle(domain: TrustDomain, json: &[u8]) -> Result<Self, AuthorityError> {
        let bundle = Bundle::from_json(domain, json)?;
        bundle.organisation_anchors()?;
        Ok(Self { anchors: bundle.anchors, issuer: None, files: None, tls_key: TlsKey::ByAuthority })
    }

    /// The same for a member of an organisation that takes part already, whose anchors are known.
    #[must_use]
    pub const fn of_workload_api() -> Self {
        Self { anchors: Vec::new(), issuer: None, files: None, tls_key: TlsKey::ByAuthority }
    }

    /// Its certificates.
    #[must_use]
    pub fn anchors(&self) -> &[CertificateDer<'static>] {
        &self.anchors
    }

    /// Which key its certificates are for.
    #[must_use]
    pub const fn tls_key(&self) -> TlsKey {
        self.tls_key
    }

    fn issue(
        issuer: &Authority,
        key: &KeyPair,
        id: &SpiffeId,
        now: Timestamp,
    ) -> Result<IssuedCertificate, EnrolError> {
        let life = if id.kind() == Kind::Node { NODE_LIFE } else { OTHER_LIFE };
        let request = SigningRequest::parse(&key.signing_request(id)?).map_err(|_| KeyError::Unusable)?;
        Ok(issuer.issue(&request, id, &[], life, now).map_err(AuthorityError::from)?)
    }
}

/// Completes an identity whose key is admitted, where the broker does not sign for its organisation.
pub(super) fn certify(
    joining: &Joining<'_>,
    dir: &IdentityDir,
    key: &KeyPair,
    id: SpiffeId,
    root_json: &[u8],
) -> Result<JoinState, EnrolError> {
    let own = joining.authority.ok_or_else(|| EnrolError::NeedsAuthority { id: id.clone() })?;
    if own.tls_key == TlsKey::ByAuthority {
        dir.save_for(id, &[], root_json)?;
        return Ok(JoinState::Issued(dir.clone()));
    }
    OrganisationAnchors::new(id.trust_domain().clone(), own.anchors()).map_err(AuthorityError::from)?;
    if let (Some(issuer), Some(files)) = (&own.issuer, &own.files) {
        let issued = OwnAuthority::issue(issuer, key, &id, joining.clock.now())?;
        dir.save_source(files)?;
        dir.save(&issued.chain, root_json)?;
        return Ok(JoinState::Issued(dir.clone()));
    }
    let (request, certificate) = (dir.path().join(REQUEST_FILE), dir.path().join(CERTIFICATE_FILE));
    if certificate.exists() {
        dir.save(&dir.chain()?, root_json)?;
        return Ok(JoinState::Issued(dir.clone()));
    }
    let text = pem::encode_request(&key.signing_request(&id)?);
    fs::write(&request, text).map_err(|source| AuthorityError::Io { path: request.clone(), source })?;
    Ok(JoinState::AwaitsCertificate { id, request, certificate })
}

/// A fresh certificate from the organisation's own authority, where its key is on this machine.
pub(super) fn reissue(
    dir: &IdentityDir,
    key: &KeyPair,
    id: &SpiffeId,
    now: Timestamp,
) -> Result<Option<Vec<CertificateDer<'static>>>, EnrolError> {
    let Some(IdentitySource { ca, ca_key }) = dir.source()? else { return Ok(None) };
    let own = OwnAuthority::read(&ca, Some(&ca_key))?;
    let Some(issuer) = &own.issuer else { return Ok(None) };
    Ok(Some(OwnAuthority::issue(issuer, key, id, now)?.chain))
}

fn read(path: &Path) -> Result<Vec<u8>, AuthorityError> {
    fs::read(path).map_err(|source| AuthorityError::Io { path: path.to_owned(), source })
}

fn absolute(path: &Path) -> Result<PathBuf, AuthorityError> {
    std::path::absolute(path).map_err(|source| AuthorityError::Io { path: path.to_owned(), source })
}
