//! The licence that a caller accepts, the contract's law, liability, support and price.

use comity_types::Currency;

use super::Question;
use super::findings::{Doubt, Field, Findings, joined};
use crate::requirements::PriceCeiling;
use crate::{ReasonCode, Requirements, Side, Terms};

pub(super) fn check(question: &Question<'_>, findings: &mut Findings<'_>) {
    findings.speak_for(Side::Caller);
    let demanded = question.request.requirements;
    if !demanded.allowed_licences.is_unrestricted() {
        check_licence(question, findings);
    }
    check_law(question, findings);
    check_liability(question.offer.terms.as_ref(), demanded, findings);
    check_support(question.offer.terms.as_ref(), demanded, findings);
    for (currency, ceiling) in &demanded.max_prices {
        check_price(question, currency, *ceiling, findings);
    }
}

fn check_licence(question: &Question<'_>, findings: &mut Findings<'_>) {
    let Some(licence) = findings.value("licence", question.offer.licence.as_ref()) else { return };
    let lists = &question.request.requirements.allowed_licences.0;
    for list in lists.iter().filter(|list| !list.contains(&*licence)) {
        let field = Field { path: "licence", expected: &joined(list), actual: &licence };
        findings.reject(ReasonCode::LicenceNotAcceptable, &*licence, field);
    }
}

fn check_law(question: &Question<'_>, findings: &mut Findings<'_>) {
    const PATH: &str = "terms.governing_law";
    let lists = &question.request.requirements.allowed_governing_laws;
    if lists.is_unrestricted() {
        return;
    }
    match question.offer.terms.as_ref().and_then(|terms| terms.governing_law.as_ref()) {
        Some(law) => findings.allowed(ReasonCode::GoverningLawNotAllowed, PATH, law, lists, None),
        None => findings.doubt(PATH, Doubt::missing("governing_law")),
    }
}

/// A cap in another currency is unknown in this one: rates are nobody's to guess.
fn check_liability(terms: Option<&Terms>, demanded: &Requirements, findings: &mut Findings<'_>) {
    const PATH: &str = "terms.liability_cap";
    for (currency, least) in &demanded.min_liability_caps {
        let cap = terms.and_then(|terms| terms.liability_cap.as_ref()).filter(|cap| cap.currency == *currency);
        match cap {
            None => findings.doubt(PATH, Doubt::missing(format!("liability_cap.{currency}"))),
            Some(cap) if cap.micros < *least => {
                let (expected, actual) =
                    (format!("at least {least} micro-{currency}"), format!("{} micro-{currency}", cap.micros));
                let field = Field { path: PATH, expected: &expected, actual: &actual };
                findings.reject(ReasonCode::LiabilityCapBelowMin, currency.as_str(), field);
            }
            Some(_) => {}
        }
    }
}

fn check_support(terms: Option<&Terms>, demanded: &Requirements, findings: &mut Findings<'_>) {
    if let Some(least) = demanded.min_support {
        match terms.and_then(|terms| terms.support) {
            None => findings.doubt("terms.support", Doubt::missing("support")),
            Some(found) if found < least => {
                let field = Field { path: "terms.support", expected: least.as_str(), actual: found.as_str() };
                findings.reject(ReasonCode::SupportBelowMin, "support", field);
            }
            Some(_) => {}
        }
    }
    if let Some(least) = demanded.min_availability_bp {
        match terms.and_then(|terms| terms.availability_bp) {
            None => findings.doubt("terms.availability_bp", Doubt::missing("availability_bp")),
            Some(found) if found < least => {
                let (expected, actual) = (super::control::percent(least), super::control::percent(found));
                let field = Field { path: "terms.availability_bp", expected: &expected, actual: &actual };
                findings.reject(ReasonCode::SupportBelowMin, "availability", field);
            }
            Some(_) => {}
        }
    }
}

/// A price in another currency is unknown in this one.
fn check_price(question: &Question<'_>, currency: &Currency, ceiling: PriceCeiling, findings: &mut Findings<'_>) {
    let Some(price) = question.offer.price.as_ref().filter(|price| price.currency == *currency) else {
        return findings.doubt("price", Doubt::missing(format!("price.{currency}")));
    };
    let sides = [
        ("input", price.input_micros_per_million_tokens, ceiling.input_micros),
        ("output", price.output_micros_per_million_tokens, ceiling.output_micros),
    ];
    for (side, found, most) in sides.into_iter().filter(|(_, found, most)| found > most) {
        let (expected, actual) = (format!("at most {most} micro-{currency}"), format!("{found} micro-{currency}"));
        findings.reject(ReasonCode::PriceAboveMax, side, Field { path: "price", expected: &expected, actual: &actual });
    }
}
