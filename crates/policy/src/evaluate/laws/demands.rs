//! What callers may demand and declare in the worlds of the laws: every key of a requirements file.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

use super::facts::OF_OFFERS;
use super::world::tables;
use crate::Requirements;
use crate::requirements::RequirementsTable;

/// Keys that belong together, as JSON; met by the good world unless something in it is changed.
const DEMANDS: &[&str] = &[
    r#"{"allowed_processing_locations":["EU"]}"#,
    r#"{"allowed_processing_locations":["EEA","GDPR-ADEQUATE"]}"#,
    r#"{"allowed_processing_locations":["FR","US"]}"#,
    r#"{"allowed_processing_locations":[]}"#,
    r#"{"forbidden_processing_locations":["US","UA-43"]}"#,
    r#"{"forbidden_processing_locations":["NATO"]}"#,
    r#"{"forbidden_processing_locations":["CPTPP"]}"#,
    r#"{"allowed_storage_locations":["EU","CH"]}"#,
    r#"{"forbidden_storage_locations":["FVEY"]}"#,
    r#"{"allowed_access_locations":["EEA","GB"]}"#,
    r#"{"forbidden_access_locations":["CN","GDPR-ADEQUATE"]}"#,
    r#"{"allowed_operator_seats":["EU"]}"#,
    r#"{"allowed_operator_seats":["FR","GDPR-ADEQUATE"]}"#,
    r#"{"allowed_controller_seats":["EU","CH"]}"#,
    r#"{"forbidden_controller_seats":["CN","US"]}"#,
    r#"{"no_exposure":["US-CLOUD-ACT"]}"#,
    r#"{"no_exposure":["US-CLOUD-ACT","UK-IPA"],"accept_attested_runtimes":["tdx"]}"#,
    r#"{"no_exposure":["CN-NIL"],"accept_attested_runtimes":["none"]}"#,
    r#"{"foreign_ownership":{"home":["EU"],"individual_bp":2400,"aggregate_bp":3900}}"#,
    r#"{"foreign_ownership":{"home":["EU","GB"],"individual_bp":5000,"aggregate_bp":5000,"indirect":"look-through","interests":["shareholding"]}}"#,
    r#"{"forbidden_sub_processors":["S1"]}"#,
    r#"{"forbidden_sub_processors":["529900T8BM49AURSDO55"]}"#,
    r#"{"transfer_basis_outside":["EEA"]}"#,
    r#"{"transfer_basis_outside":["FR"]}"#,
    r#"{"max_content_retention_days":0}"#,
    r#"{"max_content_retention_days":0,"accept_retention_triggers":["legal-obligation"]}"#,
    r#"{"max_content_retention_days":30,"accept_retention_triggers":["legal-obligation"]}"#,
    r#"{"no_training":true}"#,
    r#"{"no_human_review":true}"#,
    r#"{"no_content_logging":true}"#,
    r#"{"required_certifications":[{"scheme":"BSI-C5","level":"type-2","max_age_days":365}]}"#,
    r#"{"required_certifications":[{"scheme":"ISO27001","editions":["2022"]},{"scheme":"BSI-C5"}]}"#,
    r#"{"min_seal":{"SOV-2":3}}"#,
    r#"{"min_seal":{"SOV-1":2,"SOV-2":4}}"#,
    r#"{"min_cada_level":3}"#,
    r#"{"min_gaiax_label":2}"#,
    r#"{"min_safety_grade":"good"}"#,
    r#"{"allowed_licences":["Apache-2.0","MIT"]}"#,
    r#"{"allowed_licences":["Apache-2.0","LicenseRef-Llama-4"]}"#,
    r#"{"allowed_governing_laws":["EU","CH"]}"#,
    r#"{"min_liability_cap":{"currency":"EUR","micros":50}}"#,
    r#"{"min_support":"business-hours"}"#,
    r#"{"min_availability_bp":9950}"#,
    r#"{"max_price":{"currency":"EUR","input_micros_per_million_tokens":5,"output_micros_per_million_tokens":1}}"#,
    r#"{"max_price":{"currency":"EUR","input_micros_per_million_tokens":1,"output_micros_per_million_tokens":5}}"#,
    r#"{"required_capabilities":["tools"]}"#,
];

/// What is declared of a request.
const DECLARED: &[&str] = &[
    r#"{"purposes":[]}"#,
    r#"{"purposes":["dpv:PublicBenefit","dpv:CustomerCare"]}"#,
    r#"{"purposes":["fed:MilitaryUse"]}"#,
    r#"{"purposes":["dpv:Purpose"]}"#,
    r#"{"ai_act_tags":["eu-aiact:A5-1-c"]}"#,
    r#"{"ai_act_tags":["eu-aiact:A5-1-f"],"exceptions":["eu-aiact:A5-1-f-medical"]}"#,
    r#"{"ai_act_tags":["eu-aiact:A5-NCII"]}"#,
    r#"{"ai_act_tags":["eu-aiact:AnnexIII-4-a"]}"#,
    r#"{"access_origins":["UA-43","DE"]}"#,
    r#"{"output_used_in":["SG"]}"#,
    r#"{"classifications":[{"scheme":"UK-GSC","level":"OFFICIAL","caveats":["SENSITIVE"]}]}"#,
    r#"{"classifications":[{"scheme":"EU-CI","level":"RESTREINT UE/EU RESTRICTED"},{"scheme":"TLP-2.0","level":"TLP:RED"}]}"#,
    r#"{"classifications":[{"scheme":"EU-CI","level":"SECRET UE/EU SECRET"}]}"#,
    r#"{"classifications":[{"scheme":"NATO","level":"NATO RESTRICTED"}]}"#,
    r#"{"data_categories":["pd:Name"]}"#,
];

/// What a demand or a declaration is held against, by its key: so that worlds change what is asked about.
const READ_BY: &[(&str, &[&str])] = &[
    (
        "_processing_locations",
        &["offer.processing_locations", "offer.sub_processors", "broker_places", "operator.dpf_participation"],
    ),
    ("_storage_locations", &["offer.storage_locations"]),
    ("_access_locations", &["offer.access_locations", "operator.commercial_organisation"]),
    ("_operator_seats", &["operator.seat", "operator.dpf_participation"]),
    ("_controller_seats", &["operator.ownership", "operator.ultimate_controllers", "operator.seat"]),
    (
        "no_exposure",
        &[
            "offer.runtime",
            "offer.sub_processors",
            "operator.seat",
            "operator.principal_place_of_business",
            "operator.establishments",
            "operator.ownership",
            "operator.ultimate_controllers",
        ],
    ),
    ("foreign_ownership", &["operator.ownership"]),
    ("forbidden_sub_processors", &["offer.sub_processors"]),
    ("transfer_basis_outside", &["offer.terms.transfer_basis", "offer.access_locations", "operator.dpf_participation"]),
    ("max_content_retention_days", &["offer.terms.retention"]),
    ("no_training", &["offer.terms.training_use", "caller.training_choices"]),
    ("no_human_review", &["offer.terms.human_review"]),
    ("no_content_logging", &["offer.terms.content_logging"]),
    ("required_certifications", &["offer.terms.certifications", "offer.processing_locations"]),
    ("min_seal", &["offer.seal"]),
    ("min_cada_level", &["offer.cada_level"]),
    ("min_gaiax_label", &["offer.gaiax_label"]),
    ("min_safety_grade", &["offer.safety_grade"]),
    ("allowed_licences", &["offer.licence"]),
    ("allowed_governing_laws", &["offer.terms.governing_law"]),
    ("min_liability_cap", &["offer.terms.liability_cap"]),
    ("min_support", &["offer.terms.support"]),
    ("min_availability_bp", &["offer.terms.availability_bp"]),
    ("max_price", &["offer.price"]),
    ("required_capabilities", &["offer.capabilities"]),
    (
        "purposes",
        &[
            "offer.terms.allowed_purposes",
            "offer.terms.prohibited_purposes",
            "offer.licence",
            "caller.organisation_type",
            "caller.seat",
        ],
    ),
    (
        "ai_act_tags",
        &[
            "caller.seat",
            "caller.headquarters",
            "caller.principal_place_of_business",
            "caller.establishments",
            "offer.terms.high_risk",
            "require.output_used_in",
        ],
    ),
    (
        "access_origins",
        &[
            "offer.terms.caller_rules.served",
            "offer.terms.caller_rules.served_except",
            "offer.terms.caller_rules.check",
        ],
    ),
    ("classifications", &["offer.terms.classification_ceilings", "caller.trust_domain"]),
    ("data_categories", &["offer.terms.accepted_data_categories"]),
];

/// Demands that read the same, so that layers of them tighten one another.
pub(super) fn families() -> Vec<Vec<Value>> {
    let of_key = |key: &&str| {
        let all = DEMANDS.iter().map(|text| serde_json::from_str::<Value>(text).unwrap());
        all.filter(|demand| demand.as_object().unwrap().keys().any(|one| one.ends_with(key))).collect::<Vec<_>>()
    };
    let by_key = READ_BY.iter().map(|(key, _)| of_key(key)).filter(|family| !family.is_empty());
    let levels = ["registry-corroborated", "audited", "attested"];
    let assured = crate::evaluate::ASSURANCE_PATHS
        .iter()
        .map(|path| levels.iter().map(|level| serde_json::json!({ "min_assurance": { *path: level } })).collect());
    by_key.chain(assured).collect()
}

/// The paths that a demand or a declaration is held against.
pub(super) fn read_by(asked: &Value) -> Vec<String> {
    if let Some(assured) = asked.get("min_assurance") {
        let of_offer =
            |path: &str| OF_OFFERS.iter().find(|(short, ..)| *short == path).map(|(_, path, _)| (*path).to_owned());
        return assured
            .as_object()
            .unwrap()
            .keys()
            .map(|path| of_offer(path).unwrap_or_else(|| path.clone()))
            .collect();
    }
    let keys = asked.as_object().unwrap().keys();
    let of =
        |key: &String| READ_BY.iter().find(|(end, _)| key.ends_with(end)).map(|(_, paths)| *paths).unwrap_or_default();
    keys.flat_map(of).map(|path| (*path).to_owned()).collect()
}

/// One demand: a key with what belongs to it, or a level of assurance for one of the claims.
pub(super) fn demand() -> impl Strategy<Value = Value> {
    let levels = select(vec!["registry-corroborated", "audited", "attested"]);
    let assurance = (select(crate::evaluate::ASSURANCE_PATHS.to_vec()), levels)
        .prop_map(|(path, level)| serde_json::json!({ "min_assurance": { path: level } }));
    prop_oneof![5 => select(DEMANDS).prop_map(|text| serde_json::from_str(text).unwrap()), 1 => assurance]
}

/// What a request may say of itself.
pub(super) fn declared() -> impl Strategy<Value = Value> {
    select(DECLARED).prop_map(|text| serde_json::from_str(text).unwrap())
}

/// A layer: none to four demands.
pub(super) fn layer() -> impl Strategy<Value = Requirements> {
    proptest::collection::vec(demand(), 0..5)
        .prop_map(|all| all.into_iter().map(of).fold(Requirements::default(), Requirements::meet))
}

/// What a demand says, read as a requirements file is.
pub(super) fn of(demand: Value) -> Requirements {
    serde_json::from_value::<RequirementsTable>(demand).unwrap().expand(tables()).unwrap().requirements
}

#[test]
fn every_requirement_is_among_the_demands() {
    let all = DEMANDS.iter().map(|text| of(serde_json::from_str(text).unwrap()));
    let assured = of(serde_json::json!({ "min_assurance": { "licence": "audited" } }));
    let met = all.fold(assured, Requirements::meet);
    // Thirty fields: one that is added to `Requirements` and not here is never put to the laws.
    assert_eq!(met.without_each().len(), 30);
}
