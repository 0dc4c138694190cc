//! Why a request went where it went: what its caller demanded and preferred, who was eligible by that, and what put the one that
//! answered first. All of it is in the record of the decision; what is not shown of that is empty here.

use comity_proto::{inference, policy};
use comity_transparency::receipt::Verified;
use comity_transparency::record::{Field, MAX_VALUE_BYTES};
use comity_types::OfferName;
use comity_types::ids::{MAX_NAME_BYTES, MAX_TRUST_DOMAIN_BYTES};
use serde::Serialize;
use serde_json::Value;

use crate::view::demanded::{Demanded, weighed};

/// Most bytes that an offer's name takes in a list of a record: organisation, node and offer, two slashes, quotes and a comma.
const MAX_LISTED_BYTES: usize = MAX_TRUST_DOMAIN_BYTES + 2 * MAX_NAME_BYTES + 5;
/// Most offers that a broker puts into a list of a record.
const MAX_LISTED: usize = 512;

/// The reasons of one decision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Why {
    /// What the request demanded of an offer: `comity.policy.v1.Requirements` in the contract's JSON form.
    pub(crate) requirements: Option<Value>,
    /// What it preferred among those that are eligible: `comity.policy.v1.Preferences`, in the same form.
    pub(crate) preferences: Option<Value>,
    /// The eligible offers, in the order in which they were to be tried.
    pub(crate) eligible: String,
    /// How many there were; with a `+` where the record may have been too short for all.
    pub(crate) eligible_count: String,
    /// How many of the model's offers were refused; empty where that cannot be told.
    pub(crate) refused_count: String,
    /// The place among the eligible of the one that answered, or was tried last; from 1.
    pub(crate) rank: String,
    /// What put it there.
    pub(crate) chosen_by: String,
    /// The offers that were tried, each with why it was not the last.
    pub(crate) tries: String,
}

impl Why {
    pub(super) fn of(verified: &Verified) -> Self {
        let demanded = Demanded::of(verified);
        let eligible = verified.get(Field::ELIGIBLE).map(Eligible::of);
        let considered = verified.text(Field::CONSIDERED).and_then(|count| count.parse::<usize>().ok());
        let answered = verified.text(Field::OFFER);
        let place = eligible.as_ref().zip(answered).and_then(|(eligible, offer)| eligible.place(offer));
        Self {
            requirements: demanded.as_ref().map(Demanded::requirements),
            preferences: demanded.as_ref().map(Demanded::preferences),
            eligible_count: eligible.as_ref().map(Eligible::count).unwrap_or_default(),
            refused_count: eligible.as_ref().and_then(|eligible| eligible.refused_of(considered?)).unwrap_or_default(),
            rank: place.map(|place| place.to_string()).unwrap_or_default(),
            chosen_by: place
                .zip(eligible.as_ref())
                .and_then(|(place, eligible)| Some(eligible.chosen_by(place, demanded.as_ref()?.envelope()?)))
                .unwrap_or_default(),
            tries: verified.get(Field::TRIES).map(tries).unwrap_or_default(),
            eligible: eligible.map(|eligible| eligible.text).unwrap_or_default(),
        }
    }

    /// Its cells, as the columns of a row have them.
    pub(super) fn cells(&self) -> [String; 8] {
        let of_json = |value: &Option<Value>| value.as_ref().map(plain).unwrap_or_default();
        [
            of_json(&self.requirements),
            of_json(&self.preferences),
            self.eligible.clone(),
            self.eligible_count.clone(),
            self.refused_count.clone(),
            self.rank.clone(),
            self.chosen_by.clone(),
            self.tries.clone(),
        ]
    }
}

/// JSON on a line; a text as it is.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The eligible offers as a record has them.
struct Eligible {
    text: String,
    names: Vec<OfferName>,
    /// Whether there may have been more than the record has room for.
    is_cut: bool,
}

impl Eligible {
    fn of(json: &[u8]) -> Self {
        match serde_json::from_slice::<Vec<OfferName>>(json) {
            Ok(names) => {
                let text = names.iter().map(OfferName::as_str).collect::<Vec<_>>().join(" ");
                // A broker leaves the half of a list out that does not fit, and then again: what it left out was no longer than this.
                let is_cut =
                    names.len() >= MAX_LISTED || json.len() + (names.len() + 1) * MAX_LISTED_BYTES > MAX_VALUE_BYTES;
                Self { text, names, is_cut }
            }
            // No list of offers: what it is stands there, and nothing is counted.
            Err(_) => Self { text: String::from_utf8_lossy(json).into_owned(), names: Vec::new(), is_cut: true },
        }
    }

    fn count(&self) -> String {
        format!("{}{}", self.names.len(), if self.is_cut { "+" } else { "" })
    }

    fn refused_of(&self, considered: usize) -> Option<String> {
        considered.checked_sub(self.names.len()).filter(|_| !self.is_cut).map(|refused| refused.to_string())
    }

    /// The place of an offer, from 1.
    fn place(&self, offer: &str) -> Option<usize> {
        self.names.iter().position(|name| name.as_str() == offer).map(|place| place + 1)
    }

    /// What put the offer at this place before the others, in a few words (decision 30).
    fn chosen_by(&self, place: usize, envelope: &inference::Envelope) -> String {
        let nothing = policy::Preferences::default();
        let preferences = envelope.preferences.as_ref().unwrap_or(&nothing);
        let weighed = weighed(preferences);
        match place {
            _ if self.names.len() == 1 => "it was the only one".to_owned(),
            1 if !weighed.is_empty() => format!("preferred: {}", weighed.join(", ")),
            1 if !preferences.session.is_empty() => "price, then the session".to_owned(),
            1 => "price, then a draw".to_owned(),
            _ => "those before it failed, or were slower".to_owned(),
        }
    }
}

/// Every try with what became of it: `org/node/offer: word, word; …`. What is no list of tries stands there as it is.
fn tries(json: &[u8]) -> String {
    let parsed = serde_json::from_slice::<Vec<Value>>(json).ok().and_then(|tries| {
        let one = |one: &Value| {
            let offer = one.get("offer")?.as_str()?;
            let words = ["failed", "used_nothing", "unsigned"].into_iter().filter_map(|key| one.get(key)?.as_str());
            let words = words.collect::<Vec<_>>().join(", ");
            Some(if words.is_empty() { offer.to_owned() } else { format!("{offer}: {words}") })
        };
        tries.iter().map(one).collect::<Option<Vec<_>>>()
    });
    parsed.map_or_else(|| String::from_utf8_lossy(json).into_owned(), |tries| tries.join("; "))
}

#[cfg(test)]
mod tests;
