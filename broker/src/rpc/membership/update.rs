//! An operator's update of an organisation: the statement that it comes to, or none where nothing would change.

use comity_membership::{Federation, Statement};
use comity_policy::{OrganisationFile, Tables};
use comity_proto::membership::UpdateOrganisationRequest;
use prost::Message as _;
use tonic::Status;

use crate::registry::RegistryError;
use crate::routes::MAX_ENROLMENT_BYTES;
use crate::rpc::invalid;
use crate::rpc::stated::stated;

/// What the registry is to append. Nobody can state more of an organisation later than when it joined.
pub(super) fn plan(
    request: UpdateOrganisationRequest,
    tables: &Tables,
) -> Result<impl FnOnce(&Federation) -> Result<Vec<Statement>, RegistryError> + Send + 'static, Status> {
    let bytes = request.encoded_len();
    if bytes > MAX_ENROLMENT_BYTES {
        let problem = format!("{bytes} bytes were sent with its layers, at most {MAX_ENROLMENT_BYTES} are accepted");
        return Err(invalid("organisation", problem));
    }
    let file = stated(request.organisation, request.layers, tables)?;
    let file = file.ok_or_else(|| invalid("organisation", "must be set"))?;
    Ok(move |federation: &Federation| Ok(if is_so(federation, &file) { vec![] } else { vec![statement(file)] }))
}

fn statement(file: OrganisationFile) -> Statement {
    Statement::OrganisationUpdated { organisation: file.facts, layers: file.layers }
}

/// True if the state is what the statement would make it.
fn is_so(federation: &Federation, file: &OrganisationFile) -> bool {
    let state = federation.organisation(&file.facts.trust_domain);
    state.is_some_and(|state| state.organisation == file.facts && state.layers == file.layers)
}
