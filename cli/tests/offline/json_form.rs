//! The JSON form: what is read, what is printed, and what docs/policy.md says of both.

use std::collections::{BTreeMap, BTreeSet};

use comity_proto::DESCRIPTORS;
use prost::Message as _;
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorSet};
use serde_json::Value;

use super::{DONE, FAULT, Files, NO, ends, json, shipped};

fn page() -> String {
    std::fs::read_to_string(shipped("docs/policy.md")).unwrap()
}

/// The files that the page shows, by their names.
fn shown(page: &str) -> BTreeMap<String, String> {
    let files = page.split("<!-- file: ").skip(1);
    let file = |text: &str| {
        let (name, rest) = text.split_once(" -->\n```json\n").unwrap();
        (name.to_owned(), rest.split_once("\n```").unwrap().0.to_owned())
    };
    files.map(file).collect()
}

/// The files of the page's example, each after `change`.
fn example(change: impl Fn(&str, &str) -> String) -> Files {
    let files: Vec<(String, String)> =
        shown(&page()).into_iter().map(|(name, text)| (name.clone(), change(&name, &text))).collect();
    Files::new(&files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect::<Vec<_>>())
}

fn as_shown(_name: &str, text: &str) -> String {
    text.to_owned()
}

/// `comity policy check` of the files of the page's example.
fn check(files: &Files) -> Vec<String> {
    let of = |name: &str| [format!("--{name}"), files.path(&format!("{name}.json"))];
    let files = ["offer", "caller", "request"].into_iter().flat_map(of);
    ["policy", "check", "--as-of", "2026-11-22"].map(str::to_owned).into_iter().chain(files).collect()
}

fn words(command: &[String]) -> Vec<&str> {
    command.iter().map(String::as_str).collect()
}

#[test]
fn the_example_of_the_documents_says_what_the_program_does() {
    let files = example(as_shown);
    let mut answer = json(&words(&check(&files)), NO);
    let mut told: Value = serde_json::from_str(&shown(&page())["answer.json"]).unwrap();
    // The page need not change with each row of a table.
    for view in [&mut answer, &mut told] {
        assert!(view.as_object_mut().unwrap().remove("tablesSha256").is_some_and(|digest| digest.is_string()));
    }
    assert_eq!(answer, told, "docs/policy.md, \"The JSON form\": mend the answer there");
}

#[test]
fn what_lists_and_shows_print_of_offers_and_organisations_is_read() {
    let files = example(as_shown);
    let entry: Value = serde_json::from_str(&shown(&page())["offer.json"]).unwrap();
    let caller: Value = serde_json::from_str(&shown(&page())["caller.json"]).unwrap();
    let answer = || json(&words(&check(&files)), NO);
    let of_entry = answer();
    let mut other = entry.clone();
    other["offer"]["id"] = "other".into();
    let listing = serde_json::json!({ "offers": [entry, other] });
    std::fs::write(files.path("offer.json"), listing.to_string()).unwrap();
    let shown = serde_json::json!({ "organisation": caller, "standing": "STANDING_ACTIVE", "apps": 1 });
    std::fs::write(files.path("caller.json"), shown.to_string()).unwrap();
    let of_listing = answer();
    let verdict = &of_entry["verdicts"][0];
    let mut of_other = verdict.clone();
    of_other["offer"] = "org-a.example/n1/other".into();
    assert_eq!(of_listing["verdicts"], serde_json::json!([verdict, of_other]));
    let twice = serde_json::json!({ "offers": [entry, entry] });
    std::fs::write(files.path("offer.json"), twice.to_string()).unwrap();
    let _fault = ends(&words(&check(&files)), FAULT, &["offers[1]: this entry stands twice: remove one in"]);
    std::fs::write(files.path("offer.json"), entry["offer"].to_string()).unwrap();
    assert_eq!(answer()["verdicts"], of_entry["verdicts"], "nothing here asks for the operator");
    std::fs::write(files.path("offer.json"), "{\n}\n").unwrap();
    let _no = ends(&words(&check(&files)), NO, &["0 considered"]);
}

#[test]
fn a_request_is_for_the_model_that_it_names_and_for_no_other() {
    let files = example(|name, text| match name {
        "request.json" => text.replace("\"EU\"", "\"US\"").replace("qwen3-8b", "another"),
        _ => text.to_owned(),
    });
    let command = check(&files);
    let _no = ends(&words(&command), NO, &["MODEL_NOT_OFFERED"]);
    let both = [words(&command), vec!["--model", "qwen3-8b"]].concat();
    let _fault = ends(&both, FAULT, &["request.json", "another", "qwen3-8b", "hint"]);
    let request = files.path("request.json");
    let chat = ["chat", "--model", "qwen3-8b", "--require", &request, "hello"];
    let _fault = ends(&chat, FAULT, &["request.json", "another", "qwen3-8b"]);
}

#[test]
fn what_the_contract_does_not_have_is_refused_with_the_file_and_the_path() {
    let of = |file: &str, from: &str, to: &str, said: &[&str]| {
        let files = example(|name, text| {
            assert!(name != file || text.contains(from), "{file} has no {from}");
            if name == file { text.replacen(from, to, 1) } else { text.to_owned() }
        });
        let _fault = ends(&words(&check(&files)), FAULT, &[&[file][..], said].concat());
    };
    of("request.json", "noTraining", "noTrainig", &["requirements: ", "'noTrainig'", "The JSON form"]);
    of("request.json", "\"noTraining\": true", "\"noTraining\": true, \"no_training\": false", &["given twice"]);
    of("request.json", "[\"EU\"]", "[\"UK\"]", &["requirements.allowed_processing_locations", "GB"]);
    of("request.json", "{ \"places\": [\"EU\"] }", "\"EU\"", &["requirements.allowedProcessingLocations[0]: "]);
    of("offer.json", "CAPABILITY_CHAT", "chat", &["offer.capabilities[0]: ", "'chat'"]);
    of("offer.json", "[\"US\"]", "[\"us\"]", &["offer.processing_locations[0].places[0]: "]);
    of("offer.json", "\"DE\"", "\"de\"", &["operator.seat[0].place: "]);
    of("offer.json", "2027-12-31T00:00:00Z", "2027-12-31", &["offer.inForce.until: "]);
    of("caller.json", "\"seat\"", "\"seats\"", &["'seats'", "comity.policy.v1.Organisation"]);
    of("caller.json", "}", "", &["no JSON", "line 1"]);
}

#[test]
fn what_registers_say_counts_in_a_file() {
    let demand = |name: &str, text: &str| match name {
        "request.json" => text.replace("\"EU\"", "\"US\"").replace(
            "\"noTraining\": true",
            "\"minAssurance\": [{ \"path\": \"operator.seat\", \"assurance\": \"ASSURANCE_REGISTRY_CORROBORATED\" }]",
        ),
        _ => text.to_owned(),
    };
    let _no = ends(&words(&check(&example(demand))), NO, &["ASSURANCE_TOO_LOW"]);
    let by_register = |name: &str, text: &str| {
        let other = "{ \"place\": \"DE\", \"provenance\": { \"issuer\": \"GLEIF\", \
                     \"assurance\": \"ASSURANCE_REGISTRY_CORROBORATED\" } }, { \"place\": \"DE\"";
        match name {
            "offer.json" => text.replace("{ \"place\": \"DE\"", other),
            _ => demand(name, text),
        }
    };
    let _yes = ends(&words(&check(&example(by_register))), DONE, &["1 of 1 offers"]);
}

#[test]
fn a_preset_as_json_demands_what_it_demands_as_toml() {
    for preset in ["eu-sovereign", "zdr"] {
        let shown = ["json", "table"].map(|format| ends(&["preset", "show", preset, "-o", format], DONE, &[]).data);
        let files = example(as_shown);
        let answers = shown.map(|text| {
            std::fs::write(files.path("request.json"), &text).unwrap();
            // A file is JSON by its name as well, so that TOML needs another.
            let toml = files.path("request.toml");
            std::fs::write(&toml, &text).unwrap();
            let request = if text.starts_with('{') { files.path("request.json") } else { toml };
            let command: Vec<String> = check(&files);
            let without = command.iter().take(command.len() - 1).map(String::as_str);
            json(&without.chain([request.as_str()]).collect::<Vec<_>>(), NO)
        });
        assert_eq!(answers[0], answers[1], "{preset}");
    }
}

/// Every word in the code of a page: names stand there, alone or within examples.
fn code_words(page: &str) -> BTreeSet<&str> {
    let code = page.split('`').skip(1).step_by(2);
    code.flat_map(|code| code.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')).collect()
}

/// The messages that are read from files, or printed of decisions, by their full names.
fn messages() -> BTreeMap<String, DescriptorProto> {
    let set = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    let of = |file: prost_types::FileDescriptorProto| {
        let package = file.package().to_owned();
        file.message_type.into_iter().map(move |message| (format!(".{package}.{}", message.name()), message))
    };
    let all: BTreeMap<String, DescriptorProto> = set.file.into_iter().flat_map(of).collect();
    let mut left =
        ["catalog.v1.OfferEntry", "catalog.v1.ExplainResponse", "inference.v1.Envelope", "policy.v1.Refusal"]
            .map(|name| format!(".comity.{name}"))
            .to_vec();
    let mut found = BTreeMap::new();
    while let Some(name) = left.pop() {
        let message = all.get(&name).unwrap().clone();
        let inner = message.field.iter().filter(|field| field.r#type() == Type::Message);
        left.extend(inner.map(|field| field.type_name().to_owned()).filter(|name| !found.contains_key(name)));
        found.insert(name, message);
    }
    found.retain(|name, _| name.starts_with(".comity."));
    found
}

#[test]
fn the_documents_name_every_field_of_the_messages_that_files_and_decisions_are() {
    let page = page();
    // Fences have three marks each, so that they would turn code and text around.
    let page = page.replace("```", "");
    let (words, messages) = (code_words(&page), messages());
    assert!(messages.len() > 40, "{:?}", messages.keys());
    let fields = messages.iter().flat_map(|(name, message)| message.field.iter().map(move |field| (name, field)));
    let is_named = |name: &str| words.contains(name);
    let lost: Vec<_> = fields.filter(|(_, field)| !is_named(field.name()) && !is_named(field.json_name())).collect();
    let lost: Vec<_> = lost.iter().map(|(message, field)| format!("{message}.{}", field.name())).collect();
    assert!(lost.is_empty(), "docs/policy.md does not name {lost:?}");
}

#[test]
fn every_row_of_the_documents_has_an_example_or_says_where_it_stands() {
    let page = page();
    let mut lost = Vec::new();
    let mut examples_last = false;
    for line in page.lines() {
        match line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |")) {
            None => examples_last = examples_last && line.starts_with('|'),
            Some(row) if row.ends_with("| example") => examples_last = true,
            Some(_) => {}
        }
        let is_empty = line.ends_with("| |") && !line.contains("see below");
        if examples_last && line.starts_with("| `") && is_empty {
            lost.push(line);
        }
    }
    assert!(lost.is_empty(), "no example: {lost:#?}");
}
