//! What a receipt is about, for people: what was demanded, and under which terms the offer was published that answered. The
//! record has an envelope and a digest; what the digest is of stands in the federation's log at the decision's epoch.

use comity_membership::{Federation, Log};
use comity_policy::{Offer, Organisation, Requirements};
use comity_proto::catalog::OfferEntry;
use comity_proto::json::Canonical;
use comity_transparency::receipt::Verified;
use comity_transparency::record::Field;
use comity_types::display::harmless;
use comity_types::{OfferName, SpiffeId};
use serde_json::{Map, Value, json};

use crate::commands::audit::demanded_besides;
use crate::output::plain_table;
use crate::view::demanded::{self, Demanded};
use crate::view::offering::{self, Told};

/// A head, and lines below it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) head: String,
    pub(super) lines: Vec<(&'static str, String)>,
}

impl Section {
    fn head(head: impl Into<String>) -> Self {
        Self { head: head.into(), lines: Vec::new() }
    }

    /// It as it is printed, behind an empty line.
    pub(super) fn text(&self) -> String {
        let rows: Vec<_> = self.lines.iter().map(|(what, said)| vec![(*what).to_owned(), said.clone()]).collect();
        let table = if rows.is_empty() { String::new() } else { format!("\n{}", plain_table(&[], rows)) };
        format!("\n{}{table}", harmless(&self.head))
    }
}

/// What the request demanded.
pub(super) fn request(verified: &Verified) -> Section {
    let Some(demanded) = Demanded::of(verified) else {
        return Section::head("What was demanded: not shown (the field `envelope`), or erased");
    };
    match demanded.words() {
        Some(lines) => Section { head: "Demanded by the request:".to_owned(), lines },
        None => Section::head(format!("What was demanded: {}", demanded::UNREADABLE)),
    }
}

/// What is told besides what the request demanded. The log is that of the federation at the decision's epoch, and the receipt was
/// held against it.
pub(super) fn besides(verified: &Verified, log: Option<&Log>) -> Vec<Section> {
    let federation = log.map(Log::federation);
    let demanded = federation.zip(caller(verified)).map(|(federation, caller)| of_organisation(federation, &caller));
    demanded.into_iter().flatten().chain(of_offer(verified, federation)).collect()
}

/// The same for programs: `asked` is a `comity.inference.v1.Envelope`, and `offer` what `comity offer show` has.
pub(super) fn json(verified: &Verified, log: Option<&Log>) -> Map<String, Value> {
    let mut told = Map::new();
    if let Some(demanded) = Demanded::of(verified) {
        told.insert("asked".to_owned(), demanded.whole());
    }
    let Some(federation) = log.map(Log::federation) else { return told };
    if let Some(caller) = caller(verified)
        && let Some(organisation) = federation.organisation(caller.trust_domain())
    {
        told.insert("organisationRequirements".to_owned(), demanded_besides(&organisation.layers, caller.name()));
    }
    if let Then::Published { name, offer, operator } = then(verified, Some(federation)) {
        let operator = operator.as_deref().map(Into::into);
        let entry = OfferEntry { name: name.to_string(), offer: Some(offer.into()), operator, state: String::new() };
        told.insert("offer".to_owned(), json!(Canonical(&entry)));
    }
    told
}

/// What the caller's organisation demanded besides, whatever the request said.
fn of_organisation(federation: &Federation, caller: &SpiffeId) -> Vec<Section> {
    let domain = caller.trust_domain();
    let Some(organisation) = federation.organisation(domain) else { return Vec::new() };
    let section = |head: String, demanded: &Requirements| Section { head, lines: demanded::requirements(demanded) };
    let layers = &organisation.layers;
    let of_all = section(format!("Demanded besides by {domain}, of all its requests:"), &layers.organisation);
    let of_app = layers.apps.get(caller.name());
    let of_app = of_app.map(|app| section(format!("Demanded besides by {domain}, of those of {caller}:"), app));
    [Some(of_all), of_app].into_iter().flatten().filter(|section| !section.lines.is_empty()).collect()
}

fn of_offer(verified: &Verified, federation: Option<&Federation>) -> Option<Section> {
    let sha256 = verified.text(Field::OFFER_SHA256).unwrap_or_default();
    Some(match then(verified, federation) {
        Then::NotShown => return None,
        Then::NoLog(name) => Section::head(format!(
            "The terms of {name}: those with the SHA-256 {sha256}; give --log FILE (`comity log export` writes it) to see them"
        )),
        Then::Missing(name) => Section::head(format!(
            "The terms of {name}: the log has no such offer with the SHA-256 {sha256} at that epoch"
        )),
        Then::Published { name, offer, operator } => {
            let epoch = federation.map(Federation::epoch).unwrap_or_default();
            let head =
                format!("The offer {name}, as its organisation had published it by epoch {epoch} (SHA-256 {sha256}):");
            let lines = match operator {
                Some(operator) => offering::fields(offer, Some(&operator), Told::Signed),
                // No node publishes whose organisation was not admitted.
                None => Vec::new(),
            };
            Section { head, lines }
        }
    })
}

/// The offer that answered, or was tried last, as it was then.
enum Then<'a> {
    /// Nothing answered, or it is not shown.
    NotShown,
    NoLog(OfferName),
    /// The log has none of this name in this form.
    Missing(OfferName),
    Published {
        name: OfferName,
        offer: &'a Offer,
        /// Its operator, as it stated itself then.
        operator: Option<Box<Organisation>>,
    },
}

fn then<'a>(verified: &Verified, federation: Option<&'a Federation>) -> Then<'a> {
    let name = verified.text(Field::OFFER).and_then(|name| name.parse::<OfferName>().ok());
    let (Some(name), Some(recorded)) = (name, verified.text(Field::OFFER_SHA256)) else { return Then::NotShown };
    let Some(federation) = federation else { return Then::NoLog(name) };
    let is_it = federation.offer_sha256(&name).is_some_and(|sha256| sha256.to_string() == recorded);
    match federation.offer(&name).filter(|_| is_it) {
        None => Then::Missing(name),
        Some(offer) => {
            let operator = federation.organisation(name.node().trust_domain()).map(|state| Box::new(state.as_stated()));
            Then::Published { name, offer, operator }
        }
    }
}

fn caller(verified: &Verified) -> Option<SpiffeId> {
    verified.text(Field::CALLER)?.parse().ok()
}

#[cfg(test)]
mod tests;
