//! The roots of one organisation, and where a verifier looks them up.
//!
//! Roots of different organisations are never put together: a root vouches for its own organisation alone.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use comity_types::{Digest, Timestamp, TrustDomain};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::CertificateDer;

use crate::spiffe::uri_names;
use crate::tls::provider;

/// Most anchors of one organisation: one in use, one to come, one going, and some for separate sites.
pub const MAX_ANCHORS: usize = 8;

/// Knows the anchors of organisations. A suspended organisation has none.
pub trait AnchorSource: Send + Sync + fmt::Debug {
    /// The anchors of `domain`, if it is a member in good standing.
    fn anchors(&self, domain: &TrustDomain) -> Option<Arc<OrganisationAnchors>>;
}

/// The roots of exactly one organisation, ready to verify with.
#[derive(Debug, Clone)]
pub struct OrganisationAnchors {
    domain: TrustDomain,
    roots: Arc<RootCertStore>,
    clients: Arc<dyn ClientCertVerifier>,
}

/// Why a certificate does not serve as an anchor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnchorError {
    /// There must be 1 to [`MAX_ANCHORS`].
    #[error("{found} anchors where 1 to {MAX_ANCHORS} are needed")]
    Count {
        /// How many there are.
        found: usize,
    },
    /// Not one certificate in DER.
    #[error("an anchor cannot be read")]
    Malformed,
    /// Not marked as an authority.
    #[error(
        "an anchor is not an authority's certificate (hint: it needs the extension basicConstraints = critical, CA:TRUE)"
    )]
    NotAuthority,
    /// Marked as an authority, and not as one that signs certificates: X509-SVID.md, section 4.3.
    #[error(
        "an anchor does not say that it signs certificates (hint: it needs the extension keyUsage = critical, keyCertSign, cRLSign; openssl req -x509 takes -addext keyUsage=critical,keyCertSign,cRLSign)"
    )]
    DoesNotSign,
    /// Its URI name is not a trust domain's.
    #[error("an anchor's URI name is not that of a trust domain, such as spiffe://org-a.example")]
    NotDomain,
    /// It says that it belongs to another domain.
    #[error("an anchor of {found} was given for {expected}")]
    OtherDomain {
        /// Whose it should be.
        expected: TrustDomain,
        /// Whose it says it is.
        found: TrustDomain,
    },
    /// It has ended, and would vouch for nobody.
    #[error("an anchor ended at {not_after} (hint: give the authority's certificate that is valid now)")]
    Ended {
        /// When.
        not_after: Timestamp,
    },
    /// It does not say whose it is, where that is needed.
    #[error(
        "an anchor names no trust domain, and an authority whose key is used here signs for the one that it names (hint: it needs the extension subjectAltName = URI:spiffe://DOMAIN; openssl req -x509 takes -addext subjectAltName=URI:spiffe://DOMAIN)"
    )]
    NoDomain,
}

impl OrganisationAnchors {
    /// Takes the roots of `domain`. A root that names a domain has to name this one.
    ///
    /// # Errors
    /// There are none or too many, or one of them is no anchor.
    pub fn new(domain: TrustDomain, roots: &[CertificateDer<'_>]) -> Result<Self, AnchorError> {
        if roots.is_empty() || roots.len() > MAX_ANCHORS {
            return Err(AnchorError::Count { found: roots.len() });
        }
        let mut store = RootCertStore::empty();
        for root in roots {
            match check_anchor(root)?.domain {
                Some(found) if found != domain => return Err(AnchorError::OtherDomain { expected: domain, found }),
                Some(_) | None => store.add(root.clone().into_owned()).map_err(|_| AnchorError::Malformed)?,
            }
        }
        let roots = Arc::new(store);
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider());
        let clients = clients.build().map_err(|_| AnchorError::Malformed)?;
        Ok(Self { domain, roots, clients })
    }

    /// The same, for roots that are to be the organisation's from `now` on: none may have ended.
    ///
    /// # Errors
    /// As [`new`](Self::new), or one has ended.
    pub fn valid_at(domain: TrustDomain, roots: &[CertificateDer<'_>], now: Timestamp) -> Result<Self, AnchorError> {
        let anchors = Self::new(domain, roots)?;
        for root in roots {
            let not_after = check_anchor(root)?.not_after;
            if not_after <= now {
                return Err(AnchorError::Ended { not_after });
            }
        }
        Ok(anchors)
    }

    /// The organisation.
    #[must_use]
    pub const fn domain(&self) -> &TrustDomain {
        &self.domain
    }

    pub(crate) fn roots(&self) -> &RootCertStore {
        &self.roots
    }

    pub(crate) fn clients(&self) -> &dyn ClientCertVerifier {
        &*self.clients
    }
}

/// What an anchor says about itself.
pub(crate) struct AnchorFacts {
    /// The trust domain in its URI name; the SPIFFE standard says that there should be one.
    pub(crate) domain: Option<TrustDomain>,
    /// The public key in DER.
    pub(crate) public_key_info: Vec<u8>,
    /// When it ends.
    pub(crate) not_after: Timestamp,
}

/// An anchor in one line, for people who compare: its end and the SHA-256 of its DER.
///
/// # Errors
/// It is no anchor.
pub fn describe(anchor: &CertificateDer<'_>) -> Result<String, AnchorError> {
    let not_after = check_anchor(anchor)?.not_after;
    Ok(format!("{}, until {not_after}", Digest::of(anchor)))
}

/// Checks that a certificate is an authority's (X509-SVID.md, section 4).
pub(crate) fn check_anchor(der: &CertificateDer<'_>) -> Result<AnchorFacts, AnchorError> {
    let (rest, parsed) = x509_parser::parse_x509_certificate(der).map_err(|_| AnchorError::Malformed)?;
    if !rest.is_empty() {
        return Err(AnchorError::Malformed);
    }
    let constraints = parsed.basic_constraints().map_err(|_| AnchorError::Malformed)?;
    let usage = parsed.key_usage().map_err(|_| AnchorError::Malformed)?;
    if !constraints.is_some_and(|constraints| constraints.value.ca) {
        return Err(AnchorError::NotAuthority);
    }
    if !usage.is_some_and(|usage| usage.critical && usage.value.key_cert_sign()) {
        return Err(AnchorError::DoesNotSign);
    }
    let names = parsed.subject_alternative_name().map_err(|_| AnchorError::Malformed)?;
    let uris = names.map(|names| uri_names(names.value)).unwrap_or_default();
    let domain = match uris.as_slice() {
        [] => None,
        [uri] => Some(trust_domain(uri)?),
        _ => return Err(AnchorError::NotDomain),
    };
    let millis = parsed.validity().not_after.timestamp().saturating_mul(1000);
    let not_after = Timestamp::from_millis(millis).map_err(|_| AnchorError::Malformed)?;
    Ok(AnchorFacts { domain, public_key_info: parsed.public_key().raw.to_vec(), not_after })
}

fn trust_domain(uri: &str) -> Result<TrustDomain, AnchorError> {
    uri.strip_prefix("spiffe://").and_then(|domain| domain.parse().ok()).ok_or(AnchorError::NotDomain)
}

/// Anchors that never change.
#[derive(Debug, Clone, Default)]
pub struct StaticAnchors(HashMap<TrustDomain, Arc<OrganisationAnchors>>);

impl FromIterator<OrganisationAnchors> for StaticAnchors {
    fn from_iter<I: IntoIterator<Item = OrganisationAnchors>>(anchors: I) -> Self {
        Self(anchors.into_iter().map(|anchors| (anchors.domain.clone(), Arc::new(anchors))).collect())
    }
}

impl AnchorSource for StaticAnchors {
    fn anchors(&self, domain: &TrustDomain) -> Option<Arc<OrganisationAnchors>> {
        self.0.get(domain).cloned()
    }
}

/// Anchors that a registry replaces while listeners run; the next handshake sees the new ones.
#[derive(Debug, Default)]
pub struct SharedAnchors(ArcSwap<StaticAnchors>);

impl SharedAnchors {
    /// Starts with these.
    #[must_use]
    pub fn new(anchors: StaticAnchors) -> Self {
        Self(ArcSwap::from_pointee(anchors))
    }

    /// From now on, these and no others.
    pub fn replace(&self, anchors: StaticAnchors) {
        self.0.store(Arc::new(anchors));
    }
}

impl AnchorSource for SharedAnchors {
    fn anchors(&self, domain: &TrustDomain) -> Option<Arc<OrganisationAnchors>> {
        self.0.load().anchors(domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Organisation, now};

    #[test]
    fn an_anchor_of_another_organisation_is_refused() {
        let other = Organisation::new("org-b.example");
        let refused = OrganisationAnchors::new("org-a.example".parse().unwrap(), &[other.authority.anchor()]);
        assert!(matches!(refused, Err(AnchorError::OtherDomain { .. })), "{refused:?}");
    }

    #[test]
    fn an_anchor_is_taken_up_until_it_ends_and_not_from_then_on() {
        let organisation = Organisation::new("org-a.example");
        let (anchor, domain) = (organisation.authority.anchor(), organisation.authority.domain().clone());
        let not_after = check_anchor(&anchor).unwrap().not_after;
        let second_before = not_after.minus(std::time::Duration::from_secs(1));
        OrganisationAnchors::valid_at(domain.clone(), std::slice::from_ref(&anchor), second_before).unwrap();
        let refused = OrganisationAnchors::valid_at(domain, &[anchor], not_after).unwrap_err();
        assert_eq!(refused, AnchorError::Ended { not_after });
    }

    #[test]
    fn a_leaf_or_nothing_is_no_anchor() {
        let domain: TrustDomain = "org-a.example".parse().unwrap();
        let (chain, _) = Organisation::new("org-a.example").issue("node", "n1", now());
        assert_eq!(OrganisationAnchors::new(domain.clone(), &chain).unwrap_err(), AnchorError::NotAuthority);
        assert_eq!(OrganisationAnchors::new(domain.clone(), &[]).unwrap_err(), AnchorError::Count { found: 0 });
        assert_eq!(OrganisationAnchors::new(domain, &[vec![1, 2, 3].into()]).unwrap_err(), AnchorError::Malformed);
    }

    #[test]
    fn replaced_anchors_are_gone() {
        let organisation = Organisation::new("org-a.example");
        let shared = SharedAnchors::new([organisation.anchors()].into_iter().collect());
        assert!(shared.anchors(organisation.authority.domain()).is_some());
        shared.replace(StaticAnchors::default());
        assert!(shared.anchors(organisation.authority.domain()).is_none());
    }
}
