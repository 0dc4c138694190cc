//! What a new organisation means to publish, as it applied: in the words of `comity offer show`.

use comity_membership::Application;
use comity_policy::Offer;
use comity_proto::json::Canonical;
use comity_proto::policy;
use serde_json::{Value, json};

use crate::view::offering;

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
        let stated = offering::fields(offer, None).into_iter().map(|(name, value)| line(name, value));
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
            "can: chat",
            "context tokens: unknown",
            "licence: unknown",
            "price: unknown",
            "in force: always",
            "processed in: DE",
            "stored in: unknown",
            "reached from: unknown",
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
            "allowed purposes: dpv:Purpose",
            "prohibited purposes: -",
            "high-risk uses: unknown",
            "classified at most: -",
            "personal data: any",
            "serves: everyone",
            "but not: -",
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
