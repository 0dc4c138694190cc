//! X.509-SVID, leaf by leaf: one good certificate and one bad one for every rule, each shown by a caller to the
//! configuration of a listener and by a server to that of a caller, in real handshakes.
//!
//! All of them are for the handshake's own key and, unless a row says otherwise, signed by org-a's own authority: what
//! is refused is refused for its row's reason alone.

use std::error::Error as _;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose as Eku, IsCa, Issuer,
    KeyUsagePurpose as Usage, SanType,
};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::*;
use crate::testing::{Failed, Organisation, SetClock, connect, now};
use crate::{SharedAnchors, StaticAnchors};

const ID: &str = "spiffe://org-a.example/node/n1";
const DAY: time::Duration = time::Duration::days(1);

/// A certificate in the making.
struct Leaf {
    params: CertificateParams,
    signed_by: Signer,
}

type Change = fn(&mut Leaf);

/// Who signs it.
#[derive(Clone, Copy)]
enum Signer {
    OrgA,
    OrgB,
    /// Another authority that says that it is org-a's.
    Namesake,
    /// An authority below org-a's.
    Intermediate,
    /// Another node of org-a, with its leaf.
    Node,
    /// Org-a, but the key in the certificate is not the one that signs the handshake.
    OrgAForAnotherKey,
}

/// A rule: what breaks it, and what whoever refuses says.
struct Row {
    broken: &'static str,
    by: Change,
    /// What the listener says of its caller.
    listener: &'static str,
    /// What the caller says of the server.
    caller: &'static str,
}

const fn row(broken: &'static str, by: Change, both: &'static str) -> Row {
    Row { broken, by, listener: both, caller: both }
}

/// A certificate whose one URI name is `$text`, which is no ID of a federation.
macro_rules! id {
    ($broken:literal, $text:expr) => {
        row($broken, |leaf| leaf.name(&$text), "the certificate's URI name is refused")
    };
}

const NOT_CRITICAL: &str = "key usage is missing or not critical";
const SIGNS: &str = "key usage allows signing certificates or revocation lists";
const ONE_DIRECTION: &str = "extended key usage lacks serverAuth or clientAuth";

fn form() -> Vec<Row> {
    vec![
        row("no URI", |leaf| leaf.params.subject_alt_names = vec![dns()], "has 0 URI names where exactly 1 is needed"),
        row("no names", |leaf| leaf.params.subject_alt_names.clear(), "has 0 URI names where exactly 1 is needed"),
        row("two URIs", |leaf| leaf.add_name("spiffe://org-b.example/node/n1"), "has 2 URI names where exactly 1"),
        row("a URI twice", |leaf| leaf.add_name(ID), "has 2 URI names where exactly 1"),
        row("names twice", |leaf| leaf.extend(names_by_hand()), "the certificate cannot be read"),
        row("an empty subject, names not critical", Leaf::without_subject, "the alternative names are not critical"),
        row("the CA bit", |leaf| leaf.params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained), "is an authority's"),
        row("no key usage", |leaf| leaf.params.key_usages.clear(), NOT_CRITICAL),
        row("key usage that is not critical", Leaf::usage_not_critical, NOT_CRITICAL),
        row("keyAgreement", |leaf| leaf.params.key_usages = vec![Usage::KeyAgreement], "lacks digitalSignature"),
        row("keyCertSign", |leaf| leaf.params.key_usages.push(Usage::KeyCertSign), SIGNS),
        row("cRLSign", |leaf| leaf.params.key_usages.push(Usage::CrlSign), SIGNS),
        row("clientAuth alone", |leaf| leaf.params.extended_key_usages = vec![Eku::ClientAuth], ONE_DIRECTION),
        row("serverAuth alone", |leaf| leaf.params.extended_key_usages = vec![Eku::ServerAuth], ONE_DIRECTION),
        row("another usage", |leaf| leaf.params.extended_key_usages = vec![Eku::CodeSigning], ONE_DIRECTION),
        row("an end before the beginning", |leaf| leaf.valid(DAY, -DAY), "validity is not an interval"),
    ]
}

fn names() -> Vec<Row> {
    vec![
        id!("no path", "spiffe://org-a.example"),
        id!("a root path", "spiffe://org-a.example/"),
        id!("a kind and no name", "spiffe://org-a.example/node"),
        id!("a kind that there is not", "spiffe://org-a.example/printer/n1"),
        id!("a longer path", "spiffe://org-a.example/node/n1/x"),
        id!("a slash at the end", "spiffe://org-a.example/node/n1/"),
        id!("an empty segment", "spiffe://org-a.example//node/n1"),
        id!("a dot segment", "spiffe://org-a.example/node/."),
        id!("a segment of two dots", "spiffe://org-a.example/node/.."),
        id!("a percent sign in the path", "spiffe://org-a.example/node/n%31"),
        id!("a percent sign in the trust domain", "spiffe://org%2da.example/node/n1"),
        id!("upper case in the trust domain", "spiffe://Org-A.example/node/n1"),
        id!("upper case in the scheme", "SPIFFE://org-a.example/node/n1"),
        id!("upper case in the kind", "spiffe://org-a.example/Node/n1"),
        id!("another scheme", "https://org-a.example/node/n1"),
        id!("no scheme", "org-a.example/node/n1"),
        id!("no trust domain", "spiffe:///node/n1"),
        id!("a port", "spiffe://org-a.example:7443/node/n1"),
        id!("a user", "spiffe://n1@org-a.example/node/n1"),
        id!("a query", "spiffe://org-a.example/node/n1?a=b"),
        id!("a fragment", "spiffe://org-a.example/node/n1#a"),
        id!("a space", "spiffe://org-a.example/node/n 1"),
        id!("a zero byte", "spiffe://org-a.example/node/n1\0"),
        id!("an over-long name", format!("{ID}{}", "x".repeat(comity_types::ids::MAX_NAME_BYTES))),
        id!("an over-long trust domain", format!("spiffe://{}/node/n1", "a".repeat(256))),
        id!("an over-long ID", format!("{ID}{}", "x".repeat(2048))),
    ]
}

fn chains() -> Vec<Row> {
    vec![
        Row {
            broken: "the trust domain of nobody",
            by: |leaf| leaf.name("spiffe://stranger.example/node/n1"),
            listener: "stranger.example is not a member in good standing",
            caller: "expected spiffe://org-a.example/node/n1, but spiffe://stranger.example/node/n1 answers",
        },
        Row {
            broken: "the trust domain of another member",
            by: |leaf| leaf.name("spiffe://org-b.example/node/n1"),
            listener: "UnknownIssuer",
            caller: "expected spiffe://org-a.example/node/n1, but spiffe://org-b.example/node/n1 answers",
        },
        row("another member's authority", |leaf| leaf.signed_by = Signer::OrgB, "UnknownIssuer"),
        Row {
            broken: "an authority of the same name",
            by: |leaf| leaf.signed_by = Signer::Namesake,
            listener: "BadSignature",
            caller: "expected spiffe://org-a.example/node/n1, and who answers has that name from an authority",
        },
        row("a leaf that signs", |leaf| leaf.signed_by = Signer::Node, "EndEntityUsedAsCa"),
        row("somebody else's key", |leaf| leaf.signed_by = Signer::OrgAForAnotherKey, "BadSignature"),
        row("expired", |leaf| leaf.valid(-3 * DAY, -2 * DAY), "Expired"),
        row("not yet valid", |leaf| leaf.valid(DAY, 2 * DAY), "NotValidYet"),
        row("more than a day", |leaf| leaf.valid(-DAY, DAY), "none may for more than 24 h"),
        row("a critical extension that nobody knows", Leaf::unknown_extension, "UnsupportedCriticalExtension"),
    ]
}

#[test]
fn a_certificate_that_breaks_one_rule_is_refused_by_caller_and_listener_for_that_rule() {
    let scene = Scene::new();
    assert!(scene.both_sides(|_| ()).iter().all(Result::is_ok), "a good one passes");
    for Row { broken, by, listener, caller } in form().into_iter().chain(names()).chain(chains()) {
        let [by_listener, by_caller] = scene.both_sides(by);
        let said = by_listener.expect_err(broken);
        assert!(matches!(&said, Failed::Server(error) if words(error).contains(listener)), "{broken}: {said:?}");
        let said = by_caller.expect_err(broken);
        assert!(matches!(&said, Failed::Client(error) if words(error).contains(caller)), "{broken}: {said:?}");
    }
}

#[test]
fn what_the_standard_leaves_open_is_accepted_by_caller_and_listener() {
    let open: [(&str, Change); 7] = [
        ("host names beside the URI", |leaf| leaf.params.subject_alt_names.push(dns())),
        ("no extended key usage", |leaf| leaf.params.extended_key_usages.clear()),
        ("more extended key usages", |leaf| leaf.params.extended_key_usages.push(Eku::CodeSigning)),
        ("more key usages", |leaf| leaf.params.key_usages.push(Usage::KeyAgreement)),
        ("an authority between", |leaf| leaf.signed_by = Signer::Intermediate),
        ("no basic constraints", |leaf| leaf.params.is_ca = IsCa::NoCa),
        ("an empty subject, names critical", |leaf| leaf.params.distinguished_name = rcgen::DistinguishedName::new()),
    ];
    for (what, change) in open {
        for result in Scene::new().both_sides(change) {
            assert!(result.is_ok(), "{what}: {result:?}");
        }
    }
}

impl Leaf {
    fn good() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![Usage::DigitalSignature];
        params.extended_key_usages = vec![Eku::ServerAuth, Eku::ClientAuth];
        let mut leaf = Self { params, signed_by: Signer::OrgA };
        leaf.name(ID);
        leaf.valid(-DAY / 2, DAY / 2);
        leaf
    }

    fn name(&mut self, text: &str) {
        self.params.subject_alt_names.clear();
        self.add_name(text);
    }

    fn add_name(&mut self, text: &str) {
        self.params.subject_alt_names.push(SanType::URI(text.try_into().unwrap()));
    }

    fn valid(&mut self, from: time::Duration, until: time::Duration) {
        let now = time::OffsetDateTime::from_unix_timestamp(now().as_millis() / 1000).unwrap();
        (self.params.not_before, self.params.not_after) = (now + from, now + until);
    }

    fn extend(&mut self, extension: CustomExtension) {
        self.params.custom_extensions.push(extension);
    }

    /// rcgen marks names as critical where the subject is empty, so they are written by hand.
    fn without_subject(&mut self) {
        self.params.distinguished_name = rcgen::DistinguishedName::new();
        self.params.subject_alt_names.clear();
        self.extend(names_by_hand());
    }

    /// digitalSignature alone, as a bit string of one bit.
    fn usage_not_critical(&mut self) {
        self.params.key_usages.clear();
        self.extend(CustomExtension::from_oid_content(&[2, 5, 29, 15], vec![0x03, 0x02, 0x07, 0x80]));
    }

    fn unknown_extension(&mut self) {
        let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 55555, 1], vec![0x05, 0x00]);
        extension.set_criticality(true);
        self.extend(extension);
    }
}

fn dns() -> SanType {
    SanType::DnsName("n1.example".try_into().unwrap())
}

/// The alternative names of [`ID`], not critical.
fn names_by_hand() -> CustomExtension {
    let length = u8::try_from(ID.len()).unwrap();
    CustomExtension::from_oid_content(&[2, 5, 29, 17], [&[0x30, length + 2, 0x86, length], ID.as_bytes()].concat())
}

/// Two members, a namesake of the first, and one honest peer for whoever shows the certificate of a row.
struct Scene {
    clock: Arc<SetClock>,
    org_a: Organisation,
    org_b: Organisation,
    namesake: Organisation,
}

impl Scene {
    fn new() -> Self {
        let [org_a, org_b, namesake] = ["org-a.example", "org-b.example", "org-a.example"].map(Organisation::new);
        Self { clock: SetClock::at(now()), org_a, org_b, namesake }
    }

    /// What comes of a certificate when a caller shows it, and when a server does.
    fn both_sides(&self, change: Change) -> [Result<(), Failed>; 2] {
        let mut leaf = Leaf::good();
        change(&mut leaf);
        let shown = Arc::new(SingleCertAndKey::from(self.sign(&leaf)));
        let (mut client, mut server) = ((*self.client()).clone(), (*self.server()).clone());
        client.client_auth_cert_resolver = shown.clone();
        let by_listener = connect(&Arc::new(client), &self.server());
        server.cert_resolver = shown;
        let by_caller = connect(&self.client(), &Arc::new(server));
        [by_listener.map(drop), by_caller.map(drop)]
    }

    fn server(&self) -> Arc<ServerConfig> {
        let members: StaticAnchors = [self.org_a.anchors(), self.org_b.anchors()].into_iter().collect();
        let anchors = Arc::new(SharedAnchors::new(members));
        server_config(self.org_a.credentials("node", "n1"), anchors, self.clock.clone()).unwrap()
    }

    fn client(&self) -> Arc<ClientConfig> {
        let anchors = Arc::new(self.org_a.anchors());
        client_config(self.org_b.credentials("node", "n1"), ID.parse().unwrap(), anchors, self.clock.clone()).unwrap()
    }

    /// The certificate with what chains it to its anchor, and the key of the handshake.
    fn sign(&self, leaf: &Leaf) -> CertifiedKey {
        let key = rcgen::KeyPair::generate().unwrap();
        let chain = match leaf.signed_by {
            Signer::OrgA => vec![signed(&leaf.params, &key, &issuer(&self.org_a))],
            Signer::OrgB => vec![signed(&leaf.params, &key, &issuer(&self.org_b))],
            Signer::Namesake => vec![signed(&leaf.params, &key, &self.namesake())],
            Signer::Intermediate => self.signed_below(&leaf.params, &key, true),
            Signer::Node => self.signed_below(&leaf.params, &key, false),
            Signer::OrgAForAnotherKey => {
                vec![signed(&leaf.params, &rcgen::KeyPair::generate().unwrap(), &issuer(&self.org_a))]
            }
        };
        let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        CertifiedKey::new(chain, provider().key_provider.load_private_key(der).unwrap())
    }

    /// Org-a's name, so that its anchor is found, and another key.
    fn namesake(&self) -> Issuer<'static, rcgen::KeyPair> {
        let key = rcgen::KeyPair::from_pem(self.namesake.authority.key_pem().reveal()).unwrap();
        Issuer::from_ca_cert_der(&self.org_a.authority.anchor(), key).unwrap()
    }

    fn signed_below(
        &self,
        leaf: &CertificateParams,
        key: &rcgen::KeyPair,
        is_ca: bool,
    ) -> Vec<CertificateDer<'static>> {
        let mut between = Leaf::good();
        between.params.distinguished_name.push(rcgen::DnType::CommonName, "between");
        if is_ca {
            between.params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            between.params.key_usages = vec![Usage::KeyCertSign];
        }
        let between_key = rcgen::KeyPair::generate().unwrap();
        let between_der = signed(&between.params, &between_key, &issuer(&self.org_a));
        let signer = Issuer::new(between.params, between_key);
        vec![signed(leaf, key, &signer), between_der]
    }
}

fn issuer(organisation: &Organisation) -> Issuer<'static, rcgen::KeyPair> {
    let key = rcgen::KeyPair::from_pem(organisation.authority.key_pem().reveal()).unwrap();
    Issuer::from_ca_cert_der(&organisation.authority.anchor(), key).unwrap()
}

fn signed(
    params: &CertificateParams,
    key: &rcgen::KeyPair,
    issuer: &Issuer<'_, rcgen::KeyPair>,
) -> CertificateDer<'static> {
    params.signed_by(key, issuer).unwrap().der().clone()
}

/// What whoever refuses says: our own reasons with their sources, or rustls's.
fn words(error: &rustls::Error) -> String {
    let rustls::Error::InvalidCertificate(rustls::CertificateError::Other(reason)) = error else {
        return format!("{error:?}");
    };
    let mut words = reason.0.to_string();
    let mut source = reason.0.source();
    while let Some(error) = source {
        words = format!("{words}: {error}");
        source = error.source();
    }
    words
}
