//! What a new organisation means to publish, as it applied: in the words of `comity offer show`.

use comity_membership::Application;
use comity_policy::Offer;
use comity_proto::json::Canonical;
use comity_proto::policy;
use serde_json::{Value, json};

use crate::view::offering::{self, Told};

/// What stands in the place of offers, where an application names none.
const NONE: &str = "none is in force, and it applied without naming any: nodes publish offers, with their terms, once the \
                    organisation is in; `comity offer list` and `comity offer show` show them then, and every caller's \
                    requirements say which it takes";

/// The lines of an application's offers: how many, what they are worth, and each with all its terms.
pub(super) fn lines(application: &Application) -> Vec<(String, String)> {
    let line = |name: &str, value: String| (name.to_owned(), value);
    if application.offers.is_empty() {
        return vec![line("offers", NONE.to_owned())];
    }
    let each = application.offers.iter().flat_map(|offer| {
        let stated = offering::fields(offer, None, Told::Signed).into_iter().map(|(name, value)| line(name, value));
        std::iter::once(line("offer", offer.name().to_string())).chain(stated)
    });
    std::iter::once(line("offers", intended(application))).chain(each).collect()
}

/// What they are worth: whoever approves is not to believe that a signature holds the organisation to them.
fn intended(application: &Application) -> String {
    let (count, member, id) = (application.offers.len(), &application.member, &application.invite);
    let offers = if count == 1 { "offer" } else { "offers" };
    format!(
        "{count} {offers} that {member} means to publish, as it signed them; none is in force, and by its own key it may \
         publish others: `comity organisation diff {id}` then shows what differs"
    )
}

/// The same for programs, each as `comity offer show` has it.
pub(super) fn json(application: &Application) -> Vec<Value> {
    let one = |offer: &Offer| json!(Canonical(&policy::Offer::from(offer)));
    application.offers.iter().map(one).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use comity_membership::testing::TestFederation;
    use comity_types::Digest;

    use super::*;

    /// An application whose first node means to publish one offer.
    pub(crate) fn applied(test: &mut TestFederation) -> Application {
        let member = "spiffe://org-a.example/node/n1";
        let mut application = Application::open(&test.application("org-a.example", member)).unwrap();
        application.offers = vec![offer(member)];
        application
    }

    fn offer(node: &str) -> Offer {
        let json = json!({
            "id": "chat",
            "node": node,
            "model": "m",
            "capabilities": ["chat"],
            "processing_locations": ["DE"],
            "terms": {
                "retention": [],
                "training_use": "never",
                "allowed_purposes": ["dpv:Purpose"],
                "caller_rules": { "served": "everyone" },
            },
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn an_application_shows_each_offer_with_its_terms_in_the_words_of_offer_show_and_what_they_are_worth() {
        let application = applied(&mut TestFederation::founded(&["alice"], 1));
        let shown: Vec<_> = lines(&application).iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let id = &application.invite;
        let worth = format!(
            "offers: 1 offer that spiffe://org-a.example/node/n1 means to publish, as it signed them; none is in force, \
             and by its own key it may publish others: `comity organisation diff {id}` then shows what differs"
        );
        let expected = [
            worth.as_str(),
            "offer: org-a.example/n1/chat",
            "model: m",
            "model's SHA-256: unknown",
            "made by: unknown",
            "reads and writes: unknown",
            "can: chat",
            "context tokens: unknown",
            "licence: unknown",
            "price: unknown",
            "CO2: unknown",
            "its node says it is: active",
            "in force: always",
            "processed in: DE",
            "stored in: unknown",
            "reached from: unknown",
            "runs in: unknown",
            "sovereignty ratings: unknown",
            "CADA level: unknown",
            "Gaia-X label: unknown",
            "safety grade: unknown",
            "sub-processors: unknown",
            "version of the terms: 0",
            "kept: nothing",
            "trained on: never",
            "read by people: unknown",
            "content logged: unknown",
            "certificates: unknown",
            "leaves the EEA by: unknown",
            "governing law: unknown",
            "courts: unknown",
            "liable for at most: unknown",
            "support: unknown",
            "available: unknown",
            "requests a day: as many as there are",
            "reasons shown to callers: full",
            "allowed purposes: dpv:Purpose",
            "prohibited purposes: -",
            "high-risk uses: unknown",
            "classified at most: -",
            "personal data: any",
            "serves: everyone",
            "but not: -",
            "checked of a caller: its seat, where the call comes from",
            "not owned or controlled from: -",
            "kinds not served: -",
            "sectors not served: -",
            "nobody on the lists: -",
            "terms accepted since version: 0",
        ];
        assert_eq!(shown, expected);
        let json = json(&application);
        assert_eq!((json.len(), &json[0]["terms"]["trainingUse"][0]["trainingUse"]), (1, &json!("TRAINING_USE_NEVER")));
    }

    /// An offer in which every field is stated, and none as it would be by itself.
    fn whole(node: &str) -> Offer {
        let json = json!({
            "id": "chat",
            "node": node,
            "model": "tiny",
            "model_digest": Digest::of(b"weights"),
            "model_provider": "Modelmakers Ltd",
            "modalities": ["audio"],
            "capabilities": ["json-schema"],
            "processing_locations": ["DE"],
            "storage_locations": ["FR"],
            "access_locations": ["NL"],
            "sub_processors": [{
                "id": "hoster",
                "lei": "529900T8BM49AURSDO55",
                "role": "key-custodian",
                "places": ["BE"],
                "content_access": true,
                "seat": "US",
                "principal_place_of_business": "CA",
                "establishments": ["IE"],
                "ultimate_controllers": [{ "name": "Holding B", "seat": "JP" }],
            }],
            "seal": { "SOV-3": 3 },
            "cada_level": 2,
            "gaiax_label": 1,
            "safety_grade": "very-good",
            "runtime": {
                "value": "confidential-vm",
                "from": "2025-01-01T00:00:00Z",
                "until": "2025-12-01T00:00:00Z",
                "assurance": "attested",
                "issuer": "verifier",
                "evidence": { "uri": "https://verifier.example/report", "sha256": Digest::of(b"report") },
                "issued_at": "2025-01-02T00:00:00Z",
                "revoked_at": "2025-11-01T00:00:00Z",
                "appraisal": "affirming",
            },
            "licence": "Apache-2.0",
            "price": {
                "currency": "EUR",
                "input_micros_per_million_tokens": 1_500_000,
                "output_micros_per_million_tokens": 2_500_000,
            },
            "terms": whole_terms(),
            "state": "withdrawn",
            "in_force": { "from": "2026-01-02T00:00:00Z", "until": "2027-03-04T00:00:00Z" },
            "context_tokens": 8192,
            "carbon_grams_per_million_tokens": 42,
        });
        serde_json::from_value(json).unwrap()
    }

    fn whole_terms() -> Value {
        json!({
            "version": 7,
            "retention": [{ "data": "classifier-output", "trigger": "legal-obligation", "max_days": 30 }],
            "training_use": "opt-out",
            "human_review": { "mode": "routine", "reviewer_places": ["SE"] },
            "content_logging": true,
            "transfer_basis": "scc",
            "certifications": [{
                "scheme": "ISO27001",
                "edition": "2013",
                "level": "type-2",
                "auditor": "Auditors AG",
                "issued": "2023-12-03T00:00:00Z",
                "expires": "2026-12-03T00:00:00Z",
                "period_start": "2022-05-01T00:00:00Z",
                "period_end": "2023-05-01T00:00:00Z",
                "scope_services": ["tiny-of-the-certificate"],
                "scope_sites": ["AT"],
            }],
            "allowed_purposes": ["dpv:CustomerCare"],
            "prohibited_purposes": ["dpv:Marketing"],
            "high_risk": "prohibited",
            "caller_rules": {
                "served": ["EU"],
                "served_except": ["GB"],
                "check": { "seat": false, "headquarters": true, "access_origin": false },
                "ownership": [{
                    "id": "V50",
                    "target": ["CN"],
                    "test": "control",
                    "interests": ["golden-share"],
                    "comparison": "at-least",
                    "threshold_bp": 100,
                    "aggregate": false,
                    "indirect": "look-through",
                    "in_force": [{ "from": "2025-06-01T00:00:00Z", "until": "2029-06-01T00:00:00Z" }],
                }],
                "denied_organisation_types": ["military"],
                "denied_sectors": ["64.19"],
                "denied_lists": ["OFAC-SDN"],
                "min_terms_version": 3,
            },
            "classification_ceilings": { "DE-VS": { "level": "GEHEIM", "caveats": ["NOFORN"] } },
            "accepted_data_categories": ["pd:EmailAddress"],
            "governing_law": "LU",
            "courts": "PT",
            "liability_cap": { "currency": "CHF", "micros": 1_000_000 },
            "support": "business-hours",
            "availability_bp": 9990,
            "quota": { "requests_per_day": 1000 },
            "disclosure": "code-only",
        })
    }

    /// The values at the ends of `json`, each with the pointer to it.
    fn leaves(pointer: &str, json: &Value, found: &mut Vec<(String, Value)>) {
        match json {
            Value::Object(fields) => {
                fields.iter().for_each(|(key, value)| leaves(&format!("{pointer}/{key}"), value, found));
            }
            Value::Array(values) => {
                (0_usize..).zip(values).for_each(|(index, value)| leaves(&format!("{pointer}/{index}"), value, found));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                found.push((pointer.to_owned(), json.clone()));
            }
        }
    }

    #[test]
    fn whoever_approves_is_shown_every_value_of_an_offer_also_of_one_that_a_listing_shows_in_part() {
        let application = applied(&mut TestFederation::founded(&["alice"], 1));
        // Words are compared without their hyphens: a sentence has none.
        let shown = |offer: &Value| {
            let mut application = application.clone();
            application.offers = vec![serde_json::from_value(offer.clone()).unwrap()];
            let lines = lines(&application).into_iter().map(|(name, value)| format!("{name}: {value}\n"));
            lines.collect::<String>().replace('-', " ")
        };
        let offer = serde_json::to_value(whole("spiffe://org-a.example/node/n1")).unwrap();
        let said = shown(&offer);
        for nothing in ["unknown", "no level", "no edition", "no date", "no end", "none\n"] {
            assert!(!said.contains(nothing), "a field is not stated in this test: {said}");
        }
        let mut found = Vec::new();
        leaves("", &offer, &mut found);
        for (pointer, value) in found {
            if let Some(text) = value.as_str() {
                assert!(said.contains(&text.replace('-', " ")), "{pointer}: {text} is not shown:\n{said}");
                continue;
            }
            // A number and a flag may be told in other words, but no other one in the same.
            let mut other = offer.clone();
            let changed = value.as_bool().map_or_else(|| json!(value.as_u64().unwrap() + 1), |flag| json!(!flag));
            *other.pointer_mut(&pointer).unwrap() = changed;
            assert_ne!(shown(&other), said, "{pointer}: {value} is not shown");
        }
        for key in ["SOV 3 3", "DE VS GEHEIM"] {
            assert!(said.contains(key), "{key}: {said}");
        }
    }

    #[test]
    fn an_application_without_offers_is_shown_as_one() {
        let mut application = applied(&mut TestFederation::founded(&["alice"], 1));
        application.offers.clear();
        let [(name, value)] = lines(&application).try_into().unwrap();
        assert!(
            name == "offers" && value.starts_with("none is in force, and it applied without naming any"),
            "{value}"
        );
        assert!(json(&application).is_empty());
    }
}
