//! The licence and the price.

use comity_types::Currency;

use super::findings::{Field, Findings, joined};
use crate::requirements::PriceCeiling;
use crate::{Offer, ReasonCode, Requirements};

pub(super) fn check(offer: &Offer, demanded: &Requirements, findings: &mut Findings<'_>) {
    if !demanded.allowed_licences.is_unrestricted() {
        check_licence(offer, demanded, findings);
    }
    for (currency, ceiling) in &demanded.max_prices {
        check_price(offer, currency, *ceiling, findings);
    }
}

fn check_licence(offer: &Offer, demanded: &Requirements, findings: &mut Findings<'_>) {
    let Some(licence) = findings.value("licence", offer.licence.as_ref()) else { return };
    for list in demanded.allowed_licences.0.iter().filter(|list| !list.contains(licence)) {
        let field = Field { path: "offer.licence", expected: &joined(list), actual: licence };
        findings.reject(ReasonCode::LicenceNotAcceptable, licence, field);
    }
}

/// A price in another currency is unknown in this one: rates are nobody's to guess.
fn check_price(offer: &Offer, currency: &Currency, ceiling: PriceCeiling, findings: &mut Findings<'_>) {
    let Some(price) = offer.price.as_ref().filter(|price| price.currency == *currency) else {
        return findings.missing("offer.price", &format!("price.{currency}"));
    };
    let sides = [
        ("input", price.input_micros_per_million_tokens, ceiling.input_micros),
        ("output", price.output_micros_per_million_tokens, ceiling.output_micros),
    ];
    for (side, found, most) in sides.into_iter().filter(|(_, found, most)| found > most) {
        let (expected, actual) = (format!("at most {most} micro-{currency}"), format!("{found} micro-{currency}"));
        findings.reject(
            ReasonCode::PriceAboveMax,
            side,
            Field { path: "offer.price", expected: &expected, actual: &actual },
        );
    }
}
