//! `comity table`.

use super::{DONE, FAULT, Files, NO, ends, json, shipped};

/// The members of a bloc that are printed.
fn members(command: &[&str]) -> Vec<String> {
    let view = json(command, DONE);
    let member = |row: &serde_json::Value| row.pointer("/fields/member")?.as_str().map(str::to_owned);
    view.get("rows").unwrap().as_array().unwrap().iter().map(|row| member(row).unwrap()).collect()
}

#[test]
fn every_table_is_listed_with_how_much_of_it_was_verified() {
    let view = json(&["table", "list"], DONE);
    let tables = view["tables"].as_array().unwrap();
    assert_eq!(tables.len(), 11);
    assert_eq!(view["tables_sha256"].as_str().unwrap().len(), 64);
    for table in tables {
        let count = |field: &str| table[field].as_u64().unwrap();
        assert!(count("rows") > 0, "{table}");
        assert_eq!(count("rows"), count("verified") + count("unverified"), "{table}");
        let shown = ends(&["table", "show", table["table"].as_str().unwrap()], DONE, &[]);
        assert!(shown.data.to_lowercase().contains("verified"), "{table}: {}", shown.data);
    }
}

#[test]
fn a_bloc_has_the_members_of_the_day() {
    let on = |day| members(&["table", "show", "bloc", "EU", "--as-of", day]);
    assert!(on("2020-01-31").contains(&"GB".to_owned()));
    assert!(!on("2020-02-01").contains(&"GB".to_owned()));
    assert!(!on("1990-01-01").contains(&"AT".to_owned()));
    assert!(members(&["table", "show", "blocs", "EU"]).contains(&"GB".to_owned()), "of all times");
    let words = ["GB", "2020-02-01", "INSTRUMENT", "VERIFIED"];
    let _shown = ends(&["table", "show", "bloc", "EU", "--as-of", "2020-01-31"], DONE, &words);
}

#[test]
fn a_place_shows_what_it_belongs_to() {
    let view = json(&["table", "show", "blocs", "CH"], DONE);
    let blocs: Vec<_> = view["rows"].as_array().unwrap().iter().map(|row| &row["fields"]["bloc"]).collect();
    assert!(blocs.contains(&&"EFTA".into()) && !blocs.contains(&&"EU".into()), "{blocs:?}");
}

#[test]
fn a_row_is_shown_with_its_fields_and_where_it_comes_from() {
    let words = ["nexus", "establishment", "instrument", "source", "recorded_at", "verified"];
    let _shown = ends(&["table", "show", "regime", "US-CLOUD-ACT"], DONE, &words);
    let _shown = ends(&["table", "show", "place", "UA-43"], DONE, &["within", "UA", "ISO 3166"]);
}

#[test]
fn a_regime_holds_from_its_first_day() {
    let on = |day| json(&["table", "show", "regime", "US-CLOUD-ACT", "--as-of", day], DONE)["rows"].clone();
    assert_eq!(on("2018-03-22"), serde_json::json!([]));
    assert_eq!(on("2018-03-23").as_array().unwrap().len(), 1);
}

#[test]
fn what_no_table_has_is_refused_with_what_there_is() {
    let _no = ends(&["table", "show", "regime", "NOTHING"], NO, &["regimes", "NOTHING", "comity table show regimes"]);
    let _no = ends(&["table", "show", "place", "UA-99"], NO, &["UA-99"]);
    let _no = ends(&["table", "show", "blox"], FAULT, &["blox", "blocs"]);
    let _no = ends(&["table", "show", "bloc", "EU", "--as-of", "soon"], FAULT, &["soon", "--as-of", "2026-11-22"]);
    let _no = ends(&["table", "show", "issuers", "--as-of", "2020-01-01"], FAULT, &["issuers", "leave --as-of out"]);
}

#[test]
fn the_tables_that_ship_are_well_formed_and_differ_in_nothing() {
    for table in ["blocs", "places", "presets", "licences"] {
        let file = shipped(&format!("crates/policy/tables/{table}.toml"));
        let file = file.to_str().unwrap();
        let _checked = ends(&["table", "check", file], DONE, &["well-formed", table]);
        let diff = json(&["table", "diff", file], DONE);
        for kind in ["added", "removed", "changed"] {
            assert_eq!(diff[kind], serde_json::json!([]), "{table}");
        }
    }
}

#[test]
fn a_malformed_table_names_the_row_and_the_field() {
    let good = std::fs::read_to_string(shipped("crates/policy/tables/regimes.toml")).unwrap();
    let bad = good.replace("places = [\"GB\"]", "places = [\"UK\"]");
    let files = Files::new(&[("regimes.toml", &bad), ("mine.toml", &good), ("broken.toml", "[[regime]\n")]);
    let file = files.path("regimes.toml");
    let _no = ends(&["table", "check", &file], NO, &["regimes.toml: regimes: UK-IPA: places: \"UK\"", "1 of 1 tables"]);
    let error = json(&["table", "check", &file], NO)["files"][0]["error"].clone();
    assert_eq!((&error["row"], &error["field"]), (&"UK-IPA".into(), &"places".into()));
    let _no = ends(&["table", "diff", &file], NO, &["UK-IPA", "places"]);
    let _no = ends(&["table", "check", &files.path("mine.toml")], FAULT, &["mine.toml", "--table"]);
    let _checked = ends(&["table", "check", &files.path("mine.toml"), "--table", "regime"], DONE, &["8 rows"]);
    let _no = ends(&["table", "check", &files.path("broken.toml"), "--table", "regimes"], NO, &["line 1"]);
    let _no = ends(&["table", "check", &files.path("missing.toml"), "--table", "regimes"], FAULT, &["missing.toml"]);
}

#[test]
fn a_diff_names_rows_that_came_went_and_changed() {
    let good = std::fs::read_to_string(shipped("crates/policy/tables/issuers.toml")).unwrap();
    let other = good.replace("id = \"EU-BRIS\"", "id = \"OTHER\"").replace("\"ISO 17442\"", "\"ISO 17442-1\"");
    let files = Files::new(&[("issuers.toml", &other)]);
    let words =
        ["- EU-BRIS", "+ OTHER", "~ GLEIF", "instrument: ISO 17442 -> ISO 17442-1", "1 added, 1 removed, 1 changed"];
    let _diff = ends(&["table", "diff", &files.path("issuers.toml")], DONE, &words);
    let view = json(&["table", "diff", &files.path("issuers.toml")], DONE);
    assert_eq!(view["changed"][0]["fields"][0]["field"], "instrument", "{view}");
}

const AUDIT: &str = "\n[[issuer]]\nid = 'our-audit'\nabout = 'ours'\nup_to = 'audited'\ninstrument = 'a contract'\n\
                     source = 'the board'\nrecorded_at = 2026-01-01\nverified = true\n";

/// The table of issuers that ships, with one of our own.
fn our_issuers() -> String {
    std::fs::read_to_string(shipped("crates/policy/tables/issuers.toml")).unwrap() + AUDIT
}

#[test]
fn a_folder_of_tables_is_checked_compared_and_read_in_the_place_of_those_that_ship() {
    let files = Files::new(&[("issuers.toml", &our_issuers())]);
    let dir = files.path("");
    let own = ["--tables", &dir];
    let with = |words: &[&'static str]| [words, &own[..]].concat();
    let _checked = ends(&with(&["table", "check"]), DONE, &["issuers.toml", "well-formed"]);
    let _diff = ends(&with(&["table", "diff"]), DONE, &["issuers:", "+ our-audit", "1 added, 0 removed, 0 changed"]);
    let _row = ends(&with(&["table", "show", "issuers", "our-audit"]), DONE, &["a contract", "the board"]);
    let _no = ends(&["table", "show", "issuers", "our-audit"], NO, &["our-audit"]);
    let (ours, ships) = (json(&with(&["table", "list"]), DONE), json(&["table", "list"], DONE));
    assert_ne!(ours["tables_sha256"], ships["tables_sha256"]);
    let words = ["FROM", "folder", "program", ours["tables_sha256"].as_str().unwrap()];
    let _list = ends(&with(&["table", "list"]), DONE, &words);
    for table in ours["tables"].as_array().unwrap() {
        let expected = if table["table"] == "issuers" { "folder" } else { "program" };
        assert_eq!(table["from"], expected, "{table}");
    }
    let diff = json(&with(&["table", "diff"]), DONE);
    assert_eq!(diff["tables"][0]["added"][0]["row"], "our-audit", "{diff}");
}

#[test]
fn a_folder_of_tables_that_cannot_be_used_is_refused_by_every_command_that_reads_them() {
    let misnamed = Files::new(&[("issuer.toml", &our_issuers())]);
    let malformed = Files::new(&[("issuers.toml", &our_issuers().replace("up_to = 'audited'", "up_to = 'sworn'"))]);
    let words: [(&Files, &[&str]); 2] =
        [(&misnamed, &["issuer.toml", "issuers.toml"]), (&malformed, &["issuers.toml", "up_to", "sworn"])];
    for (files, words) in words {
        let dir = files.path("");
        for command in [&["table", "list"][..], &["preset", "list"], &["policy", "test", "no-such-file.toml"]] {
            let _no = ends(&[command, &["--tables", &dir]].concat(), FAULT, words);
        }
    }
    let dir = malformed.path("");
    let _no = ends(&["table", "check", "--tables", &dir], NO, &["our-audit", "up_to", "1 of 1 tables"]);
    let _no = ends(&["table", "check"], FAULT, &["--tables", "COMITY_TABLES"]);
    let _no = ends(&["table", "diff"], FAULT, &["--tables", "COMITY_TABLES"]);
}

#[test]
fn what_a_table_that_ships_names_and_the_folder_took_away_is_named() {
    let blocs = std::fs::read_to_string(shipped("crates/policy/tables/blocs.toml")).unwrap();
    let files = Files::new(&[("blocs.toml", &blocs.replace("\"GDPR-ADEQUATE\"", "\"ADEQUATE\""))]);
    let dir = files.path("");
    let _no = ends(&["table", "check", "--tables", &dir], NO, &["presets as it ships", "GDPR-ADEQUATE"]);
}
