//! What a request demanded of an offer, preferred and declared, as the record of its decision has it: in the contract's JSON form
//! for programs, and in plain words for people, the words of `comity offer show` where both speak of the same.

mod words;

use comity_policy::{Declared, Requirements};
use comity_proto::convert;
use comity_proto::json::Canonical;
use comity_proto::{inference, policy, strict};
use comity_transparency::receipt::Verified;
use comity_transparency::record::Field;
use prost::bytes::Bytes;
use serde_json::{Value, json};

use crate::output::joined;

/// What stands in the place of an envelope with fields that this version does not know, or that is none.
pub(crate) const UNREADABLE: &str = "unreadable by this version";

/// The envelope of a request; none where it says more than this version knows: then no part is told as if it were all.
#[derive(Debug)]
pub(crate) struct Demanded(Option<inference::Envelope>);

impl Demanded {
    /// That of a decision; none where it is not shown, or has been erased.
    pub(crate) fn of(verified: &Verified) -> Option<Self> {
        verified.get(Field::ENVELOPE).map(|bytes| Self(strict::decode(Bytes::copy_from_slice(bytes)).ok()))
    }

    /// It, if it can be read.
    pub(crate) const fn envelope(&self) -> Option<&inference::Envelope> {
        self.0.as_ref()
    }

    /// What it demanded: `comity.policy.v1.Requirements`.
    pub(crate) fn requirements(&self) -> Value {
        self.told(|envelope| canonical(envelope.requirements.as_ref()))
    }

    /// What it preferred among those that are eligible: `comity.policy.v1.Preferences`.
    pub(crate) fn preferences(&self) -> Value {
        self.told(|envelope| canonical(envelope.preferences.as_ref()))
    }

    /// All of it: `comity.inference.v1.Envelope`.
    pub(crate) fn whole(&self) -> Value {
        self.told(|envelope| canonical(Some(envelope)))
    }

    fn told(&self, part: fn(&inference::Envelope) -> Value) -> Value {
        self.envelope().map_or_else(|| json!(UNREADABLE), part)
    }

    /// All of it in words, a line each: nothing that was not asked for. None where it cannot be read, or names what no broker of
    /// this version lets pass.
    pub(crate) fn words(&self) -> Option<Vec<(&'static str, String)>> {
        let wire = self.envelope()?;
        let envelope: convert::Envelope = wire.clone().try_into().ok()?;
        let nothing = policy::Preferences::default();
        let preferred = weighed(wire.preferences.as_ref().unwrap_or(&nothing));
        let mut lines = vec![("model", envelope.model.to_string())];
        lines.extend(words::requirements(&envelope.requirements));
        lines.extend(declared(&envelope.declared));
        let tokens = envelope.max_output_tokens.map(|most| format!("{most} tokens"));
        lines.extend(tokens.map(|tokens| ("answered in at most", tokens)));
        lines.extend((!preferred.is_empty()).then(|| ("preferred", preferred.join(", "))));
        Some(lines)
    }
}

/// What is demanded, a line each; nothing where nothing is.
pub(crate) fn requirements(demanded: &Requirements) -> Vec<(&'static str, String)> {
    words::requirements(demanded)
}

/// What the request said of itself.
fn declared(declared: &Declared) -> impl Iterator<Item = (&'static str, String)> {
    let Declared {
        purposes,
        ai_act_tags,
        exceptions,
        access_origins,
        output_used_in,
        classifications,
        data_categories,
    } = declared;
    let classified = classifications.iter().map(|one| {
        let caveats = one.caveats.iter().map(|caveat| format!(" {caveat}")).collect::<String>();
        format!("{} {}{caveats}", one.scheme, one.level)
    });
    let lines = [
        ("for the purposes", joined(purposes)),
        ("uses by the AI Act", joined(ai_act_tags)),
        ("exceptions claimed", joined(exceptions)),
        ("asked from", joined(access_origins)),
        ("answer used in", joined(output_used_in)),
        ("classified as", classified.collect::<Vec<_>>().join(", ")),
        ("personal data in it", joined(data_categories)),
    ];
    // A dash is what `joined` has for none.
    lines.into_iter().filter(|(_, said)| !said.is_empty() && said != "-")
}

/// What the caller gave a weight to.
pub(crate) fn weighed(preferences: &policy::Preferences) -> Vec<&'static str> {
    let policy::Preferences { locations, seal, price, latency, carbon, .. } = preferences;
    let weights = [
        ("locations", !locations.is_empty()),
        ("seal", !seal.is_empty()),
        ("price", *price > 0),
        ("latency", *latency > 0),
        ("carbon", *carbon > 0),
    ];
    weights.into_iter().filter_map(|(name, counts)| counts.then_some(name)).collect()
}

/// A message in the contract's JSON form; one that is absent says nothing, and has no field.
fn canonical<M: prost::Message + prost::Name>(message: Option<&M>) -> Value {
    message.and_then(|message| serde_json::to_value(Canonical(message)).ok()).unwrap_or_else(|| json!({}))
}
