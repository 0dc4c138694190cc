//! The federation: a hundred organisations with a thousand offers, all of them signed and published; one more that
//! serves, at the lowest price, with the bench's backend in the place of its node; and an app that asks. What is founded once
//! is copied for each of the brokers that are measured, so that all decide by the same state.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use comity_client::follow::{self, Followed};
use comity_client::receipt::{Against, AsOf, Asked, Finding, check, of_trailers};
use comity_client::{Connection, Identity};
use comity_identity::{StaticAnchors, tls};
use comity_policy::{Offer, Organisation};
use comity_proto::catalog::ExplainRequest;
use comity_proto::catalog::catalog_client::CatalogClient;
use comity_proto::policy::Capability;
use comity_tests::federation::{EU_BODY, EU_OWNED, FEDERATION, Federation, free_address};
use comity_tests::folder;
use comity_tests::members::Admission;
use comity_tests::program::{Program, built};
use comity_tests::raw;
use comity_tests::wait;
use http::HeaderMap;
use rustls::ClientConfig;
use serde_json::json;
use tonic::metadata::MetadataMap;

use crate::backend::{self, Node};
use crate::cases::{MODEL, envelope};
use crate::load::Target;
use crate::machine::Cores;

/// Offers of the catalogue, the one that is preferred beside them.
const OFFERS: usize = 1_000;
/// Who serves.
const SERVING: &str = "serving.example";
/// What is wrong with a log that keeps nothing, as that program says it.
const NOT_A_BROKER: &str = "NOTHING IS RECORDED AND NOTHING IS PROVEN";
/// What it wants to hear before it starts.
const MEANT: (&str, &str) = ("COMITY_BENCH_UNLOGGED", "nothing-is-recorded-or-proven");

/// How Comity is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Policy, log, permit and receipt; no byte leaves before the decision is durable.
    Strict,
    /// The same, while the request travels to the node.
    Overlapped,
    /// Policy, and nothing recorded or proven: `comity-broker-unlogged`, which no node would believe.
    Relay,
}

impl Way {
    const fn commit(self) -> &'static str {
        match self {
            Self::Overlapped => "overlapped",
            Self::Strict | Self::Relay => "strict",
        }
    }
}

/// The federation, and what calls in it are held against.
pub(crate) struct Stage {
    federation: Federation,
    app: Identity,
    tls: Arc<ClientConfig>,
    /// Somebody of another organisation, who means harm.
    hostile: Identity,
    followed: Followed,
    offer: String,
    /// Offers of the model that is asked for, and how many of them are eligible.
    pub(crate) of_model: usize,
    pub(crate) eligible: usize,
}

impl Stage {
    /// Founds it, has everybody join and publish, and stops the broker.
    pub(crate) fn set() -> Self {
        // A runtime of its own: the connections of those who joined end with it, and the broker waits for none of them.
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let mut stage = runtime.block_on(Self::found());
        drop(runtime);
        stage.federation.stop_broker();
        stage
    }

    async fn found() -> Self {
        let federation = Federation::start();
        let admission = Admission::to(&federation);
        for (operator, offers) in catalogue() {
            admission.node(&operator, "n0", &offers).await;
        }
        let (listener, address) = backend::listen();
        let (facts, offer) = serving();
        let node = admission.node_at(&address.to_string(), &facts, "n0", std::slice::from_ref(&offer)).await;
        serve(listener, &node, &offer);
        let app = Identity::open(&federation.app(EU_BODY, "assistant").identity).unwrap();
        let hostile = Identity::open(&federation.app(EU_OWNED, "hostile").identity).unwrap();
        let verdicts = explain(&app).await;
        let offer = offer.name().to_string();
        assert_eq!(verdicts.first(), Some(&(offer.clone(), true)), "another offer is preferred");
        let eligible = verdicts.iter().filter(|(_, eligible)| *eligible).count();
        let tls = dialled(&app);
        let followed = follow(&federation, &app).await;
        Self { federation, app, tls, hostile, followed, offer, of_model: verdicts.len(), eligible }
    }

    /// A broker of it, on the proxy's processor.
    pub(crate) fn broker(&self, cores: Cores, way: Way) -> (Program, Target) {
        let folder = self.federation.folder().join(format!("broker-{way:?}").to_lowercase());
        folder::copy(self.federation.broker_config().parent().unwrap(), &folder);
        let address = free_address();
        let config = self.configure(&folder, &address, way);
        let mut command = match way {
            Way::Strict | Way::Overlapped => cores.pinned(&built("comity-broker")),
            Way::Relay => cores.pinned(&built("comity-broker-unlogged")),
        };
        match way {
            Way::Strict | Way::Overlapped => command.arg("run"),
            Way::Relay => command.env(MEANT.0, MEANT.1),
        };
        let mut program = Program::start("broker", command.arg("--config").arg(config), &folder);
        if way == Way::Relay {
            program.expect_log(NOT_A_BROKER);
        }
        let _address = wait::for_file(&folder.join("data/address"));
        (program, Target { address, tls: Arc::clone(&self.tls), offer: Some(self.offer.clone()) })
    }

    /// How somebody of another organisation connects, and how a stranger does.
    pub(crate) fn hostile(&self) -> [Arc<ClientConfig>; 2] {
        [raw::member(&self.hostile), raw::stranger(&self.hostile)]
    }

    /// The configuration that was founded, with another address, no line in the log for each request, as the peers have
    /// none, and this way to commit.
    fn configure(&self, folder: &std::path::Path, address: &str, way: Way) -> PathBuf {
        let file = folder.join("broker.toml");
        let mut config: toml::Table = std::fs::read_to_string(&file).unwrap().parse().unwrap();
        config.insert("listen".into(), address.into());
        config.insert("commit".into(), way.commit().into());
        config.insert("log".into(), toml::toml! { filter = "warn" }.into());
        std::fs::write(&file, toml::to_string(&config).unwrap()).unwrap();
        file
    }

    /// Checks that an answer's trailers prove what this way is to prove: all of it, or nothing at all.
    pub(crate) fn check(&self, trailers: HeaderMap, way: Way) {
        let (metadata, envelope) = (MetadataMap::from_headers(trailers), envelope());
        let asked = Asked { caller: self.app.id(), envelope: &envelope };
        let proven = of_trailers(&metadata, self.app.root(), asked);
        if way == Way::Relay {
            assert!(proven.is_err(), "a log that keeps nothing has proven something");
            return;
        }
        let tables = comity_runtime::tables::load(None).unwrap();
        let (root, now) = (self.app.root(), self.app.clock().now());
        let log = Some(AsOf { log: self.followed.log(), until: None });
        let against = Against { root, log, policy: None, tables: &tables, now };
        let findings = check(&proven.unwrap().0, &against).unwrap().findings;
        let signed = |finding: &Finding| finding.proven && finding.what.contains("signed by its key");
        assert!(findings.iter().any(signed), "the node's word is not in the receipt: {findings:?}");
    }
}

/// The organisations of a synthetic federation, each with its offers, all on one node of it.
fn catalogue() -> Vec<(Organisation, Vec<Offer>)> {
    let made = comity_bench::Federation::of(OFFERS);
    let mut offers: BTreeMap<_, Vec<Offer>> = BTreeMap::new();
    for mut offer in made.offers {
        let domain = offer.node.trust_domain().clone();
        offer.node = format!("spiffe://{domain}/node/n0").parse().unwrap();
        offers.entry(domain).or_default().push(offer);
    }
    let with_offers = |operator: Organisation| {
        let own = offers.remove(&operator.trust_domain).unwrap_or_default();
        (operator, own)
    };
    made.operators.into_iter().map(with_offers).collect()
}

/// Who serves, and what it offers: as the others do, for less.
fn serving() -> (Organisation, Offer) {
    let facts = json!({
        "trust_domain": SERVING, "name": "Serving", "seat": "DE", "headquarters": "DE",
        "principal_place_of_business": "DE", "establishments": ["DE"], "ultimate_controllers": [],
    });
    let offer = json!({
        "id": "chat",
        "node": format!("spiffe://{SERVING}/node/n0"),
        "model": MODEL,
        "capabilities": ["chat"],
        "modalities": ["text"],
        "processing_locations": ["DE"],
        "storage_locations": ["DE"],
        "access_locations": ["DE"],
        "sub_processors": [],
        "licence": "Apache-2.0",
        "price": { "currency": "EUR", "input_micros_per_million_tokens": 1_000, "output_micros_per_million_tokens": 1_000 },
        "terms": {
            "retention": [],
            "training_use": "never",
            "human_review": { "mode": "never" },
            "content_logging": false,
            "governing_law": "DE",
            "allowed_purposes": ["dpv:Purpose"],
            "prohibited_purposes": [],
            "caller_rules": { "served": "everyone" },
        },
    });
    (serde_json::from_value(facts).unwrap(), serde_json::from_value(offer).unwrap())
}

/// Serves as the node that joined: with its key and its certificate.
fn serve(listener: std::net::TcpListener, node: &Identity, offer: &Offer) {
    let anchors: StaticAnchors = [node.root().organisation_anchors().unwrap()].into_iter().collect();
    let config = tls::server_config(Arc::clone(node.credentials()), Arc::new(anchors), Arc::clone(node.clock()));
    let signer = Node { key: node.dir().key().unwrap(), offer: offer.name().to_string() };
    backend::serve(listener, config.unwrap(), Some(Arc::new(signer)));
}

/// How the app calls a broker.
fn dialled(app: &Identity) -> Arc<ClientConfig> {
    let root = app.root();
    let anchors = Arc::new(root.organisation_anchors().unwrap());
    tls::client_config(Arc::clone(app.credentials()), root.broker.clone(), anchors, Arc::clone(app.clock())).unwrap()
}

/// Every offer of the model that is asked for, in the order of preference, and whether it is eligible.
async fn explain(app: &Identity) -> Vec<(String, bool)> {
    let mut catalog = CatalogClient::new(Connection::open(app).unwrap().unary());
    let request =
        ExplainRequest { envelope: Some(envelope()), capability: Capability::Chat.into(), ..Default::default() };
    let verdicts = catalog.explain(request).await.unwrap().into_inner().verdicts;
    let of_model = verdicts.into_iter().filter(|verdict| verdict.model == MODEL);
    of_model.map(|verdict| (verdict.offer, verdict.eligible)).collect()
}

/// The federation's log, read and verified.
async fn follow(federation: &Federation, app: &Identity) -> Followed {
    let operator = Connection::open(&Identity::open(federation.operator().identity).unwrap()).unwrap();
    let digest = app.dir().identity().unwrap().federation_root;
    let followed = Followed::new(app.root(), digest, Arc::clone(app.clock()));
    assert_eq!(app.root().federation.as_str(), FEDERATION);
    follow::read(&operator, followed, |_, _| {}).await.unwrap()
}
