//! TLS 1.3 only, the post-quantum hybrid first, nobody without a certificate of a member.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use comity_tests::federation::Federation;
use comity_tests::program::{run, said};
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
    while tls.is_handshaking() {
        tls.complete_io(&mut stream).unwrap();
    }
    let group = tls.negotiated_key_exchange_group().map(|group| group.name());
    assert_eq!(group, Some(NamedGroup::X25519MLKEM768));
}

#[test]
fn tls_1_2_is_refused() {
    let federation = Federation::start();
    let output = openssl(&["-tls1_2", "-connect", federation.address()]);
    assert!(said(&output).contains("alert protocol version"), "{}", said(&output));
}

#[test]
fn nobody_speaks_to_the_broker_without_a_certificate() {
    let federation = Federation::start();
    let output = openssl(&["-tls1_3", "-alpn", "h2", "-connect", federation.address()]);
    assert!(said(&output).contains("certificate required"), "{}", said(&output));
}

#[test]
fn a_strangers_certificate_is_refused() {
    let federation = Federation::start();
    let (key, certificate) = stranger(federation.folder());
    let as_stranger = ["-cert", &certificate, "-key", &key];
    let output = openssl(&[&["-tls1_3", "-alpn", "h2", "-connect", federation.address()], &as_stranger[..]].concat());
    assert!(said(&output).contains("alert"), "{}", said(&output));
}

/// Speaks TLS to a server and waits for what it says first.
fn openssl(arguments: &[&str]) -> Output {
    run(Command::new("timeout").args(["10", "openssl", "s_client", "-ign_eof"]).args(arguments))
}

/// The key and the certificate of somebody who signs for an organisation without being it.
fn stranger(folder: &Path) -> (String, String) {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (key, certificate) = (path("stranger.key"), path("stranger.pem"));
    let made = run(Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
        .args([
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=stranger",
            "-addext",
            "subjectAltName=URI:spiffe://eu-body.example/app/assistant",
            "-keyout",
            &key,
            "-out",
            &certificate,
        ]));
    assert!(made.status.success(), "{}", said(&made));
    (key, certificate)
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
