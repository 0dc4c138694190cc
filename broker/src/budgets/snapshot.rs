//! The book on disk: what was used, up to which leaf of the log, in one file that is replaced as a whole. A line with the
//! SHA-256 of what follows, and JSON.

use std::io;
use std::path::Path;

use comity_runtime::files::write_durably;
use comity_types::{Digest, ModelName, Name, OfferName, SpiffeId, TrustDomain};
use serde::{Deserialize, Serialize};

use super::amount::Amount;
use super::book::{Key, Tally};
use super::charge::Asked;
use super::fold::Fold;

/// What is kept of a fold.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    leaves: u64,
    budgets: Vec<KeptBudget>,
    open: Vec<(u64, Asked)>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptBudget {
    name: Name,
    /// What its accounts hold ([`super::definition::Budget::kept_as`]).
    of: String,
    accounts: Vec<KeptAccount>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptAccount {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    organisation: Option<TrustDomain>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    app: Option<SpiffeId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<ModelName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    offer: Option<OfferName>,
    periods: Vec<KeptTally>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptTally {
    begins: i64,
    ends: i64,
    used: Amount,
}

/// What is kept is not what was written, or nobody can read it.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file cannot be used.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is damaged.
    #[error("it is not what was written")]
    Damaged,
}

/// Keeps a fold as it is.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, fold: &Fold) -> io::Result<()> {
    let json = serde_json::to_vec(&Kept::of(fold))?;
    let bytes = [Digest::of(&json).to_string().as_bytes(), b"\n", &json].concat();
    write_durably(path, &bytes)
}

/// Takes up what is kept, for the budgets that are still the same. Gives up to which leaf that is; none where nothing is kept.
///
/// # Errors
/// The file cannot be read, or is damaged; nothing is taken up then.
pub fn read(path: &Path, fold: &mut Fold, size: u64) -> Result<Option<u64>, SnapshotError> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    let line = bytes.iter().position(|byte| *byte == b'\n').ok_or(SnapshotError::Damaged)?;
    let (digest, json) = bytes.split_at(line);
    let json = json.get(1..).unwrap_or_default();
    if Digest::of(json).to_string().as_bytes() != digest {
        return Err(SnapshotError::Damaged);
    }
    let kept: Kept = serde_json::from_slice(json).map_err(|_| SnapshotError::Damaged)?;
    // Of another log, or of one of which a part is gone.
    if kept.leaves > size {
        return Err(SnapshotError::Damaged);
    }
    Ok(Some(kept.into_fold(fold)))
}

impl Kept {
    fn of(fold: &Fold) -> Self {
        let budgets = fold.book.budgets();
        let of = |place| {
            let own = fold.book.accounts().filter(move |(key, _)| key.budget == place);
            own.map(|(key, account)| KeptAccount {
                organisation: key.organisation.clone(),
                app: key.app.clone(),
                model: key.model.clone(),
                offer: key.offer.clone(),
                periods: [account.current, account.previous].into_iter().filter_map(KeptTally::of).collect(),
            })
        };
        Self {
            leaves: fold.leaves,
            budgets: budgets
                .all()
                .map(|(place, budget)| KeptBudget {
                    name: budget.name.clone(),
                    of: budget.kept_as().to_string(),
                    accounts: of(place).collect(),
                })
                .collect(),
            open: fold.open.iter().map(|(index, asked)| (*index, asked.clone())).collect(),
        }
    }

    fn into_fold(self, fold: &mut Fold) -> u64 {
        let budgets = std::sync::Arc::clone(fold.book.budgets());
        for kept in self.budgets {
            let is_it = |budget: &super::definition::Budget| budget.kept_as().to_string() == kept.of;
            let Some((place, _)) = budgets.all().find(|(_, budget)| budget.name == kept.name && is_it(budget)) else {
                continue;
            };
            if let Some(from) = fold.from.get_mut(place) {
                *from = self.leaves;
            }
            for KeptAccount { organisation, app, model, offer, periods } in kept.accounts {
                let key = Key { budget: place, organisation, app, model, offer };
                let mut periods = periods.into_iter().map(KeptTally::tally);
                if let Some(current) = periods.next() {
                    fold.book.put(key, current, periods.next());
                }
            }
        }
        fold.open = self.open.into_iter().collect();
        self.leaves
    }
}

impl KeptTally {
    fn of(tally: Tally) -> Option<Self> {
        let Tally { begins, ends, used, reserved: _ } = tally;
        (begins < ends).then_some(Self { begins, ends, used })
    }

    fn tally(self) -> Tally {
        let Self { begins, ends, used } = self;
        Tally { begins, ends, used, reserved: Amount::default() }
    }
}
