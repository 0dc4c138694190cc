//! A client of web servers that are no members: model servers, trust bundles, witnesses.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};

/// To connect, TLS included: a server that is there answers far sooner.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a client could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The file of certificates cannot be read.
    #[error("cannot read certificates from {path}")]
    Certificates {
        /// The file.
        path: String,
        /// Why.
        source: pem::Error,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// The HTTP client cannot be set up.
    #[error("cannot set up the HTTP client")]
    Http(#[source] reqwest::Error),
}

/// A client that believes the system's authorities, or those in a file, and goes where it is told alone: it follows no
/// redirect and no proxy.
///
/// # Errors
/// The file cannot be read, or TLS cannot be set up.
pub fn client(ca_file: Option<&Path>) -> Result<Client, ClientError> {
    Client::builder()
        .tls_backend_preconfigured(tls(ca_file)?)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .build()
        .map_err(ClientError::Http)
}

/// The system's certificates, or the file's alone where there is one.
fn tls(ca_file: Option<&Path>) -> Result<rustls::ClientConfig, ClientError> {
    let mut roots = rustls::RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let failed = |source| ClientError::Certificates { path: path.display().to_string(), source };
            for certificate in CertificateDer::pem_file_iter(path).map_err(failed)? {
                roots.add(certificate.map_err(failed)?)?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    // These servers are not members: many of them speak TLS 1.2 at most.
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}
