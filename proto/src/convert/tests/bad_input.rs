//! Each mistake that a message can hold is refused, with the path of the field and what was expected. The table of the
//! files is in `crates/policy/tests/bad_input`.

use comity_policy::limits::*;
use comity_policy::{Offer, Organisation, Tables};
use prost_types::Timestamp;

use super::super::*;
use crate::inference;

/// The path at which the refusal begins, a word of what was expected, and the mistake.
type Row<W> = (&'static str, &'static str, fn(&mut W));

const OFFER: &str = include_str!("../../../../tests/fuzz/seeds/offer.toml");
const ORGANISATION: &str = include_str!("../../../../tests/fuzz/seeds/operator.toml");

/// An offer that states everything, without the words of others, which the wire does not carry yet.
fn offer() -> wire::Offer {
    let own = OFFER
        .replace(", { value = [\"DE\"], issuer = \"GLEIF\", assurance = \"audited\" }", "")
        .replace(", assurance = \"attested\", issuer = \"verifier\", appraisal = \"affirming\"", "");
    (&toml::from_str::<Offer>(&own).unwrap()).into()
}

fn organisation() -> wire::Organisation {
    let own = ORGANISATION.replace(", assurance = \"registry-corroborated\", issuer = \"GLEIF\"", "");
    (&toml::from_str::<Organisation>(&own).unwrap()).into()
}

fn envelope() -> inference::Envelope {
    let set = |place: &str| wire::PlaceSet { places: vec![place.into()] };
    let requirements = wire::Requirements {
        allowed_processing_locations: vec![set("EU")],
        foreign_ownership: vec![wire::ForeignOwnership { home: Some(set("EU")), ..Default::default() }],
        retention_limits: vec![wire::RetentionLimit::default()],
        no_exposure: vec![wire::NoExposure { regime: "US-CLOUD-ACT".into(), ..Default::default() }],
        ..Default::default()
    };
    let preferences = wire::Preferences {
        locations: vec![wire::LocationPreference { place: "FR".into(), weight: 1 }],
        ..Default::default()
    };
    inference::Envelope {
        model: "m".into(),
        purposes: vec!["dpv:CustomerCare".into()],
        requirements: Some(requirements),
        preferences: Some(preferences),
        ..Default::default()
    }
}

fn hold<W: Clone>(good: &W, read: impl Fn(W) -> Result<(), WireError>, rows: &[Row<W>]) {
    assert_eq!(read(good.clone()), Ok(()));
    for (path, word, change) in rows {
        let mut wire = good.clone();
        change(&mut wire);
        let error = read(wire).expect_err(path);
        assert_eq!(error.path, *path, "{error}");
        assert!(error.problem.contains(word), "no {word:?} in {error}");
    }
}

fn terms(offer: &mut wire::Offer) -> &mut wire::Terms {
    offer.terms.as_mut().unwrap()
}

fn rules(offer: &mut wire::Offer) -> &mut wire::CallerRules {
    terms(offer).caller_rules.as_mut().unwrap()
}

fn required(envelope: &mut inference::Envelope) -> &mut wire::Requirements {
    envelope.requirements.as_mut().unwrap()
}

fn reversed() -> wire::Validity {
    let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
    wire::Validity { from: at(2), until: at(1) }
}

fn provenance(validity: wire::Validity) -> Option<wire::Provenance> {
    Some(wire::Provenance { validity: Some(validity), ..Default::default() })
}

#[test]
fn offers_are_refused_with_the_path_and_what_was_expected() {
    let rows: &[Row<wire::Offer>] = &[
        // Unknown values.
        ("capabilities[0]", "99 is no Capability", |o| o.capabilities[0] = 99),
        ("modalities[0].modalities[0]", "must be set", |o| o.modalities[0].modalities[0] = 0),
        ("state", "99 is no OfferState", |o| o.state = 99),
        ("sub_processors[0].sub_processors[0].role", "99 is no", |o| o.sub_processors[0].sub_processors[0].role = 99),
        ("seal[0].ratings[0].objective", "99 is no Objective", |o| o.seal[0].ratings[0].objective = 99),
        ("terms.training_use[0].training_use", "99 is no TrainingUse", |o| terms(o).training_use[0].training_use = 99),
        ("terms.retention[0].rules[0].trigger", "must be set", |o| terms(o).retention[0].rules[0].trigger = 0),
        ("terms.caller_rules.ownership[1].comparison", "99 is no Comparison", |o| {
            rules(o).ownership[1].comparison = 99;
        }),
        ("terms.caller_rules.ownership[0].target", "must be", |o| rules(o).ownership[0].target = None),
        ("terms.caller_rules.served", "must be", |o| rules(o).served = None),
        // Reversed.
        ("in_force", "before `until`", |o| o.in_force = Some(reversed())),
        ("access_locations[0].provenance.validity", "before `until`", |o| {
            o.access_locations[0].provenance = provenance(reversed());
        }),
        ("terms.caller_rules.ownership[0].in_force[0]", "before `until`", |o| {
            rules(o).ownership[0].in_force = vec![reversed()];
        }),
        ("terms.certifications.ISO27001.issued", "not before `expires`", |o| {
            let all = &mut terms(o).certifications[0].certifications;
            let one = all.iter_mut().find(|one| one.scheme == "ISO27001").unwrap();
            std::mem::swap(&mut one.issued, &mut one.expires);
        }),
        // Shares and levels.
        ("terms.caller_rules.ownership[0].threshold_bp", "100 %", |o| {
            rules(o).ownership[0].threshold_bp = Some(10_001);
        }),
        ("terms.quota.requests_per_day", "1 to 1000000000", |o| {
            terms(o).quota = vec![wire::QuotaClaim::default()];
        }),
        ("terms.availability_bp", "100 %", |o| terms(o).availability_bp = Some(10_001)),
        ("cada_level", "1 to 4", |o| o.cada_level[0].level = 5),
        ("cada_level[0].level", "at most 255", |o| o.cada_level[0].level = 256),
        ("gaiax_label", "1 to 3", |o| o.gaiax_label[0].level = 0),
        ("seal[0].ratings[0].level", "at most 4", |o| o.seal[0].ratings[0].level = 5),
        // Currencies.
        ("price.currency", "ISO 4217", |o| o.price.as_mut().unwrap().currency = "EURO".into()),
        ("terms.liability_cap.currency", "ISO 4217", |o| {
            terms(o).liability_cap.as_mut().unwrap().currency = "EUX".into();
        }),
        // Places: the form is held here; what is assigned is for the tables, which may be younger at the other side.
        ("processing_locations[0].places[0]", "the United Kingdom is GB", |o| {
            o.processing_locations[0].places[0] = "uk".into();
        }),
        ("terms.governing_law", "ISO 3166", |o| terms(o).governing_law = "Germany".into()),
        // Twice.
        ("licence", "states it twice", |o| o.licence.push(o.licence[0].clone())),
        ("seal[0].ratings[2].objective", "another entry", |o| {
            let rating = o.seal[0].ratings[0];
            o.seal[0].ratings.push(rating);
        }),
        ("terms.caller_rules.ownership", "V50 stands twice", |o| rules(o).ownership[1].id = "V50".into()),
        // Lists and texts.
        ("model_provider", "1 to 256 bytes", |o| o.model_provider = "x".repeat(MAX_TEXT_BYTES + 1)),
        ("processing_locations[0].places", "at most 256", |o| {
            o.processing_locations[0].places = vec!["DE".into(); MAX_LIST + 1];
        }),
        ("processing_locations", "at most 8", |o| {
            o.processing_locations = vec![wire::PlacesClaim::default(); 9];
        }),
        ("modalities[0].modalities", "at most 32", |o| o.modalities[0].modalities = vec![1; 33]),
        ("sub_processors[0].sub_processors", "at most 64", |o| {
            o.sub_processors[0].sub_processors = vec![wire::SubProcessor::default(); MAX_SUB_PROCESSORS + 1];
        }),
        ("sub_processors[0].sub_processors[0].id", "1 to 64 bytes", |o| {
            o.sub_processors[0].sub_processors[0].id = "x".repeat(MAX_ID_BYTES + 1);
        }),
        ("sub_processors[0].sub_processors[0].lei", "ISO 17442", |o| {
            o.sub_processors[0].sub_processors[0].lei = "529900T8BM49AURSDO56".to_owned();
        }),
        ("terms.retention[0].rules", "at most 32", |o| {
            let rule = terms(o).retention[0].rules[0];
            terms(o).retention[0].rules = vec![rule; MAX_RULES + 1];
        }),
        ("terms.certifications[0].certifications", "at most 64", |o| {
            terms(o).certifications[0].certifications = vec![wire::Certification::default(); MAX_ENTRIES + 1];
        }),
        ("terms.allowed_purposes", "at most 256", |o| terms(o).allowed_purposes = vec!["p".into(); MAX_LIST + 1]),
        ("terms.caller_rules.ownership", "at most 32", |o| {
            rules(o).ownership = vec![wire::OwnershipRule::default(); MAX_RULES + 1];
        }),
        ("terms.caller_rules.ownership[0].in_force", "at most 16", |o| {
            rules(o).ownership[0].in_force = vec![wire::Validity::default(); MAX_INTERVALS + 1];
        }),
        ("terms.caller_rules.ownership[0].interests", "at most 32", |o| rules(o).ownership[0].interests = vec![1; 33]),
        ("terms.caller_rules.denied_organisation_types", "at most 32", |o| {
            rules(o).denied_organisation_types = vec![1; 33];
        }),
        ("terms.caller_rules.denied_lists", "at most 64", |o| {
            rules(o).denied_lists = vec!["l".into(); MAX_ENTRIES + 1];
        }),
        ("terms.classification_ceilings", "at most 32", |o| {
            terms(o).classification_ceilings = vec![wire::Ceiling::default(); MAX_RULES + 1];
        }),
    ];
    hold(&offer(), |wire| Offer::try_from(wire).map(drop), rows);
}

#[test]
fn facts_are_refused_with_the_path_and_what_was_expected() {
    let rows: &[Row<wire::Organisation>] = &[
        ("trust_domain", "Op Example", |o| o.trust_domain = "Op Example".into()),
        ("name", "1 to 256 bytes", |o| o.name = "x".repeat(MAX_TEXT_BYTES + 1)),
        ("lei", "529900T8BM49AURSDO56", |o| o.lei = "529900T8BM49AURSDO56".into()),
        ("seat[0].place", "the United Kingdom is GB", |o| o.seat[0].place = "uk".into()),
        ("seat", "states it twice", |o| o.seat = vec![wire::PlaceClaim { place: "DE".into(), provenance: None }; 2]),
        ("seat[0].provenance.validity", "before `until`", |o| o.seat[0].provenance = provenance(reversed())),
        ("organisation_type[0].organisation_type", "99 is no", |o| o.organisation_type[0].organisation_type = 99),
        ("registration_numbers", "at most 16", |o| {
            o.registration_numbers = vec![wire::RegistrationNumber::default(); MAX_NUMBERS + 1];
        }),
        ("registration_numbers[1]", "stands twice", |o| o.registration_numbers.push(o.registration_numbers[0].clone())),
        ("establishments[0].places", "at most 256", |o| o.establishments[0].places = vec!["DE".into(); MAX_LIST + 1]),
        ("ultimate_controllers[0].controllers", "at most 64", |o| {
            o.ultimate_controllers[0].controllers = vec![wire::Controller::default(); MAX_CONTROLLERS + 1];
        }),
        ("monthly_active_users[0].month", "calendar month", |o| o.monthly_active_users[0].month = "2024-13".into()),
        ("ownership[0].stakes[0].interest", "99 is no Interest", |o| o.ownership[0].stakes[0].interest = 99),
        ("ownership[0].stakes[0].least_millionths", "0 to 100 %", |o| {
            o.ownership[0].stakes[0].most_millionths = Some(1_000_001);
        }),
        ("ownership[0].stakes[0].least_millionths", "not above its most", |o| {
            let stake = &mut o.ownership[0].stakes[0];
            (stake.least_millionths, stake.most_millionths) = (2, Some(1));
        }),
        ("ownership[0]", "no party \"Z\"", |o| o.ownership[0].stakes[0].holder = "Z".into()),
        ("ownership[0]", "nothing holds itself", |o| {
            o.ownership[0].stakes[0].holder = o.ownership[0].stakes[0].subject.clone();
        }),
        ("ownership[0]", "at most 64", |o| {
            let party = |index| wire::Party { name: format!("p{index}"), ..Default::default() };
            o.ownership[0].parties = (0..65).map(party).collect();
            o.ownership[0].stakes.clear();
        }),
        ("ownership[0].parties[1].name", "another party", |o| {
            o.ownership[0].parties[1].name = o.ownership[0].parties[0].name.clone();
        }),
        ("accepted_terms", "at most 256", |o| {
            o.accepted_terms = vec![wire::AcceptedTerms::default(); MAX_LIST + 1];
        }),
        ("accepted_terms[1].trust_domain", "another entry", |o| o.accepted_terms.push(o.accepted_terms[0].clone())),
        ("training_choices[0].choice", "99 is no", |o| o.training_choices[0].choice = 99),
        ("training_choices[1].trust_domain", "another entry", |o| {
            o.training_choices.push(o.training_choices[0].clone());
        }),
    ];
    hold(&organisation(), |wire| Organisation::try_from(wire).map(drop), rows);
}

#[test]
fn requests_are_refused_with_the_path_and_what_was_expected() {
    let rows: &[Row<inference::Envelope>] = &[
        // Unknown codes: at the broker's door, which has the tables.
        ("purposes", "table of purposes", |e| e.purposes[0] = "dpv:Nothing".into()),
        ("requirements.allowed_processing_locations", "did you mean \"GB\"?", |e| {
            required(e).allowed_processing_locations[0].places[0] = "UK".into();
        }),
        ("requirements.foreign_ownership.home", "did you mean \"GR\"?", |e| {
            required(e).foreign_ownership[0].home = Some(wire::PlaceSet { places: vec!["EL".into()] });
        }),
        ("output_used_in", "did you mean \"GB\"?", |e| e.output_used_in = vec!["UK".into()]),
        ("preferences.locations", "did you mean \"GB\"?", |e| {
            e.preferences.as_mut().unwrap().locations[0].place = "UK".into();
        }),
        ("requirements.no_exposure", "table of regimes", |e| required(e).no_exposure[0].regime = "US-LAW".into()),
        // Unknown values.
        ("requirements.min_safety_grade", "99 is no SafetyGrade", |e| required(e).min_safety_grade = 99),
        ("requirements.required_capabilities[0]", "must be set", |e| required(e).required_capabilities = vec![0]),
        ("requirements.retention_limits[0].accept_retention_triggers", "99 is no", |e| {
            required(e).retention_limits[0].accept_retention_triggers = vec![99];
        }),
        // Shares and levels.
        ("requirements.foreign_ownership[0].individual_bp", "100 %", |e| {
            required(e).foreign_ownership[0].individual_bp = 10_001;
        }),
        ("requirements.min_availability_bp", "100 %", |e| required(e).min_availability_bp = Some(10_001)),
        ("requirements.min_cada_level", "1 to 4", |e| required(e).min_cada_level = Some(5)),
        ("requirements.min_gaiax_label", "1 to 3", |e| required(e).min_gaiax_label = Some(0)),
        ("requirements.min_seal[0].level", "at most 4", |e| {
            required(e).min_seal = vec![wire::Seal { objective: 1, level: 5 }];
        }),
        ("preferences.locations[0].weight", "at most 255", |e| {
            e.preferences.as_mut().unwrap().locations[0].weight = 256;
        }),
        ("preferences.session", "has 31 bytes, where 32", |e| {
            e.preferences.as_mut().unwrap().session = vec![1; 31].into();
        }),
        ("preferences.hedge.after_ms", "10 to 600000 ms", |e| {
            e.preferences.as_mut().unwrap().hedge = Some(wire::Hedge { after_ms: Some(9) });
        }),
        ("preferences.resume", "no backend can go on", |e| e.preferences.as_mut().unwrap().resume = true),
        // Currencies, and what stands twice.
        ("requirements.max_prices[0].currency", "ISO 4217", |e| {
            required(e).max_prices = vec![wire::Price { currency: "EURO".into(), ..Default::default() }];
        }),
        ("requirements.min_liability_caps[1]", "one minimum", |e| {
            required(e).min_liability_caps = vec![wire::Money { currency: "EUR".into(), micros: 1 }; 2];
        }),
        // Lists and texts.
        ("purposes", "at most 16", |e| e.purposes = vec!["p".into(); MAX_REQUEST_LIST + 1]),
        ("purposes[0]", "1 to 256 bytes", |e| e.purposes[0] = "x".repeat(MAX_TEXT_BYTES + 1)),
        ("access_origins", "at most 16", |e| e.access_origins = vec!["DE".into(); MAX_REQUEST_LIST + 1]),
        ("requirements.allowed_processing_locations", "at most 16", |e| {
            required(e).allowed_processing_locations = vec![wire::PlaceSet::default(); MAX_REQUEST_LIST + 1];
        }),
        ("requirements.allowed_processing_locations[0].places", "at most 256", |e| {
            required(e).allowed_processing_locations[0].places = vec!["DE".into(); MAX_LIST + 1];
        }),
        ("requirements.retention_limits[0].accept_retention_triggers", "at most 32", |e| {
            required(e).retention_limits[0].accept_retention_triggers = vec![1; 33];
        }),
        ("requirements.foreign_ownership[0].interests", "at most 32", |e| {
            required(e).foreign_ownership[0].interests = vec![1; 33];
        }),
        ("requirements.required_certifications", "at most 64", |e| {
            required(e).required_certifications = vec![wire::RequiredCertification::default(); MAX_DEMANDS + 1];
        }),
        ("requirements.forbidden_sub_processors", "at most 256", |e| {
            required(e).forbidden_sub_processors = vec!["s".into(); MAX_LIST + 1];
        }),
    ];
    let tables = Tables::builtin().unwrap();
    hold(&envelope(), |wire| Envelope::try_from(wire)?.check(tables), rows);
}

#[test]
fn a_field_that_this_version_does_not_know_is_refused_inside_terms_too() {
    use prost::Message as _;

    // Field 1000 of the terms, a number: tag, value.
    let mut terms = offer().terms.unwrap().encode_to_vec();
    prost::encoding::uint32::encode(1000, &7, &mut terms);
    let mut request = wire::Offer { terms: None, ..offer() }.encode_to_vec();
    let at = crate::strict::decode::<wire::Offer>(request.clone().into()).map(drop);
    assert_eq!(at, Ok(()));
    prost::encoding::bytes::encode(number_of("terms"), &terms, &mut request);
    let error = crate::strict::decode::<wire::Offer>(request.into()).unwrap_err();
    assert!(error.to_string().contains("comity.policy.v1.Terms has no field 1000"), "{error}");
}

/// The number of a field of an offer, as the descriptors have it.
fn number_of(field: &str) -> u32 {
    use prost::Message as _;

    let set = prost_types::FileDescriptorSet::decode(crate::DESCRIPTORS).unwrap();
    let messages =
        set.file.iter().filter(|file| file.package() == "comity.policy.v1").flat_map(|file| &file.message_type);
    let offer = messages.into_iter().find(|message| message.name() == "Offer").unwrap();
    let found = offer.field.iter().find(|one| one.name() == field).unwrap();
    u32::try_from(found.number()).unwrap()
}
