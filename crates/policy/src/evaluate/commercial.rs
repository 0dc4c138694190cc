//! The licence that a caller accepts, the contract's law, liability, support and price.

use comity_types::{Currency, Money, Place, Price};

use super::control::Percent;
use super::facet::{Demand, Facet, OfDemand, OnScale};
use super::findings::{Field, Findings, Joined};
use super::membership::Lists;
use super::truth::Doubt;
use crate::requirements::PriceCeiling;
use crate::terms::Support;
use crate::{Claim, Offer, Organisation, ReasonCode, Requirements, Side, Tables};

/// The licence that a caller accepts.
pub(super) struct AllowedLicence;

impl Facet for AllowedLicence {
    const SIDE: Side = Side::Caller;
    type Facts<'a> = Option<&'a Claim<String>>;
    type Part = OfDemand;

    fn facts<'a>(offer: &'a Offer, _: &'a Organisation, _: &Tables) -> impl IntoIterator<Item = Self::Facts<'a>> {
        [offer.licence.as_ref()]
    }

    fn is_asked(asked: &Demand<'_>) -> bool {
        !asked.requirements.allowed_licences.is_unrestricted()
    }

    fn check<'t>(claim: &Self::Facts<'t>, asked: &Demand<'t>, findings: &mut Findings<'t>) {
        let Some(licence) = findings.value(&"licence", *claim) else { return };
        let lists = &asked.requirements.allowed_licences.0;
        for list in lists.iter().filter(|list| !list.contains(&*licence)) {
            let field = Field { path: &"licence", expected: &Joined(list), actual: &licence };
            findings.reject(ReasonCode::LicenceNotAcceptable, &licence, field);
        }
    }
}

/// The contract's law, liability, support and availability.
pub(super) struct Contract;

/// What is stated of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Contracted<'a> {
    governing_law: Option<&'a Place>,
    liability_cap: Option<&'a Money>,
    support: Option<Support>,
    availability_bp: Option<u32>,
}

impl Facet for Contract {
    const SIDE: Side = Side::Caller;
    type Facts<'a> = Contracted<'a>;
    type Part = OfDemand;

    fn facts<'a>(offer: &'a Offer, _: &'a Organisation, _: &Tables) -> impl IntoIterator<Item = Self::Facts<'a>> {
        let terms = offer.terms.as_ref();
        [Contracted {
            governing_law: terms.and_then(|terms| terms.governing_law.as_ref()),
            liability_cap: terms.and_then(|terms| terms.liability_cap.as_ref()),
            support: terms.and_then(|terms| terms.support),
            availability_bp: terms.and_then(|terms| terms.availability_bp),
        }]
    }

    fn is_asked(asked: &Demand<'_>) -> bool {
        let demanded = asked.requirements;
        !demanded.allowed_governing_laws.is_unrestricted()
            || !demanded.min_liability_caps.is_empty()
            || demanded.min_support.is_some()
            || demanded.min_availability_bp.is_some()
    }

    fn check<'t>(facts: &Self::Facts<'t>, asked: &Demand<'t>, findings: &mut Findings<'t>) {
        check_law(facts.governing_law, asked.requirements, findings);
        check_liability(facts.liability_cap, asked.requirements, findings);
        check_support(facts.support, asked.requirements, findings);
        check_availability(facts.availability_bp, asked.requirements, findings);
    }
}

fn check_law<'t>(law: Option<&Place>, demanded: &'t Requirements, findings: &mut Findings<'t>) {
    const PATH: &str = "terms.governing_law";
    let lists = &demanded.allowed_governing_laws;
    match law {
        _ if lists.is_unrestricted() => {}
        Some(law) => findings.hold(&Lists::allowing(ReasonCode::GoverningLawNotAllowed, lists), &PATH, law, None),
        None => findings.doubt(&PATH, Doubt::missing("governing_law")),
    }
}

/// What is stated in another currency is unknown in this one: rates are nobody's to guess.
fn missing(path: &str, is_stated: bool, currency: &Currency) -> Doubt {
    if is_stated { Doubt::missing(format_args!("{path}.{currency}")) } else { Doubt::missing(path) }
}

fn check_liability(cap: Option<&Money>, demanded: &Requirements, findings: &mut Findings<'_>) {
    const PATH: &str = "terms.liability_cap";
    for (currency, least) in &demanded.min_liability_caps {
        match cap.filter(|cap| cap.currency == *currency) {
            None => findings.doubt(&PATH, missing("liability_cap", cap.is_some(), currency)),
            Some(cap) if cap.micros < *least => {
                let expected = format_args!("at least {least} micro-{currency}");
                let actual = format_args!("{} micro-{currency}", cap.micros);
                let field = Field { path: &PATH, expected: &expected, actual: &actual };
                findings.reject(ReasonCode::LiabilityCapBelowMin, currency, field);
            }
            Some(_) => {}
        }
    }
}

fn check_support(support: Option<Support>, demanded: &Requirements, findings: &mut Findings<'_>) {
    const PATH: &str = "terms.support";
    let Some(least) = demanded.min_support else { return };
    match support {
        None => findings.doubt(&PATH, Doubt::missing("support")),
        Some(found) if found < least => {
            let field = Field { path: &PATH, expected: &least, actual: &found };
            findings.reject(ReasonCode::SupportBelowMin, "support", field);
        }
        Some(_) => {}
    }
}

fn check_availability(availability_bp: Option<u32>, demanded: &Requirements, findings: &mut Findings<'_>) {
    const PATH: &str = "terms.availability_bp";
    let Some(least) = demanded.min_availability_bp else { return };
    match availability_bp {
        None => findings.doubt(&PATH, Doubt::missing("availability_bp")),
        Some(found) if found < least => {
            let field = Field { path: &PATH, expected: &Percent(least), actual: &Percent(found) };
            findings.reject(ReasonCode::SupportBelowMin, "availability", field);
        }
        Some(_) => {}
    }
}

/// What a caller pays at most.
pub(super) struct MaxPrice;

impl Facet for MaxPrice {
    const SIDE: Side = Side::Caller;
    type Facts<'a> = Option<Charge<'a>>;
    type Part = OfDemand;

    fn facts<'a>(offer: &'a Offer, _: &'a Organisation, _: &Tables) -> impl IntoIterator<Item = Self::Facts<'a>> {
        let charges = offer.price.as_ref().map(charges);
        let unstated = charges.is_none().then_some(None);
        charges.into_iter().flatten().map(Some).chain(unstated)
    }

    fn is_asked(asked: &Demand<'_>) -> bool {
        !asked.requirements.max_prices.is_empty()
    }

    fn on_scale(charge: &Self::Facts<'_>) -> Option<OnScale> {
        let Charge { currency, side, micros } = (*charge)?;
        // Three letters and the side.
        let scale =
            currency.as_str().bytes().fold(u64::from(side == INPUT), |sum, byte| sum << u8::BITS | u64::from(byte));
        Some(OnScale { scale, at: micros })
    }

    fn check<'t>(charge: &Self::Facts<'t>, asked: &Demand<'t>, findings: &mut Findings<'t>) {
        for (currency, ceiling) in &asked.requirements.max_prices {
            check_charge(*charge, currency, *ceiling, findings);
        }
    }
}

/// What is charged for a million tokens of one side.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Charge<'a> {
    currency: &'a Currency,
    side: &'static str,
    micros: u64,
}

const INPUT: &str = "input";
const OUTPUT: &str = "output";

fn charges(price: &Price) -> [Charge<'_>; 2] {
    let Price { currency, input_micros_per_million_tokens: input, output_micros_per_million_tokens: output } = price;
    [(INPUT, *input), (OUTPUT, *output)].map(|(side, micros)| Charge { currency, side, micros })
}

fn check_charge(charge: Option<Charge<'_>>, currency: &Currency, ceiling: PriceCeiling, findings: &mut Findings<'_>) {
    let is_stated = charge.is_some();
    let Some(Charge { side, micros, .. }) = charge.filter(|charge| charge.currency == currency) else {
        return findings.doubt(&"price", missing("price", is_stated, currency));
    };
    let most = if side == INPUT { ceiling.input_micros } else { ceiling.output_micros };
    if micros > most {
        let expected = format_args!("at most {most} micro-{currency}");
        let actual = format_args!("{micros} micro-{currency}");
        let field = Field { path: &"price", expected: &expected, actual: &actual };
        findings.reject(ReasonCode::PriceAboveMax, side, field);
    }
}
