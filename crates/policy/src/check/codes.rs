//! Whether the codes in facts, offers and terms are those of the tables: a typo would refuse everybody, or prohibit
//! nothing. For files that somebody is writing now; what is stored and signed is evaluated as it stands.

use std::collections::BTreeSet;

use comity_types::{Place, PlaceOrBloc};

use super::{Fault, named};
use crate::caller_rules::{CallerRules, OwnershipTarget, Served};
use crate::offer::SubProcessor;
use crate::tables::places::{looks_like_one, not_assigned};
use crate::tables::{TableName, not_listed};
use crate::terms::{Ceiling, Certification};
use crate::{Claim, Controller, Offer, Organisation, Tables, Terms};

/// Every code of an offer that no table has. Its terms are left out.
#[must_use]
pub fn offer(offer: &Offer, tables: &Tables) -> Vec<Fault> {
    let mut found = Codes { tables, faults: Vec::new() };
    let axes = [
        ("processing_locations", &offer.processing_locations),
        ("storage_locations", &offer.storage_locations),
        ("access_locations", &offer.access_locations),
    ];
    for (field, claim) in axes {
        values(claim.as_ref()).for_each(|places| found.places(field, places));
    }
    values(offer.sub_processors.as_ref()).flatten().for_each(|one| found.sub_processor(one));
    for licence in values(offer.licence.as_ref()).filter(|one| !tables.licences.knows(one)) {
        let problem = if is_licence(licence) {
            not_listed(licence, TableName::Licences)
        } else {
            format!("{licence:?} is no SPDX identifier such as Apache-2.0, nor LicenseRef-...: correct it")
        };
        found.faults.push(Fault::new("licence", problem));
    }
    found.faults
}

/// Every code of terms that no table has.
#[must_use]
pub fn terms(terms: &Terms, tables: &Tables) -> Vec<Fault> {
    let mut found = Codes { tables, faults: Vec::new() };
    let purposes = [("allowed_purposes", &terms.allowed_purposes), ("prohibited_purposes", &terms.prohibited_purposes)];
    for (field, list) in purposes {
        list.iter().filter(|one| !tables.purposes.knows(one)).for_each(|one| found.add(field, purpose_problem(one)));
    }
    terms.caller_rules.iter().for_each(|rules| found.caller_rules(rules));
    values(terms.human_review.as_ref())
        .for_each(|review| found.places("human_review.reviewer_places", &review.reviewer_places));
    let certificates = values(terms.certifications.as_ref()).flat_map(|all| &all.0);
    certificates.for_each(|one| found.certificate(&named("certifications", &one.scheme), one));
    for (scheme, ceiling) in &terms.classification_ceilings {
        found.ceiling(&named("classification_ceilings", scheme), scheme, ceiling);
    }
    found.places("governing_law", &terms.governing_law);
    found.places("courts", &terms.courts);
    found.faults
}

/// Every code of an organisation's facts that no table has.
#[must_use]
pub fn organisation(facts: &Organisation, tables: &Tables) -> Vec<Fault> {
    let mut found = Codes { tables, faults: Vec::new() };
    let places = [
        ("seat", &facts.seat),
        ("headquarters", &facts.headquarters),
        ("principal_place_of_business", &facts.principal_place_of_business),
    ];
    for (field, claim) in places {
        found.places(field, values(claim.as_ref()));
    }
    found.places("establishments", values(facts.establishments.as_ref()).flatten());
    found.controllers("ultimate_controllers", values(facts.ultimate_controllers.as_ref()).flatten());
    found.sectors("sector", values(facts.sector.as_ref()));
    for (name, party) in values(facts.ownership.as_ref()).flat_map(|graph| &graph.parties) {
        let path = named("ownership.parties", name);
        found.places(&format!("{path}.seat"), &party.seat);
        found.places(&format!("{path}.headquarters"), &party.headquarters);
    }
    found.faults
}

/// The values of every statement.
fn values<T>(claim: Option<&Claim<T>>) -> impl Iterator<Item = &T> {
    claim.into_iter().flat_map(Claim::statements).map(|statement| &statement.value)
}

struct Codes<'a> {
    tables: &'a Tables,
    faults: Vec<Fault>,
}

impl Codes<'_> {
    fn add(&mut self, path: &str, problem: String) {
        self.faults.push(Fault::new(path, problem));
    }

    fn places<'p>(&mut self, path: &str, places: impl IntoIterator<Item = &'p Place>) {
        let tables = self.tables;
        let unknown = places.into_iter().filter(|place| !tables.places.knows(place));
        unknown.for_each(|place| self.add(path, not_assigned(place.as_str())));
    }

    fn controllers<'c>(&mut self, path: &str, all: impl IntoIterator<Item = &'c Controller>) {
        self.places(&format!("{path}.seat"), all.into_iter().map(|one| &one.seat));
    }

    fn sub_processor(&mut self, one: &SubProcessor) {
        let path = |field: &str| format!("{}.{field}", named("sub_processors", &one.id));
        self.places(&path("places"), &one.places);
        self.places(&path("seat"), &one.seat);
        self.places(&path("principal_place_of_business"), &one.principal_place_of_business);
        self.places(&path("establishments"), one.establishments.iter().flatten());
        self.controllers(&path("ultimate_controllers"), one.ultimate_controllers.iter().flatten());
    }

    fn sectors<'s>(&mut self, path: &str, all: impl IntoIterator<Item = &'s String>) {
        let tables = self.tables;
        let unknown = all.into_iter().filter(|code| !tables.sectors.knows(code));
        unknown.for_each(|code| self.add(path, sector_problem(code)));
    }

    /// A scheme of the table, and of what the table says of it. A scheme without levels has none; one without editions
    /// has any.
    fn certificate(&mut self, path: &str, one: &Certification) {
        self.places(&format!("{path}.scope_sites"), &one.scope_sites);
        let Some(scheme) = self.tables.certifications.get(&one.scheme) else {
            return self.add(&format!("{path}.scheme"), not_listed(&one.scheme, TableName::Certifications));
        };
        if let Some(level) = one.level.as_ref().filter(|level| scheme.rank(level).is_none()) {
            self.add(&format!("{path}.level"), none_of(level, "levels", &one.scheme, &scheme.levels));
        }
        let unknown = |edition: &&String| !scheme.editions.is_empty() && scheme.edition(edition).is_none();
        if let Some(edition) = one.edition.as_ref().filter(unknown) {
            let editions: Vec<_> = scheme.editions.iter().map(|row| row.edition.clone()).collect();
            self.add(&format!("{path}.edition"), none_of(edition, "editions", &one.scheme, &editions));
        }
    }

    fn ceiling(&mut self, path: &str, name: &str, ceiling: &Ceiling) {
        match self.tables.classifications.get(name) {
            None => self.add(path, not_listed(name, TableName::Classifications)),
            Some(scheme) if scheme.rank(&ceiling.level).is_none() => {
                self.add(&format!("{path}.level"), none_of(&ceiling.level, "levels", name, &scheme.levels));
            }
            Some(_) => {}
        }
    }

    fn caller_rules(&mut self, rules: &CallerRules) {
        if let Served::Places(places) = &rules.served {
            self.places_and_blocs("caller_rules.served", places);
        }
        self.places_and_blocs("caller_rules.served_except", &rules.served_except);
        for rule in &rules.ownership {
            if let OwnershipTarget::Places(places) = &rule.target {
                self.places_and_blocs("caller_rules.ownership", places);
            }
        }
        self.sectors("caller_rules.denied_sectors", &rules.denied_sectors);
    }

    fn places_and_blocs(&mut self, path: &str, all: &BTreeSet<PlaceOrBloc>) {
        for one in all {
            match one.place() {
                Some(place) => self.places(path, [place]),
                None if self.tables.blocs.knows(one.as_str()) => {}
                None if looks_like_one(one.as_str()) => self.add(path, not_assigned(one.as_str())),
                None => {
                    self.add(path, format!("no bloc {:?} is known: correct it, as in DE, US-CA or EU", one.as_str()));
                }
            }
        }
    }
}

/// The grammar of an identifier of the SPDX licence list, and of `LicenseRef-`.
fn is_licence(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'+'))
}

fn sector_problem(code: &str) -> String {
    format!(
        "no section, division, group or class {code:?} is in NACE Rev. 2.1: correct it, as in P, 84 or 84.22 (hint: `comity table show sectors`)"
    )
}

/// A level or an edition that a scheme has not, and those that it has.
fn none_of(found: &str, what: &str, scheme: &str, known: &[String]) -> String {
    if known.is_empty() {
        return format!("{found:?} is given, and {scheme} has no {what}: leave it out");
    }
    format!("{found:?} is none of the {what} of {scheme}: {}", known.join(", "))
}

fn purpose_problem(purpose: &str) -> String {
    format!(
        "no purpose {purpose:?} is in the Data Privacy Vocabulary as this version knows it: correct it, as in dpv:Marketing"
    )
}
