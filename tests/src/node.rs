//! What a node of a scenario is, written as the `node.toml` that it would have.

use std::fmt::Write;

/// A node with one offer.
#[derive(Debug, Clone)]
pub struct NodeSpec {
    /// Its name below its organisation.
    pub name: String,
    /// The body of its backend's table.
    pub backend: String,
    /// What callers ask for.
    pub model: String,
    /// The backend's own name for it.
    pub backend_model: String,
    /// The lines of `[node]` that say how the broker gets to it, as TOML.
    pub reached: String,
    /// Where it processes, stores and is reached from.
    pub place: String,
    /// The offer's capabilities, as TOML.
    pub capabilities: String,
    /// Whom it serves, as TOML.
    pub served: String,
    /// Its rules on who controls a caller, as TOML.
    pub ownership: String,
    /// What it lets its models be used for, as TOML.
    pub allowed_purposes: String,
    /// More lines of its terms.
    pub terms: String,
    /// What a million tokens that it reads cost, in millionths of a euro; what it writes costs three times as much.
    pub price: u32,
}

impl NodeSpec {
    /// A node before an OpenAI-compatible server, that serves everyone for every purpose.
    #[must_use]
    pub fn openai(name: &str, url: &str, place: &str) -> Self {
        Self {
            name: name.to_owned(),
            backend: format!("kind = \"openai\"\nurl = \"{url}\""),
            model: "test-model".to_owned(),
            backend_model: "test-model".to_owned(),
            reached: r#"listen = "127.0.0.1:0""#.to_owned(),
            place: place.to_owned(),
            capabilities: r#"["chat", "embed"]"#.to_owned(),
            served: r#""everyone""#.to_owned(),
            ownership: "[]".to_owned(),
            allowed_purposes: r#"["dpv:Purpose"]"#.to_owned(),
            terms: String::new(),
            price: 100_000,
        }
    }

    /// The same, with another model.
    #[must_use]
    pub fn model(mut self, model: &str) -> Self {
        self.model = model.to_owned();
        self.backend_model = model.to_owned();
        self
    }

    /// The same, listening nowhere and dialling the broker.
    #[must_use]
    pub fn dialling_out(mut self) -> Self {
        self.reached = "dial_out = true".to_owned();
        self
    }

    /// The same, with one more line in its backend's table.
    #[must_use]
    pub fn with_backend(mut self, line: &str) -> Self {
        self.backend.push('\n');
        self.backend.push_str(line);
        self
    }

    /// The same, granting each organisation so many requests a day.
    #[must_use]
    pub fn granting(mut self, requests_per_day: u32) -> Self {
        self.terms = format!("quota = {{ requests_per_day = {requests_per_day} }}");
        self
    }

    /// The same, serving only callers seated in these places, as TOML.
    #[must_use]
    pub fn serving(mut self, places: &str) -> Self {
        self.served = places.to_owned();
        self
    }

    /// The same, at this price.
    #[must_use]
    pub const fn costing(mut self, price: u32) -> Self {
        self.price = price;
        self
    }

    /// The file.
    #[must_use]
    pub fn toml(&self) -> String {
        let Self {
            backend,
            reached,
            model,
            backend_model,
            place,
            capabilities,
            served,
            ownership,
            allowed_purposes,
            terms,
            price,
            ..
        } = self;
        let written = price * 3;
        let mut text = format!("[node]\n{reached}\ndata_dir = \"data\"\n\n[backends.server]\n{backend}\n");
        let _written = write!(
            text,
            r#"
[terms.standard]
retention = []
training_use = "never"
allowed_purposes = {allowed_purposes}
prohibited_purposes = []
{terms}

[terms.standard.caller_rules]
served = {served}
served_except = []
ownership = {ownership}

[[offers]]
id = "chat"
model = "{model}"
backend = "server"
backend_model = "{backend_model}"
capabilities = {capabilities}
processing_locations = ["{place}"]
sub_processors = []
storage_locations = ["{place}"]
access_locations = ["{place}"]
licence = "Apache-2.0"
terms = "standard"
price = {{ currency = "EUR", input_micros_per_million_tokens = {price}, output_micros_per_million_tokens = {written} }}
"#
        );
        text
    }
}
