//! Offers and organisations from files, TOML or JSON, in the forms that nodes, members and this program write.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use comity_policy::{Offer, Organisation, OrganisationFile, Terms};
use comity_types::{Name, TrustDomain};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use toml::{Table, Value};

use crate::error::CliError;
use crate::organisation_file;
use crate::requirements::read_text;

/// The organisation of offers that say nothing of their node, where no operator is given.
const NOBODY: &str = "operator.example";
/// A node whose name no file says.
const SOME_NODE: &str = "node";

/// An organisation's file.
pub(super) fn organisation(path: &Path) -> Result<OrganisationFile, CliError> {
    organisation_file::expanded(path, parse(path, &read_text(path)?, "the facts of an organisation")?)
}

/// An organisation of which nothing is known but its name.
pub(super) fn unknown(trust_domain: &str) -> Result<Organisation, CliError> {
    let facts = Table::from_iter(["trust_domain", "name"].map(|key| (key.to_owned(), Value::from(trust_domain))));
    let broken =
        |error| CliError::Client { doing: "name an unknown organisation", source: Box::new(error), hint: None };
    Organisation::deserialize(Value::Table(facts)).map_err(broken)
}

/// The offers of a file, each with its operator.
pub(super) fn offers(path: &Path, operator: Option<&Organisation>) -> Result<Vec<(Offer, Organisation)>, CliError> {
    let text = read_text(path)?;
    let found = if is_json(path, &text) { of_json(path, &text)? } else { of_toml(path, &text, operator)? };
    found.into_iter().map(|(offer, own)| with_operator(path, offer, own, operator)).collect()
}

fn with_operator(
    path: &Path,
    offer: Offer,
    own: Option<Organisation>,
    given: Option<&Organisation>,
) -> Result<(Offer, Organisation), CliError> {
    let domain = offer.node.trust_domain().clone();
    let operator = match given.cloned().or(own) {
        Some(operator) => operator,
        None => unknown(domain.as_str())?,
    };
    if operator.trust_domain == domain {
        return Ok((offer, operator));
    }
    Err(CliError::Usage {
        problem: format!(
            "the offer {} in {} is of a node of {domain}, and the operator is {}",
            offer.id,
            path.display(),
            operator.trust_domain
        ),
        hint: "give the organisation.toml of the node's own organisation, or mend `node`".to_owned(),
    })
}

type Found = Vec<(Offer, Option<Organisation>)>;

/// What `comity offer list` and `comity offer show` print, or an offer alone.
fn of_json(path: &Path, text: &str) -> Result<Found, CliError> {
    #[derive(Deserialize)]
    struct Row {
        offer: Offer,
        operator: Organisation,
    }
    #[derive(Deserialize)]
    struct Listing {
        offers: Vec<Row>,
    }
    let pair = |row: Row| (row.offer, Some(row.operator));
    let shape: BTreeMap<String, IgnoredAny> = parse(path, text, "an offer")?;
    if shape.contains_key("offers") {
        return Ok(parse::<Listing>(path, text, "a list of offers")?.offers.into_iter().map(pair).collect());
    }
    if shape.contains_key("offer") {
        return Ok(vec![pair(parse(path, text, "an offer with its operator")?)]);
    }
    Ok(vec![(parse(path, text, "an offer")?, None)])
}

fn of_toml(path: &Path, text: &str, operator: Option<&Organisation>) -> Result<Found, CliError> {
    let mut table: Table = parse(path, text, "an offer")?;
    if table.contains_key("offers") {
        return of_node(path, text, operator);
    }
    let offer = if table.contains_key("node") {
        // Read from the text, so that a mistake is named with its line.
        parse(path, text, "an offer")?
    } else {
        table.insert("node".to_owned(), node(path, operator).into());
        Offer::deserialize(Value::Table(table)).map_err(|error| wrong(path, "an offer", error))?
    };
    Ok(vec![(offer, None)])
}

/// A `node.toml`, as far as it is about offers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeFile {
    #[serde(default, rename = "node")]
    _node: IgnoredAny,
    #[serde(default, rename = "backends")]
    _backends: IgnoredAny,
    #[serde(default)]
    terms: BTreeMap<Name, Terms>,
    offers: Vec<Table>,
}

fn of_node(path: &Path, text: &str, operator: Option<&Organisation>) -> Result<Found, CliError> {
    let NodeFile { terms, offers, .. } = parse(path, text, "a node.toml")?;
    let node = node(path, operator);
    offers.into_iter().map(|offer| Ok((of_entry(path, offer, &node, &terms)?, None))).collect()
}

/// An entry of `[[offers]]`: without the way to its backend, with the terms that it names.
fn of_entry(path: &Path, mut entry: Table, node: &str, terms: &BTreeMap<Name, Terms>) -> Result<Offer, CliError> {
    let id = entry.get("id").and_then(Value::as_str).unwrap_or("?").to_owned();
    let fault = |problem: String| wrong(path, "a node.toml", std::io::Error::other(format!("offers.{id}: {problem}")));
    for key in ["backend", "backend_model"] {
        entry.remove(key);
    }
    let named = entry.remove("terms");
    entry.insert("node".to_owned(), node.into());
    let mut offer = Offer::deserialize(Value::Table(entry)).map_err(|error| fault(error.to_string()))?;
    offer.terms = match named.as_ref().and_then(Value::as_str) {
        None => return Err(fault("`terms` has to name a table of [terms]".to_owned())),
        Some(name) => {
            let found = terms.iter().find(|(known, _)| known.as_str() == name).map(|(_, terms)| terms.clone());
            Some(found.ok_or_else(|| fault(format!("`terms`: there is no [terms.{name}]: add it")))?)
        }
    };
    Ok(offer)
}

/// The node of a file that names none: the file's own name, at the operator that is given.
fn node(path: &Path, operator: Option<&Organisation>) -> String {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).filter(|stem| stem.parse::<Name>().is_ok());
    let domain = operator.map_or(NOBODY, |operator| TrustDomain::as_str(&operator.trust_domain));
    format!("spiffe://{domain}/node/{}", stem.unwrap_or(SOME_NODE))
}

fn is_json(path: &Path, text: &str) -> bool {
    path.extension().is_some_and(|extension| extension == "json") || text.trim_start().starts_with('{')
}

fn parse<T: DeserializeOwned>(path: &Path, text: &str, expected: &'static str) -> Result<T, CliError> {
    if is_json(path, text) {
        serde_json::from_str(text).map_err(|error| wrong(path, expected, error))
    } else {
        toml::from_str(text).map_err(|error| wrong(path, expected, error))
    }
}

fn wrong(path: &Path, expected: &'static str, error: impl Error + Send + Sync + 'static) -> CliError {
    CliError::BadFile { path: path.to_owned(), expected, source: Box::new(error) }
}
