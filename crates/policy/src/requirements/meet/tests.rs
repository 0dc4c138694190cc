use crate::Tables;
use crate::requirements::{Requirements, RequirementsFile};

/// One demand of each key, and a tighter one.
const DEMANDS: &[(&str, &str, &str)] = &[
    ("allowed_processing_locations", "['EU']", "['DE']"),
    ("forbidden_processing_locations", "['US']", "['US', 'GB']"),
    ("allowed_storage_locations", "['EU']", "['DE']"),
    ("forbidden_storage_locations", "['US']", "['US', 'GB']"),
    ("allowed_access_locations", "['EU']", "['DE']"),
    ("forbidden_access_locations", "['US']", "['US', 'GB']"),
    ("allowed_operator_seats", "['EU']", "['DE']"),
    ("allowed_controller_seats", "['EU']", "['DE']"),
    ("forbidden_controller_seats", "['US']", "['US', 'GB']"),
    ("no_exposure", "['US-CLOUD-ACT']", "['US-CLOUD-ACT', 'UK-IPA']"),
    (
        "foreign_ownership",
        "{ home = ['EU'], individual_bp = 2, aggregate_bp = 3 }",
        "{ home = ['EU'], individual_bp = 1, aggregate_bp = 2 }",
    ),
    ("forbidden_sub_processors", "['A']", "['A', 'B']"),
    ("transfer_basis_outside", "['EEA']", "['DE']"),
    ("max_content_retention_days", "9", "3"),
    ("no_training", "true", "true"),
    ("no_human_review", "true", "true"),
    ("no_content_logging", "true", "true"),
    ("required_certifications", "[{ scheme = 'SOC2' }]", "[{ scheme = 'SOC2', level = 'type-2' }]"),
    ("min_seal", "{ SOV-1 = 2 }", "{ SOV-1 = 3 }"),
    ("min_cada_level", "2", "3"),
    ("min_gaiax_label", "1", "2"),
    ("min_safety_grade", "'fair'", "'good'"),
    ("min_assurance", "{ seal = 'registry-corroborated' }", "{ seal = 'audited' }"),
    ("allowed_licences", "['MIT', 'Apache-2.0']", "['MIT']"),
    ("allowed_governing_laws", "['EU']", "['DE']"),
    ("min_liability_cap", "{ currency = 'EUR', micros = 5 }", "{ currency = 'EUR', micros = 6 }"),
    ("min_support", "'best-effort'", "'business-hours'"),
    ("min_availability_bp", "9900", "9990"),
    (
        "max_price",
        "{ currency = 'EUR', input_micros_per_million_tokens = 5, output_micros_per_million_tokens = 7 }",
        "{ currency = 'EUR', input_micros_per_million_tokens = 4, output_micros_per_million_tokens = 6 }",
    ),
    ("required_capabilities", "['tools']", "['tools', 'json-schema']"),
];

fn read(key: &str, value: &str) -> Requirements {
    let text = format!("{key} = {value}");
    RequirementsFile::from_toml(&text, Tables::builtin().unwrap())
        .unwrap_or_else(|e| panic!("{text}: {e}"))
        .requirements
}

#[test]
fn each_requirement_can_be_dropped_by_the_key_of_its_file() {
    for (key, value, _) in DEMANDS {
        let all = read(key, value).without_each();
        assert_eq!(all, [(*key, Requirements::default())]);
    }
    let every = DEMANDS.iter().map(|(key, value, _)| read(key, value)).reduce(Requirements::meet).unwrap();
    let keys: Vec<_> = every.without_each().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, DEMANDS.iter().map(|(key, ..)| *key).collect::<Vec<_>>());
    assert_eq!(every.keys(), keys);
}

#[test]
fn two_layers_demand_the_tighter_of_each_whichever_comes_first() {
    for (key, loose, tight) in DEMANDS {
        let (loose, tight) = (read(key, loose), read(key, tight));
        let both = loose.clone().meet(tight.clone());
        assert_eq!(both, tight.clone().meet(loose.clone()), "{key}");
        assert_eq!(both.clone().meet(tight.clone()), both, "{key}");
        assert_eq!(Requirements::default().meet(tight.clone()), tight, "{key}");
        // Where there is an order the tighter one is left, elsewhere both are.
        let ordered = ["min_", "max_price", "no_training", "no_human", "no_content", "forbidden_", "required_capab"];
        if ordered.iter().any(|start| key.starts_with(start)) {
            assert_eq!(both, tight, "{key}");
        } else {
            assert!(*key == "no_exposure" || (both != tight && both != loose), "{key}");
        }
    }
}
