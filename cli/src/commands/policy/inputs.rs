//! Offers and organisations from files: TOML as nodes and members write it, JSON as this program prints it.

use std::collections::BTreeMap;
use std::path::Path;

use comity_policy::check::{self, Unfit, codes};
use comity_policy::node_file::NodeFile;
use comity_policy::{Layers, Offer, Organisation, OrganisationFile, Tables};
use comity_proto::catalog::{ListOffersResponse, OfferEntry};
use comity_proto::convert::{self, WireError};
use comity_proto::membership::OrganisationEntry;
use comity_runtime::config;
use comity_types::{Invalid, Name, TrustDomain};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use toml::{Table, Value};

use crate::error::CliError;
use crate::files::{converted, is_json, message, wrong};
use crate::organisation_file;
use crate::requirements::read_text;

/// The organisation of offers that say nothing of their node, where no operator is given.
const NOBODY: &str = "operator.example";
/// A node whose name no file says.
const SOME_NODE: &str = "node";

/// An organisation's file: its facts and what it demands, or what `comity organisation show -o json` prints.
pub(super) fn organisation(path: &Path, tables: &Tables) -> Result<OrganisationFile, CliError> {
    const EXPECTED: &str = "the facts of an organisation";
    let text = read_text(path)?;
    if !is_json(path, &text) {
        return organisation_file::expanded(path, parse(path, &text, EXPECTED)?, tables);
    }
    let file = if has_key(&text, "organisation") {
        converted(path, EXPECTED, &text, |entry| organisation_of(entry, tables))?
    } else {
        let facts = converted(path, EXPECTED, &text, convert::files::organisation)?;
        OrganisationFile { facts, layers: Layers::default() }
    };
    check::organisation_file(&file.facts, tables).map_err(|error| wrong(path, EXPECTED, error))?;
    Ok(file)
}

/// The facts of an entry, and what it demands where that is shown.
fn organisation_of(entry: OrganisationEntry, tables: &Tables) -> Result<OrganisationFile, WireError> {
    let facts = convert::files::organisation(entry.organisation.unwrap_or_default());
    let layers = convert::checked_layers(entry.layers, tables);
    Ok(OrganisationFile {
        facts: facts.map_err(|error| error.within("organisation"))?,
        layers: layers.map_err(|error| error.within("layers"))?,
    })
}

/// An organisation of which nothing is known but its name.
pub(super) fn unknown(trust_domain: &str) -> Result<Organisation, CliError> {
    let facts = Table::from_iter(["trust_domain", "name"].map(|key| (key.to_owned(), Value::from(trust_domain))));
    let broken =
        |error| CliError::Client { doing: "name an unknown organisation", source: Box::new(error), hint: None };
    Organisation::deserialize(Value::Table(facts)).map_err(broken)
}

/// The offers of a file, each with its operator.
pub(super) fn offers(
    path: &Path,
    operator: Option<&Organisation>,
    tables: &Tables,
) -> Result<Vec<(Offer, Organisation)>, CliError> {
    let text = read_text(path)?;
    let found =
        if is_json(path, &text) { of_json(path, &text, tables)? } else { of_toml(path, &text, operator, tables)? };
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
fn of_json(path: &Path, text: &str, tables: &Tables) -> Result<Found, CliError> {
    // A list of no offers is printed without the field, as every list of nothing is.
    if has_key(text, "offers") || text.split_whitespace().collect::<String>() == "{}" {
        const EXPECTED: &str = "a list of offers";
        let listing: ListOffersResponse = message(path, EXPECTED, text)?;
        let one =
            |(index, entry)| entry_of(entry).map_err(|error: WireError| error.within(&format!("offers[{index}]")));
        let all = listing.offers.into_iter().enumerate().map(one).collect::<Result<_, _>>();
        return all.map_err(|error| wrong(path, EXPECTED, error));
    }
    if has_key(text, "offer") {
        return Ok(vec![converted(path, "an offer with its operator", text, entry_of)?]);
    }
    Ok(vec![(fit(path, converted(path, "an offer", text, convert::files::offer)?, tables)?, None)])
}

/// An offer and its operator, where that is said.
fn entry_of(entry: OfferEntry) -> Result<(Offer, Option<Organisation>), WireError> {
    let offer = convert::files::offer(entry.offer.unwrap_or_default()).map_err(|error| error.within("offer"))?;
    let operator = entry.operator.map(convert::files::organisation).transpose();
    Ok((offer, operator.map_err(|error| error.within("operator"))?))
}

/// Whether the text is an object with this key.
fn has_key(text: &str, key: &str) -> bool {
    serde_json::from_str::<BTreeMap<String, IgnoredAny>>(text).is_ok_and(|object| object.contains_key(key))
}

fn of_toml(path: &Path, text: &str, operator: Option<&Organisation>, tables: &Tables) -> Result<Found, CliError> {
    let mut table: Table = parse(path, text, "an offer")?;
    let node = node(path, operator);
    if table.contains_key("offers") {
        return of_node(path, text, &node, tables);
    }
    let offer: Offer = if table.contains_key("node") {
        // Read from the text, so that a mistake is named with its line.
        parse(path, text, "an offer")?
    } else {
        table.insert("node".to_owned(), node.into());
        Offer::deserialize(Value::Table(table)).map_err(|error| wrong(path, "an offer", error))?
    };
    Ok(vec![(fit(path, offer, tables)?, None)])
}

/// A `node.toml`, as far as it is about offers.
fn of_node(path: &Path, text: &str, node: &str, tables: &Tables) -> Result<Found, CliError> {
    let expected = "a node.toml";
    let file: NodeFile = parse(path, text, expected)?;
    let node = node.parse().map_err(|error: Invalid| wrong(path, expected, error))?;
    let offers = file.offers(&node, tables).map_err(|faults| wrong(path, expected, Unfit(faults)))?;
    Ok(offers.into_iter().map(|offer| (offer, None)).collect())
}

/// An offer that somebody writes, all of whose codes are those of the tables.
fn fit(path: &Path, offer: Offer, tables: &Tables) -> Result<Offer, CliError> {
    let terms = offer.terms.iter().flat_map(|terms| codes::terms(terms, tables)).map(|fault| fault.within("terms"));
    let faults = check::offer(&offer).into_iter().chain(codes::offer(&offer, tables)).chain(terms);
    check::accept(faults.collect()).map_err(|error| wrong(path, "an offer", error))?;
    Ok(offer)
}

/// The node of a file that names none: the file's own name, at the operator that is given.
fn node(path: &Path, operator: Option<&Organisation>) -> String {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).filter(|stem| stem.parse::<Name>().is_ok());
    let domain = operator.map_or(NOBODY, |operator| TrustDomain::as_str(&operator.trust_domain));
    format!("spiffe://{domain}/node/{}", stem.unwrap_or(SOME_NODE))
}

/// A file of TOML.
fn parse<T: DeserializeOwned>(path: &Path, text: &str, expected: &'static str) -> Result<T, CliError> {
    config::parse(path, text).map_err(|error| wrong(path, expected, error))
}
