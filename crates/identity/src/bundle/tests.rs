use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::testing::{Organisation, now};

fn domain() -> TrustDomain {
    "org-a.example".parse().unwrap()
}

fn bundle(anchors: usize) -> Bundle {
    let anchors = (0..anchors).map(|_| Organisation::new("org-a.example").authority.anchor()).collect();
    Bundle { domain: domain(), anchors, sequence: Some(7), refresh_hint: Some(Duration::from_secs(300)) }
}

fn read(document: &Value) -> Result<Bundle, BundleError> {
    Bundle::from_json(domain(), document.to_string().as_bytes())
}

fn written(bundle: &Bundle) -> Value {
    serde_json::from_slice(&bundle.to_json().unwrap()).unwrap()
}

/// An authority with a key of some kind, as members bring them.
fn authority(algorithm: &'static rcgen::SignatureAlgorithm) -> CertificateDer<'static> {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    params.self_signed(&rcgen::KeyPair::generate_for(algorithm).unwrap()).unwrap().der().clone()
}

#[test]
fn a_bundle_is_written_as_the_standard_has_it() {
    let bundle = bundle(1);
    let parsed = x509_parser::parse_x509_certificate(&bundle.anchors[0]).unwrap().1;
    let point = &parsed.public_key().subject_public_key.data;
    let coordinate = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let expected = json!({
        "keys": [{
            "use": "x509-svid", "kty": "EC", "crv": "P-256",
            "x": coordinate(&point[1..33]), "y": coordinate(&point[33..]),
            "x5c": [STANDARD.encode(&bundle.anchors[0])],
        }],
        "spiffe_sequence": 7,
        "spiffe_refresh_hint": 300,
    });
    assert_eq!(written(&bundle), expected);
}

#[test]
fn every_kind_of_authority_that_members_bring_comes_through() {
    let kinds =
        [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519, &rcgen::PKCS_RSA_SHA256];
    let anchors: Vec<_> = kinds.into_iter().map(|kind| authority(kind)).collect();
    let bundle = Bundle { anchors, ..bundle(0) };
    let document = written(&bundle);
    let kinds: Vec<_> = document["keys"].as_array().unwrap().iter().map(|key| key["kty"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["EC", "EC", "OKP", "RSA"]);
    assert_eq!(document["keys"][3]["e"], "AQAB");
    assert_eq!(read(&document).unwrap(), bundle);
}

#[test]
fn what_is_not_for_x509_is_skipped_whatever_it_is() {
    let mut document = written(&bundle(1));
    let keys = document["keys"].as_array_mut().unwrap();
    keys.push(json!({ "use": "jwt-svid", "kty": "EC", "kid": "k", "crv": "P-256", "x": "", "y": "" }));
    keys.push(json!({ "use": "tomorrows", "kty": "new", "x5c": { "not": "a list" } }));
    keys.push(json!({ "kty": "oct", "k": "c2VjcmV0" }));
    document["tomorrow"] = json!({ "a": [1, -1, 1.5, null, true] });
    assert_eq!(read(&document).unwrap().anchors.len(), 1);
}

#[test]
fn sequence_and_hint_may_be_absent_and_nobody_may_be_believed() {
    let empty = read(&json!({ "keys": [] })).unwrap();
    assert_eq!(empty, Bundle { domain: domain(), anchors: vec![], sequence: None, refresh_hint: None });
    assert_eq!(empty.refresh_after(), DEFAULT_REFRESH);
    assert!(empty.organisation_anchors().is_err());
}

#[test]
fn a_hint_is_taken_within_bounds() {
    for (hint, expected) in [(0, SHORTEST_REFRESH), (600, Duration::from_secs(600)), (u64::MAX, LONGEST_REFRESH)] {
        assert_eq!(read(&json!({ "keys": [], "spiffe_refresh_hint": hint })).unwrap().refresh_after(), expected);
    }
}

#[test]
fn bundles_are_never_merged() {
    let mut document = written(&bundle(1));
    let other = Bundle {
        domain: "org-b.example".parse().unwrap(),
        anchors: vec![Organisation::new("org-b.example").authority.anchor()],
        ..bundle(0)
    };
    document["keys"].as_array_mut().unwrap().push(written(&other)["keys"][0].clone());
    let refused = read(&document).unwrap_err();
    assert!(
        matches!(refused, BundleError::Anchor { index: 1, source: AnchorError::OtherDomain { .. } }),
        "{refused:?}"
    );
    let both = [bundle(1).to_json().unwrap(), other.to_json().unwrap()].concat();
    assert!(matches!(Bundle::from_json(domain(), &both), Err(BundleError::Json(_))));
}

#[test]
fn a_name_that_stands_twice_is_refused_wherever_it_stands() {
    for text in [
        r#"{"keys":[],"keys":[]}"#,
        r#"{"keys":[],"spiffe_sequence":1,"spiffe_sequence":2}"#,
        r#"{"keys":[],"unknown":1,"unknown":1}"#,
        r#"{"keys":[{"use":"jwt-svid","kid":"a","kid":"b"}]}"#,
        r#"{"keys":[],"deep":[{"a":{"b":1,"\u0062":2}}]}"#,
    ] {
        let refused = Bundle::from_json(domain(), text.as_bytes()).unwrap_err();
        assert!(
            matches!(&refused, BundleError::Json(error) if error.to_string().contains("stands twice")),
            "{text}: {refused:?}"
        );
    }
}

#[test]
fn a_key_for_x509_has_exactly_one_certificate_of_an_authority_with_that_key() {
    type Change = fn(&mut Value);
    let table: [(&str, Change, &str); 8] = [
        ("no certificate", |key| drop(key.as_object_mut().unwrap().remove("x5c")), "0 certificates where exactly 1"),
        ("two", |key| key["x5c"] = json!([key["x5c"][0], key["x5c"][0]]), "2 certificates where exactly 1"),
        ("not base64", |key| key["x5c"] = json!(["-"]), "not base64"),
        ("not a certificate", |key| key["x5c"] = json!(["AAAA"]), "an anchor cannot be read"),
        ("a leaf", |key| key["x5c"] = json!([leaf()]), "an anchor is not an authority's certificate"),
        ("no kind", |key| drop(key.as_object_mut().unwrap().remove("kty")), "not the key of its certificate"),
        ("another kind", |key| key["kty"] = json!("RSA"), "not the key of its certificate"),
        ("another key", |key| key["x"] = json!("AAAA"), "not the key of its certificate"),
    ];
    for (what, change, expected) in table {
        let mut document = written(&bundle(1));
        change(&mut document["keys"][0]);
        let refused = read(&document).unwrap_err();
        let source = std::error::Error::source(&refused).map(ToString::to_string).unwrap_or_default();
        assert!(format!("{refused}: {source}").contains(expected), "{what}: {refused}: {source}");
    }
}

fn leaf() -> String {
    STANDARD.encode(&Organisation::new("org-a.example").issue("node", "n1", now()).0[0])
}

#[test]
fn size_and_counts_are_bounded() {
    let padded = format!("{{\"keys\":[]{}}}", " ".repeat(MAX_BUNDLE_BYTES));
    assert!(matches!(Bundle::from_json(domain(), padded.as_bytes()), Err(BundleError::TooLarge { .. })));
    let keys = vec![json!({ "use": "jwt-svid" }); MAX_KEYS + 1];
    assert!(matches!(read(&json!({ "keys": keys })), Err(BundleError::Keys { found }) if found == MAX_KEYS + 1));
    let mut document = written(&bundle(1));
    document["keys"] = vec![document["keys"][0].clone(); MAX_ANCHORS + 1].into();
    assert!(matches!(read(&document), Err(BundleError::Anchors { .. })));
    assert!(matches!(bundle(MAX_ANCHORS + 1).to_json(), Err(BundleError::Anchors { .. })));
    let deep = format!("{{\"keys\":[],\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(matches!(Bundle::from_json(domain(), deep.as_bytes()), Err(BundleError::Json(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_is_written_is_read_again(
        anchors in 0..=MAX_ANCHORS,
        sequence in any::<Option<u64>>(),
        hint in any::<Option<u64>>(),
    ) {
        let bundle = Bundle { sequence, refresh_hint: hint.map(Duration::from_secs), ..bundle(anchors) };
        prop_assert_eq!(Bundle::from_json(domain(), &bundle.to_json().unwrap()).unwrap(), bundle);
    }

    #[test]
    fn nothing_that_is_read_panics(text in "[{}\\[\\]\":,a-z0-9 ]{0,64}") {
        drop(Bundle::from_json(domain(), text.as_bytes()));
    }
}
