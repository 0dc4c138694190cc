//! What somebody signed, as a request brings it: each field of it is held to the same bounds as the contract's messages,
//! before it is looked at who signed.

use comity_identity::NodeAddress;
use comity_membership::federation::MAX_APPLIED_OFFERS_BYTES;
use comity_membership::{Application, Prepared, Statement};
use comity_policy::{Layers, Offer, Organisation, Tables};
use comity_proto::convert::{WireError, checked_layers};
use comity_proto::policy as wire;
use comity_runtime::chain;
use comity_transparency::Envelope;
use comity_types::SpiffeId;
use tonic::Status;

use super::invalid;

/// Largest envelope, in bytes: one frame of the journal.
pub(super) const MAX_ENVELOPE_BYTES: usize = crate::ledger::journal::MAX_FRAME_BYTES;
/// Largest application, without the offers that it names, or update of an organisation, in bytes of its JSON: facts have
/// under 16 KiB, what it demands of its own requests at most 32 KiB.
const MAX_STATED_BYTES: usize = 64 * 1024;

/// Reads a DSSE envelope.
pub(super) fn envelope(field: &str, json: &[u8]) -> Result<Envelope, Status> {
    if json.len() > MAX_ENVELOPE_BYTES {
        let found = json.len();
        let hint = "offers: shorten their texts and lists, or spread them over more nodes";
        let problem = format!("has {found} bytes, at most {MAX_ENVELOPE_BYTES} are accepted (hint: of {hint})");
        return Err(invalid(field, problem));
    }
    serde_json::from_slice(json).map_err(|error| invalid(field, format_args!("is no DSSE envelope: {error}")))
}

/// Checks what a new organisation signed.
pub(super) fn check_application(field: &str, envelope: &Envelope, tables: &Tables) -> Result<(), Status> {
    let refused = |error| invalid(field, chain::text(&error));
    if envelope.payload.len() > MAX_STATED_BYTES + MAX_APPLIED_OFFERS_BYTES {
        let (found, most) = (envelope.payload.len(), MAX_STATED_BYTES + MAX_APPLIED_OFFERS_BYTES);
        return Err(invalid(field, format_args!("has {found} bytes, at most {most} are accepted")));
    }
    let application = Application::peek(envelope).map_err(refused)?;
    let of_offers = check_applied(&application)?;
    let stated = envelope.payload.len().saturating_sub(of_offers);
    if stated > MAX_STATED_BYTES {
        let problem = format!("has {stated} bytes beside its offers, at most {MAX_STATED_BYTES} are accepted");
        return Err(invalid(field, problem));
    }
    check_organisation(&application.organisation, &application.layers, tables)
}

/// Checks what the first member means to publish, as it is checked when it is published; gives its length in bytes.
fn check_applied(application: &Application) -> Result<usize, Status> {
    if application.offers.is_empty() {
        return Ok(0);
    }
    let found = serde_json::to_vec(&application.offers).map_err(|error| invalid("offers", error))?.len();
    if found > MAX_APPLIED_OFFERS_BYTES {
        let problem = format!(
            "have {found} bytes, at most {MAX_APPLIED_OFFERS_BYTES} are accepted in an application (hint: join with a configuration that has fewer; a node that is in publishes the rest)"
        );
        return Err(invalid("offers", problem));
    }
    let mut each = application.offers.iter().enumerate();
    each.try_for_each(|(index, offer)| check_offer(index, &application.member, offer))?;
    Ok(found)
}

/// Checks each field of a statement.
pub(super) fn check(prepared: &Prepared, tables: &Tables) -> Result<(), Status> {
    let envelope = prepared.envelope();
    match prepared.statement() {
        Statement::OrganisationAdmitted { application } => check_application("application", application, tables)?,
        Statement::OrganisationUpdated { organisation, layers } => {
            if envelope.payload.len() > MAX_STATED_BYTES {
                let found = envelope.payload.len();
                let problem =
                    format!("{found} bytes were signed with its layers, at most {MAX_STATED_BYTES} are accepted");
                return Err(invalid("organisation", problem));
            }
            check_organisation(organisation, layers, tables)?;
        }
        Statement::OffersPublished { node, address, offers } => {
            let _address: NodeAddress = super::parse("address", address)?;
            offers.iter().enumerate().try_for_each(|(index, offer)| check_offer(index, node, offer))?;
        }
        Statement::OrganisationWithdrawn { reason, .. } | Statement::MemberWithdrawn { reason, .. } => {
            check_text("reason", reason)?;
        }
        Statement::Suspended { reason, .. }
        | Statement::Evicted { reason, .. }
        | Statement::AuditorRevoked { reason, .. }
        | Statement::AuditWithdrawn { reason, .. } => {
            check_text("reason", reason)?;
        }
        Statement::RootChanged { .. }
        | Statement::AnchorsChanged { .. }
        | Statement::KeysChanged { .. }
        | Statement::MemberInvited { .. }
        | Statement::InviteRevoked { .. }
        | Statement::MemberAdmitted { .. }
        | Statement::TermsAccepted { .. }
        | Statement::TermsWithdrawn { .. }
        | Statement::AuditorRecognised { .. }
        | Statement::ClaimAudited { .. }
        | Statement::TablesAdopted { .. }
        | Statement::Lifted { .. } => {}
    }
    Ok(())
}

/// Text that others read.
fn check_text(field: &str, text: &str) -> Result<(), Status> {
    if text.chars().any(comity_types::display::steers) {
        return Err(invalid(field, "control characters and marks of writing direction are not accepted"));
    }
    Ok(())
}

/// The facts and layers of an organisation, by way of the contract's messages, whose bounds hold for what is signed too.
fn check_organisation(facts: &Organisation, layers: &Layers, tables: &Tables) -> Result<(), Status> {
    let refuse = |error: WireError| invalid(&error.path, &error.problem);
    // The fold refuses it as well; here, before operators look at it.
    if !facts.accepted_terms.is_empty() {
        let problem = "is a statement of its own (hint: take the field out, and say `comity terms accept` as a member)";
        return Err(invalid("organisation.accepted_terms", problem));
    }
    let read = Organisation::try_from(wire::Organisation::from(facts));
    let read = read.map_err(|error| refuse(error.within("organisation")))?;
    let layers_read = checked_layers(Some(wire::Layers::from(layers)), tables);
    let layers_read = layers_read.map_err(|error| refuse(error.within("layers")))?;
    if read == *facts && layers_read == *layers {
        return Ok(());
    }
    Err(invalid(
        "organisation",
        "is not written in the one form that its facts have (hint: sign it with a current program)",
    ))
}

fn check_offer(index: usize, node: &SpiffeId, offer: &Offer) -> Result<(), Status> {
    let field = format!("offers[{index}]");
    if offer.node != *node {
        return Err(invalid(&format!("{field}.node"), format_args!("is {}, and {node} publishes it", offer.node)));
    }
    let read = Offer::try_from(wire::Offer::from(offer)).map_err(|error| invalid(&field, error))?;
    if read == *offer {
        return Ok(());
    }
    Err(invalid(&field, "is not written in the one form that offers have (hint: sign it with a current program)"))
}
