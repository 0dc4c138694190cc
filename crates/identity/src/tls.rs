//! The cryptography in use, credentials that rotate, and every TLS configuration there is.
//!
//! TLS 1.3 only; post-quantum hybrid key exchange first; no session is ever resumed. Time comes from
//! a [`Clock`], so that tests can set it.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use comity_types::{Clock, SpiffeId};
use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::server::{NoServerSessionStorage, WantsServerCert};
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{ClientConfig, ConfigBuilder, ServerConfig, WantsVerifier};
use rustls_pki_types::UnixTime;

pub use credentials::{Credentials, CredentialsError};

use crate::anchors::{AnchorSource, OrganisationAnchors};
use crate::verify::{ExpectedServer, PeerVerifier};

mod credentials;
pub mod danger;

/// Calls between members: gRPC over HTTP/2, both sides with certificates.
pub const ALPN_H2: &[u8] = b"h2";
/// Tunnels: who dials serves HTTP/2, and who listens calls (draft-thomson-ptth-potato-01); both sides with certificates.
pub const ALPN_TUNNEL: &[u8] = b"rh2";
/// Enrolment: gRPC over HTTP/2 for callers that have no certificate yet.
pub const ALPN_ENROLMENT: &[u8] = b"comity-enrol/1";

/// What is public: HTTP/1.1, for any client.
pub const ALPN_HTTP1: &[u8] = b"http/1.1";

/// aws-lc-rs with TLS 1.3 suites only, and X25519MLKEM768 before X25519 and P-256.
///
/// The order is written out, so that it does not depend on a feature that another crate may switch.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites.retain(|suite| suite.tls13().is_some());
        provider.kx_groups = vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1];
        Arc::new(provider)
    });
    Arc::clone(&PROVIDER)
}

/// For listeners that members call: both sides show certificates.
///
/// # Errors
/// The cryptographic provider does not do TLS 1.3.
pub fn server_config(
    credentials: Arc<Credentials>,
    anchors: Arc<dyn AnchorSource>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    mutual_server_config(credentials, anchors, clock, ALPN_H2)
}

/// For listeners that nodes dial to be called: the same certificates on both sides, by the same verifier.
///
/// # Errors
/// The cryptographic provider does not do TLS 1.3.
pub fn tunnel_server_config(
    credentials: Arc<Credentials>,
    anchors: Arc<dyn AnchorSource>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    mutual_server_config(credentials, anchors, clock, ALPN_TUNNEL)
}

fn mutual_server_config(
    credentials: Arc<Credentials>,
    anchors: Arc<dyn AnchorSource>,
    clock: Arc<dyn Clock>,
    alpn: &[u8],
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let builder = server_builder(clock)?.with_client_cert_verifier(Arc::new(PeerVerifier::new(anchors)));
    Ok(finish_server(builder, credentials, alpn))
}

/// For enrolment: only the server shows a certificate.
///
/// # Errors
/// The cryptographic provider does not do TLS 1.3.
pub fn enrolment_server_config(
    credentials: Arc<Credentials>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    Ok(finish_server(server_builder(clock)?.with_no_client_auth(), credentials, ALPN_ENROLMENT))
}

/// For whatever is public, over HTTP/1.1: only the server shows a certificate.
///
/// # Errors
/// The cryptographic provider does not do TLS 1.3.
pub fn public_server_config(
    credentials: Arc<Credentials>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    Ok(finish_server(server_builder(clock)?.with_no_client_auth(), credentials, ALPN_HTTP1))
}

/// For calls to `expected`, whose organisation's roots are `anchors`: both sides show certificates.
///
/// # Errors
/// The cryptographic provider does not do TLS 1.3.
pub fn client_config(
    credentials: Arc<Credentials>,
    expected: SpiffeId,
    anchors: Arc<OrganisationAnchors>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<ClientConfig>, rustls::Error> {
    mutual_client_config(credentials, expected, anchors, clock, ALPN_H2)
}

/// For a node that dials `expected` to be called by it: the same certificates on both sides, by the same verifier.
///
/// # Errors
/// The cryptographic provider does not do TLS 1.3.
pub fn tunnel_client_config(
    credentials: Arc<Credentials>,
    expected: SpiffeId,
    anchors: Arc<OrganisationAnchors>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<ClientConfig>, rustls::Error> {
    mutual_client_config(credentials, expected, anchors, clock, ALPN_TUNNEL)
}

fn mutual_client_config(
    credentials: Arc<Credentials>,
    expected: SpiffeId,
    anchors: Arc<OrganisationAnchors>,
    clock: Arc<dyn Clock>,
    alpn: &[u8],
) -> Result<Arc<ClientConfig>, rustls::Error> {
    let builder = client_builder(Arc::new(ExpectedServer::new(expected, anchors)), clock)?;
    Ok(finish_client(builder.with_client_cert_resolver(credentials), alpn))
}

/// For enrolment with `expected`, whose roots stand in the federation's root document.
///
/// # Errors
/// The cryptographic provider does not do TLS 1.3.
pub fn enrolment_client_config(
    expected: SpiffeId,
    anchors: Arc<OrganisationAnchors>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<ClientConfig>, rustls::Error> {
    let builder = client_builder(Arc::new(ExpectedServer::new(expected, anchors)), clock)?;
    Ok(finish_client(builder.with_no_client_auth(), ALPN_ENROLMENT))
}

fn server_builder(clock: Arc<dyn Clock>) -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, rustls::Error> {
    ServerConfig::builder_with_details(provider(), Arc::new(TlsTime(clock))).with_protocol_versions(&[&TLS13])
}

fn finish_server(
    builder: ConfigBuilder<ServerConfig, WantsServerCert>,
    credentials: Arc<Credentials>,
    alpn: &[u8],
) -> Arc<ServerConfig> {
    let mut config = builder.with_cert_resolver(credentials);
    config.alpn_protocols = vec![alpn.to_vec()];
    // A resumed session skips the verifier: a suspended organisation would be let in again.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Arc::new(config)
}

type ClientBuilder = ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn client_builder(
    verifier: Arc<dyn ServerCertVerifier>,
    clock: Arc<dyn Clock>,
) -> Result<ClientBuilder, rustls::Error> {
    let builder = ClientConfig::builder_with_details(provider(), Arc::new(TlsTime(clock)));
    Ok(builder.with_protocol_versions(&[&TLS13])?.dangerous().with_custom_certificate_verifier(verifier))
}

fn finish_client(mut config: ClientConfig, alpn: &[u8]) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// rustls's source of time, out of ours.
#[derive(Debug)]
struct TlsTime(Arc<dyn Clock>);

impl TimeProvider for TlsTime {
    fn current_time(&self) -> Option<UnixTime> {
        let millis = u64::try_from(self.0.now().as_millis()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(millis)))
    }
}

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod tests;
