//! What somebody states, by the paths of its claims.

use comity_membership::{Claimant, Federation};
use comity_policy::claim::ClaimPath;
use comity_types::Digest;
use serde_json::Value;

use crate::error::CliError;

/// A claim, as it is stated.
pub(super) struct Stated {
    /// Which.
    pub(super) path: ClaimPath,
    /// What the file would have: a value, or a table with its circumstances.
    pub(super) text: Value,
    /// The digests of its values.
    pub(super) digests: Vec<Digest>,
}

/// Everything that somebody states.
pub(super) fn all(federation: &Federation, of: &Claimant) -> Result<Vec<Stated>, CliError> {
    let missing = |kind, list| CliError::NotFound { kind, name: of.to_string(), list };
    let (json, digests): (Value, Box<dyn Fn(ClaimPath) -> Vec<Digest> + '_>) = match of {
        Claimant::Organisation(domain) => {
            let state = federation.organisation(domain);
            let facts = &state.ok_or_else(|| missing("organisation", "comity organisation list"))?.organisation;
            (as_json(facts), Box::new(|path| facts.claim_digests(path)))
        }
        Claimant::Offer(name) => {
            let offer = federation.offer(name).ok_or_else(|| missing("offer", "comity offer list"))?;
            (as_json(offer), Box::new(|path| offer.claim_digests(path)))
        }
    };
    let stated = |path: ClaimPath| {
        let field = path.as_str().rsplit('.').next()?;
        let text = json.get(field).or_else(|| json.get("terms")?.get(field)).cloned()?;
        let digests = digests(path);
        (!digests.is_empty()).then_some(Stated { path, text, digests })
    };
    Ok(ClaimPath::all().filter_map(stated).collect())
}

fn as_json<T: serde::Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}
