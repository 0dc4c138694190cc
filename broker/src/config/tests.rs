use super::*;

fn load_text(text: &str) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("broker.toml");
    std::fs::write(&path, text).unwrap();
    load(&path).map_err(|error| error.to_string())
}

const LEAST: &str = "listen = '127.0.0.1:0'\nadvertise = ['localhost:7443']\ndata_dir = 'data'\nplaces = ['DE']\n";

#[test]
fn the_example_is_a_configuration_and_spells_out_every_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/broker.example.toml");
    let example = load(&path).unwrap();
    let least = load_text(LEAST).unwrap();
    assert_eq!((example.replica, example.log, example.limits), (least.replica, least.log, least.limits));
    assert_eq!((example.leaf, example.drain), (least.leaf, least.drain));
}

#[test]
fn all_wrong_values_are_reported_at_once() {
    let text = "listen = 'here'\nadvertise = ['broker', 'ok.example:1']\ndata_dir = 'd'\nplaces = ['UK']\ndrain = '30'\n\
                [limits]\nin_flight = 0\ndecision_time = '1ms'\n[leaf]\nnode = '1s'\n[log]\nformat = 'xml'\n";
    let error = load_text(text).unwrap_err();
    for field in [
        "listen: ",
        "advertise[0]: ",
        "places[0]: ",
        "drain: ",
        "limits.in_flight: ",
        "limits.decision_time: ",
        "leaf.node: ",
        "log.format: ",
    ] {
        assert!(error.contains(field), "{field} is missing in: {error}");
    }
    assert!(!error.contains("advertise[1]"), "{error}");
}

#[test]
fn certificates_of_seconds_are_for_those_who_say_that_they_know_the_danger() {
    let leaf = "[leaf]\nnode = '4s'\n";
    let error = load_text(&format!("{LEAST}{leaf}")).unwrap_err();
    assert!(error.contains("leaf.node: 4s is outside 10m to 1day"), "{error}");
    let config = load_text(&format!("{LEAST}{leaf}danger_short = true\n")).unwrap();
    assert_eq!((config.leaf.node, config.leaf.broker), (Duration::from_secs(4), Duration::from_secs(24 * 3600)));
    assert!(load_text(&format!("{LEAST}[leaf]\nnode = '1s'\ndanger_short = true\n")).is_err());
}

#[test]
fn bundles_are_served_where_the_file_says_and_nowhere_else() {
    assert_eq!(load_text(LEAST).unwrap().bundles, None);
    let config = load_text(&format!("{LEAST}[bundles]\nlisten = '127.0.0.1:8443'\n")).unwrap();
    assert_eq!(config.bundles, Some("127.0.0.1:8443".parse().unwrap()));
    let error = load_text(&format!("{LEAST}[bundles]\nlisten = 'here'\n")).unwrap_err();
    assert!(error.contains("bundles.listen: "), "{error}");
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    let error = load_text(&format!("{LEAST}advertize = []\n")).unwrap_err();
    assert!(error.contains("advertize") && error.contains('5'), "{error}");
}

#[test]
fn a_broker_that_does_not_say_where_it_runs_is_refused() {
    let error = load_text(&LEAST.replace("['DE']", "[]")).unwrap_err();
    assert!(error.contains("places: is empty"), "{error}");
}

#[test]
fn tables_are_those_of_the_folder_that_the_file_names_and_a_folder_that_cannot_be_used_is_refused() {
    const AUDIT: &str = "[[issuer]]\nid = 'our-audit'\nabout = ''\nup_to = 'audited'\ninstrument = ''\nsource = ''\n\
                         recorded_at = 2026-01-01\nverified = true\n";
    let dir = tempfile::tempdir().unwrap();
    let (file, tables) = (dir.path().join("broker.toml"), dir.path().join("tables"));
    std::fs::create_dir(&tables).unwrap();
    std::fs::write(tables.join("issuers.toml"), AUDIT).unwrap();
    std::fs::write(&file, format!("tables = 'tables'\n{LEAST}")).unwrap();
    assert!(load(&file).unwrap().tables.issuers.trusts("our-audit", comity_policy::claim::Assurance::Audited));
    assert_eq!(load_text(LEAST).unwrap().tables.digest(), Tables::builtin().unwrap().digest());
    std::fs::write(tables.join("issuers.toml"), AUDIT.replace("up_to", "upto")).unwrap();
    let error = load(&file).unwrap_err().to_string();
    assert!(error.contains("  tables: ") && error.contains("issuers.toml:1:") && error.contains("`up_to`"), "{error}");
    std::fs::rename(tables.join("issuers.toml"), tables.join("issuer.toml")).unwrap();
    let error = load(&file).unwrap_err().to_string();
    assert!(error.contains("issuer.toml: no table has this name"), "{error}");
}

#[test]
fn relative_paths_start_at_the_file() {
    let config = load_text(LEAST).unwrap();
    assert!(config.data_dir.is_absolute() && config.data_dir.ends_with("data"));
}
