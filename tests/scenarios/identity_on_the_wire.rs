//! TLS 1.3 only, the post-quantum hybrid first, nobody without a certificate of a member.

use std::net::TcpStream;
use std::sync::Arc;

use comity_tests::clients::{Caller, Certificate};
use comity_tests::federation::{EU_BODY, Federation};
use comity_tests::wait;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, NamedGroup, SignatureScheme};

#[test]
fn the_key_exchange_is_the_post_quantum_hybrid() {
    let federation = Federation::start();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"comity-enrol/1".to_vec()];
    let mut tls = ClientConnection::new(Arc::new(config), ServerName::try_from("broker.example").unwrap()).unwrap();
    let mut stream = TcpStream::connect(federation.address()).unwrap();
    stream.set_read_timeout(Some(wait::PATIENCE)).unwrap();
    while tls.is_handshaking() {
        tls.complete_io(&mut stream).unwrap();
    }
    let group = tls.negotiated_key_exchange_group().map(|group| group.name());
    assert_eq!(group, Some(NamedGroup::X25519MLKEM768));
}

#[test]
fn tls_1_2_is_refused() {
    let mut federation = Federation::start();
    federation.expect_log("peer refused");
    let seen = federation.operator().tls("1.2", Certificate::Shown);
    assert_eq!(seen["alert"], "TLSV1_ALERT_PROTOCOL_VERSION", "{seen}");
    let seen = federation.operator().tls("1.3", Certificate::Shown);
    assert_eq!((&seen["version"], seen["heard"].is_u64()), (&"TLSv1.3".into(), true), "{seen}");
}

#[test]
fn no_session_is_handed_out_to_resume_and_a_suspended_organisation_gets_nothing_when_it_comes_again() {
    let federation = Federation::start();
    let member = federation.app(EU_BODY, "assistant");
    let seen = member.tls("1.3", Certificate::Shown);
    assert_eq!((&seen["ticket"], seen["heard"].is_u64()), (&false.into(), true), "{seen}");
    let _done = federation.govern(&["suspend", EU_BODY.domain, "--reason", "a test"]);
    // The handshake is done anew, and the edge says why: a refused handshake could not.
    assert_eq!(member.tls("1.3", Certificate::Shown)["ticket"], false);
    assert_eq!(member.python("unary", "test-model")["reason"], "ORGANISATION_SUSPENDED");
}

#[test]
fn nobody_speaks_to_the_broker_without_a_certificate() {
    let mut federation = Federation::start();
    federation.expect_log("peer refused");
    let seen = federation.operator().tls("1.3", Certificate::Withheld);
    assert_eq!(seen["alert"], "TLSV13_ALERT_CERTIFICATE_REQUIRED", "{seen}");
}

#[test]
fn a_stranger_with_the_name_of_a_member_is_refused() {
    let [mut federation, elsewhere] = [(); 2].map(|()| Federation::start());
    federation.expect_log("peer refused");
    let member = federation.app(EU_BODY, "assistant");
    // The same names in another federation: only the authority that signed tells them apart.
    let stranger = Caller { address: member.address.clone(), ..elsewhere.app(EU_BODY, "assistant") };
    assert!(member.tls("1.3", Certificate::Shown)["heard"].is_u64());
    let seen = stranger.tls("1.3", Certificate::Shown);
    assert!(seen["alert"].as_str().is_some_and(|alert| alert.contains("_ALERT_")), "{seen}");
    // Its certificate is what broke, not its connection: it fails as a client of gRPC too.
    assert_eq!(stranger.python("health", "")["code"], "UNAVAILABLE");
}

/// Accepts every server: what is tested is the key exchange, not who answers.
#[derive(Debug)]
struct Anyone(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
