//! Receipts as the broker lists them, each held against the pinned key of the log. One that does not hold is a row all the same:
//! a broken record of one decision must not hide the others.

use std::collections::BTreeMap;

use comity_identity::Root;
use comity_proto::transparency::{ListReceiptsRequest, ListReceiptsResponse};
use comity_transparency::NoteVerifier;
use comity_transparency::receipt::{Receipt, Verified};
use comity_transparency::record::Field;
use futures::{Stream, StreamExt as _};
use tonic::Status;

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

    fn has_outcome(&self) -> bool {
        self.proven.as_ref().is_some_and(|(_, verified)| verified.outcome().is_some())
    }

    /// Whether its outcome may be listed yet: of what was refused there is none.
    fn may_end(&self) -> bool {
        let is_refused = |verified: &Verified| verified.text(Field::ELIGIBLE) == Some("[]");
        self.proven.as_ref().is_some_and(|(_, verified)| verified.outcome().is_none() && !is_refused(verified))
    }
}

/// Lists receipts. A decision that what became of it is not known of comes when nothing of it can come any more, and so behind
/// later ones.
///
/// # Errors
/// The broker does not list them, or the list goes on where it was.
pub(crate) async fn list(
    session: &Session,
    request: ListReceiptsRequest,
    each: impl FnMut(Listed),
) -> Result<(), CliError> {
    let ask = async |request| {
        let answer = session.transparency().list_receipts(request).await?;
        Ok::<_, Status>(answer.into_inner())
    };
    in_parts(ask, request, session.identity().root(), each).await
}

/// Asks for one part after the other, until there is no more.
async fn in_parts<A: Stream<Item = Result<ListReceiptsResponse, Status>> + Unpin>(
    ask: impl AsyncFn(ListReceiptsRequest) -> Result<A, Status>,
    mut request: ListReceiptsRequest,
    root: &Root,
    mut each: impl FnMut(Listed),
) -> Result<(), CliError> {
    let failed = |status| CliError::call("list the receipts", status);
    let mut together = Together::default();
    loop {
        let mut answer = ask(request.clone()).await.map_err(failed)?;
        let mut next = 0;
        while let Some(part) = answer.next().await.transpose().map_err(failed)? {
            match part.next_leaf {
                0 => together.take(Listed::of(part, root), &mut each),
                leaf => next = leaf,
            }
        }
        if next == 0 {
            together.end(each);
            return Ok(());
        }
        together.next_part();
        // Or it would never end.
        if next <= request.first_leaf {
            return Err(CliError::Failed {
                problem: format!(
                    "the broker's list goes on at leaf {next}, and was asked for from leaf {} on already",
                    request.first_leaf
                ),
                hint: "tell the broker's operators".to_owned(),
            });
        }
        request.first_leaf = next;
    }
}

/// Puts the parts of a list together: a decision whose outcome lies in a later part is in both, and counts once, with it.
#[derive(Debug, Default)]
struct Together {
    /// Those of this part that may be listed again in a later one, by their leaf,
    of_this: BTreeMap<u64, Listed>,
    /// and those of earlier parts.
    of_earlier: BTreeMap<u64, Listed>,
}

impl Together {
    fn take(&mut self, listed: Listed, mut each: impl FnMut(Listed)) {
        if listed.has_outcome() {
            // Twice in one part is once too often, and is told.
            self.of_earlier.remove(&listed.leaf);
        }
        if !listed.may_end() {
            each(listed);
        } else if let Some(twice) = self.of_this.insert(listed.leaf, listed) {
            each(twice);
        }
    }

    fn next_part(&mut self) {
        self.of_earlier.append(&mut self.of_this);
    }

    /// There is no more: nothing is known to have become of the others.
    fn end(mut self, each: impl FnMut(Listed)) {
        self.next_part();
        self.of_earlier.into_values().for_each(each);
    }
}

#[cfg(test)]
mod tests;
