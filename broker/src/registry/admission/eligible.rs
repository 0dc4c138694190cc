//! Who may be invited and let in, as the federation stands. Pure.

use comity_membership::{Federation, OrganisationState};
use comity_policy::{Layers, Organisation, OrganisationFile};
use comity_types::ids::Kind;
use comity_types::{SpiffeId, TrustDomain};

use super::AdmissionError;

/// Checks that `member` may be invited, and that an invite for it still counts.
pub(super) fn check_invitable(federation: &Federation, member: &SpiffeId) -> Result<(), AdmissionError> {
    let at_federation = federation.name() == Some(member.trust_domain());
    match member.kind() {
        Kind::Operator if !at_federation => {
            let problem = format!(
                "operators are members of the federation itself, {}",
                federation.name().map_or("", TrustDomain::as_str)
            );
            return Err(AdmissionError::Invalid { field: "trust_domain", problem });
        }
        Kind::Node | Kind::App if at_federation => {
            let problem = "nodes and apps belong to an organisation, not to the federation itself".into();
            return Err(AdmissionError::Invalid { field: "trust_domain", problem });
        }
        Kind::Broker => {
            return Err(AdmissionError::Invalid { field: "kind", problem: "brokers are not invited".into() });
        }
        Kind::Operator | Kind::Node | Kind::App => {}
    }
    if is_suspended(federation, member.trust_domain()) {
        let problem = format!("{} is suspended; lift the suspension first", member.trust_domain());
        return Err(AdmissionError::Invalid { field: "trust_domain", problem });
    }
    if federation.member(member).is_some() {
        return Err(AdmissionError::Exists { member: member.clone() });
    }
    Ok(())
}

/// What a new organisation's member reads that came without the facts of its organisation.
pub(super) const MISSING_FACTS: &str =
    "missing; the organisation is new to the federation (hint: give its organisation.toml to join)";

/// True if members of the domain need no organisation to be admitted first.
pub(super) fn is_at_home(federation: &Federation, domain: &TrustDomain) -> bool {
    federation.name() == Some(domain) || federation.organisation(domain).is_some()
}

pub(super) fn is_suspended(federation: &Federation, domain: &TrustDomain) -> bool {
    federation.organisation(domain).is_some_and(|state| state.suspension.is_some())
}

pub(super) fn is_registered(federation: &Federation, facts: &Organisation, layers: &Layers) -> bool {
    let same = |state: &OrganisationState| state.organisation == *facts && state.layers == *layers;
    federation.organisation(&facts.trust_domain).is_some_and(same)
}

/// What an operator reads who approves a second request of a new organisation with other facts.
pub(super) const OTHER_FACTS: &str =
    "the organisation was admitted meanwhile with other facts or requirements; reject this request and invite again";

pub(super) fn stated(
    domain: &TrustDomain,
    organisation: Option<&OrganisationFile>,
) -> Result<OrganisationFile, AdmissionError> {
    let invalid = |problem: String| AdmissionError::Invalid { field: "organisation", problem };
    let organisation = organisation.ok_or_else(|| invalid(MISSING_FACTS.into()))?;
    let own = &organisation.facts.trust_domain;
    if own == domain {
        return Ok(organisation.clone());
    }
    Err(invalid(format!("its trust domain is {own}, and the invite is for {domain}")))
}
