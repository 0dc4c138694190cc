//! Whether who asked and who answered took part in the federation when it was decided.

use comity_membership::{Federation, Log, Standing};
use comity_proto::methods::{Caller, METHODS};
use comity_transparency::record::Field;
use comity_types::{OfferName, SpiffeId};

use super::{Account, CheckError, contradiction};

/// What the methods that are decided on begin with.
const INFERENCE: &str = "/comity.inference.v1.Inference/";

impl Account {
    /// Holds the caller and the node that answered against the federation's log, where they are shown.
    pub(super) fn standing(&mut self, log: Option<&Log>) -> Result<(), CheckError> {
        let Some(log) = log else { return Ok(()) };
        let federation = log.federation();
        if let Some(caller) = self.verified.get(Field::CALLER) {
            let caller = str::from_utf8(caller).ok().and_then(|caller| caller.parse().ok());
            let caller: SpiffeId =
                caller.ok_or_else(|| contradiction("the caller that was decided on cannot be read"))?;
            takes_part(federation, &caller, "asked")?;
            self.may_call(federation, &caller)?;
            self.proven(format!(
                "{caller}, which is recorded as the caller, took part in the federation at epoch {}, and may call this",
                federation.epoch()
            ));
        }
        if let Some(offer) = self.verified.text(Field::OFFER).and_then(|name| name.parse::<OfferName>().ok()) {
            takes_part(federation, offer.node(), "answered")?;
        }
        Ok(())
    }

    /// Whether the broker's edge lets such a caller call the method, or any that is decided on where it is not shown.
    fn may_call(&self, federation: &Federation, caller: &SpiffeId) -> Result<(), CheckError> {
        let method = self.verified.text(Field::METHOD);
        let governs = federation.name() == Some(caller.trust_domain());
        let kind = if governs { Caller::Governor } else { Caller::Member(caller.kind()) };
        let named = |path: &str| path.strip_prefix(INFERENCE).is_some_and(|name| method.is_none_or(|is| is == name));
        let mut rows = METHODS.iter().filter(|row| named(row.path)).peekable();
        if rows.peek().is_none() {
            return Err(contradiction("the method that was decided on cannot be read"));
        }
        if rows.any(|row| row.admits(kind)) {
            return Ok(());
        }
        Err(contradiction(format!("{caller} asked, and is of a kind that no broker lets call this: apps ask")))
    }
}

/// Whether a member, and its organisation, were in good standing.
fn takes_part(federation: &Federation, member: &SpiffeId, did: &str) -> Result<(), CheckError> {
    let epoch = federation.epoch();
    let said = match federation.standing(member) {
        Standing::Active => return Ok(()),
        Standing::Suspended { subject, epoch, .. } => format!("{subject} was suspended since epoch {epoch}"),
        Standing::Departed { subject, .. } => format!("{subject} had left the federation"),
        Standing::Unknown => "was no member".to_owned(),
    };
    Err(contradiction(format!("{member} {did} at epoch {epoch}, and took no part in the federation: {said}")))
}
