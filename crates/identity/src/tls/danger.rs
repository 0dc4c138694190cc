//! The one configuration that does not know whom it talks to.

use std::sync::Arc;

use comity_types::Clock;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::verify_tls13_signature;
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::{ALPN_ENROLMENT, client_builder, finish_client, provider};
use crate::verify::no_tls12;

/// Accepts any server. For one purpose only: to fetch the federation's root document, whose digest
/// the invite pins. Nothing secret may be sent over it, and nothing else that it brings may be believed.
///
/// # Errors
/// The cryptographic provider does not do TLS 1.3.
pub fn unverified_enrolment_client_config(clock: Arc<dyn Clock>) -> Result<Arc<ClientConfig>, Error> {
    Ok(finish_client(client_builder(Arc::new(AnyServer), clock)?.with_no_client_auth(), ALPN_ENROLMENT))
}

/// Checks that the server has the key of the certificate that it shows, and nothing more.
#[derive(Debug)]
struct AnyServer;

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signature, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
