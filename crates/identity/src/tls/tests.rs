//! Real TLS in memory: what the configurations promise, seen on the wire.

use rustls::client::Resumption;
use rustls::server::ServerSessionMemoryCache;
use rustls::{HandshakeKind, NamedGroup, ProtocolVersion, ServerConnection};

use super::*;
use crate::testing::{Connected, Failed, Organisation, SetClock, connect, now};
use crate::{SharedAnchors, StaticAnchors, VerifiedPeer};

const HOUR: Duration = Duration::from_secs(3600);

/// A broker of a federation that has org-a and org-b for members, and a node of org-a that calls it.
struct Scene {
    clock: Arc<SetClock>,
    federation: Organisation,
    org_a: Organisation,
    org_b: Organisation,
    anchors: Arc<SharedAnchors>,
    broker: Arc<Credentials>,
    node: Arc<Credentials>,
}

impl Scene {
    fn new() -> Self {
        let federation = Organisation::new("federation.example");
        let (org_a, org_b) = (Organisation::new("org-a.example"), Organisation::new("org-b.example"));
        let anchors = Arc::new(SharedAnchors::new([org_a.anchors(), org_b.anchors()].into_iter().collect()));
        let (broker, node) = (federation.credentials("broker", "b1"), org_a.credentials("node", "n1"));
        Self { clock: SetClock::at(now()), federation, org_a, org_b, anchors, broker, node }
    }

    fn server(&self) -> Arc<ServerConfig> {
        server_config(Arc::clone(&self.broker), self.anchors.clone(), self.clock.clone()).unwrap()
    }

    fn client(&self) -> Arc<ClientConfig> {
        self.client_with(Arc::clone(&self.node))
    }

    fn client_with(&self, credentials: Arc<Credentials>) -> Arc<ClientConfig> {
        let expected = self.federation.id("broker", "b1");
        client_config(credentials, expected, Arc::new(self.federation.anchors()), self.clock.clone()).unwrap()
    }

    fn resuming_client(&self) -> Arc<ClientConfig> {
        let mut client = (*self.client()).clone();
        client.resumption = Resumption::in_memory_sessions(8);
        Arc::new(client)
    }

    fn connect(&self) -> Result<Connected, Failed> {
        connect(&self.client(), &self.server())
    }
}

#[test]
fn both_sides_know_whom_they_talk_to() {
    let scene = Scene::new();
    let connected = scene.connect().unwrap();
    let caller = VerifiedPeer::assertion_of_caller(&connected.server).unwrap();
    assert_eq!(*caller.id(), scene.org_a.id("node", "n1"));
    assert_eq!((caller.not_after(), caller.certificate()), (now().plus(HOUR), scene.node.leaf().certificate));
    assert_eq!(caller.public_key(), scene.node.leaf().public_key);
    let server = VerifiedPeer::assertion_of_server(&connected.client).unwrap();
    assert_eq!(*server.id(), scene.federation.id("broker", "b1"));
}

#[test]
fn a_tunnel_proves_the_same_of_both_sides_and_is_never_taken_for_a_call_of_the_node() {
    let scene = Scene::new();
    let server = tunnel_server_config(Arc::clone(&scene.broker), scene.anchors.clone(), scene.clock.clone()).unwrap();
    let (expected, anchors) = (scene.federation.id("broker", "b1"), Arc::new(scene.federation.anchors()));
    let client = tunnel_client_config(Arc::clone(&scene.node), expected, anchors, scene.clock.clone()).unwrap();
    let connected = connect(&client, &server).unwrap();
    let node = VerifiedPeer::assertion_of_tunnel_node(&connected.server).unwrap();
    let broker = VerifiedPeer::assertion_of_tunnel_broker(&connected.client).unwrap();
    assert_eq!((node.id(), broker.id()), (&scene.node.leaf().id, &scene.broker.leaf().id));
    let other = |expected| Err(crate::peer::PeerError::Protocol { expected });
    assert_eq!(VerifiedPeer::assertion_of_caller(&connected.server), other("h2"));
    assert_eq!(VerifiedPeer::assertion_of_server(&connected.client), other("h2"));
    let call = scene.connect().unwrap();
    assert_eq!(VerifiedPeer::assertion_of_tunnel_node(&call.server), other("rh2"));
    assert!(connect(&client, &scene.server()).is_err() && connect(&scene.client(), &server).is_err());
}

#[test]
fn the_key_exchange_is_the_post_quantum_hybrid() {
    let connected = Scene::new().connect().unwrap();
    let group = connected.server.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
    assert_eq!(connected.client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(connected.server.handshake_kind(), Some(HandshakeKind::Full), "the first flight must do");
}

#[test]
fn clients_without_the_hybrid_still_get_in_by_x25519() {
    let scene = Scene::new();
    let mut provider = (*provider()).clone();
    provider.kx_groups.retain(|group| group.name() != NamedGroup::X25519MLKEM768);
    let expected =
        Arc::new(ExpectedServer::new(scene.federation.id("broker", "b1"), Arc::new(scene.federation.anchors())));
    let builder = ClientConfig::builder_with_details(Arc::new(provider), Arc::new(TlsTime(scene.clock.clone())));
    let builder =
        builder.with_protocol_versions(&[&TLS13]).unwrap().dangerous().with_custom_certificate_verifier(expected);
    let client = finish_client(builder.with_client_cert_resolver(scene.node.clone()), ALPN_H2);
    let connected = connect(&client, &scene.server()).unwrap();
    assert_eq!(connected.server.negotiated_key_exchange_group().unwrap().name(), NamedGroup::X25519);
}

#[test]
fn a_tls_1_2_client_is_refused() {
    let mut server = ServerConnection::new(Scene::new().server()).unwrap();
    let hello = tls12_client_hello();
    server.read_tls(&mut hello.as_slice()).unwrap();
    let refused = server.process_new_packets().unwrap_err();
    assert!(matches!(refused, rustls::Error::PeerIncompatible(_)), "{refused:?}");
}

/// A ClientHello of RFC 5246 as OpenSSL sends it with TLS 1.2 only, in one record.
fn tls12_client_hello() -> Vec<u8> {
    let extensions: &[&[u8]] = &[
        &[0x00, 0x0a, 0x00, 0x04, 0x00, 0x02, 0x00, 0x1d], // supported_groups: x25519
        &[0x00, 0x0b, 0x00, 0x02, 0x01, 0x00],             // ec_point_formats: uncompressed
        &[0x00, 0x0d, 0x00, 0x04, 0x00, 0x02, 0x04, 0x03], // signature_algorithms: ecdsa_secp256r1_sha256
        &[0x00, 0x17, 0x00, 0x00],                         // extended_master_secret
        &[0x00, 0x10, 0x00, 0x05, 0x00, 0x03, 0x02, b'h', b'2'], // application protocol: h2
    ];
    let extensions = extensions.concat();
    let mut body = vec![0x03, 0x03];
    body.extend([7; 32]); // random
    body.extend([0, 0, 2, 0xc0, 0x2b, 1, 0]); // no session, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, no compression
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let length = u16::try_from(body.len()).unwrap();
    let mut record = vec![0x16, 0x03, 0x01];
    record.extend((length + 4).to_be_bytes());
    record.extend([0x01, 0x00]);
    record.extend(length.to_be_bytes());
    record.extend(body);
    record
}

#[test]
fn a_caller_without_a_certificate_is_refused() {
    let scene = Scene::new();
    let expected = scene.federation.id("broker", "b1");
    let mut client = (*enrolment_client_config(expected, Arc::new(scene.federation.anchors()), scene.clock.clone())
        .unwrap())
    .clone();
    client.alpn_protocols = vec![ALPN_H2.to_vec()];
    let refused = connect(&Arc::new(client), &scene.server()).unwrap_err();
    assert!(matches!(refused, Failed::Server(rustls::Error::NoCertificatesPresented)), "{refused:?}");
}

/// It keeps sessions, as other makers' clients do: a server that let it resume would not ask the verifier.
#[test]
fn an_organisation_that_is_suspended_is_refused_when_it_reconnects_even_if_it_would_resume() {
    let scene = Scene::new();
    let (client, server) = (scene.resuming_client(), scene.server());
    for _ in 0..2 {
        connect(&client, &server).unwrap();
    }
    scene.anchors.replace([scene.org_b.anchors()].into_iter().collect());
    let refused = connect(&client, &server).unwrap_err();
    assert!(matches!(refused, Failed::Server(_)), "{refused:?}");
    assert!(refused.text().contains("UnknownOrganisation"), "{}", refused.text());
}

#[test]
fn the_server_lets_no_client_resume() {
    let scene = Scene::new();
    assert_two_full_handshakes(&scene.resuming_client(), &scene.server());
}

#[test]
fn the_client_resumes_with_no_server() {
    let scene = Scene::new();
    let mut server = (*scene.server()).clone();
    server.send_tls13_tickets = 2;
    server.session_storage = ServerSessionMemoryCache::new(8);
    assert_two_full_handshakes(&scene.client(), &Arc::new(server));
}

fn assert_two_full_handshakes(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) {
    for _ in 0..2 {
        let connected = connect(client, server).unwrap();
        assert_eq!(connected.client.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(connected.client.tls13_tickets_received(), u32::try_from(server.send_tls13_tickets).unwrap());
    }
}

#[test]
fn a_server_that_is_not_the_expected_one_is_refused() {
    let scene = Scene::new();
    let expected = scene.federation.id("broker", "b2");
    let client =
        client_config(Arc::clone(&scene.node), expected, Arc::new(scene.federation.anchors()), scene.clock.clone())
            .unwrap();
    let refused = connect(&client, &scene.server()).unwrap_err();
    assert!(matches!(refused, Failed::Client(_)), "{refused:?}");
    assert!(refused.text().contains("WrongServer"), "{}", refused.text());
}

#[test]
fn a_server_is_not_verified_by_another_organisations_roots() {
    let scene = Scene::new();
    let expected = scene.federation.id("broker", "b1");
    let client =
        client_config(Arc::clone(&scene.node), expected, Arc::new(scene.org_b.anchors()), scene.clock.clone()).unwrap();
    assert!(matches!(connect(&client, &scene.server()), Err(Failed::Client(_))));
}

#[test]
fn a_server_that_another_organisation_forged_is_refused_by_a_client_that_holds_its_roots() {
    let scene = Scene::new();
    let forged = forged_by(&scene.org_b, "spiffe://federation.example/broker/b1");
    let server = server_config(forged, scene.anchors.clone(), scene.clock.clone()).unwrap();
    let expected = scene.federation.id("broker", "b1");
    let client =
        client_config(Arc::clone(&scene.node), expected, Arc::new(scene.org_b.anchors()), scene.clock.clone()).unwrap();
    let refused = connect(&client, &server).unwrap_err();
    assert!(refused.text().contains("UnknownOrganisation"), "{}", refused.text());
}

#[test]
fn a_forged_server_with_the_right_name_is_refused() {
    let scene = Scene::new();
    let impostor = Organisation::new("federation.example");
    let server =
        server_config(impostor.credentials("broker", "b1"), scene.anchors.clone(), scene.clock.clone()).unwrap();
    assert_unknown_issuer(connect(&scene.client(), &server));
}

#[test]
fn an_id_of_org_a_signed_by_the_authority_of_org_b_is_refused() {
    let scene = Scene::new();
    let forged = forged_by(&scene.org_b, "spiffe://org-a.example/node/n1");
    assert_unknown_issuer(connect(&scene.client_with(forged), &scene.server()));
}

/// What a member's own authority can sign when it ignores the rules: any name at all.
fn forged_by(organisation: &Organisation, id: &str) -> Arc<Credentials> {
    let key = crate::KeyPair::generate().unwrap();
    let public = rcgen::KeyPair::from_pem(key.to_pem().reveal()).unwrap();
    let signer = rcgen::KeyPair::from_pem(organisation.authority.key_pem().reveal()).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_der(&organisation.authority.anchor(), signer).unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.subject_alt_names = vec![rcgen::SanType::URI(id.try_into().unwrap())];
    params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    (params.not_before, params.not_after) = (offset(now()), offset(now().plus(HOUR)));
    let leaf = params.signed_by(&public, &issuer).unwrap();
    Arc::new(Credentials::new(vec![leaf.der().clone()], &key).unwrap())
}

#[test]
fn the_forger_does_get_in_under_its_own_name() {
    let scene = Scene::new();
    let own = forged_by(&scene.org_b, "spiffe://org-b.example/node/n1");
    assert!(
        connect(&scene.client_with(own), &scene.server()).is_ok(),
        "so it is the name alone that the test before fails by"
    );
}

fn assert_unknown_issuer(result: Result<Connected, Failed>) {
    let refused = result.unwrap_err();
    assert!(refused.text().contains("UnknownIssuer"), "{}", refused.text());
}

#[test]
fn a_stranger_is_refused() {
    let scene = Scene::new();
    let stranger = Organisation::new("stranger.example").credentials("node", "n1");
    let refused = connect(&scene.client_with(stranger), &scene.server()).unwrap_err();
    assert!(refused.text().contains("UnknownOrganisation"), "{}", refused.text());
}

#[test]
fn clients_may_send_more_certificates_than_needed() {
    let scene = Scene::new();
    let (mut chain, key) = scene.org_a.issue("node", "n1", now());
    chain.extend([scene.org_a.authority.anchor(), scene.org_b.authority.anchor()]);
    let credentials = Arc::new(Credentials::new(chain, &key).unwrap());
    let connected = connect(&scene.client_with(credentials), &scene.server()).unwrap();
    assert_eq!(*VerifiedPeer::assertion_of_caller(&connected.server).unwrap().id(), scene.org_a.id("node", "n1"));
}

#[test]
fn a_certificate_holds_from_its_first_second_to_its_last() {
    let scene = Scene::new();
    let begins = now().minus(crate::authority::CLOCK_SKEW);
    let second = Duration::from_secs(1);
    for (instant, expected) in [
        (begins.minus(second), Some("NotValidYet")),
        (begins, None),
        (now().plus(HOUR), None),
        (now().plus(HOUR).plus(second), Some("Expired")),
    ] {
        scene.clock.set(instant);
        // The client asks first: the server's certificate is of the same instant.
        let result = scene.connect();
        match expected {
            None => assert!(result.is_ok(), "{instant}: {result:?}"),
            Some(text) => assert!(result.as_ref().unwrap_err().text().contains(text), "{instant}: {result:?}"),
        }
    }
}

#[test]
fn the_server_checks_the_callers_time_too() {
    for (issued, text) in [(now().minus(2 * HOUR), "Expired"), (now().plus(HOUR), "NotValidYet")] {
        let scene = Scene::new();
        let (chain, key) = scene.org_a.issue("node", "n1", issued);
        let refused =
            connect(&scene.client_with(Arc::new(Credentials::new(chain, &key).unwrap())), &scene.server()).unwrap_err();
        assert!(matches!(refused, Failed::Server(_)), "{refused:?}");
        assert!(refused.text().contains(text), "{}", refused.text());
    }
}

#[test]
fn replaced_credentials_are_in_use_at_the_next_handshake_on_both_sides() {
    let scene = Scene::new();
    let (client, server) = (scene.client(), scene.server());
    let before = connect(&client, &server).unwrap();
    for (credentials, organisation, kind, name) in
        [(&scene.broker, &scene.federation, "broker", "b1"), (&scene.node, &scene.org_a, "node", "n1")]
    {
        let (chain, key) = organisation.issue(kind, name, now());
        credentials.replace(chain, &key).unwrap();
    }
    let after = connect(&client, &server).unwrap();
    for connected in [&before, &after] {
        let caller = VerifiedPeer::assertion_of_caller(&connected.server).unwrap().certificate();
        let broker = VerifiedPeer::assertion_of_server(&connected.client).unwrap().certificate();
        let newest = (scene.node.leaf().certificate, scene.broker.leaf().certificate);
        assert_eq!((caller, broker) == newest, std::ptr::eq(connected, &after));
    }
}

#[test]
fn enrolment_verifies_the_server_and_needs_no_certificate() {
    let scene = Scene::new();
    let server = enrolment_server_config(Arc::clone(&scene.broker), scene.clock.clone()).unwrap();
    let config = |name| {
        enrolment_client_config(
            scene.federation.id("broker", name),
            Arc::new(scene.federation.anchors()),
            scene.clock.clone(),
        )
        .unwrap()
    };
    let connected = connect(&config("b1"), &server).unwrap();
    assert_eq!(connected.server.alpn_protocol(), Some(ALPN_ENROLMENT));
    assert!(connect(&config("b2"), &server).is_err());
}

#[test]
fn an_enrolment_connection_proves_no_peer() {
    let scene = Scene::new();
    let server = enrolment_server_config(Arc::clone(&scene.broker), scene.clock.clone()).unwrap();
    let connected = connect(&danger::unverified_enrolment_client_config(scene.clock).unwrap(), &server).unwrap();
    assert_eq!(
        VerifiedPeer::assertion_of_server(&connected.client),
        Err(crate::peer::PeerError::Protocol { expected: "h2" })
    );
    assert!(VerifiedPeer::assertion_of_caller(&connected.server).is_err());
}

#[test]
fn an_enrolment_client_never_reaches_a_listener_of_members() {
    let scene = Scene::new();
    let client = danger::unverified_enrolment_client_config(scene.clock.clone()).unwrap();
    assert!(connect(&client, &scene.server()).is_err());
}

#[test]
fn nobody_is_known_where_there_are_no_anchors() {
    let scene = Scene::new();
    scene.anchors.replace(StaticAnchors::default());
    assert!(matches!(scene.connect(), Err(Failed::Server(_))));
}

/// A registry with a fault: whoever is asked for, it answers with the anchors of one organisation.
#[derive(Debug)]
struct OneForAll(Arc<OrganisationAnchors>);

impl AnchorSource for OneForAll {
    fn anchors(&self, _: &comity_types::TrustDomain) -> Option<Arc<OrganisationAnchors>> {
        Some(Arc::clone(&self.0))
    }
}

#[test]
fn a_registry_that_mixes_up_organisations_lets_nobody_forge() {
    let scene = Scene::new();
    let mixed_up = Arc::new(OneForAll(Arc::new(scene.org_b.anchors())));
    let server = server_config(Arc::clone(&scene.broker), mixed_up, scene.clock.clone()).unwrap();
    let forged = forged_by(&scene.org_b, "spiffe://org-a.example/node/n1");
    let refused = connect(&scene.client_with(forged), &server).unwrap_err();
    assert!(refused.text().contains("UnknownOrganisation"), "{}", refused.text());
}

fn offset(instant: comity_types::Timestamp) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(instant.as_millis() / 1000).unwrap()
}

/// A certificate of an authority that is not ours, which signs for as long as it is told to.
fn lasting(organisation: &Organisation, kind: &str, name: &str, life: Duration) -> Arc<Credentials> {
    use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyUsagePurpose, SanType};
    let (key, id) = (crate::KeyPair::generate().unwrap(), organisation.id(kind, name));
    let own = rcgen::KeyPair::from_pem(key.to_pem().reveal()).unwrap();
    let mut leaf = CertificateParams::default();
    leaf.subject_alt_names = vec![SanType::URI(id.as_str().try_into().unwrap())];
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    (leaf.not_before, leaf.not_after) = (offset(now()), offset(now().plus(life)));
    let signer = rcgen::KeyPair::from_pem(organisation.authority.key_pem().reveal()).unwrap();
    let issuer = Issuer::from_ca_cert_der(&organisation.authority.anchor(), signer).unwrap();
    let leaf = leaf.signed_by(&own, &issuer).unwrap();
    Arc::new(Credentials::new(vec![leaf.der().clone()], &key).unwrap())
}

#[test]
fn a_certificate_that_lasts_longer_than_a_day_is_refused_whoever_shows_it_and_one_of_a_day_is_not() {
    use crate::authority::MAX_LEAF_LIFETIME;
    use crate::verify::LIFETIME_TOLERANCE;
    let scene = Scene::new();
    let longest = MAX_LEAF_LIFETIME + LIFETIME_TOLERANCE;
    for (life, taken) in [(24 * HOUR, true), (longest, true), (longest + Duration::from_secs(1), false)] {
        let client = scene.client_with(lasting(&scene.org_a, "node", "n1", life));
        let connected = connect(&client, &scene.server());
        assert_eq!(connected.is_ok(), taken, "{life:?}");
        if let Err(failed) = connected {
            assert!(matches!(&failed, Failed::Server(_)) && failed.text().contains("TooLong"), "{}", failed.text());
        }
        let broker = lasting(&scene.federation, "broker", "b1", life);
        let server = server_config(broker, scene.anchors.clone(), scene.clock.clone()).unwrap();
        let connected = connect(&scene.client(), &server);
        assert_eq!(connected.is_ok(), taken, "{life:?}");
        if let Err(failed) = connected {
            assert!(matches!(&failed, Failed::Client(_)) && failed.text().contains("TooLong"), "{}", failed.text());
        }
    }
}
