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
                [limits]\nin_flight = 0\n[leaf]\nnode = '1s'\n[log]\nformat = 'xml'\n";
    let error = load_text(text).unwrap_err();
    for field in
        ["listen: ", "advertise[0]: ", "places[0]: ", "drain: ", "limits.in_flight: ", "leaf.node: ", "log.format: "]
    {
        assert!(error.contains(field), "{field} is missing in: {error}");
    }
    assert!(!error.contains("advertise[1]"), "{error}");
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
fn relative_paths_start_at_the_file() {
    let config = load_text(LEAST).unwrap();
    assert!(config.data_dir.is_absolute() && config.data_dir.ends_with("data"));
}
