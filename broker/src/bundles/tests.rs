use comity_identity::tls::{ALPN_HTTP1, enrolment_client_config};
use comity_proto::membership::Kind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::*;
use crate::testing::Scene;

/// A broker that serves bundles, and where.
async fn serving() -> (Scene, SocketAddr) {
    let scene = Scene::founded();
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    scene.start_with(crate::Config { bundles: Some(address), ..scene.config() }).await.unwrap();
    (scene, address)
}

/// A request of anybody who knows the broker's SPIFFE ID and the federation's authorities; gives all that comes back.
async fn ask(scene: &Scene, address: SocketAddr, request: &str) -> (String, Vec<u8>) {
    let anchors = Arc::new(scene.root.organisation_anchors().unwrap());
    let mut tls = (*enrolment_client_config(scene.root.broker.clone(), anchors, scene.clock.clone()).unwrap()).clone();
    tls.alpn_protocols = vec![ALPN_HTTP1.to_vec()];
    let tcp = TcpStream::connect(address).await.unwrap();
    let mut stream = TlsConnector::from(Arc::new(tls)).connect("broker".try_into().unwrap(), tcp).await.unwrap();
    stream.write_all(format!("{request} HTTP/1.1\r\nhost: broker\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    (String::from_utf8(answer[..end].to_vec()).unwrap(), answer[end + 4..].to_vec())
}

async fn bundle(scene: &Scene, address: SocketAddr, domain: &str) -> Bundle {
    let (head, body) = ask(scene, address, &format!("GET /bundles/{domain}")).await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("content-type: application/json"), "{head}");
    Bundle::from_json(domain.parse().unwrap(), &body).unwrap()
}

#[tokio::test]
async fn every_organisation_has_its_own_bundle_and_so_has_the_federation() {
    let (scene, address) = serving().await;
    for domain in ["org-a.example", "org-b.example"] {
        scene.admit(domain, Kind::Node, "n1").await;
    }
    for domain in ["org-a.example", "org-b.example"] {
        let bundle = bundle(&scene, address, domain).await;
        assert_eq!(bundle.anchors, [scene.authority(domain).anchor()]);
        assert_eq!(bundle.refresh_hint, Some(REFRESH));
    }
    assert_eq!(bundle(&scene, address, "fed.example").await.anchors, scene.root.anchors);
}

#[tokio::test]
async fn nobody_of_a_suspended_organisation_is_to_be_believed_and_the_sequence_says_that_something_changed() {
    let (scene, address) = serving().await;
    scene.admit("org-a.example", Kind::Node, "n1").await;
    let before = bundle(&scene, address, "org-a.example").await;
    scene.suspend("org-a.example").await;
    let suspended = bundle(&scene, address, "org-a.example").await;
    scene.lift("org-a.example").await;
    let lifted = bundle(&scene, address, "org-a.example").await;
    assert_eq!((suspended.anchors.len(), &lifted.anchors), (0, &before.anchors));
    assert!(before.sequence < suspended.sequence && suspended.sequence < lifted.sequence);
}

#[tokio::test]
async fn there_is_nothing_else_to_be_had() {
    let (scene, address) = serving().await;
    for (request, status) in [
        ("GET /bundles/stranger.example", 404),
        ("GET /bundles/", 404),
        ("GET /bundles/Fed.Example", 404),
        ("GET /bundles/fed.example/x", 404),
        ("GET /", 404),
        ("GET /root.json", 404),
        ("POST /bundles/fed.example", 405),
    ] {
        let (head, _) = ask(&scene, address, request).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {head}");
    }
    let (head, body) = ask(&scene, address, "HEAD /bundles/fed.example").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && body.is_empty(), "{head}");
}

#[tokio::test]
async fn who_asks_for_nothing_holds_up_nobody_and_the_broker_stops_all_the_same() {
    let (scene, address) = serving().await;
    let _silent = TcpStream::connect(address).await.unwrap();
    assert!(!bundle(&scene, address, "fed.example").await.anchors.is_empty());
    scene.stop().await;
}
