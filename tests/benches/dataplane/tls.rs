//! TLS for the peers, in the form that they take: an authority of our own, and three certificates below it. Keys are of
//! P-256, as those of Comity's members are; TLS 1.3 alone, certificates on both sides, no resumption.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// The name in every certificate of a server.
pub(crate) const HOST: &str = "localhost";

/// An authority, and what it vouches for.
#[derive(Debug)]
pub(crate) struct Peerage {
    folder: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key, as files, and as one file of both.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) both: PathBuf,
}

impl Peerage {
    /// Makes it, with its files in `folder`.
    pub(crate) fn make(folder: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = named("authority of the measurement");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::create_dir_all(folder).unwrap();
        let made = Self { folder: folder.to_owned(), issuer };
        fs::write(made.authority(), made.issuer.pem()).unwrap();
        made
    }

    /// The authority's certificate.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    fn issue(&self) -> (CertificateDer<'static>, String, KeyPair) {
        let mut params = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
        params.distinguished_name = named("member of the measurement");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().clone(), certificate.pem(), key)
    }

    /// A certificate as files of this name.
    pub(crate) fn files(&self, name: &str) -> Files {
        let (_, certificate, key) = self.issue();
        let path = |kind: &str| self.folder.join(format!("{name}-{kind}.pem"));
        let files = Files { certificate: path("cert"), key: path("key"), both: path("both") };
        fs::write(&files.certificate, &certificate).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        fs::write(&files.both, certificate + &key.serialize_pem()).unwrap();
        files
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        Arc::new(roots)
    }

    /// How whoever stands below the authority is called.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        let (certificate, _, key) = self.issue();
        let builder = ClientConfig::builder_with_provider(comity_identity::tls::provider());
        let builder = builder.with_protocol_versions(&[&TLS13]).unwrap().with_root_certificates(self.roots());
        let mut config = builder.with_client_auth_cert(vec![certificate], private(&key)).unwrap();
        config.alpn_protocols = vec![comity_identity::tls::ALPN_H2.to_vec()];
        config.resumption = Resumption::disabled();
        Arc::new(config)
    }

    /// How whoever stands below it is served.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        let (certificate, _, key) = self.issue();
        let provider = comity_identity::tls::provider();
        let clients = WebPkiClientVerifier::builder_with_provider(self.roots(), Arc::clone(&provider)).build().unwrap();
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13]).unwrap();
        let builder = builder.with_client_cert_verifier(clients);
        let mut config = builder.with_single_cert(vec![certificate], private(&key)).unwrap();
        config.alpn_protocols = vec![comity_identity::tls::ALPN_H2.to_vec()];
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Arc::new(config)
    }
}

/// Each kind has a name of its own: who has its issuer's counts as self-signed with OpenSSL.
fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::CommonName, name);
    named
}

fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::Pkcs8(key.serialize_der().into())
}
