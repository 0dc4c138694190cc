//! Who may be invited by operators, and what a new organisation has to have signed. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_identity::{CertificateDer, OrganisationAnchors};
use comity_membership::{Application, Federation, federation};
use comity_transparency::Envelope;
use comity_types::ids::Kind;
use comity_types::{SpiffeId, Timestamp};

use super::AdmissionError;

/// Checks that operators may invite `member`, and that an invite for it still counts.
pub(super) fn check_invitable(federation: &Federation, member: &SpiffeId) -> Result<(), AdmissionError> {
    let invalid = |field, problem: String| Err(AdmissionError::Invalid { field, problem });
    let domain = member.trust_domain();
    let at_federation = federation.name() == Some(domain);
    match member.kind() {
        Kind::Node | Kind::App if at_federation => {
            return invalid(
                "trust_domain",
                "nodes and apps belong to an organisation, not to the federation itself".into(),
            );
        }
        Kind::Broker => return invalid("kind", "brokers are not invited".into()),
        Kind::Operator | Kind::Node | Kind::App => {}
    }
    if federation.member(member).is_some() {
        return Err(AdmissionError::Exists { member: member.clone() });
    }
    if federation.organisation(domain).is_some() {
        let problem = format!(
            "{domain} is a member, and invites its own nodes, apps and operators (hint: whoever has its key calls `comity invite`)"
        );
        return invalid("trust_domain", problem);
    }
    Ok(())
}

/// What a new organisation's member reads that came without an application.
const MISSING_APPLICATION: &str =
    "missing; the organisation is new to the federation (hint: give its organisation.toml to join)";

/// Checks an application against the invite that it came by.
pub(super) fn check_application(
    federation: &Federation,
    member: &SpiffeId,
    id: &comity_membership::InviteId,
    envelope: Option<&Envelope>,
    now: Timestamp,
) -> Result<Application, AdmissionError> {
    let invalid = |problem: String| AdmissionError::Invalid { field: "application", problem };
    let envelope = envelope.ok_or_else(|| invalid(MISSING_APPLICATION.into()))?;
    let application = Application::open(envelope).map_err(|error| invalid(comity_runtime::chain::text(&error)))?;
    if Some(application.federation) != federation.root_sha256() {
        return Err(invalid("is to another federation".into()));
    }
    let own = &application.organisation.trust_domain;
    if own != member.trust_domain() {
        return Err(invalid(format!("its trust domain is {own}, and the invite is for {}", member.trust_domain())));
    }
    if application.member != *member || application.invite != *id {
        return Err(invalid(format!("is by another invite, or for another member than {member}")));
    }
    // Told to the member, who can mend it, and not to the operator who signs last.
    federation::check_offers(member, &application.offers).map_err(|error| invalid(error.to_string()))?;
    let anchors = application.anchors.iter().map(|anchor| STANDARD.decode(anchor).map(CertificateDer::from));
    let anchors: Vec<_> = anchors.collect::<Result<_, _>>().map_err(|error| invalid(format!("anchors: {error}")))?;
    OrganisationAnchors::valid_at(own.clone(), &anchors, now).map_err(|error| invalid(format!("anchors: {error}")))?;
    Ok(application)
}
