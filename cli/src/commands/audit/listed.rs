//! Receipts as the broker lists them, each held against the pinned key of the log. One that does not hold is a row all the same:
//! a broken record of one decision must not hide the others.

use comity_identity::Root;
use comity_proto::transparency::{ListReceiptsRequest, ListReceiptsResponse};
use comity_transparency::NoteVerifier;
use comity_transparency::receipt::{Receipt, Verified};

use crate::error::CliError;
use crate::session::Session;

/// A receipt that was listed.
#[derive(Debug)]
pub(crate) struct Listed {
    /// The leaf of its decision, as the broker has it.
    pub(crate) leaf: u64,
    /// What is proven of it: the leaves at least; none where not even they are.
    pub(crate) proven: Option<(Receipt, Verified)>,
    /// What is wrong with it, if something is.
    pub(crate) problem: Option<String>,
}

impl Listed {
    /// Holds a part of the list against the log's key.
    pub(super) fn of(part: ListReceiptsResponse, root: &Root) -> Self {
        let leaf = part.receipt.as_ref().and_then(|receipt| receipt.decision.as_ref()).map_or(0, |proven| proven.index);
        let broken = |problem: String| Self { leaf, proven: None, problem: Some(problem) };
        let Some(receipt) = part.receipt else { return broken("the broker listed a receipt that is none".to_owned()) };
        let receipt = match Receipt::try_from(receipt) {
            Ok(receipt) => receipt,
            Err(error) => return broken(format!("its receipt cannot be read: {error}")),
        };
        let [plain, _] = &root.decision_log;
        let (origin, key) = (root.decision_log_origin(), NoteVerifier::of(plain));
        let error = match receipt.verify(&origin, &key) {
            Ok(verified) => {
                let leaves: Vec<_> = part.damaged.iter().map(u64::to_string).collect();
                let damaged =
                    || format!("the broker says that its record of leaf {} is damaged", leaves.join(" and leaf "));
                let problem = (!leaves.is_empty()).then(damaged);
                return Self { leaf, proven: Some((receipt, verified)), problem };
            }
            Err(error) => error,
        };
        // The leaves may hold where what is shown of their records does not.
        let mut bare = receipt;
        bare.decision.record = None;
        bare.outcome.iter_mut().for_each(|outcome| outcome.record = None);
        let proven = bare.verify(&origin, &key).ok().map(|verified| (bare, verified));
        Self { leaf, proven, problem: Some(error.to_string()) }
    }
}

/// Lists receipts, in the order in which the broker has them.
pub(crate) async fn list(
    session: &Session,
    request: ListReceiptsRequest,
    mut each: impl FnMut(Listed),
) -> Result<(), CliError> {
    let failed = |status| CliError::call("list the receipts", status);
    let mut answer = session.transparency().list_receipts(request).await.map_err(failed)?.into_inner();
    while let Some(part) = answer.message().await.map_err(failed)? {
        each(Listed::of(part, session.identity().root()));
    }
    Ok(())
}
