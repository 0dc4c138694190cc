//! Who plays: three organisations with a node each, a fourth that only asks, and two apps.

use super::models::{Ask, CHAT_MODEL, EMBED_MODEL};

/// An organisation, as its `organisation.toml` states it.
#[derive(Debug)]
pub(super) struct Organisation {
    pub(super) domain: &'static str,
    name: &'static str,
    seat: &'static str,
    /// Who ultimately controls it, and where that has its seat.
    controller: Option<(&'static str, &'static str)>,
    /// Who it is, in the story.
    pub(super) about: &'static str,
}

/// A node with its terms.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) organisation: &'static Organisation,
    /// Where it processes, stores, and is reached from.
    place: &'static str,
    /// Millionths of a euro for a million tokens of input and of output.
    price: (u32, u32),
    /// Places whose callers it serves, or everyone; in TOML.
    served: &'static str,
    /// Rules on who controls a caller; in TOML.
    ownership: &'static str,
    /// What it may not be used for; in TOML.
    prohibited: &'static str,
}

/// An app of an organisation.
#[derive(Debug)]
pub(super) struct App {
    pub(super) organisation: &'static Organisation,
    pub(super) name: &'static str,
}

/// The public body.
pub(super) static CITY: Organisation = Organisation {
    domain: "city.example",
    name: "City of Example",
    seat: "DE",
    controller: None,
    about: "a German city with machines of its own; nobody else controls it",
};
/// The company that has its seat here and its owner there.
pub(super) static CLOUD: Organisation = Organisation {
    domain: "cloud.example",
    name: "Example Cloud Europe Ltd",
    seat: "IE",
    controller: Some(("Example Cloud Inc", "US")),
    about: "an Irish company that is owned from the United States",
};
/// The vendor with terms of its own.
pub(super) static VENDOR: Organisation = Organisation {
    domain: "vendor.example",
    name: "Example Models Inc",
    seat: "US",
    controller: None,
    about: "a vendor in the United States that says whom it serves, and for what",
};
/// The organisation that the vendor does not serve.
static STARTUP: Organisation = Organisation {
    domain: "startup.example",
    name: "Example Startup B.V.",
    seat: "NL",
    controller: Some(("Example Holding AG", "CH")),
    about: "a Dutch start-up that is owned from Switzerland; it has an app and no node",
};

/// All of them, in the order of the story.
pub(super) static ORGANISATIONS: [&Organisation; 4] = [&CITY, &CLOUD, &VENDOR, &STARTUP];

/// Every node.
pub(super) static NODES: [Node; 3] = [
    Node {
        organisation: &CITY,
        place: "DE",
        price: (600_000, 1_200_000),
        served: r#"["EU"]"#,
        ownership: "[]",
        prohibited: "[]",
    },
    Node {
        organisation: &CLOUD,
        place: "IE",
        price: (200_000, 400_000),
        served: r#""everyone""#,
        ownership: "[]",
        prohibited: "[]",
    },
    Node {
        organisation: &VENDOR,
        place: "US",
        price: (50_000, 100_000),
        served: r#"["US", "CA", "GB", "EU"]"#,
        ownership: r#"[{ id = "owner", target = "places-not-served" }]"#,
        prohibited: r#"["dpv:RecruitmentApplicationScreening", "fed:MilitaryUse"]"#,
    },
];

/// The city's app.
pub(super) static ASSISTANT: App = App { organisation: &CITY, name: "assistant" };
/// The start-up's app.
pub(super) static HELPDESK: App = App { organisation: &STARTUP, name: "helpdesk" };
/// Both.
pub(super) static APPS: [&App; 2] = [&ASSISTANT, &HELPDESK];

/// The name of every node below its organisation.
pub(super) const NODE_NAME: &str = "n1";

impl Organisation {
    /// Its `organisation.toml`.
    pub(super) fn toml(&self) -> String {
        let Self { domain, name, seat, controller, .. } = self;
        let controllers =
            controller.map(|(name, seat)| format!("{{ name = \"{name}\", seat = \"{seat}\" }}")).unwrap_or_default();
        format!(
            "trust_domain = \"{domain}\"\nname = \"{name}\"\nseat = \"{seat}\"\n\
             principal_place_of_business = \"{seat}\"\nestablishments = [\"{seat}\"]\n\
             ultimate_controllers = [{controllers}]\n"
        )
    }
}

impl Node {
    /// Its `node.toml`.
    pub(super) fn toml(&self, ask: &Ask) -> String {
        let Self { organisation, served, ownership, prohibited, .. } = self;
        let (backend, offer) = match ask {
            Ask::Chat { gguf } => {
                let path = toml::Value::String(gguf.to_string_lossy().into_owned());
                (
                    format!("[backends.text]\nkind = \"embedded-text\"\npath = {path}\n\n"),
                    self.offer("chat", CHAT_MODEL, "text"),
                )
            }
            Ask::Embed => (String::new(), String::new()),
        };
        let embed = self.offer("embed", EMBED_MODEL, "embeddings");
        format!(
            r#"# {about}

[node]
listen = "127.0.0.1:0"
data_dir = "data"

{backend}[backends.embeddings]
kind = "embedded-embeddings"

[terms.standard]
retention = []
training_use = "never"
allowed_purposes = ["dpv:Purpose"]
prohibited_purposes = {prohibited}

[terms.standard.caller_rules]
served = {served}
ownership = {ownership}
{offer}{embed}"#,
            about = organisation.about,
        )
    }

    fn offer(&self, id: &str, model: &str, backend: &str) -> String {
        let Self { place, price: (input, output), .. } = self;
        format!(
            r#"
[[offers]]
id = "{id}"
model = "{model}"
backend = "{backend}"
capabilities = ["{id}"]
processing_locations = ["{place}"]
sub_processors = []
storage_locations = ["{place}"]
access_locations = ["{place}"]
licence = "Apache-2.0"
price = {{ currency = "EUR", input_micros_per_million_tokens = {input}, output_micros_per_million_tokens = {output} }}
terms = "standard"
"#
        )
    }
}

#[cfg(test)]
mod tests {
    use comity_policy::{Organisation as Facts, Terms};

    use super::*;

    #[test]
    fn every_organisation_states_its_seat_and_who_controls_it() {
        for organisation in ORGANISATIONS {
            let facts: Facts = toml::from_str(&organisation.toml()).unwrap();
            assert!(facts.seat.is_some() && facts.ultimate_controllers.is_some(), "{facts:?}");
        }
    }

    #[test]
    fn every_node_has_terms_whose_purposes_are_known() {
        let table = include_str!("../../../../crates/policy/tables/purposes.toml");
        for node in &NODES {
            let file: toml::Table = toml::from_str(&node.toml(&Ask::Chat { gguf: "model.gguf".into() })).unwrap();
            let terms: Terms = file["terms"]["standard"].clone().try_into().unwrap();
            let mut purposes = terms.allowed_purposes.iter().chain(&terms.prohibited_purposes);
            assert!(purposes.all(|purpose| table.contains(&format!("id = \"{purpose}\"\n"))), "{terms:?}");
            assert_eq!(file["offers"].as_array().unwrap().len(), 2);
        }
    }
}
