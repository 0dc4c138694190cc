//! What TLS trusts, in step with the log.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_identity::{CertificateDer, OrganisationAnchors, StaticAnchors};
use comity_membership::{Federation, OrganisationState};

use super::{Inner, RegistryError};

impl Inner {
    /// From now on, the anchors of this state and no others.
    pub(super) fn trust(&self, federation: &Federation) -> Result<(), RegistryError> {
        self.anchors.replace(self.trusted(federation)?);
        Ok(())
    }

    /// Every organisation's anchors, and the federation's own. Suspended ones stay: the edge turns
    /// them away on every request and says why, which a failed handshake could not.
    pub(super) fn trusted(&self, federation: &Federation) -> Result<StaticAnchors, RegistryError> {
        let organisations = federation.organisations().map(organisation_anchors);
        std::iter::once(Ok(self.federation_anchors.clone())).chain(organisations).collect()
    }
}

/// The anchors of an organisation, if they can be used.
pub(super) fn organisation_anchors(state: &OrganisationState) -> Result<OrganisationAnchors, RegistryError> {
    let domain = &state.organisation.trust_domain;
    let invalid = |problem: String| RegistryError::Anchor { organisation: domain.clone(), problem };
    let decode =
        |text: &String| STANDARD.decode(text).map(CertificateDer::from).map_err(|error| invalid(error.to_string()));
    let roots = state.anchors.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
    OrganisationAnchors::new(domain.clone(), &roots).map_err(|error| invalid(error.to_string()))
}
