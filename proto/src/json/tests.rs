//! The mapping, held against what the specification of protobuf says, and every message against its way back.

use std::fmt::Debug;

use proptest::prelude::*;
use prost_reflect::{FieldDescriptor, Kind, Value};

use super::*;
use crate::catalog::{ExplainResponse, ListOffersResponse};
use crate::inference::{ChatRequest, ChatResponse, Envelope};
use crate::policy::{Capability, Offer, Organisation, PlaceSet, Price, Refusal, Requirements, Validity};
use crate::{membership, policy};

fn written<M: Message + Name>(message: &M) -> serde_json::Value {
    serde_json::to_value(Canonical(message)).unwrap()
}

/// What is said of a text that is no `M`.
fn refused<M: Message + Name + Default + Debug>(text: &str) -> String {
    from_text::<M>(text).unwrap_err().to_string()
}

#[test]
fn names_enums_instants_long_numbers_and_bytes_have_the_forms_of_the_specification() {
    let offer = Offer {
        id: "chat".into(),
        capabilities: vec![Capability::ImageInput.into()],
        price: Some(Price { currency: "EUR".into(), input_micros_per_million_tokens: u64::MAX, ..Price::default() }),
        in_force: Some(Validity { from: Some(prost_types::Timestamp { seconds: 1, nanos: 5_000_000 }), until: None }),
        model_digest: vec![policy::DigestClaim { sha256: vec![0xfb, 0xff].into(), ..Default::default() }],
        context_tokens: 7,
        carbon_grams_per_million_tokens: Some(0),
        ..Offer::default()
    };
    let expected = serde_json::json!({
        "id": "chat",
        "capabilities": ["CAPABILITY_IMAGE_INPUT"],
        "price": { "currency": "EUR", "inputMicrosPerMillionTokens": "18446744073709551615" },
        "inForce": { "from": "1970-01-01T00:00:01.005Z" },
        "modelDigest": [{ "sha256": "+/8=" }],
        "contextTokens": 7,
        "carbonGramsPerMillionTokens": "0",
    });
    assert_eq!(written(&offer), expected);
    assert_eq!(from_text::<Offer>(&expected.to_string()).unwrap(), offer);
}

#[test]
fn what_other_writers_may_write_is_read() {
    let text = r#"{ "context_tokens": "7", "modelDigest": [{ "sha256": "-_8" }], "capabilities": ["CAPABILITY_CHAT", 2],
        "price": { "input_micros_per_million_tokens": 5 }, "terms": null, "inForce": { "from": "1970-01-01T01:00:00+01:00" } }"#;
    let offer = from_text::<Offer>(text).unwrap();
    assert_eq!((offer.context_tokens, &offer.capabilities[..]), (7, &[1, 2][..]));
    assert_eq!((offer.model_digest[0].sha256.as_ref(), offer.terms), (&[0xfb, 0xff][..], None));
    assert_eq!(offer.price.unwrap().input_micros_per_million_tokens, 5);
    assert_eq!(offer.in_force.unwrap().from, Some(prost_types::Timestamp::default()));
}

#[test]
fn a_list_that_is_empty_stays_apart_from_none() {
    let text = r#"{ "allowedProcessingLocations": [{}] }"#;
    let requirements = Requirements { allowed_processing_locations: vec![PlaceSet::default()], ..Default::default() };
    assert_eq!(from_text::<Requirements>(text).unwrap(), requirements);
    assert_eq!(written(&requirements).to_string(), text.replace(' ', ""));
}

#[test]
fn what_this_version_does_not_know_is_refused_with_its_path() {
    let misspelt = r#"{ "requirements": { "allowedProcesingLocations": [] } }"#;
    let said = refused::<Envelope>(misspelt);
    assert!(said.starts_with("requirements: ") && said.contains("'allowedProcesingLocations'"), "{said}");
    let said = refused::<Envelope>(r#"{ "requirements": { "requiredCapabilities": ["CAPABILITY_CHAT", "chat"] } }"#);
    assert!(said.starts_with("requirements.requiredCapabilities[1]: ") && said.contains("'chat'"), "{said}");
    assert!(said.contains("comity.inference.v1.Envelope (hint: "), "{said}");
    let said = refused::<Envelope>(r#"{ "purposes": "dpv:CustomerCare" }"#);
    assert!(said.starts_with("purposes: ") && said.contains("a list"), "{said}");
    let said = refused::<Offer>(r#"{ "inForce": { "until": "2027-01-01" } }"#);
    assert!(said.starts_with("inForce.until: "), "{said}");
    for whole in ["[]", "7", "\"id\"", "null"] {
        let said = refused::<Offer>(whole);
        assert!(said.contains("comity.policy.v1.Offer"), "{whole}: {said}");
    }
}

#[test]
fn a_field_that_is_given_twice_is_refused_under_either_name() {
    for text in [
        r#"{ "requirements": { "noTraining": true, "noTraining": false } }"#,
        r#"{ "requirements": { "no_training": true, "noTraining": false } }"#,
    ] {
        let said = refused::<Envelope>(text);
        assert!(said.starts_with("requirements: ") && said.contains("'noTraining' is given twice"), "{said}");
    }
}

#[test]
fn what_stands_twice_in_a_list_of_a_file_is_refused_with_its_path() {
    let refused = |text: &str| from_file::<Envelope>(text).unwrap_err().to_string();
    let twice = r#"{"purposes":["dpv:Marketing","dpv:Marketing"]}"#;
    assert!(from_text::<Envelope>(twice).is_ok(), "programs may");
    assert!(refused(twice).starts_with("purposes[1]: \"dpv:Marketing\" stands twice"), "{}", refused(twice));
    let places = r#"{"requirements":{"allowedProcessingLocations":[{"places":["GB"]},{"places":["DE","GB","GB"]}]}}"#;
    assert!(refused(places).starts_with("requirements.allowedProcessingLocations[1].places[2]: \"GB\""));
    let tables = r#"{"classifications":[{"scheme":"NATO","level":"A"},{"level":"A","scheme":"NATO"}]}"#;
    assert!(refused(tables).starts_with("classifications[1]: this entry stands twice"), "{}", refused(tables));
    assert!(from_file::<Envelope>(r#"{"purposes":["dpv:Marketing","dpv:Advertising"]}"#).is_ok());
}

#[test]
fn what_is_no_json_is_said_to_be_none() {
    for text in ["", "{", "{}{}", "id = 'chat'", "{\"id\": \"a\",}"] {
        assert!(matches!(from_text::<Offer>(text), Err(JsonError::Malformed(_))), "{text}");
    }
}

#[test]
fn the_two_names_of_a_field_are_told_apart_from_those_of_others() {
    for message in POOL.all_messages() {
        for field in message.fields() {
            assert!(!field.is_map(), "{} has keys of its own, which may look alike", field.full_name());
            assert_eq!(unique::json_name(field.name()), field.json_name(), "{}", field.full_name());
        }
    }
}

/// Any value of a field's kind, down to messages that are `depth` levels below.
fn any_value(field: &FieldDescriptor, depth: u32) -> BoxedStrategy<Value> {
    let one = match field.kind() {
        Kind::Message(message) if message.full_name() == "google.protobuf.Timestamp" => any_instant(),
        Kind::Message(message) => any_message(message, depth).prop_map(Value::Message).boxed(),
        Kind::Enum(of) => {
            let numbers: Vec<i32> = of.values().map(|value| value.number()).chain([99]).collect();
            proptest::sample::select(numbers).prop_map(Value::EnumNumber).boxed()
        }
        Kind::String => any::<String>().prop_map(Value::String).boxed(),
        Kind::Bytes => any::<Vec<u8>>().prop_map(|bytes| Value::Bytes(bytes.into())).boxed(),
        Kind::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Kind::Float => proptest::num::f32::NORMAL.prop_map(Value::F32).boxed(),
        Kind::Double => proptest::num::f64::NORMAL.prop_map(Value::F64).boxed(),
        Kind::Uint32 | Kind::Fixed32 => any::<u32>().prop_map(Value::U32).boxed(),
        Kind::Uint64 | Kind::Fixed64 => any::<u64>().prop_map(Value::U64).boxed(),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => any::<i32>().prop_map(Value::I32).boxed(),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => any::<i64>().prop_map(Value::I64).boxed(),
    };
    if field.is_list() { proptest::collection::vec(one, 0..3).prop_map(Value::List).boxed() } else { one }
}

/// An instant from the year 1 up to the year 10000.
fn any_instant() -> BoxedStrategy<Value> {
    (-62_135_596_800_i64..253_402_300_800, 0_i32..1_000_000_000)
        .prop_map(|(seconds, nanos)| {
            let mut instant = DynamicMessage::new(descriptor::<prost_types::Timestamp>().unwrap());
            instant.transcode_from(&prost_types::Timestamp { seconds, nanos }).unwrap();
            Value::Message(instant)
        })
        .boxed()
}

/// Any message of a type, with a few of its fields.
fn any_message(of: MessageDescriptor, depth: u32) -> BoxedStrategy<DynamicMessage> {
    let fields: Vec<FieldDescriptor> = of
        .fields()
        .filter(|field| depth > 0 || !matches!(field.kind(), Kind::Message(inner) if inner.fields().count() > 2))
        .collect();
    let empty = DynamicMessage::new(of);
    if fields.is_empty() {
        return Just(empty).boxed();
    }
    let field = proptest::sample::select(fields).prop_flat_map(move |field| {
        let value = any_value(&field, depth.saturating_sub(1));
        (Just(field), value)
    });
    proptest::collection::vec(field, 0..4)
        .prop_map(move |fields| {
            let mut message = empty.clone();
            fields.into_iter().for_each(|(field, value)| message.set_field(&field, value));
            message
        })
        .boxed()
}

/// Levels of messages below the one that is made.
const DEPTH: u32 = 6;

fn any_of<M: Message + Name + Default + Debug>() -> impl Strategy<Value = M> {
    any_message(descriptor::<M>().unwrap(), DEPTH).prop_map(|message| message.transcode_to().unwrap())
}

fn comes_back<M: Message + Name + Default + PartialEq + Debug>(message: &M) -> Result<(), TestCaseError> {
    let text = serde_json::to_string(&Canonical(message)).unwrap();
    prop_assert_eq!(&from_text::<M>(&text).unwrap(), message, "{}", text);
    Ok(())
}

proptest! {
    #[test]
    fn every_message_comes_back_from_its_json(
        offer in any_of::<Offer>(),
        organisation in any_of::<Organisation>(),
        envelope in any_of::<Envelope>(),
        refusal in any_of::<Refusal>(),
        explained in any_of::<ExplainResponse>(),
        offers in any_of::<ListOffersResponse>(),
        asked in any_of::<ChatRequest>(),
        answered in any_of::<ChatResponse>(),
        enrolments in any_of::<membership::ListEnrolmentsResponse>(),
    ) {
        comes_back(&offer)?;
        comes_back(&organisation)?;
        comes_back(&envelope)?;
        comes_back(&refusal)?;
        comes_back(&explained)?;
        comes_back(&offers)?;
        comes_back(&asked)?;
        comes_back(&answered)?;
        comes_back(&enrolments)?;
    }

    #[test]
    fn no_text_makes_it_panic(text in "[\\[\\]{}:,\"a-z0-9_ ]{0,40}") {
        drop(from_text::<Offer>(&text));
    }
}
