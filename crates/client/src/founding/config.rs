//! The broker's first configuration.

use std::fmt::Display;

use super::{DATA_DIR, FIRST_REPLICA, FoundingPlan};

/// `broker.toml` with what is required; the rest has defaults.
pub(super) fn text(plan: &FoundingPlan) -> String {
    let FoundingPlan { federation, listen, addresses, places, .. } = plan;
    let (listen, addresses, places) = (text_value(listen), list(addresses), list(places));
    format!(
        "\
# The broker of the federation {federation}.
# More fields, with their defaults: deploy/broker.example.toml. Try a change with
# `comity-broker check-config --config FILE`.

# The IP address and port that it listens on; port 0 takes a free one.
listen = {listen}

# How members reach it, best first. The first one stands in invites.
advertise = {addresses}

# What it keeps: the root document, hosted CAs, the registry, enrolments and decisions. Starts at this file's folder.
data_dir = {data}

# Every place where this machine stands, as ISO 3166 codes: prompts pass through here.
places = {places}

# Its name among the federation's brokers; stands in the root document.
replica = {replica}
",
        data = text_value(DATA_DIR),
        replica = text_value(FIRST_REPLICA),
    )
}

fn text_value(value: impl Display) -> String {
    toml::Value::String(value.to_string()).to_string()
}

fn list(values: impl IntoIterator<Item = impl Display>) -> String {
    let values: Vec<_> = values.into_iter().map(text_value).collect();
    format!("[{}]", values.join(", "))
}
