//! What arrives is refused with its path, and what is accepted survives the way there and back.

use comity_policy::{Offer, Organisation, Requirements};

use super::*;
use crate::inference;

mod bad_input;

fn offer() -> Offer {
    let json = r#"{"id":"chat","node":"spiffe://org-a.example/node/n1","model":"m","capabilities":["chat","tools"],
        "processing_locations":{"value":["DE","FR"],"until":"2027-01-01"},"storage_locations":[],"licence":"Apache-2.0",
        "sub_processors":[{"id":"host","lei":"529900T8BM49AURSDO55","role":"cloud-host","places":["DE"],"content_access":false}],
        "price":{"currency":"EUR","input_micros_per_million_tokens":1,"output_micros_per_million_tokens":2},
        "terms":{"retention":[{"data":"content","trigger":"legal-obligation","max_days":30}],"training_use":"never",
          "quota":{"requests_per_day":1000},
          "allowed_purposes":["dpv:Purpose"],"prohibited_purposes":["fed:MilitaryUse"],
          "caller_rules":{"served":["EU"],"served_except":["UA-43"],"ownership":[{"id":"V50","target":"places-not-served"}]}},
        "in_force":{"from":"2026-01-01"},"context_tokens":2048}"#;
    serde_json::from_str(json).unwrap()
}

#[test]
fn an_offer_survives_the_wire() {
    let wire = wire::Offer::from(&offer());
    assert_eq!(Offer::try_from(wire).unwrap(), offer());
}

#[test]
fn an_organisation_survives_the_wire() {
    let json = r#"{"trust_domain":"org-a.example","name":"A","seat":{"value":"DE","until":"2027-01-01"},
        "ultimate_controllers":[{"name":"B","seat":"US"}],"disclosure":"code-only"}"#;
    let organisation: Organisation = serde_json::from_str(json).unwrap();
    assert_eq!(wire::Organisation::from(&organisation).disclosure, i32::from(wire::Disclosure::CodeOnly));
    assert_eq!(Organisation::try_from(wire::Organisation::from(&organisation)).unwrap(), organisation);
}

#[test]
fn requirements_survive_the_wire_and_an_empty_list_stays_apart_from_none() {
    let wire = wire::Requirements {
        allowed_processing_locations: vec![
            wire::PlaceSet { places: vec!["EU".into()] },
            wire::PlaceSet { places: vec![] },
        ],
        forbidden_controller_seats: Some(wire::PlaceSet { places: vec!["US".into()] }),
        retention_limits: vec![wire::RetentionLimit {
            max_content_retention_days: 0,
            accept_retention_triggers: vec![5],
        }],
        no_training: true,
        allowed_licences: vec![wire::LicenceSet { licences: vec!["MIT".into()] }],
        max_prices: vec![wire::Price { currency: "EUR".into(), ..Default::default() }],
        required_capabilities: vec![4],
        ..Default::default()
    };
    let domain = Requirements::try_from(wire).unwrap();
    assert_eq!(domain.allowed_processing_locations.0.len(), 2);
    assert!(domain.allowed_storage_locations.is_unrestricted());
    assert_eq!(Requirements::try_from(wire::Requirements::from(&domain)).unwrap(), domain);
}

/// The error of an offer that was changed by `change`.
fn refused(change: impl FnOnce(&mut wire::Offer)) -> String {
    let mut wire = wire::Offer::from(&offer());
    change(&mut wire);
    Offer::try_from(wire).unwrap_err().to_string()
}

#[test]
fn each_mistake_in_an_offer_names_its_field() {
    assert!(refused(|o| o.id = "A".into()).starts_with("id: "));
    assert!(refused(|o| o.capabilities = vec![0]).starts_with("capabilities[0]: must be set"));
    assert!(refused(|o| o.capabilities = vec![99]).starts_with("capabilities[0]: 99 is no Capability"));
    assert!(refused(|o| o.capabilities.clear()).starts_with("capabilities: "));
    let short = wire::DigestClaim { sha256: vec![1].into(), ..Default::default() };
    assert!(refused(|o| o.model_digest = vec![short.clone()]).starts_with("model_digest[0].sha256: "));
    let uk = |o: &mut wire::Offer| o.processing_locations[0].places = vec!["uk".into()];
    assert!(refused(uk).starts_with("processing_locations[0].places[0]: \"uk\" is not an ISO 3166 place"));
    let twice = |o: &mut wire::Offer| o.licence.push(o.licence[0].clone());
    assert!(refused(twice).starts_with("licence: the operator states it twice"));
    assert!(refused(|o| o.price.as_mut().unwrap().currency = "EURO".into()).starts_with("price.currency: "));
    let served = |o: &mut wire::Offer| o.terms.as_mut().unwrap().caller_rules.as_mut().unwrap().served = None;
    assert!(refused(served).starts_with("terms.caller_rules.served: must be"));
    let reversed = |o: &mut wire::Offer| o.in_force.as_mut().unwrap().until = Some(prost_types::Timestamp::default());
    assert_eq!(refused(reversed), "in_force: `from` must be before `until`");
}

#[test]
fn each_mistake_in_an_envelope_names_its_field() {
    let refused = |envelope: inference::Envelope| Envelope::try_from(envelope).unwrap_err().to_string();
    let good = inference::Envelope { model: "m".into(), ..Default::default() };
    assert!(Envelope::try_from(good.clone()).is_ok());
    assert!(refused(inference::Envelope::default()).starts_with("model: "));
    assert!(
        refused(inference::Envelope { purposes: vec![String::new()], ..good.clone() }).starts_with("purposes[0]: ")
    );
    assert!(
        refused(inference::Envelope { purposes: vec!["p".into(); 17], ..good.clone() })
            .starts_with("purposes: at most 16")
    );
    let nonce = |bytes: usize| inference::Envelope { nonce: vec![7; bytes].into(), ..good.clone() };
    for bytes in [0, 16, 32] {
        assert_eq!(Envelope::try_from(nonce(bytes)), Envelope::try_from(good.clone()), "nothing is decided by it");
    }
    for bytes in [1, 15, 33] {
        assert_eq!(refused(nonce(bytes)), format!("nonce: has {bytes} bytes, where 16 to 32 random ones make one"));
    }
    let places = wire::PlaceSet { places: vec!["uk".into()] };
    let requirements = Some(wire::Requirements { allowed_storage_locations: vec![places], ..Default::default() });
    let path = "requirements.allowed_storage_locations[0].places[0]: ";
    assert!(refused(inference::Envelope { requirements, ..good.clone() }).starts_with(path));
    let most = |tokens| inference::Envelope { max_output_tokens: Some(tokens), ..good.clone() };
    assert_eq!(refused(most(0)), "max_output_tokens: must be at least 1, or absent");
    let read = Envelope::try_from(most(16)).unwrap();
    assert_eq!((read.max_output_tokens, inference::Envelope::from(&read).max_output_tokens), (Some(16), Some(16)));
}

#[test]
fn names_that_would_steer_an_operators_terminal_are_refused() {
    let json = r#"{"trust_domain":"org-a.example","name":"A","ultimate_controllers":[{"name":"B","seat":"US"}]}"#;
    let organisation: Organisation = serde_json::from_str(json).unwrap();
    let mut wire = wire::Organisation::from(&organisation);
    wire.ultimate_controllers[0].controllers[0].name = "\u{1b}[4D Nobody".into();
    let error = Organisation::try_from(wire).unwrap_err().to_string();
    assert!(error.starts_with("ultimate_controllers[0].controllers[0].name: control characters"), "{error}");
    assert!(refused(|o| o.licence[0].text = "MIT\u{202e}".into()).starts_with("licence[0].text: control characters"));
}

#[test]
fn lists_of_numbers_are_bounded_too() {
    assert!(refused(|o| o.capabilities = vec![1; 33]).starts_with("capabilities: at most 32"));
}

#[test]
fn nobody_may_put_words_into_an_issuers_mouth() {
    let claimed = [
        wire::Provenance { issuer: "GLEIF".into(), ..Default::default() },
        wire::Provenance { assurance: 2, ..Default::default() },
        wire::Provenance { appraisal: 2, ..Default::default() },
    ];
    for (provenance, field) in claimed.into_iter().zip(["issuer", "assurance", "appraisal"]) {
        let error = refused(|o| o.licence[0].provenance = Some(provenance));
        assert!(error.starts_with(&format!("licence[0].provenance.{field}: ")), "{error}");
        assert!(error.contains("they have to sign it"), "{error}");
    }
}

#[test]
fn every_claim_of_a_message_is_looked_at_however_deep_it_stands() {
    let by_gleif = || Some(wire::Provenance { issuer: "GLEIF".into(), ..Default::default() });
    let error = refused(|o| o.terms.as_mut().unwrap().retention[0].provenance = by_gleif());
    assert!(error.starts_with("terms.retention[0].provenance.issuer: "), "{error}");
    let seats = vec![wire::PlaceClaim { place: "DE".into(), provenance: by_gleif() }];
    let organisation = wire::Organisation {
        trust_domain: "org-a.example".into(),
        name: "A".into(),
        seat: seats,
        ..wire::Organisation::default()
    };
    let error = Organisation::try_from(organisation.clone()).unwrap_err().to_string();
    assert!(error.starts_with("seat[0].provenance.issuer: "), "{error}");
    let facts = files::organisation(organisation).unwrap();
    assert_eq!(facts.seat.unwrap().statements()[0].issuer.as_deref(), Some("GLEIF"), "a file may say so");
}

#[test]
fn what_somebody_else_states_in_a_file_survives_the_way_there_and_back() {
    let json = r#"{"value":"MIT","assurance":"attested","issuer":"verifier","appraisal":"affirming",
        "evidence":{"uri":"https://a.example"},"issued_at":"2026-01-01","revoked_at":"2027-01-01"}"#;
    let stated = Offer { licence: Some(serde_json::from_str(json).unwrap()), ..offer() };
    assert_eq!(files::offer(wire::Offer::from(&stated)).unwrap(), stated);
}
