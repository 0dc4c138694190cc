//! `comity offer show`.

use comity_proto::json::Canonical;
use comity_types::OfferName;

use super::list::{self, Row};
use crate::args::Global;
use crate::error::CliError;
use crate::view::offering::{self, Told};

/// Shows one offer.
pub(super) async fn run(name: &OfferName, global: &Global) -> Result<(), CliError> {
    let found = list::all(None, global).await?.offers.into_iter().find(|entry| entry.name == name.as_str());
    let entry =
        found.ok_or_else(|| CliError::NotFound { kind: "offer", name: name.to_string(), list: "comity offer list" })?;
    global.output.record(fields(&list::row(&entry)?), &Canonical(&entry))
}

fn fields(row: &Row) -> Vec<(&'static str, String)> {
    let Row { name, state, operator, offer } = row;
    let mut fields = vec![("offer", name.clone()), ("state", state.clone())];
    fields.extend(offering::fields(offer, Some(operator), Told::Listed));
    fields
}
