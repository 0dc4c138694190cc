//! Whoever answers at the broker's address and is not the federation's broker: a real broker of another federation, with the
//! same names, and a member with its own certificate. No node is called by it and no app believes it, and both say who was
//! expected.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use comity_client::Identity;
use comity_identity::{AnchorSource, OrganisationAnchors, tls};
use comity_tests::backend::{Backend, Behaviour, PIECES};
use comity_tests::clients::Caller;
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, Node};
use comity_tests::node::NodeSpec;
use comity_tests::program::said;
use comity_tests::proxy::Proxy;
use comity_tests::wait;
use comity_types::{SpiffeId, TrustDomain};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What a node says of whoever answers in the broker's place.
const EXPECTED: &str = "expected spiffe://";

/// A federation that is reached by a way that somebody can lead elsewhere, with a node that listens and one that dials.
struct Scene {
    backend: Backend,
    nodes: [Node; 2],
    app: Caller,
    proxy: Proxy,
    federation: Federation,
}

impl Scene {
    fn new() -> Self {
        let backend = Backend::start(Behaviour::Answer);
        let (federation, proxy) = Federation::start_behind_proxy();
        let spec = |name: &str| NodeSpec::openai(name, &backend.url(), "DE");
        let nodes = [spec("n1"), spec("n2").dialling_out()].map(|spec| federation.node(EU_BODY, &spec));
        let app = federation.app(EU_OWNED, "assistant");
        Self { backend, nodes, app, proxy, federation }
    }

    fn broker(&self) -> SpiffeId {
        Identity::open(&self.app.identity).unwrap().root().broker.clone()
    }

    /// Somebody answers at the broker's address, until everybody has met them.
    fn is_taken_over_by(&mut self, impostor: &str) {
        for node in &mut self.nodes {
            node.program.expect_log("broker");
        }
        let asked = self.backend.asked().len();
        let expected = format!("{EXPECTED}{}", self.broker().as_str().trim_start_matches("spiffe://"));
        self.proxy.lead_to(impostor);
        for node in &self.nodes {
            wait::until("the node says whom it expected", || node.program.log().contains(&expected).then_some(()));
        }
        let chat = self.ask();
        assert!(!chat.status.success() && said(&chat).contains(&expected), "{}", said(&chat));
        assert_eq!(self.backend.asked().len(), asked, "nothing was run");
    }

    /// The broker answers again at its address.
    fn is_given_back(&self) {
        self.proxy.lead_to(self.federation.address());
        wait::until("calls are answered again", || said(&self.ask()).contains(&PIECES.concat()).then_some(()));
    }

    fn ask(&self) -> std::process::Output {
        let question = ["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "Where?"];
        self.federation.ask(&self.app, &question)
    }
}

#[test]
fn another_federations_broker_of_the_same_name_gets_nothing_from_a_node_and_no_app_believes_it() {
    let mut scene = Scene::new();
    let mut elsewhere = Federation::start();
    // It has met members of another federation, whom it does not know either.
    elsewhere.expect_log("peer");
    let before = elsewhere.govern_json(&["node", "list"]);
    scene.is_taken_over_by(elsewhere.address());
    assert_eq!(elsewhere.govern_json(&["node", "list"]), before);
    let log = elsewhere.broker.as_ref().unwrap().log();
    assert!(!log.contains("a tunnel was opened") && !log.contains("settled"), "{log}");
    scene.is_given_back();
}

#[test]
fn a_member_at_the_brokers_address_gets_nothing_from_a_node_and_no_app_believes_it() {
    let mut scene = Scene::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let member = Identity::open(scene.nodes[0].folder.join("data/identity")).unwrap();
    let heard = Arc::<AtomicUsize>::default();
    let address = runtime.block_on(listen(&member, Arc::clone(&heard))).unwrap();
    scene.is_taken_over_by(&address.to_string());
    assert_eq!(heard.load(Ordering::SeqCst), 0, "bytes that somebody sent");
    scene.is_given_back();
}

/// Whoever calls, whatever they show: their own authority is asked, which here is never got to.
#[derive(Debug)]
struct Anybody(OrganisationAnchors);

impl AnchorSource for Anybody {
    fn anchors(&self, _: &TrustDomain) -> Option<Arc<OrganisationAnchors>> {
        Some(Arc::new(self.0.clone()))
    }
}

/// Listens with a member's certificate, and counts the bytes that anybody sends after the handshake.
async fn listen(member: &Identity, heard: Arc<AtomicUsize>) -> io::Result<SocketAddr> {
    let anchors = Anybody(member.root().organisation_anchors().unwrap());
    let (credentials, clock) = (Arc::clone(member.credentials()), Arc::clone(member.clock()));
    let mut config = rustls::ServerConfig::clone(&tls::server_config(credentials, Arc::new(anchors), clock).unwrap());
    config.alpn_protocols.push(b"rh2".to_vec());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (address, acceptor) = (listener.local_addr()?, TlsAcceptor::from(Arc::new(config)));
    spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, heard) = (acceptor.clone(), Arc::clone(&heard));
            spawn(async move {
                let Ok(mut tls) = acceptor.accept(stream).await else { return };
                let mut said = Vec::new();
                let _broken = tls.read_to_end(&mut said).await;
                heard.fetch_add(said.len(), Ordering::SeqCst);
            });
        }
    });
    Ok(address)
}

#[expect(clippy::disallowed_methods, reason = "an impostor is no part of the programs")]
fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(work));
}
