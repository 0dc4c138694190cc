//! What is read of a conformant leaf. The table of those that are not is `tls/conformance.rs`, in handshakes.

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose as Eku, IsCa, KeyUsagePurpose as Usage, SanType};

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
fn what_is_not_one_certificate_is_refused() {
    let der = certificate(|_| ());
    let mut longer = der.to_vec();
    longer.push(0);
    for bytes in [Vec::new(), b"certificate".to_vec(), der[..der.len() - 1].to_vec(), longer] {
        assert_eq!(leaf_identity(&bytes.into()), Err(SvidError::Malformed));
    }
}
