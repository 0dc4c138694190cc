//! Who signs certificates: the broker's hosted authority unless the organisation has its own. Its key, where it is given,
//! stays on this machine and signs here; where it is not, the organisation's authority signs the request by itself.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use comity_identity::authority::{AuthorityError as IssueError, MAX_LEAF_LIFETIME};
use comity_identity::bundle::BundleError;
use comity_identity::request::KeyError;
use comity_identity::store::CERTIFICATE_FILE;
use comity_identity::{
    Authority, Bundle, CertificateDer, Credentials, IdentityDir, IdentitySource, IssuedCertificate, KeyPair,
    OrganisationAnchors, SigningRequest, check_chain, pem,
};
use comity_membership::TlsKey;
use comity_types::{Secret, SpiffeId, Timestamp, TrustDomain};

use super::error::GivenCertificate;
use super::{EnrolError, JoinState, Joining, Newcomer};

/// The signing request for an authority that is elsewhere.
const REQUEST_FILE: &str = "request.pem";
/// How long certificates last that are signed here: a day, as the broker's (decision 3).
const LEAF_LIFE: Duration = MAX_LEAF_LIFETIME;

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

    /// The authority whose files a directory remembers; none where it remembers none.
    pub(super) fn of_directory(dir: &IdentityDir) -> Result<Option<Self>, EnrolError> {
        let Some(IdentitySource { ca, ca_key }) = dir.source()? else { return Ok(None) };
        Ok(Some(Self::read(&ca, Some(&ca_key))?))
    }

    fn issue(
        issuer: &Authority,
        key: &KeyPair,
        id: &SpiffeId,
        now: Timestamp,
    ) -> Result<IssuedCertificate, EnrolError> {
        let request = SigningRequest::parse(&key.signing_request(id)?).map_err(|_| KeyError::Unusable)?;
        Ok(issuer.issue(&request, id, &[], LEAF_LIFE, now).map_err(AuthorityError::from)?)
    }
}

/// Has a directory that asks ready for who is going to sign: where the authority's key is, or a request for it to sign,
/// which it may do while operators decide. A certificate that is there already is checked.
pub(super) fn prepare(joining: &Joining<'_>, dir: &IdentityDir, key: &KeyPair, id: &str) -> Result<(), EnrolError> {
    let id: SpiffeId = id.parse().map_err(|_| EnrolError::Incomplete { field: "spiffe_id" })?;
    let Some(own) = joining.authority.filter(|own| own.tls_key == TlsKey::Admitted) else {
        return Ok(dir.forget_source()?);
    };
    if let Some(files) = &own.files {
        return Ok(dir.save_source(files)?);
    }
    dir.forget_source()?;
    if dir.path().join(CERTIFICATE_FILE).exists() {
        return given(dir, key, &id, own.anchors(), joining.clock.now()).map(drop);
    }
    write_request(dir, key, &id).map(drop)
}

/// Has a directory remember the authority that it remembered.
pub(super) fn put_back(dir: &IdentityDir, before: Option<IdentitySource>) -> Result<(), EnrolError> {
    Ok(before.map_or_else(|| dir.forget_source(), |source| dir.save_source(&source))?)
}

/// The request that waits for the organisation's own authority, and where the chain is expected; none where none waits.
#[must_use]
pub fn to_be_signed(dir: &Path) -> Option<(PathBuf, PathBuf)> {
    let (request, certificate) = (dir.join(REQUEST_FILE), dir.join(CERTIFICATE_FILE));
    (request.exists() && !certificate.exists()).then_some((request, certificate))
}

/// Completes an identity whose key is admitted, where the broker does not sign for its organisation, which has `anchors`.
pub(super) fn certify(
    newcomer: &Newcomer<'_>,
    id: SpiffeId,
    anchors: &[CertificateDer<'static>],
    root_json: &[u8],
) -> Result<JoinState, EnrolError> {
    let Newcomer { dir, key, authority, clock, .. } = newcomer;
    if authority.is_some_and(|own| own.tls_key == TlsKey::ByAuthority) {
        dir.save_for(id, &[], root_json)?;
        return Ok(JoinState::Issued(dir.clone()));
    }
    let certificate = dir.path().join(CERTIFICATE_FILE);
    if let Some((issuer, files)) = authority.and_then(|own| own.issuer.as_ref().zip(own.files.as_ref())) {
        let issued = OwnAuthority::issue(issuer, key, &id, clock.now())?;
        if let Err(refused) = check(dir, &issued.chain, key, &id, anchors, clock.now()) {
            // Nor would anybody take what it signs later.
            dir.forget_source()?;
            return Err(refused);
        }
        dir.save_source(files)?;
        dir.save(&issued.chain, root_json)?;
        return Ok(JoinState::Issued(dir.clone()));
    }
    if certificate.exists() {
        dir.save(&given(dir, key, &id, anchors, clock.now())?, root_json)?;
        return Ok(JoinState::Issued(dir.clone()));
    }
    let request = write_request(dir, key, &id)?;
    Ok(JoinState::AwaitsCertificate { id, request, certificate })
}

fn write_request(dir: &IdentityDir, key: &KeyPair, id: &SpiffeId) -> Result<PathBuf, EnrolError> {
    let request = dir.path().join(REQUEST_FILE);
    let text = pem::encode_request(&key.signing_request(id)?);
    fs::write(&request, text).map_err(|source| AuthorityError::Io { path: request.clone(), source })?;
    Ok(request)
}

/// The certificate that the organisation's own authority has signed, if members will take it.
fn given(
    dir: &IdentityDir,
    key: &KeyPair,
    id: &SpiffeId,
    anchors: &[CertificateDer<'static>],
    now: Timestamp,
) -> Result<Vec<CertificateDer<'static>>, EnrolError> {
    let chain = dir.chain()?;
    check(dir, &chain, key, id, anchors, now)?;
    Ok(chain)
}

/// Holds a certificate against all that other members will: better told here than by a handshake that fails.
fn check(
    dir: &IdentityDir,
    chain: &[CertificateDer<'static>],
    key: &KeyPair,
    id: &SpiffeId,
    anchors: &[CertificateDer<'static>],
    now: Timestamp,
) -> Result<(), EnrolError> {
    let (path, request) = (dir.path().join(CERTIFICATE_FILE), dir.path().join(REQUEST_FILE));
    let wrong = |problem: String| {
        let given = GivenCertificate { path: path.clone(), request: request.clone(), id: id.clone(), problem };
        EnrolError::Given(Box::new(given))
    };
    let credentials =
        Credentials::new(chain.to_vec(), key).map_err(|error| wrong(comity_runtime::chain::text(&error)))?;
    let found = credentials.leaf().id;
    if found != *id {
        return Err(wrong(format!("it names {found}, and {id} is needed")));
    }
    let anchors = OrganisationAnchors::new(id.trust_domain().clone(), anchors).map_err(AuthorityError::from)?;
    check_chain(chain, anchors, now).map_err(|error| wrong(refusal(&error)))
}

/// What a verifier found, in words.
#[expect(clippy::wildcard_enum_match_arm, reason = "rustls has many, of which these are met here")]
fn refusal(error: &rustls::Error) -> String {
    use rustls::CertificateError as E;
    match error {
        rustls::Error::InvalidCertificate(E::UnknownIssuer | E::BadSignature) => {
            "none of the organisation's certificate authorities has signed it".to_owned()
        }
        rustls::Error::InvalidCertificate(E::Expired | E::ExpiredContext { .. }) => "it has ended".to_owned(),
        rustls::Error::InvalidCertificate(E::NotValidYet | E::NotValidYetContext { .. }) => {
            "it does not hold yet".to_owned()
        }
        rustls::Error::InvalidCertificate(E::Other(other)) => comity_runtime::chain::text(&*other.0),
        other => comity_runtime::chain::text(other),
    }
}

/// A fresh certificate from the organisation's own authority, where its key is on this machine.
pub(super) fn reissue(
    dir: &IdentityDir,
    key: &KeyPair,
    id: &SpiffeId,
    now: Timestamp,
) -> Result<Option<Vec<CertificateDer<'static>>>, EnrolError> {
    let Some(own) = OwnAuthority::of_directory(dir)? else { return Ok(None) };
    let Some(issuer) = &own.issuer else { return Ok(None) };
    Ok(Some(OwnAuthority::issue(issuer, key, id, now)?.chain))
}

fn read(path: &Path) -> Result<Vec<u8>, AuthorityError> {
    fs::read(path).map_err(|source| AuthorityError::Io { path: path.to_owned(), source })
}

fn absolute(path: &Path) -> Result<PathBuf, AuthorityError> {
    std::path::absolute(path).map_err(|source| AuthorityError::Io { path: path.to_owned(), source })
}
