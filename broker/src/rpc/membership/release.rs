//! What somebody may hand in whom their own organisation alone has suspended: the organisation's own word that ends that,
//! and nothing else. Whoever has only the member's key, as a thief may, is told what every other call of theirs is told.

use bytes::Bytes;
use comity_membership::{By, Prepared, Statement};
use comity_proto::error::Failure;
use comity_types::SpiffeId;
use tonic::Status;

use super::SHORT_BYTES;
use crate::edge::CallerIdentity;
use crate::registry::Registry;
use crate::rpc::said;

/// A caller who is not heard in anything else.
pub(super) struct Denied {
    id: SpiffeId,
    failure: Box<Failure>,
}

impl Denied {
    /// The caller, if it is one.
    pub(super) fn of(caller: &CallerIdentity) -> Option<Self> {
        caller.denied.clone().map(|failure| Self { id: caller.id().clone(), failure })
    }

    /// Reads what it brings.
    ///
    /// # Errors
    /// It is not what ends its suspension, or the organisation's key has not signed it: then what the edge would have said.
    pub(super) fn read(self, envelope: &Bytes, registry: &Registry) -> Result<Prepared, Status> {
        self.release(envelope, registry).ok_or_else(|| (*self.failure).into())
    }

    fn release(&self, envelope: &Bytes, registry: &Registry) -> Option<Prepared> {
        // Bounds the work before it is known that anybody but a thief asks for it.
        if envelope.len() > SHORT_BYTES {
            return None;
        }
        let prepared = registry.prepare(said::envelope("envelope", envelope).ok()?).ok()?;
        said::check(&prepared, &registry.tables()).ok()?;
        let (own, statement) = (self.id.trust_domain(), prepared.statement());
        let lifts =
            matches!(statement, Statement::Lifted { subject, by: By::Organisation } if subject.trust_domain() == own);
        // To go is no gain to anybody who may not stay, and the organisation has said it.
        let leaves = matches!(statement, Statement::MemberWithdrawn { id, .. } if *id == self.id);
        ((lifts || leaves) && registry.snapshot().federation().is_signed(&prepared)).then_some(prepared)
    }
}
