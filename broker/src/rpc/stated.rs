//! What is stated of an organisation, as a request to join or an operator's update brings it.

use comity_policy::{Layers, OrganisationFile, Tables};
use comity_proto::convert::{WireError, checked_layers};
use comity_proto::policy as wire;
use tonic::Status;

use super::invalid;

/// Facts and layers, each field of them checked; nothing where no facts are stated.
pub(super) fn stated(
    organisation: Option<wire::Organisation>,
    layers: Option<wire::Layers>,
    tables: &Tables,
) -> Result<Option<OrganisationFile>, Status> {
    let refuse = |error: WireError| invalid(&error.path, &error.problem);
    let facts = organisation.map(TryInto::try_into).transpose();
    let facts = facts.map_err(|error: WireError| refuse(error.within("organisation")))?;
    let layers: Layers = checked_layers(layers, tables).map_err(|error| refuse(error.within("layers")))?;
    match facts {
        Some(facts) => Ok(Some(OrganisationFile { facts, layers })),
        None if layers.is_empty() => Ok(None),
        None => Err(invalid("organisation", "must be set where layers are: they belong to it")),
    }
}
