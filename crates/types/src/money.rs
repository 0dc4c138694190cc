//! Currencies and prices, in integers: no price is ever rounded.

use crate::text::checked_text;

/// ISO 4217 codes of circulating currencies (the List One of 2024, without funds and metals).
const CURRENCIES: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG";

checked_text!(
    /// An ISO 4217 currency code.
    Currency,
    |text| text.len() == 3 && CURRENCIES.split(' ').any(|code| code == text),
    "an ISO 4217 currency code such as EUR"
);

/// What a million tokens cost, in millionths of the currency's unit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// The currency.
    pub currency: Currency,
    /// Micro-units for a million input tokens.
    pub input_micros_per_million_tokens: u64,
    /// Micro-units for a million output tokens.
    pub output_micros_per_million_tokens: u64,
}

impl Price {
    /// What so many tokens cost, in millionths of the currency's unit; a part of one counts as a whole one.
    #[must_use]
    pub fn cost(&self, input_tokens: u64, output_tokens: u64) -> u64 {
        const TOKENS: u128 = 1_000_000;
        let of = |tokens: u64, micros: u64| u128::from(tokens) * u128::from(micros);
        let input = of(input_tokens, self.input_micros_per_million_tokens);
        let all = input.saturating_add(of(output_tokens, self.output_micros_per_million_tokens));
        u64::try_from(all.div_ceil(TOKENS)).unwrap_or(u64::MAX)
    }
}

/// An amount of money, in millionths of the currency's unit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// The currency.
    pub currency: Currency,
    /// Micro-units.
    pub micros: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_of_a_million_tokens_and_no_part_of_a_micro_is_free() {
        let price = |input, output| Price {
            currency: "EUR".parse().unwrap(),
            input_micros_per_million_tokens: input,
            output_micros_per_million_tokens: output,
        };
        assert_eq!(price(2_000_000, 6_000_000).cost(1000, 500), 5_000);
        assert_eq!(price(1, 0).cost(1, 0), 1);
        assert_eq!(price(u64::MAX, u64::MAX).cost(u64::MAX, u64::MAX), u64::MAX);
    }

    #[test]
    fn currencies_are_codes_of_the_list() {
        assert!("EUR".parse::<Currency>().is_ok());
        for text in ["eur", "EURO", "XXX", "AED AFN", ""] {
            assert!(text.parse::<Currency>().is_err(), "{text} was accepted");
        }
    }
}
