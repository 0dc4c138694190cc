use super::*;
use crate::limits::MAX_PRESETS;
use crate::requirements::{RequirementsError, RequirementsTable};

/// The field that is wrong, and the problem.
fn error(text: &str) -> String {
    match RequirementsFile::from_toml(text, Tables::builtin().unwrap()).expect_err(text) {
        RequirementsError::Field { path, problem } => format!("{path}: {problem}"),
        other @ (RequirementsError::Malformed(_)
        | RequirementsError::UnknownPreset { .. }
        | RequirementsError::Needs { .. }) => panic!("{other:?}: {text}"),
    }
}

#[test]
fn every_list_of_places_is_read_against_the_tables() {
    let keys = [
        "allowed_processing_locations",
        "allowed_storage_locations",
        "allowed_access_locations",
        "allowed_operator_seats",
        "allowed_controller_seats",
        "transfer_basis_outside",
        "allowed_governing_laws",
        "forbidden_processing_locations",
        "forbidden_storage_locations",
        "forbidden_access_locations",
        "forbidden_controller_seats",
    ];
    for key in keys {
        assert!(error(&format!("{key} = ['EU', 'UK']")).starts_with(&format!("{key}: \"UK\" is no place")), "{key}");
        let bloc = error(&format!("{key} = ['EU-LAWS']"));
        assert!(bloc.contains("table of blocs") && bloc.contains("EU-LAWS"), "{bloc}");
    }
    assert!(
        error("foreign_ownership = { home = ['UK'], individual_bp = 1, aggregate_bp = 1 }").contains("home: \"UK\"")
    );
    for key in ["access_origins", "output_used_in"] {
        assert!(error(&format!("{key} = ['DE-XX']")).contains("DE-XX"), "{key}");
    }
}

#[test]
fn codes_are_those_of_the_tables() {
    let wrong = [
        ("purposes = ['dpv:Nothing']", "purposes: \"dpv:Nothing\"", "purposes"),
        ("ai_act_tags = ['eu-aiact:A6']", "ai_act_tags: \"eu-aiact:A6\"", "statutes"),
        ("exceptions = ['because']", "exceptions: \"because\"", "statutes"),
        ("no_exposure = ['US-LAW']", "no_exposure: \"US-LAW\"", "regimes"),
        ("classifications = [{ scheme = 'X', level = 'Y' }]", "classifications.scheme: \"X\"", "classifications"),
        ("classifications = [{ scheme = 'UK-GSC', level = 'Y' }]", "classifications.level: \"Y\"", "OFFICIAL"),
        ("required_certifications = [{ scheme = 'X' }]", "required_certifications.scheme: \"X\"", "certifications"),
        ("required_certifications = [{ scheme = 'SOC2', level = 'type-3' }]", "level: \"type-3\"", "type-2"),
        (
            "required_certifications = [{ scheme = 'ISO27001', editions = ['2023'] }]",
            "required_certifications.editions: \"2023\"",
            "2022",
        ),
        ("forbidden_sub_processors = ['529900t8bm49aursdo55']", "forbidden_sub_processors: ", "ISO 17442"),
        ("forbidden_sub_processors = ['529900T8BM49AURSDO54']", "forbidden_sub_processors: ", "ISO 17442"),
        ("min_assurance = { seats = 'audited' }", "min_assurance: \"seats\"", "operator.seat"),
    ];
    for (text, field, right) in wrong {
        let error = error(text);
        assert!(error.contains(field) && error.contains(right), "{error}");
    }
}

#[test]
fn levels_and_shares_are_within_their_scales() {
    let wrong = [
        ("min_seal = { SOV-3 = 5 }", "min_seal.SOV-3: 5"),
        ("min_cada_level = 0", "min_cada_level: 0"),
        ("min_cada_level = 5", "outside 1 to 4"),
        ("min_gaiax_label = 4", "outside 1 to 3"),
        ("min_availability_bp = 10001", "min_availability_bp: 10001"),
        ("foreign_ownership = { home = ['EU'], individual_bp = 10001, aggregate_bp = 1 }", "individual_bp: 10001"),
        ("foreign_ownership = { home = ['EU'], individual_bp = 1, aggregate_bp = 10001 }", "aggregate_bp: 10001"),
    ];
    for (text, field) in wrong {
        assert!(error(text).contains(field), "{}", error(text));
    }
}

#[test]
fn the_ends_of_a_scale_are_within_it() {
    let right = [
        "min_seal = { SOV-3 = 4 }",
        "min_cada_level = 1",
        "min_cada_level = 4",
        "min_gaiax_label = 3",
        "min_availability_bp = 10000",
        "foreign_ownership = { home = ['EU'], individual_bp = 10000, aggregate_bp = 10000 }",
        "min_assurance = { 'operator.seat' = 'audited' }",
        "exceptions = ['eu-aiact:A5-1-f-medical']",
    ];
    for text in right {
        assert!(RequirementsFile::from_toml(text, Tables::builtin().unwrap()).is_ok(), "{text}");
    }
}

#[test]
fn files_demand_and_declare_what_either_of_them_does() {
    let read = |text| RequirementsFile::from_toml(text, Tables::builtin().unwrap()).unwrap();
    let one = read(
        "purposes = ['dpv:CustomerCare']\nno_training = true\nmin_seal = { SOV-1 = 2, SOV-2 = 4 }\nprefer = { price = 1 }",
    );
    let other = read(
        "purposes = ['dpv:Purpose']\noutput_used_in = ['DE']\nno_human_review = true\nmin_seal = { SOV-1 = 3 }\nmax_content_retention_days = 3\nprefer = { latency = 2 }",
    );
    let both = one.clone().meet(other.clone());
    assert_eq!((both.declared.purposes.len(), both.declared.output_used_in.len()), (2, 1));
    assert!(both.requirements.no_training && both.requirements.no_human_review);
    assert_eq!(both.requirements.min_seal.values().copied().collect::<Vec<_>>(), [3, 4]);
    assert_eq!(both.prefer, one.prefer, "what is preferred is the first one's that prefers anything");
    assert_eq!(read("").meet(other.clone()).prefer, other.prefer);
    let keys: Vec<_> = both.requirements.without_each().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["max_content_retention_days", "no_training", "no_human_review", "min_seal"]);
}

#[test]
fn flags_may_name_a_preset_again_and_not_without_end() {
    let expand = |count: usize| {
        let preset = vec!["zdr".to_owned(); count];
        RequirementsTable { preset, ..RequirementsTable::default() }.expand(Tables::builtin().unwrap())
    };
    assert!(expand(MAX_PRESETS).is_ok());
    let refusal = expand(MAX_PRESETS + 1).unwrap_err().to_string();
    assert!(refusal.contains("preset") && refusal.contains(&MAX_PRESETS.to_string()), "{refusal}");
}
