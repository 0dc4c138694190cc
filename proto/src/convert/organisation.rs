//! The facts of organisations.

use std::collections::{BTreeMap, BTreeSet};

use comity_policy::limits::{MAX_CONTROLLERS, MAX_ENTRIES, MAX_NUMBER_BYTES, MAX_NUMBERS};
use comity_policy::organisation::{
    ActiveUsers, Membership, OrganisationType, RegistrationNumber, RegistrationScheme, TrainingChoice,
};
use comity_policy::ownership::{Directness, Interest, Ownership, Party, PartyKind, SELF, Share, Stake, WHOLE};
use comity_policy::{Claim, Controller, Organisation, check};
use comity_types::{Place, TrustDomain};

use super::claims::{claim, places, strings, text_claim, wire_claim, wire_places, wire_text};
use super::terms::{disclosure, wire_full_or};
use super::{
    MAX_LIST, MAX_TEXT_BYTES, Read, WireError, bounded, enums, optional, optional_text, or_default, own_word, parse,
    text, texts, without,
};
use crate::policy as wire;

enums!(
    organisation_type,
    wire_organisation_type,
    OrganisationType,
    OrganisationType,
    [Governmental, LawEnforcement, Military, Intelligence, AcademicScientific, Commercial, NonProfit, International]
);
enums!(
    registration_scheme,
    wire_registration_scheme,
    RegistrationScheme,
    RegistrationScheme,
    [Local, Euid, Eori, VatId]
);
enums!(party_kind, wire_party_kind, PartyKind, PartyKind, [Organisation, Person, State, Dispersed]);
enums!(
    interest,
    wire_interest,
    Interest,
    Interest,
    [Shareholding, VotingRights, AppointmentOfBoard, RightsGrantedByContract, GoldenShare]
);
enums!(directness, wire_directness, Directness, Directness, [Direct, Indirect, Unknown]);
enums!(training_choice, wire_training_choice, TrainingChoice, TrainingChoice, [OptedIn, OptedOut]);

impl TryFrom<wire::Organisation> for Organisation {
    type Error = WireError;

    fn try_from(wire: wire::Organisation) -> Result<Self, WireError> {
        own_word::check(&wire)?;
        Self::read(wire)
    }
}

impl Read<wire::Organisation> for Organisation {
    fn read(wire: wire::Organisation) -> Result<Self, WireError> {
        let kind = |path: &str, wire: wire::OrganisationTypeClaim| {
            let value = organisation_type(&format!("{path}.organisation_type"), wire.organisation_type)?;
            Ok((value, wire.provenance))
        };
        let lists = |path: &str, wire: wire::TextsClaim| {
            Ok((texts(&format!("{path}.texts"), wire.texts, MAX_LIST)?, wire.provenance))
        };
        let facts = Self {
            trust_domain: parse("trust_domain", &wire.trust_domain)?,
            name: text("name", wire.name, MAX_TEXT_BYTES)?,
            lei: optional("lei", &wire.lei)?,
            registration_numbers: registration_numbers(wire.registration_numbers)?,
            seat: place("seat", wire.seat)?,
            headquarters: place("headquarters", wire.headquarters)?,
            principal_place_of_business: place("principal_place_of_business", wire.principal_place_of_business)?,
            establishments: places("establishments", wire.establishments)?,
            ownership: claim("ownership", wire.ownership, ownership)?,
            ultimate_controllers: claim("ultimate_controllers", wire.ultimate_controllers, |path, wire| {
                Ok((controllers(&format!("{path}.controllers"), wire.controllers)?, wire.provenance))
            })?,
            organisation_type: claim("organisation_type", wire.organisation_type, kind)?,
            sector: text_claim("sector", wire.sector)?,
            restricted_party_lists: claim("restricted_party_lists", wire.restricted_party_lists, lists)?,
            monthly_active_users: claim("monthly_active_users", wire.monthly_active_users, active_users)?,
            dpf_participation: flag("dpf_participation", wire.dpf_participation)?,
            commercial_organisation: flag("commercial_organisation", wire.commercial_organisation)?,
            accepted_terms: accepted_terms(wire.accepted_terms)?,
            training_choices: training_choices(wire.training_choices)?,
            disclosure: or_default(wire.disclosure, |number| disclosure("disclosure", number))?,
        };
        without(check::organisation(&facts))?;
        Ok(facts)
    }
}

fn place(path: &str, wire: Vec<wire::PlaceClaim>) -> Result<Option<Claim<Place>>, WireError> {
    claim(path, wire, |path, wire| Ok((parse(format!("{path}.place"), &wire.place)?, wire.provenance)))
}

fn flag(path: &str, wire: Vec<wire::FlagClaim>) -> Result<Option<Claim<Membership>>, WireError> {
    claim(path, wire, |_, wire| Ok((Membership(wire.flag), wire.provenance)))
}

fn registration_numbers(wire: Vec<wire::RegistrationNumber>) -> Result<Vec<RegistrationNumber>, WireError> {
    bounded("registration_numbers", wire.len(), MAX_NUMBERS)?;
    let one = |(index, wire): (usize, wire::RegistrationNumber)| {
        let path = format!("registration_numbers[{index}]");
        let number = text(&format!("{path}.number"), wire.number, MAX_NUMBER_BYTES)?;
        Ok(RegistrationNumber { scheme: registration_scheme(&format!("{path}.scheme"), wire.scheme)?, number })
    };
    wire.into_iter().enumerate().map(one).collect()
}

pub(super) fn controllers(path: &str, wire: Vec<wire::Controller>) -> Result<BTreeSet<Controller>, WireError> {
    bounded(path, wire.len(), MAX_CONTROLLERS)?;
    let one = |(index, wire): (usize, wire::Controller)| {
        let path = format!("{path}[{index}]");
        let name = text(&format!("{path}.name"), wire.name, MAX_TEXT_BYTES)?;
        Ok(Controller { name, seat: parse(format!("{path}.seat"), &wire.seat)? })
    };
    wire.into_iter().enumerate().map(one).collect()
}

pub(super) fn wire_controllers(controllers: &BTreeSet<Controller>) -> Vec<wire::Controller> {
    controllers.iter().map(|one| wire::Controller { name: one.name.clone(), seat: one.seat.to_string() }).collect()
}

fn active_users(
    path: &str,
    wire: wire::ActiveUsersClaim,
) -> Result<(ActiveUsers, Option<wire::Provenance>), WireError> {
    let month =
        ActiveUsers::month(&wire.month).map_err(|error| WireError::new(format!("{path}.month"), error.to_string()))?;
    Ok((ActiveUsers { count: wire.count, month }, wire.provenance))
}

fn ownership(path: &str, wire: wire::OwnershipClaim) -> Result<(Ownership, Option<wire::Provenance>), WireError> {
    let mut parties = BTreeMap::new();
    for (index, wire) in wire.parties.into_iter().enumerate() {
        let path = format!("{path}.parties[{index}]");
        let (name, one) = party(&path, wire)?;
        if parties.insert(name, one).is_some() {
            return Err(WireError::new(format!("{path}.name"), "another party has this name"));
        }
    }
    let stakes = wire.stakes.into_iter().enumerate();
    let stakes = stakes.map(|(index, wire)| stake(&format!("{path}.stakes[{index}]"), wire));
    let stakes = stakes.collect::<Result<Vec<_>, _>>()?;
    let ownership = Ownership::new(parties, stakes).map_err(|error| WireError::new(path, error.to_string()))?;
    Ok((ownership, wire.provenance))
}

fn party(path: &str, wire: wire::Party) -> Result<(String, Party), WireError> {
    let name = text(&format!("{path}.name"), wire.name, MAX_TEXT_BYTES)?;
    let lists = format!("{path}.restricted_party_lists");
    let party = Party {
        kind: or_default(wire.kind, |number| party_kind(&format!("{path}.kind"), number))?,
        lei: optional(&format!("{path}.lei"), &wire.lei)?,
        seat: optional(&format!("{path}.seat"), &wire.seat)?,
        headquarters: optional(&format!("{path}.headquarters"), &wire.headquarters)?,
        restricted_party_lists: texts(&lists, wire.restricted_party_lists, MAX_ENTRIES)?,
    };
    Ok((name, party))
}

fn stake(path: &str, wire: wire::Stake) -> Result<Stake, WireError> {
    let share = Share::new(wire.least_millionths, wire.most_millionths.unwrap_or(WHOLE));
    Ok(Stake {
        subject: optional_text(&format!("{path}.subject"), wire.subject, MAX_TEXT_BYTES)?
            .unwrap_or_else(|| SELF.into()),
        holder: text(&format!("{path}.holder"), wire.holder, MAX_TEXT_BYTES)?,
        interest: or_default(wire.interest, |number| interest(&format!("{path}.interest"), number))?,
        share: share.map_err(|error| WireError::new(format!("{path}.least_millionths"), error.to_string()))?,
        directness: or_default(wire.directness, |number| directness(&format!("{path}.directness"), number))?,
    })
}

fn accepted_terms(wire: Vec<wire::AcceptedTerms>) -> Result<BTreeMap<TrustDomain, u32>, WireError> {
    let one = |_: &str, wire: wire::AcceptedTerms| Ok((wire.trust_domain, wire.version));
    by_domain("accepted_terms", wire, one)
}

fn training_choices(wire: Vec<wire::TrainingDecision>) -> Result<BTreeMap<TrustDomain, TrainingChoice>, WireError> {
    let one = |path: &str, wire: wire::TrainingDecision| {
        Ok((wire.trust_domain, training_choice(&format!("{path}.choice"), wire.choice)?))
    };
    by_domain("training_choices", wire, one)
}

/// What is said to other organisations, to each once.
fn by_domain<W, T>(
    path: &str,
    wire: Vec<W>,
    read: impl Fn(&str, W) -> Result<(String, T), WireError>,
) -> Result<BTreeMap<TrustDomain, T>, WireError> {
    bounded(path, wire.len(), MAX_LIST)?;
    let mut all = BTreeMap::new();
    for (index, wire) in wire.into_iter().enumerate() {
        let path = format!("{path}[{index}]");
        let (domain, value) = read(&path, wire)?;
        if all.insert(parse(format!("{path}.trust_domain"), &domain)?, value).is_some() {
            return Err(WireError::new(format!("{path}.trust_domain"), "another entry has this trust domain"));
        }
    }
    Ok(all)
}

impl From<&Organisation> for wire::Organisation {
    fn from(facts: &Organisation) -> Self {
        let place = |claim: &Option<Claim<Place>>| {
            wire_claim(claim.as_ref(), |place, provenance| wire::PlaceClaim { place: place.to_string(), provenance })
        };
        let flag = |claim: &Option<Claim<Membership>>| {
            wire_claim(claim.as_ref(), |flag, provenance| wire::FlagClaim { flag: flag.0, provenance })
        };
        let number = |number: &RegistrationNumber| wire::RegistrationNumber {
            scheme: wire_registration_scheme(number.scheme).into(),
            number: number.number.clone(),
        };
        Self {
            trust_domain: facts.trust_domain.to_string(),
            name: facts.name.clone(),
            lei: facts.lei.as_ref().map(ToString::to_string).unwrap_or_default(),
            registration_numbers: facts.registration_numbers.iter().map(number).collect(),
            seat: place(&facts.seat),
            headquarters: place(&facts.headquarters),
            principal_place_of_business: place(&facts.principal_place_of_business),
            establishments: wire_places(facts.establishments.as_ref()),
            ownership: wire_claim(facts.ownership.as_ref(), wire_ownership),
            ultimate_controllers: wire_claim(facts.ultimate_controllers.as_ref(), |all, provenance| {
                wire::ControllersClaim { controllers: wire_controllers(all), provenance }
            }),
            organisation_type: wire_claim(facts.organisation_type.as_ref(), |kind, provenance| {
                wire::OrganisationTypeClaim { organisation_type: wire_organisation_type(*kind).into(), provenance }
            }),
            sector: wire_text(facts.sector.as_ref()),
            restricted_party_lists: wire_claim(facts.restricted_party_lists.as_ref(), |lists, provenance| {
                wire::TextsClaim { texts: strings(lists), provenance }
            }),
            monthly_active_users: wire_claim(facts.monthly_active_users.as_ref(), |users, provenance| {
                wire::ActiveUsersClaim { count: users.count, month: users.month.clone(), provenance }
            }),
            dpf_participation: flag(&facts.dpf_participation),
            commercial_organisation: flag(&facts.commercial_organisation),
            accepted_terms: facts
                .accepted_terms
                .iter()
                .map(|(domain, version)| wire::AcceptedTerms { trust_domain: domain.to_string(), version: *version })
                .collect(),
            training_choices: facts
                .training_choices
                .iter()
                .map(|(domain, choice)| wire::TrainingDecision {
                    trust_domain: domain.to_string(),
                    choice: wire_training_choice(*choice).into(),
                })
                .collect(),
            disclosure: wire_full_or(facts.disclosure),
        }
    }
}

fn wire_ownership(ownership: &Ownership, provenance: Option<wire::Provenance>) -> wire::OwnershipClaim {
    let text = |place: &Option<Place>| place.as_ref().map(ToString::to_string).unwrap_or_default();
    let party = |(name, party): (&String, &Party)| wire::Party {
        name: name.clone(),
        kind: wire_party_kind(party.kind).into(),
        lei: party.lei.as_ref().map(ToString::to_string).unwrap_or_default(),
        seat: text(&party.seat),
        headquarters: text(&party.headquarters),
        restricted_party_lists: strings(&party.restricted_party_lists),
    };
    let stake = |stake: &Stake| wire::Stake {
        subject: stake.subject.clone(),
        holder: stake.holder.clone(),
        interest: wire_interest(stake.interest).into(),
        least_millionths: stake.share.least(),
        most_millionths: Some(stake.share.most()),
        directness: wire_directness(stake.directness).into(),
    };
    wire::OwnershipClaim {
        parties: ownership.parties().iter().map(party).collect(),
        stakes: ownership.stakes().iter().map(stake).collect(),
        provenance,
    }
}
