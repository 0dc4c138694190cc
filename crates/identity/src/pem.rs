//! Certificates and signing requests as PEM (RFC 7468), both ways.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer};

/// Characters on a line (RFC 7468, section 2).
const LINE_CHARS: usize = 64;

/// The certificates one after the other, in the order given.
#[must_use]
pub fn encode(certificates: &[CertificateDer<'_>]) -> String {
    certificates.iter().map(|der| block("CERTIFICATE", der)).collect()
}

/// A signing request, PKCS #10 in DER.
#[must_use]
pub fn encode_request(der: &[u8]) -> String {
    block("CERTIFICATE REQUEST", der)
}

/// The signing request in a text: DER in PEM.
#[must_use]
pub fn decode_request(text: &[u8]) -> Option<Vec<u8>> {
    CertificateSigningRequestDer::from_pem_slice(text).ok().map(|der| der.as_ref().to_vec())
}

fn block(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(LINE_CHARS).map(|line| format!("{}\n", String::from_utf8_lossy(line)));
    let lines = lines.collect::<String>();
    format!("-----BEGIN {label}-----\n{lines}-----END {label}-----\n")
}

/// The certificates in a text; none if there is none or one cannot be read.
#[must_use]
pub fn decode(text: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(text).collect::<Result<_, _>>().ok()?;
    Some(certificates).filter(|certificates| !certificates.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_survive_their_pem_in_order() {
        let certificates = [vec![1; 100], vec![2; 48], vec![3]].map(CertificateDer::from).to_vec();
        let text = encode(&certificates);
        assert!(text.lines().all(|line| line.len() <= LINE_CHARS));
        assert_eq!(decode(text.as_bytes()), Some(certificates));
        assert_eq!(decode(b""), None);
        assert_eq!(decode(b"-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----\n"), None);
    }

    #[test]
    fn a_signing_request_survives_its_pem_and_is_no_certificate() {
        let text = encode_request(&[7; 100]);
        assert!(text.starts_with("-----BEGIN CERTIFICATE REQUEST-----\n"));
        assert_eq!(decode_request(text.as_bytes()), Some(vec![7; 100]));
        assert_eq!((decode(text.as_bytes()), decode_request(b"")), (None, None));
    }
}
