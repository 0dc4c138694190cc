//! `comity policy`.

use serde_json::Value;

use super::{DONE, FAULT, Files, NO, ends, json, shipped};

const OFFER: &str = r#"
id = "chat"
node = "spiffe://op.example/node/n1"
model = "m"
capabilities = ["chat"]
processing_locations = ["US"]
licence = "Apache-2.0"
sub_processors = []
[terms]
retention = []
training_use = "never"
allowed_purposes = ["dpv:Purpose"]
caller_rules = { served = ["EU"] }
"#;
const OPERATOR: &str = "trust_domain = 'op.example'\nname = 'OP'\nseat = 'FR'\n";
const CALLER: &str = "trust_domain = 'ca.example'\nname = 'CA'\nseat = 'DE'\n";
const REQUEST: &str = "purposes = ['dpv:CustomerCare']\nallowed_processing_locations = ['EU']\n";

fn files() -> Files {
    Files::new(&[
        ("offer.toml", OFFER),
        ("operator.toml", OPERATOR),
        ("caller.toml", CALLER),
        ("request.toml", REQUEST),
        ("open.toml", "purposes = ['dpv:CustomerCare']\n"),
    ])
}

/// `comity policy check` of these files, with what is asked besides.
fn check<'a>(files: &'a [String; 4], rest: &[&'a str]) -> Vec<&'a str> {
    let [offer, operator, caller, request] = files.each_ref().map(String::as_str);
    let given = ["policy", "check", "--offer", offer, "--operator", operator, "--caller", caller, "--request", request];
    [&given[..], &["--as-of", "2026-11-22"], rest].concat()
}

fn paths(files: &Files, request: &str) -> [String; 4] {
    ["offer.toml", "operator.toml", "caller.toml", request].map(|name| files.path(name))
}

#[test]
fn an_offer_that_nothing_speaks_against_is_eligible() {
    let files = files();
    let paths = paths(&files, "open.toml");
    let _checked = ends(&check(&paths, &[]), DONE, &["op.example/n1/chat", "eligible", "1 of 1 offers"]);
}

#[test]
fn an_offer_is_refused_with_its_reasons_by_side_and_what_alone_would_help() {
    let files = files();
    let paths = paths(&files, "request.toml");
    let words = [
        "caller",
        "PROCESSING_LOCATION_NOT_ALLOWED(US)",
        "> allow the place",
        "without allowed_processing_locations: 1 more",
        "error: no offer may serve this request (1 considered)",
    ];
    let _no = ends(&check(&paths, &[]), NO, &words);
    let view = json(&check(&paths, &[]), NO);
    assert_eq!(view["verdicts"][0]["reasons"][0]["side"], "SIDE_CALLER", "{view}");
    assert_eq!(view["relaxations"][0]["constraint"], "allowed_processing_locations", "{view}");
    assert_eq!((&view["verdicts"][0]["eligible"], &view["asOf"]), (&Value::Null, &"2026-11-22T00:00:00Z".into()));
}

#[test]
fn an_offer_of_which_a_listing_keeps_the_demands_is_said_to_be_judged_by_the_broker_alone() {
    let kept = OFFER.replace("caller_rules = { served = [\"EU\"] }", "disclosure = \"code-only\"");
    let kept = kept.replace("allowed_purposes = [\"dpv:Purpose\"]\n", "");
    let files = Files::new(&[
        ("offer.toml", kept.as_str()),
        ("operator.toml", OPERATOR),
        ("caller.toml", CALLER),
        ("request.toml", "purposes = ['dpv:CustomerCare']\n"),
    ]);
    let words = ["op.example/n1/chat keeps to itself what it demands", "`comity explain`", "NODE_TERMS_INCOMPLETE"];
    let _no = ends(&check(&paths(&files, "request.toml"), &[]), NO, &words);
}

#[test]
fn what_the_callers_organisation_demands_counts_and_says_who_set_it() {
    let of = |demands: &str| {
        let caller = format!("{CALLER}{demands}");
        let files = [("offer.toml", OFFER), ("operator.toml", OPERATOR), ("caller.toml", &caller)];
        Files::new(&[&files[..], &[("open.toml", "purposes = ['dpv:CustomerCare']\n")]].concat())
    };
    let files = of("[require]\npreset = ['eu-processing']\n");
    let words = [
        "set by ca.example: allowed_processing_locations, allowed_storage_locations, allowed_access_locations",
        "PROCESSING_LOCATION_NOT_ALLOWED(US)",
    ];
    let _no = ends(&check(&paths(&files, "open.toml"), &[]), NO, &words);

    let files = of("[apps.a1.require]\nallowed_processing_locations = ['EU']\n");
    let paths = paths(&files, "open.toml");
    let _another_app =
        ends(&check(&paths, &["--app", "a2"]), DONE, &["eligible", "has no [apps.a2.require]", "their own: a1)"]);
    let set_for = "without allowed_processing_locations (set for spiffe://ca.example/app/a1): 1 more";
    let _no = ends(&check(&paths, &["--app", "a1"]), NO, &[set_for]);
    let view = json(&check(&paths, &["--app", "a1"]), NO);
    assert_eq!(view["layerDemands"][0]["layer"], "LAYER_APP", "{view}");
    assert_eq!(view["relaxations"][0]["layers"][0], "LAYER_APP", "{view}");
}

#[test]
fn what_a_layer_may_not_say_is_refused_with_its_table() {
    let caller = format!("{CALLER}[require]\npurposes = ['dpv:CustomerCare']\n");
    let files = [("offer.toml", OFFER), ("operator.toml", OPERATOR), ("caller.toml", &caller)];
    let files = Files::new(&[&files[..], &[("open.toml", "")]].concat());
    let words = ["[require] cannot be used", "purposes: an organisation demands"];
    let _fault = ends(&check(&paths(&files, "open.toml"), &[]), FAULT, &words);
}

#[test]
fn the_same_files_give_the_same_bytes() {
    let files = files();
    let paths = paths(&files, "request.toml");
    for format in ["table", "json"] {
        let of = || ends(&check(&paths, &["-o", format]), NO, &[]).data;
        assert_eq!(of(), of());
    }
}

#[test]
fn the_brokers_place_counts_if_it_is_given() {
    let files = files();
    let paths = paths(&files, "request.toml");
    let _no = ends(&check(&paths, &["--broker-place", "DE", "US"]), NO, &["BROKER_PATH_NOT_ALLOWED(US)"]);
}

#[test]
fn the_model_and_the_method_are_asked_for() {
    let files = files();
    let paths = paths(&files, "open.toml");
    let _no = ends(
        &check(&paths, &["--model", "another", "--for", "embed"]),
        NO,
        &["MODEL_NOT_OFFERED", "CAPABILITY_MISSING"],
    );
}

#[test]
fn what_was_used_of_an_offer_is_held_against_its_quota() {
    let limited = OFFER.replace("[terms]", "[terms]\nquota = { requests_per_day = 5 }");
    let rest =
        [("operator.toml", OPERATOR), ("caller.toml", CALLER), ("open.toml", "purposes = ['dpv:CustomerCare']\n")];
    let files = Files::new(&[&[("offer.toml", limited.as_str())], &rest[..]].concat());
    let paths = paths(&files, "open.toml");
    let used = |what: &'static str| check(&paths, &["--used", what]);
    let _done = ends(&used("op.example/n1/chat=4"), DONE, &["eligible"]);
    let _no = ends(&used("op.example/n1/chat=5"), NO, &["QUOTA_EXCEEDED", "at most 5 requests a day"]);
    let _done = ends(&used("op.example/n2/chat=5"), DONE, &["eligible"]);
    let _fault = ends(&used("op.example/n1/chat"), FAULT, &["an offer and a number are accepted"]);
    let _fault = ends(&used("op.example/n1/chat=many"), FAULT, &["\"many\" is no number of requests"]);
    let _fault = ends(&used("chat=5"), FAULT, &["org-a.example/n1/chat"]);
}

#[test]
fn every_offer_of_a_node_is_judged_with_the_terms_that_it_names() {
    let files = Files::new(&[("request.toml", "purposes = ['dpv:Marketing']\n")]);
    let node = shipped("deploy/node.example.toml");
    let request = files.path("request.toml");
    let command =
        ["policy", "check", "--offer", node.to_str().unwrap(), "--request", &request, "--as-of", "2026-11-22"];
    let words = ["/chat", "/local-chat", "/embed", "PURPOSE_PROHIBITED(dpv:Marketing)", "give --operator"];
    let _no = ends(&command, NO, &words);
}

#[test]
fn files_that_cannot_be_used_are_named_with_what_is_wrong() {
    let files = files();
    let of = |offer: &str, request: &str, words: &[&str]| {
        std::fs::write(files.path("offer.toml"), offer).unwrap();
        std::fs::write(files.path("request.toml"), request).unwrap();
        let paths = paths(&files, "request.toml");
        let _no = ends(&check(&paths, &[]), FAULT, words);
    };
    of(&OFFER.replace("model = ", "modell = "), REQUEST, &["offer.toml:4:", "modell"]);
    of(&OFFER.replace("op.example", "b.example"), REQUEST, &["b.example", "op.example", "hint"]);
    of(OFFER, "allowed_processing_locations = ['UK']\n", &["request.toml", "allowed_processing_locations", "GB"]);
    of(OFFER, "no_training = true\nmin_support = 'some'\n", &["request.toml:2:", "min_support", "best-effort"]);
    let entry = "[[offers]]\nid = 'a'\nterms = 'gone'\nbackend = 'b'\nmodel = 'm'\ncapabilities = ['chat']\n";
    of(entry, REQUEST, &["offers.a", "[terms.gone]"]);
    of(&entry.replace("model =", "modell ="), REQUEST, &["offer.toml:5:", "offers[0].modell", "`model`"]);
}

#[test]
fn a_code_that_is_written_wrongly_is_answered_with_what_was_meant() {
    let files = files();
    let given = |name: &str, text: &str, words: &[&str]| {
        let before = std::fs::read_to_string(files.path(name)).unwrap();
        std::fs::write(files.path(name), text).unwrap();
        let paths = paths(&files, "request.toml");
        let _no = ends(&check(&paths, &[]), FAULT, &[words, &[name]].concat());
        std::fs::write(files.path(name), before).unwrap();
    };
    given("offer.toml", &OFFER.replace("[\"US\"]", "[\"UK\"]"), &["processing_locations", "did you mean \"GB\"?"]);
    given("offer.toml", &OFFER.replace("[\"EU\"]", "[\"EL\"]"), &["terms.caller_rules.served", "mean \"GR\"?"]);
    given("caller.toml", &CALLER.replace("'DE'", "'UK'"), &["seat", "did you mean \"GB\"?"]);
    given("operator.toml", &OPERATOR.replace("'FR'", "'EL'"), &["seat", "did you mean \"GR\"?"]);
    let node = std::fs::read_to_string(shipped("deploy/node.example.toml")).unwrap();
    let node = node.replace("processing_locations = [\"DE\"]", "processing_locations = [\"UK\"]");
    let words = ["offers.chat.processing_locations", "offers.embed.processing_locations", "did you mean \"GB\"?"];
    given("offer.toml", &node, &words);
}

#[test]
fn a_file_that_is_longer_than_any_is_refused() {
    let files = files();
    std::fs::write(files.path("request.toml"), vec![b'#'; 9 * 1024 * 1024]).unwrap();
    let paths = paths(&files, "request.toml");
    let _no = ends(&check(&paths, &[]), FAULT, &["request.toml", "8388608 bytes"]);
}

#[test]
fn our_own_cases_are_as_expected() {
    let folder = shipped("tests/cases");
    let _passed = ends(&["policy", "test", folder.to_str().unwrap()], DONE, &["all as expected"]);
    let view = json(&["policy", "test", folder.join("vocabulary.toml").to_str().unwrap()], DONE);
    assert!(view["checks"].as_u64().unwrap() > 60 && view["failed"] == 0, "{view}");
}

#[test]
fn an_expectation_that_is_wrong_fails_with_what_differs() {
    let text = std::fs::read_to_string(shipped("tests/cases/vocabulary.toml")).unwrap();
    let text = text.replacen("PROCESSING_LOCATION_NOT_ALLOWED(GB)", "PROCESSING_LOCATION_NOT_ALLOWED(FR)", 1);
    let text = text.replacen("expires_at = 2020-02-01", "expires_at = 2020-02-02", 1);
    let files = Files::new(&[("cases.toml", &text), ("broken.toml", "[fixture]\n"), ("notes.txt", "")]);
    let words = [
        "FAILED",
        "cases.toml: case 1/a (EU; the United Kingdom, by date)",
        "  - PROCESSING_LOCATION_NOT_ALLOWED(FR)",
        "  + PROCESSING_LOCATION_NOT_ALLOWED(GB)",
        "processing_locations is GB, accepted: EU",
        "expires_at: expected 2020-02-02T00:00:00Z, found 2020-02-01T00:00:00Z",
        "in 1 file: 2 failed",
        "error: 2 of",
    ];
    let _no = ends(&["policy", "test", &files.path("cases.toml")], NO, &words);
    let view = json(&["policy", "test", &files.path("cases.toml")], NO);
    let first = &view["files"][0]["checks"][0];
    assert_eq!(first["missing"][0], "PROCESSING_LOCATION_NOT_ALLOWED(FR)", "{first}");
    assert_eq!(first["unexpected"][0]["actual"], "GB", "{first}");
    let _no = ends(&["policy", "test", &files.path(".")], FAULT, &["broken.toml", "case file"]);
    let json_file = Files::new(&[("cases.json", "{}"), ("other.toml", " { \"case\": [] }")]);
    for name in ["cases.json", "other.toml"] {
        let words = [name, "is JSON", "case files are TOML alone", "docs/policy.md"];
        let _no = ends(&["policy", "test", &json_file.path(name)], FAULT, &words);
    }
    let _no = ends(&["policy", "test", shipped("docs").to_str().unwrap()], FAULT, &["no case file", "*.toml"]);
}

#[test]
fn a_preset_expands_visibly_and_an_unknown_one_names_those_there_are() {
    let words = ["# eu-sovereign: ", "# instrument: ", "# source: ", "allowed_operator_seats", "US-CLOUD-ACT"];
    let shown = ends(&["preset", "show", "eu-sovereign"], DONE, &words);
    let files = Files::new(&[("request.toml", &shown.data), ("offer.toml", OFFER)]);
    let (offer, request) = (files.path("offer.toml"), files.path("request.toml"));
    let _no = ends(&["policy", "check", "--offer", &offer, "--request", &request], NO, &["CLAIM_MISSING"]);
    let _no = ends(&["preset", "show", "eu-sovreign"], NO, &["eu-sovreign", "eu-sovereign, ", "comity preset list"]);
}

/// An example, once for each key that it shows commented out, with that key in the place of its own.
fn uncommented(example: &str) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(shipped(example)).unwrap();
    let key_of = |line: &str| {
        let (key, _) = line.split_once(" = ")?;
        key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_').then(|| key.to_owned())
    };
    let lines: Vec<&str> = text.lines().collect();
    let commented = lines.iter().enumerate().filter_map(|(at, line)| Some((at, key_of(line.strip_prefix("# ")?)?)));
    let with = |(at, key): (usize, String)| {
        let own = lines.iter().take(at).rposition(|line| key_of(line).as_deref() == Some(&key));
        let table = lines.iter().take(at).rposition(|line| line.starts_with('['));
        let mut lines = lines.clone();
        let one_line = lines.get(at).is_some_and(|line| !line.ends_with('['));
        let is_last = |line: &&str| one_line || line.starts_with("# ]");
        let end = at + lines.iter().skip(at).position(is_last).unwrap();
        lines.iter_mut().take(end + 1).skip(at).for_each(|line| *line = line.trim_start_matches("# "));
        if let Some(own) = own.filter(|own| Some(*own) > table) {
            lines.remove(own);
        }
        (key, lines.join("\n"))
    };
    commented.map(with).collect()
}

#[test]
fn what_the_examples_show_commented_out_is_accepted() {
    let files = files();
    let of = |example: &str, name: &str, place: usize| {
        let all = uncommented(example);
        assert!(all.len() > 5, "{example} shows {}", all.len());
        for (key, text) in all {
            // Either would be refused alone.
            let text = if key == "accept_attested_runtimes" {
                format!("no_exposure = ['US-CLOUD-ACT']\n{text}")
            } else {
                text
            };
            std::fs::write(files.path(name), text).unwrap();
            let mut paths = paths(&files, "request.toml");
            paths[place] = files.path(name);
            let paths = paths.each_ref().map(String::as_str);
            let answer =
                super::comity(&["policy", "check", "--offer", paths[0], "--caller", paths[2], "--request", paths[3]]);
            assert_ne!(answer.status, Some(FAULT), "{example}, {key}: {}", answer.talk);
        }
    };
    of("deploy/node.example.toml", "node.toml", 0);
    of("deploy/organisation.example.toml", "organisation.toml", 2);
    of("deploy/requirements.example.toml", "requirements.toml", 3);
}
