//! What anybody may hand in without a certificate: an organisation's own word that ends what it suspended of itself.
//!
//! The last member that an organisation suspends gets no further certificate, and nobody else may end that. The statement
//! proves itself, so whoever brings it is not asked who they are. It costs a stranger's small message and the signatures in
//! it, before it is known who signed.

use bytes::Bytes;
use comity_membership::{By, Prepared, Statement};
use comity_proto::error::Failure;
use tonic::{Code, Status};

use crate::registry::Registry;
use crate::rpc::{invalid, said};

/// Longest envelope that is looked at, in bytes: a lift has about 1 KiB, and no envelope of this size has more signatures
/// than are verified in a few milliseconds.
const MAX_BYTES: usize = 4 * 1024;

/// Reads what was handed in.
///
/// # Errors
/// It is too long, or is anything else than what this is for.
pub(super) fn read(envelope: &Bytes, registry: &Registry) -> Result<Prepared, Status> {
    if envelope.len() > MAX_BYTES {
        let found = envelope.len();
        return Err(invalid("envelope", format_args!("has {found} bytes, at most {MAX_BYTES} are accepted")));
    }
    let prepared = registry.prepare(said::envelope("envelope", envelope)?);
    let prepared = prepared.map_err(|error| crate::rpc::registry(&error))?;
    let Statement::Lifted { subject, by: By::Organisation } = prepared.statement() else { return Err(refused()) };
    let snapshot = registry.snapshot();
    let federation = snapshot.federation();
    let organisation = federation.organisation(subject.trust_domain());
    // Whom operators suspend is heard in nothing.
    let is_heard = organisation.is_some_and(|state| state.suspensions.federation.is_none());
    if is_heard && federation.is_signed(&prepared) { Ok(prepared) } else { Err(refused()) }
}

/// What whoever brings something else is told, whatever it is: strangers learn nothing of the state.
pub(super) fn refused() -> Status {
    let message = "without a certificate nothing is taken but the lift of what an organisation suspended of itself, signed by a key of the organisation's that is in force, and not while operators suspend the organisation (hint: sign with the newest organisation.key.pem: comity lift; what operators suspended, operators lift)";
    Failure::new(Code::PermissionDenied, "LIFT_REFUSED", message).into()
}
