//! P6: what went where and why, for a regulator: a row says what was demanded, who was eligible and what put the one first that
//! answered, names its leaves, and is of the time and of the organisation that were asked for.

use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::Caller;
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, Node, US_VENDOR};
use comity_tests::node::NodeSpec;
use comity_tests::program::said;
use comity_tests::wait;
use comity_transparency::receipt::{Proven, Receipt};
use comity_transparency::tile::{Resource, WIDTH};
use comity_transparency::tree::leaf_hash;
use comity_types::Timestamp;
use serde_json::{Value, json};

/// Since when all is asked for.
const SINCE: &str = "2026-01-01";
/// Where the broker is not: nothing that has to stay there may pass it.
const ACROSS: &str = "US";
/// Bytes of a hash in a tile.
const HASH_BYTES: usize = 32;

/// Nodes end before the federation does, whose folder they live in.
struct Scene {
    _nodes: [Node; 2],
    _backends: [Backend; 2],
    apps: [Caller; 2],
    federation: Federation,
}

impl Scene {
    fn new() -> Self {
        let backends = [Behaviour::Answer, Behaviour::Answer].map(Backend::start);
        let federation = Federation::start();
        let inside = federation.node(EU_BODY, &NodeSpec::openai("n1", &backends[0].url(), "DE"));
        let outside = federation.node(US_VENDOR, &NodeSpec::openai("n1", &backends[1].url(), "US"));
        let apps = [EU_OWNED, US_VENDOR].map(|organisation| federation.app(organisation, "assistant"));
        Self { federation, _nodes: [inside, outside], _backends: backends, apps }
    }

    /// Has `app` ask for an answer from `place`; [`ACROSS`] is by whoever sits there.
    fn ask(&self, app: usize, place: &str) -> std::process::Output {
        let demanded = if place == ACROSS { "--operator-seat" } else { "--processing" };
        let words = ["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", demanded, place, "hello"];
        self.federation.ask(&self.apps[app], &words)
    }

    fn asked(&self, app: usize, place: &str) {
        let answer = self.ask(app, place);
        assert!(answer.status.success(), "{}", said(&answer));
    }

    /// The rows of an audit by the federation's operator.
    fn rows(&self, from: &str, more: &[&str]) -> Vec<Value> {
        let report = self.federation.govern(&[&["audit", "--from", from, "--format", "json"], more].concat());
        serde_json::from_str(&report).unwrap()
    }

    fn file(&self, name: &str) -> String {
        self.federation.folder().join(name).to_str().unwrap().to_owned()
    }
}

fn leaves(rows: &[Value]) -> Vec<u64> {
    rows.iter().map(|row| row["leaf"].as_u64().unwrap()).collect()
}

#[test]
fn a_row_names_the_leaves_of_its_receipt_and_they_stand_there_in_the_logs_tiles() {
    let scene = Scene::new();
    scene.asked(0, "DE");
    scene.asked(1, ACROSS);
    let rows = scene.rows(SINCE, &[]);
    assert_eq!(leaves(&rows), [0, 2]);
    let folder = scene.file("exported");
    wait::until("both outcomes are published", || {
        (scene.federation.govern_json(&["log", "export", "--decisions", &folder])["leaves"] == 4).then_some(())
    });
    for row in &rows {
        let (decision, file) = (row["decision"].as_str().unwrap(), scene.file("one.tlog-proof"));
        let shown = scene.federation.govern_json(&["receipt", "show", decision, "--save", &file]);
        assert_eq!(shown["leaf"], row["leaf"].to_string(), "{row}");
        assert_eq!(shown["outcomeLeaf"], row["outcomeLeaf"], "{row}");
        assert_eq!(shown["caller"], row["caller"], "{row}");
        let receipt = Receipt::from_file(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let outcome = receipt.outcome.as_ref().unwrap();
        assert_eq!(
            (json!(receipt.decision.index), json!(outcome.index)),
            (row["leaf"].clone(), row["outcomeLeaf"].clone())
        );
        for Proven { index, leaf, .. } in [&receipt.decision, outcome] {
            let tile = Resource::Tile { level: 0, index: index / WIDTH, width: 4 }.to_string();
            let tile = std::fs::read(std::path::Path::new(&folder).join(tile)).unwrap();
            let at = usize::try_from(index % WIDTH).unwrap() * HASH_BYTES;
            assert_eq!(tile[at..at + HASH_BYTES], *leaf_hash(leaf).as_bytes(), "leaf {index}");
        }
    }
}

#[test]
fn an_audit_counts_from_its_first_instant_on_and_no_longer_at_its_last_one() {
    let scene = Scene::new();
    scene.asked(0, "DE");
    scene.asked(0, "DE");
    let rows = scene.rows(SINCE, &[]);
    let [first, second] = [0, 1].map(|row| rows[row]["at"].as_str().unwrap());
    let behind = |instant: &str| {
        let instant: Timestamp = instant.parse().unwrap();
        Timestamp::from_millis(instant.as_millis() + 1).unwrap().to_string()
    };
    let (both, last) = ([0, 2], [2]);
    assert_eq!(leaves(&scene.rows(first, &[])), both, "the first instant counts");
    assert_eq!(leaves(&scene.rows(&behind(first), &[])), last);
    assert_eq!(leaves(&scene.rows(first, &["--to", second])), [0], "the last one does not");
    assert_eq!(leaves(&scene.rows(first, &["--to", &behind(second)])), both);
    assert!(scene.rows(&behind(second), &[]).is_empty());
    assert_eq!(leaves(&scene.rows(first, &["--to", &behind(first)])), [0], "a single instant is a time");
}

#[test]
fn an_audit_of_an_organisation_has_what_it_asked_and_what_it_answered_and_nothing_else() {
    let scene = Scene::new();
    scene.asked(0, "DE");
    scene.asked(1, "DE");
    scene.asked(0, ACROSS);
    for (organisation, expected) in [(EU_OWNED, vec![0, 4]), (US_VENDOR, vec![2, 4]), (EU_BODY, vec![0, 2])] {
        let of = scene.rows(SINCE, &["--organisation", organisation.domain]);
        assert_eq!(leaves(&of), expected, "{}", organisation.domain);
    }
}

#[test]
fn a_row_says_what_was_demanded_who_was_eligible_and_what_chose_and_nothing_of_what_was_erased() {
    let scene = Scene::new();
    scene.asked(0, "DE");
    scene.asked(0, "DE,US");
    assert_eq!(scene.ask(0, "FR").status.code(), Some(1));
    scene.asked(0, "DE");
    let erased = scene.rows(SINCE, &[])[3]["decision"].as_str().unwrap().to_owned();
    let _done = scene.federation.govern(&["record", "erase", &erased, "--yes"]);
    let rows = scene.rows(SINCE, &[]);
    let demanded = |places: &[&str]| json!({ "allowedProcessingLocations": [{ "places": places }] });
    let offers = [EU_BODY, US_VENDOR].map(|organisation| format!("{}/n1/", organisation.domain));
    let [one, two, refused, gone] = <[Value; 4]>::try_from(rows).unwrap();
    assert_eq!(one["requirements"], demanded(&["DE"]), "{one}");
    assert!(one["eligible"].as_str().unwrap().starts_with(&offers[0]), "{one}");
    assert_eq!((&one["eligibleCount"], &one["refusedCount"], &one["rank"]), (&"1".into(), &"1".into(), &"1".into()));
    assert_eq!((&one["chosenBy"], &one["organisationRequirements"]), (&"it was the only one".into(), &json!({})));
    assert_eq!(two["requirements"], demanded(&["DE", "US"]), "{two}");
    assert!(offers.iter().all(|offer| two["eligible"].as_str().unwrap().contains(offer)), "{two}");
    assert_eq!((&two["eligibleCount"], &two["chosenBy"]), (&"2".into(), &"price, then a draw".into()), "{two}");
    assert_eq!(two["tries"], two["offer"], "the first answered: {two}");
    assert_eq!((&refused["result"], &refused["requirements"]), (&"refused".into(), &demanded(&["FR"])), "{refused}");
    assert_eq!((&refused["eligibleCount"], &refused["refusedCount"]), (&"0".into(), &"2".into()), "{refused}");
    assert!(refused["reasons"].as_str().unwrap().contains("PROCESSING_LOCATION_NOT_ALLOWED"), "{refused}");
    assert_eq!(
        (&gone["result"], &gone["requirements"], &gone["eligible"]),
        (&"erased".into(), &Value::Null, &"".into())
    );
    let [csv, page] =
        ["csv", "html"].map(|form| scene.federation.govern(&["audit", "--from", SINCE, "--format", form]));
    let (in_csv, in_page) =
        (r#"{""allowedProcessingLocations"":[{""places"":[""DE"",""US""]}]}"#, "[&quot;DE&quot;,&quot;US&quot;]");
    assert!(csv.contains(in_csv) && csv.contains(",\"price, then a draw\","), "{csv}");
    assert!(
        page.contains(in_page) && page.contains("price, then a draw") && page.contains("<td>erased</td>"),
        "{page}"
    );
    let erased = csv.lines().find(|row| row.starts_with(&erased)).unwrap();
    assert!(erased.contains(",erased,") && !erased.contains("places"), "{erased}");
}
