//! A table of certificates, each wrong in one way.

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose as Eku, IsCa, KeyUsagePurpose as Usage, SanType,
};

use super::*;

const ID: &str = "spiffe://org-a.example/node/n1";

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

/// A conformant certificate, and what `change` makes of it.
fn certificate(change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![uri(ID)];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![Usage::DigitalSignature];
    params.extended_key_usages = vec![Eku::ServerAuth, Eku::ClientAuth];
    change(&mut params);
    params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().clone()
}

/// The alternative names of [`ID`], written by hand, for rcgen marks them as critical where the subject is empty.
fn names_that_are_not_critical() -> rcgen::CustomExtension {
    let length = u8::try_from(ID.len()).unwrap();
    let names = [&[0x30, length + 2, 0x86, length], ID.as_bytes()].concat();
    rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 17], names)
}

#[test]
fn a_conformant_leaf_is_read() {
    let der = certificate(|params| params.subject_alt_names.push(SanType::DnsName("n1.example".try_into().unwrap())));
    let leaf = leaf_identity(&der).unwrap();
    assert_eq!(leaf.id.as_str(), ID);
    assert_eq!(leaf.certificate, Digest::of(&der));
    assert_eq!(leaf.not_before, "1975-01-01".parse().unwrap());
    assert_eq!(leaf.not_after, "4096-01-01".parse().unwrap());
}

#[test]
fn extended_key_usage_may_be_absent() {
    assert!(leaf_identity(&certificate(|params| params.extended_key_usages.clear())).is_ok());
}

#[test]
fn the_subject_may_be_empty_if_the_names_are_critical() {
    assert!(leaf_identity(&certificate(|params| params.distinguished_name = rcgen::DistinguishedName::new())).is_ok());
}

#[test]
fn a_leaf_that_breaks_a_rule_is_refused_for_that_rule() {
    type Change = fn(&mut CertificateParams);
    let table: [(&str, Change, SvidError); 13] = [
        ("no names", |p| p.subject_alt_names.clear(), SvidError::UriNames { found: 0 }),
        (
            "a DNS name only",
            |p| p.subject_alt_names = vec![SanType::DnsName("n1.example".try_into().unwrap())],
            SvidError::UriNames { found: 0 },
        ),
        ("two URIs", |p| p.subject_alt_names.push(uri("https://example.org")), SvidError::UriNames { found: 2 }),
        ("an authority", |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained), SvidError::Authority),
        ("no key usage", |p| p.key_usages.clear(), SvidError::KeyUsageNotCritical),
        ("other key usage", |p| p.key_usages = vec![Usage::KeyAgreement], SvidError::NoDigitalSignature),
        ("signs certificates", |p| p.key_usages.push(Usage::KeyCertSign), SvidError::SigningUsage),
        ("signs revocation lists", |p| p.key_usages.push(Usage::CrlSign), SvidError::SigningUsage),
        ("a client only", |p| p.extended_key_usages = vec![Eku::ClientAuth], SvidError::ExtendedKeyUsage),
        ("a server only", |p| p.extended_key_usages = vec![Eku::ServerAuth], SvidError::ExtendedKeyUsage),
        ("any usage", |p| p.extended_key_usages = vec![Eku::Any], SvidError::ExtendedKeyUsage),
        ("ends before it begins", |p| p.not_after = p.not_before - time::Duration::days(1), SvidError::Validity),
        (
            "an empty subject",
            |p| {
                p.distinguished_name = rcgen::DistinguishedName::new();
                p.subject_alt_names.clear();
                p.custom_extensions = vec![names_that_are_not_critical()];
            },
            SvidError::NamesNotCritical,
        ),
    ];
    for (name, change, expected) in table {
        assert_eq!(leaf_identity(&certificate(change)), Err(expected), "{name}");
    }
}

#[test]
fn a_uri_outside_the_grammar_is_refused() {
    for text in [
        "https://org-a.example/node/n1",
        "spiffe://org-a.example",
        "spiffe://org-a.example/node/n1/x",
        "spiffe://org-a.example/thing/n1",
    ] {
        let refused = leaf_identity(&certificate(|params| params.subject_alt_names = vec![uri(text)]));
        assert!(matches!(refused, Err(SvidError::Id(_))), "{text}: {refused:?}");
    }
}

#[test]
fn what_is_not_one_certificate_is_refused() {
    let der = certificate(|_| ());
    let mut longer = der.to_vec();
    longer.push(0);
    for bytes in [Vec::new(), b"certificate".to_vec(), der[..der.len() - 1].to_vec(), longer] {
        assert_eq!(leaf_identity(&bytes.into()), Err(SvidError::Malformed));
    }
}
