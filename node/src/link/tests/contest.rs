//! Two processes with one name: the one that did not publish last says so, and publishes again.

use std::pin::Pin;

use comity_membership::{Entry, Statement};
use comity_proto::membership::WatchResponse;
use comity_types::{Digest, Timestamp};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::link::Publication;
use crate::replica::Replica;
use crate::testing::{NODE, Said, run_until};

fn at() -> Timestamp {
    "2026-11-22T09:00:00Z".parse().unwrap()
}

fn organisation(domain: &str) -> Statement {
    let facts = format!("trust_domain = \"{domain}\"\nname = \"O\"\nseat = \"DE\"\nultimate_controllers = []\n");
    Statement::OrganisationAdmitted {
        organisation: toml::from_str(&facts).unwrap(),
        layers: Default::default(),
        anchors: vec![],
    }
}

/// A federation where the node is a member, and `publications` of it stand from the epoch of its own on.
fn history(publications: Vec<Statement>) -> Said {
    let operators = ["spiffe://fed.example/operator/alice".parse().unwrap()].into();
    let founded =
        Statement::Founded { federation: "fed.example".parse().unwrap(), root_sha256: Digest::of(b"root"), operators };
    let admitted = Statement::MemberAdmitted { id: NODE.parse().unwrap(), key_sha256: Digest::of(b"key") };
    let before = [founded, organisation("org-a.example"), admitted];
    let others = ["b", "c", "d"].map(|name| organisation(&format!("org-{name}.example")));
    let statements = before.into_iter().chain(others).chain(publications);
    let said = (1..).zip(statements).map(|(epoch, statement)| {
        let entry = Entry { epoch, at: at(), by: None, statement }.to_json().unwrap();
        WatchResponse { epoch, entry: entry.into() }
    });
    Said::Lasting(said.collect())
}

struct Kept {
    broker: Broker,
    log: Log,
    replica: Replica,
    work: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

/// A node whose registry says what `publications` make of its own.
async fn kept(publications: impl FnOnce(&Publication) -> Vec<Statement>) -> Kept {
    let (world, broker) = Broker::start(&Arc::default()).await;
    let Member { connection, offers } = member(&world);
    let publication = Publication { node: NODE.parse().unwrap(), address: ADDRESS.to_owned(), offers };
    broker.script.watching.lock().unwrap().push_back(history(publications(&publication)));
    let (replica, log) = (Replica::new(Digest::of(b"root")), Log::default());
    let following = replica.clone().follow(connection.channel(), FAST, CancellationToken::new());
    let known = replica.clone();
    let work = async move {
        let _world = world;
        tokio::join!(following, publication.keep(&connection, &known, FAST, |_| ()));
    };
    Kept { broker, log, replica, work: Some(Box::pin(work)) }
}

impl Kept {
    /// Keeps publishing until `state` holds.
    async fn until(&mut self, state: impl Fn(&Self) -> bool) {
        let _guard = self.log.collect();
        let work = self.work.take().unwrap();
        run_until(work, || state(self)).await;
    }

    fn published(&self) -> usize {
        self.broker.script.published.lock().unwrap().len()
    }

    fn errors(&self) -> Vec<String> {
        self.log.lines_with("ERROR")
    }
}

fn statement(publication: &Publication, address: &str) -> Statement {
    let Publication { node, offers, .. } = publication.clone();
    Statement::OffersPublished { node, address: address.to_owned(), offers }
}

#[tokio::test]
async fn a_node_under_whose_name_somebody_else_published_says_so_once_and_publishes_again() {
    let mut kept = kept(|own| vec![statement(own, ADDRESS), statement(own, "127.0.0.1:9999")]).await;
    kept.until(|kept| kept.published() >= 4).await;
    let errors = kept.errors();
    assert_eq!(errors.len(), 1, "{errors:?}");
    for part in ["127.0.0.1:9999", NODE, "hint: look for a copy of this node's data_dir", "suspend"] {
        assert!(errors[0].contains(part), "{part}: {errors:?}");
    }
}

#[tokio::test]
async fn other_offers_at_the_same_address_are_not_the_nodes_own_either() {
    let mut kept = kept(|own| {
        let mut other = own.clone();
        other.offers[0].licence = None;
        vec![statement(own, ADDRESS), statement(&other, ADDRESS)]
    })
    .await;
    kept.until(|kept| kept.published() >= 2).await;
    assert!(kept.errors()[0].contains("other offers"), "{:?}", kept.errors());
}

#[tokio::test]
async fn a_node_whose_own_offers_stand_there_publishes_once_and_says_nothing() {
    let mut kept = kept(|own| vec![statement(own, ADDRESS), organisation("org-e.example")]).await;
    kept.until(|kept| kept.replica.federation().epoch() == EPOCH + 1 && kept.published() == 1).await;
    assert!(kept.errors().is_empty(), "{:?}", kept.errors());
}
