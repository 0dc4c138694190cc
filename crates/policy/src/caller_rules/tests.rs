use super::*;

fn read(text: &str) -> Result<CallerRules, String> {
    toml::from_str(text).map_err(|error: toml::de::Error| error.to_string())
}

fn json(rules: &CallerRules) -> serde_json::Value {
    serde_json::to_value(rules).unwrap()
}

#[test]
fn a_rule_that_says_no_more_counts_more_than_half_of_what_all_its_targets_hold() {
    let rules = read("served = 'everyone'\nownership = [{ id = 'R', target = 'places-not-served' }]").unwrap();
    let [rule] = rules.ownership.as_slice() else { panic!("{rules:?}") };
    assert_eq!((rule.threshold_bp, rule.aggregate, rule.comparison), (5_000, true, Comparison::MoreThan));
    assert_eq!((rule.test, rule.indirect), (OwnershipTest::Either, Indirect::Cascade));
}

#[test]
fn each_form_of_who_is_served_and_of_who_taints_is_written_as_it_was_read() {
    for (text, written) in [("'everyone'", r#""everyone""#), ("['EU', 'CH']", r#"["CH","EU"]"#)] {
        let rules = read(&format!("served = {text}")).unwrap();
        assert_eq!(json(&rules)["served"].to_string(), written);
        assert_eq!(serde_json::from_value::<CallerRules>(json(&rules)).unwrap(), rules);
    }
    let targets = [
        ("'places-not-served'", r#""places-not-served""#),
        ("['CN']", r#"["CN"]"#),
        ("{ lists = ['SDN'] }", r#"{"lists":["SDN"]}"#),
    ];
    for (text, written) in targets {
        let rules = read(&format!("served = []\nownership = [{{ id = 'R', target = {text} }}]")).unwrap();
        assert_eq!(json(&rules)["ownership"][0]["target"].to_string(), written);
        assert_eq!(serde_json::from_value::<CallerRules>(json(&rules)).unwrap(), rules);
    }
}

#[test]
fn what_is_in_no_such_form_is_refused_with_the_forms_that_there_are() {
    for served in ["'everybody'", "3"] {
        let error = read(&format!("served = {served}")).unwrap_err();
        assert!(error.contains(r#""everyone", or a list of places"#), "{error}");
    }
    for target in ["'everybody'", "3"] {
        let error = read(&format!("served = []\nownership = [{{ id = 'R', target = {target} }}]")).unwrap_err();
        assert!(error.contains(r#""places-not-served", places and blocs"#), "{error}");
    }
}

#[test]
fn the_version_that_has_to_be_accepted_is_written_if_one_has_to_be() {
    let none = read("served = 'everyone'").unwrap();
    assert_eq!(json(&none).get("min_terms_version"), None);
    let two = read("served = 'everyone'\nmin_terms_version = 2").unwrap();
    assert_eq!(json(&two)["min_terms_version"], 2);
}
