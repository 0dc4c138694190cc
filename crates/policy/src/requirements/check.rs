//! Whether requirements speak of things that the tables have, in lists that a request can carry.
//!
//! What is not known would refuse every offer, so that saying it at the door is kinder than saying it offer by offer.

use std::collections::BTreeSet;

use comity_types::{Lei, Place, PlaceOrBloc};

use super::{AllowLists, RequirementsFile};
use crate::Tables;
use crate::check::{more_than_whole, too_many, unfit_texts};
use crate::evaluate::ASSURANCE_PATHS;
use crate::limits::{MAX_CADA_LEVEL, MAX_DEMANDS, MAX_ENTRIES, MAX_GAIAX_LABEL, MAX_LIST, MAX_REQUEST_LIST, MAX_SEAL};
use crate::rank::Hedge;
use crate::tables::places::{looks_like_one, not_assigned};
use crate::tables::statutes::Effect;
use crate::tables::{TableName, not_listed};

/// Checks every code, every level and every list.
///
/// # Errors
/// The path of the first field that is wrong, and what would be right.
pub fn check(file: &RequirementsFile, tables: &Tables) -> Result<(), (String, String)> {
    places(file, tables)?;
    codes(file, tables)?;
    lists(file)?;
    levels(file)
}

fn wrong<T>(path: impl Into<String>, problem: impl Into<String>) -> Result<T, (String, String)> {
    Err((path.into(), problem.into()))
}

/// An entry that no table has.
fn unknown<T>(path: &str, entry: &str, table: TableName) -> Result<T, (String, String)> {
    wrong(path, not_listed(entry, table))
}

fn bounded(path: &str, found: usize, most: usize) -> Result<(), (String, String)> {
    too_many(found, most).map_or(Ok(()), |problem| wrong(path, problem))
}

/// Texts that no table has to know, each of a length that a message can carry.
fn texts(path: &str, list: &BTreeSet<String>, most: usize) -> Result<(), (String, String)> {
    unfit_texts(list, most).map_or(Ok(()), |problem| wrong(path, problem))
}

fn places(file: &RequirementsFile, tables: &Tables) -> Result<(), (String, String)> {
    let demanded = &file.requirements;
    let allowed: [(&str, &AllowLists<PlaceOrBloc>); 7] = [
        ("allowed_processing_locations", &demanded.allowed_processing_locations),
        ("allowed_storage_locations", &demanded.allowed_storage_locations),
        ("allowed_access_locations", &demanded.allowed_access_locations),
        ("allowed_operator_seats", &demanded.allowed_operator_seats),
        ("allowed_controller_seats", &demanded.allowed_controller_seats),
        ("transfer_basis_outside", &demanded.transfer_basis_outside),
        ("allowed_governing_laws", &demanded.allowed_governing_laws),
    ];
    let forbidden = [
        ("forbidden_processing_locations", &demanded.forbidden_processing_locations),
        ("forbidden_storage_locations", &demanded.forbidden_storage_locations),
        ("forbidden_access_locations", &demanded.forbidden_access_locations),
        ("forbidden_controller_seats", &demanded.forbidden_controller_seats),
    ];
    let homes = demanded.foreign_ownership.iter().map(|rule| ("foreign_ownership.home", &rule.home));
    let lists = allowed.into_iter().flat_map(|(path, lists)| lists.0.iter().map(move |list| (path, list)));
    for (path, lists) in allowed {
        bounded(path, lists.0.len(), MAX_REQUEST_LIST)?;
    }
    for (path, list) in lists.chain(forbidden).chain(homes) {
        bounded(path, list.len(), MAX_LIST)?;
        list.iter().try_for_each(|entry| place_or_bloc(path, entry, tables))?;
    }
    let declared =
        [("access_origins", &file.declared.access_origins), ("output_used_in", &file.declared.output_used_in)];
    for (path, list) in declared {
        bounded(path, list.len(), MAX_REQUEST_LIST)?;
        list.iter().try_for_each(|entry| place(path, entry, tables))?;
    }
    hedge(file.prefer.hedge)?;
    bounded("prefer.locations", file.prefer.locations.len(), MAX_REQUEST_LIST)?;
    file.prefer.locations.keys().try_for_each(|entry| place_or_bloc("prefer.locations", entry, tables))
}

fn hedge(hedge: Option<Hedge>) -> Result<(), (String, String)> {
    match hedge.and_then(|hedge| hedge.after_ms) {
        Some(after) if !Hedge::AFTER_MS.contains(&after) => {
            let (least, most) = (Hedge::AFTER_MS.start(), Hedge::AFTER_MS.end());
            wrong("prefer.hedge.after_ms", format!("{least} to {most} ms are accepted"))
        }
        _ => Ok(()),
    }
}

fn place(path: &str, entry: &Place, tables: &Tables) -> Result<(), (String, String)> {
    if tables.places.knows(entry) {
        return Ok(());
    }
    wrong(path, not_assigned(entry.as_str()))
}

fn place_or_bloc(path: &str, entry: &PlaceOrBloc, tables: &Tables) -> Result<(), (String, String)> {
    match entry.place() {
        Some(one) => place(path, one, tables),
        None if tables.blocs.knows(entry.as_str()) => Ok(()),
        None if looks_like_one(entry.as_str()) => wrong(path, not_assigned(entry.as_str())),
        None => unknown(path, entry.as_str(), TableName::Blocs),
    }
}

fn codes(file: &RequirementsFile, tables: &Tables) -> Result<(), (String, String)> {
    let (demanded, declared) = (&file.requirements, &file.declared);
    let known = |path: &str, list: &BTreeSet<String>, table: TableName, has: &dyn Fn(&str) -> bool| {
        bounded(path, list.len(), MAX_REQUEST_LIST)?;
        match list.iter().find(|entry| !has(entry)) {
            Some(entry) => unknown(path, entry, table),
            None => Ok(()),
        }
    };
    known("purposes", &declared.purposes, TableName::Purposes, &|one| tables.purposes.knows(one))?;
    known("ai_act_tags", &declared.ai_act_tags, TableName::Statutes, &|one| tables.statutes.get(one).is_some())?;
    let exceptions: BTreeSet<&String> =
        tables.statutes.iter().filter(|row| row.effect == Effect::Prohibited).flat_map(|row| &row.exceptions).collect();
    known("exceptions", &declared.exceptions, TableName::Statutes, &|one| {
        exceptions.iter().any(|known| *known == one)
    })?;
    let regimes = demanded.no_exposure.iter().map(|freedom| freedom.regime.clone()).collect();
    known("no_exposure", &regimes, TableName::Regimes, &|one| tables.regimes.get(one).is_some())?;
    for content in &declared.classifications {
        let Some(scheme) = tables.classifications.get(&content.scheme) else {
            return unknown("classifications.scheme", &content.scheme, TableName::Classifications);
        };
        if scheme.rank(&content.level).is_none() {
            let problem = format!("{:?} is none of {}", content.level, scheme.levels.join(", "));
            return wrong("classifications.level", problem);
        }
    }
    for required in &demanded.required_certifications {
        let Some(scheme) = tables.certifications.get(&required.scheme) else {
            return unknown("required_certifications.scheme", &required.scheme, TableName::Certifications);
        };
        if let Some(level) = required.level.as_ref().filter(|level| scheme.rank(level).is_none()) {
            let problem = format!("{level:?} is none of {}", scheme.levels.join(", "));
            return wrong("required_certifications.level", problem);
        }
        let of_table = |edition: &&String| scheme.editions.is_empty() || scheme.edition(edition).is_some();
        if let Some(edition) = required.editions.iter().find(|edition| !of_table(edition)) {
            let known: Vec<_> = scheme.editions.iter().map(|one| one.edition.as_str()).collect();
            let problem = format!("{edition:?} is none of {}", known.join(", "));
            return wrong("required_certifications.editions", problem);
        }
    }
    identities(&demanded.forbidden_sub_processors)
}

/// What looks like a legal entity identifier has to be one: a mistyped one would forbid nobody.
fn identities(forbidden: &BTreeSet<String>) -> Result<(), (String, String)> {
    let looks_like_one =
        |text: &&String| text.len() == LEI_LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let mistyped = |text: &&String| looks_like_one(text) && text.parse::<Lei>().is_err();
    match forbidden.iter().find(mistyped) {
        Some(text) => wrong(
            "forbidden_sub_processors",
            format!(
                "{text:?} looks like a legal entity identifier, and is none: 20 capital letters and digits, of which the last two check the others (ISO 17442)"
            ),
        ),
        None => Ok(()),
    }
}

/// Characters of a legal entity identifier (ISO 17442).
const LEI_LENGTH: usize = 20;

/// Lists of what no table has to know.
fn lists(file: &RequirementsFile) -> Result<(), (String, String)> {
    let (demanded, declared) = (&file.requirements, &file.declared);
    texts("data_categories", &declared.data_categories, MAX_REQUEST_LIST)?;
    bounded("classifications", declared.classifications.len(), MAX_REQUEST_LIST)?;
    for content in &declared.classifications {
        texts("classifications.caveats", &content.caveats, MAX_ENTRIES)?;
    }
    texts("forbidden_sub_processors", &demanded.forbidden_sub_processors, MAX_LIST)?;
    bounded("foreign_ownership", demanded.foreign_ownership.len(), MAX_REQUEST_LIST)?;
    bounded("max_content_retention_days", demanded.retention_limits.len(), MAX_REQUEST_LIST)?;
    bounded("required_certifications", demanded.required_certifications.len(), MAX_DEMANDS)?;
    for required in &demanded.required_certifications {
        texts("required_certifications.editions", &required.editions, MAX_REQUEST_LIST)?;
    }
    for freedom in &demanded.no_exposure {
        texts("accept_attested_runtimes", &freedom.accept_attested_runtimes, MAX_REQUEST_LIST)?;
    }
    bounded("allowed_licences", demanded.allowed_licences.0.len(), MAX_REQUEST_LIST)?;
    demanded.allowed_licences.0.iter().try_for_each(|list| texts("allowed_licences", list, MAX_LIST))
}

fn levels(file: &RequirementsFile) -> Result<(), (String, String)> {
    let demanded = &file.requirements;
    if let Some((objective, level)) = demanded.min_seal.iter().find(|(_, level)| **level > MAX_SEAL) {
        return wrong(format!("min_seal.{objective}"), format!("{level} is outside 0 to {MAX_SEAL}"));
    }
    let labels = [
        ("min_cada_level", demanded.min_cada_level, MAX_CADA_LEVEL),
        ("min_gaiax_label", demanded.min_gaiax_label, MAX_GAIAX_LABEL),
    ];
    for (path, level, most) in labels {
        if let Some(level) = level.filter(|level| !(1..=most).contains(level)) {
            return wrong(path, format!("{level} is outside 1 to {most}"));
        }
    }
    if let Some(path) = demanded.min_assurance.keys().find(|path| !ASSURANCE_PATHS.contains(&path.as_str())) {
        return wrong("min_assurance", format!("{path:?} is no claim (there are: {})", ASSURANCE_PATHS.join(", ")));
    }
    let shares = demanded.foreign_ownership.iter().flat_map(|rule| {
        [("foreign_ownership.individual_bp", rule.individual_bp), ("foreign_ownership.aggregate_bp", rule.aggregate_bp)]
    });
    let availability = demanded.min_availability_bp.map(|share| ("min_availability_bp", share));
    for (path, share) in shares.chain(availability) {
        if let Some(problem) = more_than_whole(share) {
            return wrong(path, problem);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
