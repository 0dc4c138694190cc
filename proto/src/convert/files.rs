//! What files say to those who wrote or chose them, such as whoever runs `comity policy check`.
//!
//! Unlike what arrives over the wire, a file may state what registers, auditors and hardware say: nobody else's
//! decision rests on it. A request in a file may leave its model open.

use comity_policy::requirements::RequirementsFile;
use comity_policy::{Offer, Organisation, Tables};
use comity_types::ModelName;

use super::{Read as _, WireError, envelope, optional};
use crate::{inference, policy as wire};

/// An offer, with whatever anybody states of it.
///
/// # Errors
/// The path of the first field that is not what the contract says.
pub fn offer(wire: wire::Offer) -> Result<Offer, WireError> {
    Offer::read(wire)
}

/// An organisation, with whatever anybody states of it.
///
/// # Errors
/// The path of the first field that is not what the contract says.
pub fn organisation(wire: wire::Organisation) -> Result<Organisation, WireError> {
    Organisation::read(wire)
}

/// A request, held against the tables, and the model that it names if it does.
///
/// # Errors
/// The path of the first field that is not what the contract says, or that speaks of something that no table has.
pub fn request(wire: inference::Envelope, tables: &Tables) -> Result<(Option<ModelName>, RequirementsFile), WireError> {
    let model = optional("model", &wire.model)?;
    let file = envelope::file(wire)?;
    envelope::check_file(&file, tables)?;
    Ok((model, file))
}

/// A request of no model yet, as a file has it.
#[must_use]
pub fn envelope(asked: &RequirementsFile) -> inference::Envelope {
    envelope::wire(&asked.requirements, &asked.declared, &asked.prefer)
}
