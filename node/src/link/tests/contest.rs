//! Two processes with one name: the one that did not publish last says so, and publishes again.

use std::pin::Pin;

use comity_membership::Statement;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::replica::Replica;
use crate::testing::{NODE, Said, facts, run_until};

/// A log where the node is a member, and `publications` of it stand from the epoch of its own on.
fn history(world: &World, publications: Vec<Statement>) -> Said {
    let mut history = world.history();
    history.admit(facts("org-a.example", "DE"), NODE);
    for name in ["b", "c", "d", "e"] {
        let domain = format!("org-{name}.example");
        history.admit(facts(&domain, "DE"), &format!("spiffe://{domain}/node/n1"));
    }
    for statement in publications {
        history.say(statement, &["org-a.example"]);
    }
    Said::Lasting(history.all())
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
    let Member { publisher, publication } = member(&world);
    broker.script.watching.lock().unwrap().push_back(history(&world, publications(&publication)));
    let (replica, log) = (publisher.replica.clone(), Log::default());
    let following = replica.clone().follow(publisher.connection.channel(), FAST, CancellationToken::new());
    let work = async move {
        let _world = world;
        tokio::join!(following, publication.keep(&publisher, |_| ()));
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

/// Something else that the organisation says.
fn suspended() -> Statement {
    let subject = "org-a.example".parse().unwrap();
    Statement::Suspended { subject, reason: "a pause".into(), by: comity_membership::By::Organisation }
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
    let mut kept = kept(|own| vec![statement(own, ADDRESS), suspended()]).await;
    kept.until(|kept| kept.replica.federation().epoch() == EPOCH + 1 && kept.published() == 1).await;
    assert!(kept.errors().is_empty(), "{:?}", kept.errors());
}
