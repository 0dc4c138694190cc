//! Statements: signed here by who has to sign them, and handed to the broker over TLS.

use std::sync::Arc;

use comity_identity::KeyPair;
use comity_membership::{By, Federation, Payload, Statement, sign};
use comity_policy::{Index, Layers as StatedLayers, Offer, Organisation};
use comity_proto::membership::SubmitRequest;
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::membership::submit_response::Outcome;
use comity_transparency::{Envelope, Signer};
use comity_types::{Clock as _, TrustDomain};
use tonic::Status;
use tonic::transport::Channel;

use super::{Member, Scene};

impl Scene {
    /// The state at the broker.
    pub(crate) fn federation(&self) -> Federation {
        let running = self.running.lock().unwrap();
        running.as_ref().unwrap().registry.snapshot().federation().clone()
    }

    /// What the broker decides by.
    pub(crate) fn index(&self) -> Arc<Index> {
        let running = self.running.lock().unwrap();
        Arc::clone(&running.as_ref().unwrap().registry.snapshot().index)
    }

    /// The key that signs for an organisation, made when it is first asked for.
    pub(crate) fn key(&self, domain: &TrustDomain) -> Arc<KeyPair> {
        let mut keys = self.keys.lock().unwrap();
        Arc::clone(keys.entry(domain.clone()).or_insert_with(|| Arc::new(KeyPair::generate().unwrap())))
    }

    /// The key of an organisation that the test names.
    pub(crate) fn key_of(&self, domain: &str) -> Arc<KeyPair> {
        self.key(&domain.parse().unwrap())
    }

    /// A statement as the next version of its scope, signed by these.
    pub(crate) fn signed(&self, statement: Statement, signers: &[&dyn Signer]) -> Envelope {
        let version = statement.scope().map_or(1, |scope| self.federation().next_version(&scope));
        self.signed_at(version, statement, signers)
    }

    /// A statement at a version, signed by these.
    pub(crate) fn signed_at(&self, version: u64, statement: Statement, signers: &[&dyn Signer]) -> Envelope {
        let payload = Payload { federation: self.root_sha256, version, at: self.clock.now(), statement };
        sign(&payload, signers).unwrap()
    }

    /// Hands an envelope to the broker, as `by`.
    pub(crate) async fn submit(&self, by: &Member, envelope: &Envelope) -> Result<Outcome, Status> {
        let mut client = MembershipClient::new(self.connect(by).await.unwrap());
        submit(&mut client, envelope).await
    }

    /// Says a statement that these sign; it is in force when this returns.
    pub(crate) async fn say(&self, statement: Statement, signers: &[&dyn Signer]) -> Result<u64, Status> {
        match self.submit(&self.operator, &self.signed(statement, signers)).await? {
            Outcome::Epoch(epoch) => Ok(epoch),
            Outcome::Proposal(proposal) => panic!("it waits for more operators: {proposal:?}"),
        }
    }

    /// Says a statement of operators, signed by as many of them as it takes.
    pub(crate) async fn govern(&self, statement: Statement) -> Result<u64, Status> {
        let federation = self.federation();
        let governance = federation.governance().unwrap();
        let needed = governance.root_threshold.max(governance.membership_threshold);
        let operators = std::iter::once(&self.operator).chain(&self.co_operators).take(needed as usize);
        let signers: Vec<_> = operators.map(|operator| &operator.key as &dyn Signer).collect();
        self.say(statement, &signers).await
    }

    /// Says a statement of an organisation.
    pub(crate) async fn say_of(&self, domain: &str, statement: Statement) -> Result<u64, Status> {
        self.say(statement, &[&*self.key_of(domain)]).await
    }

    /// Suspends an organisation, a member or a certificate, by the operator.
    pub(crate) async fn suspend(&self, subject: &str) -> u64 {
        self.govern(suspended(subject, By::Federation)).await.unwrap()
    }

    /// Lifts what the operator suspended.
    pub(crate) async fn lift(&self, subject: &str) -> u64 {
        self.govern(lifted(subject, By::Federation)).await.unwrap()
    }

    /// Publishes offers, signed by the node.
    pub(crate) async fn publish(&self, node: &Member, address: &str, offers: Vec<Offer>) -> Result<u64, Status> {
        let mut client = MembershipClient::new(self.connect(node).await.unwrap());
        self.publish_by(&mut client, node, address, offers).await
    }

    /// Like [`Scene::publish`], on a connection that stands.
    pub(crate) async fn publish_by(
        &self,
        client: &mut MembershipClient<Channel>,
        node: &Member,
        address: &str,
        offers: Vec<Offer>,
    ) -> Result<u64, Status> {
        let statement = Statement::OffersPublished { node: node.id.clone(), address: address.into(), offers };
        match submit(client, &self.signed(statement, &[&node.key])).await? {
            Outcome::Epoch(epoch) => Ok(epoch),
            Outcome::Proposal(proposal) => panic!("offers wait for operators: {proposal:?}"),
        }
    }

    /// Updates an organisation, by its own key.
    pub(crate) async fn update(&self, facts: Organisation, layers: StatedLayers) -> Result<u64, Status> {
        let key = self.key(&facts.trust_domain);
        self.say(updated(facts, layers), &[&*key]).await
    }
}

/// Hands an envelope to the broker.
pub(crate) async fn submit(client: &mut MembershipClient<Channel>, envelope: &Envelope) -> Result<Outcome, Status> {
    let request = SubmitRequest { envelope: json(envelope) };
    client.submit(request).await.map(|response| response.into_inner().outcome.unwrap())
}

/// An envelope as it travels.
pub(crate) fn json(envelope: &Envelope) -> bytes::Bytes {
    serde_json::to_vec(envelope).unwrap().into()
}

pub(crate) fn suspended(subject: &str, by: By) -> Statement {
    Statement::Suspended { subject: subject.parse().unwrap(), reason: "an incident".into(), by }
}

pub(crate) fn lifted(subject: &str, by: By) -> Statement {
    Statement::Lifted { subject: subject.parse().unwrap(), by }
}

pub(crate) fn updated(facts: Organisation, layers: StatedLayers) -> Statement {
    Statement::OrganisationUpdated { organisation: Box::new(facts), layers: Box::new(layers) }
}
