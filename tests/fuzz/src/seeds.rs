//! The texts to begin with: what the repository shows, and files that state everything.

use std::collections::BTreeSet;

use comity_policy::Tables;
use comity_policy::requirements::RequirementsTable;
use toml::{Table, Value};

use crate::Target;
use crate::world::must;

/// An offer that states all that one can.
pub(crate) const OFFER: &str = include_str!("../seeds/offer.toml");
/// An operator that does.
pub(crate) const OPERATOR: &str = include_str!("../seeds/operator.toml");
/// A caller that the offer's terms accept.
pub(crate) const CALLER: &str = include_str!("../seeds/caller.toml");
/// Requirements with every key.
pub(crate) const REQUIREMENTS: &str = include_str!("../seeds/requirements.toml");
/// Files that people copy.
const EXAMPLES: [(Target, &str); 3] = [
    (Target::Requirements, include_str!("../../../deploy/requirements.example.toml")),
    (Target::Node, include_str!("../../../deploy/node.example.toml")),
    (Target::Organisation, include_str!("../../../deploy/organisation.example.toml")),
];
/// Case files, which are taken apart: a case is a seed.
const CASES: [&str; 2] = [include_str!("../../cases/vocabulary.toml"), include_str!("../../cases/reasons.toml")];
/// Longest word of the dictionary, in bytes: libFuzzer takes none that is longer.
const MAX_WORD_BYTES: usize = 64;

/// Every seed of a target, by a name that is unique among them.
#[must_use]
pub fn of(target: Target) -> Vec<(String, String)> {
    let examples = EXAMPLES.iter().filter(|(of, _)| *of == target);
    // Comments are thousands of bytes that teach nothing.
    let examples = examples.map(|(_, text)| ("example".to_owned(), bare(text)));
    examples.chain(own(target)).collect()
}

fn own(target: Target) -> Vec<(String, String)> {
    match target {
        Target::Requirements => {
            let presets = must(Tables::builtin()).presets.iter();
            let presets = presets.map(|row| (row.name.clone(), written(&row.requirements)));
            presets.chain([("everything".to_owned(), REQUIREMENTS.to_owned())]).collect()
        }
        Target::Node => vec![("everything".to_owned(), node())],
        Target::Organisation => {
            vec![("operator".to_owned(), OPERATOR.to_owned()), ("caller".to_owned(), CALLER.to_owned())]
        }
        Target::Cases => {
            CASES.iter().zip(["vocabulary", "reasons"]).flat_map(|(text, name)| cases(text, name)).collect()
        }
    }
}

/// Words of all seeds: keys, and texts.
#[must_use]
pub fn dictionary() -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for (_, text) in Target::ALL.iter().flat_map(|target| of(*target)) {
        collect(&Value::Table(must(toml::from_str(&text))), &mut words);
    }
    words.retain(|word| (2..=MAX_WORD_BYTES).contains(&word.len()));
    words
}

fn collect(value: &Value, words: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            words.insert(text.clone());
        }
        Value::Array(all) => all.iter().for_each(|one| collect(one, words)),
        Value::Table(table) => {
            for (key, value) in table {
                words.insert(key.clone());
                collect(value, words);
            }
        }
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {}
    }
}

/// The text without its comments.
fn bare(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| format!("{line}\n")).collect()
}

fn written(table: &RequirementsTable) -> String {
    must(toml::to_string(table))
}

/// The offer that states everything, as a node's file has it.
fn node() -> String {
    let mut offer: Table = must(toml::from_str(OFFER));
    let terms = offer.remove("terms").unwrap_or_else(|| Value::Table(Table::new()));
    offer.remove("node");
    for (key, value) in [("terms", "t"), ("backend", "b")] {
        offer.insert(key.to_owned(), value.into());
    }
    let terms = Table::from_iter([("t".to_owned(), terms)]);
    let file = [("terms", Value::Table(terms)), ("offers", Value::Array(vec![Value::Table(offer)]))];
    must(toml::to_string(&Table::from_iter(file.map(|(key, value)| (key.to_owned(), value)))))
}

/// Each case of a file, with the fixture.
fn cases(text: &str, name: &str) -> Vec<(String, String)> {
    let mut file: Table = must(toml::from_str(text));
    let cases = file.remove("case").and_then(|cases| cases.try_into::<Vec<Value>>().ok()).unwrap_or_default();
    let one = |(index, case): (usize, Value)| {
        let mut file = file.clone();
        file.insert("case".to_owned(), Value::Array(vec![case]));
        (format!("{name}-{index}"), must(toml::to_string(&file)))
    };
    cases.into_iter().enumerate().map(one).collect()
}
