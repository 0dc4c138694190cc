//! A federation's log as its broker sends it, every statement signed by keys that the test holds.

use std::collections::BTreeMap;

use comity_membership::testing::read;
use comity_membership::{Application, Body, Entry, Genesis, InviteId, Log, Payload, Statement, TlsKey, sign};
use comity_policy::Organisation;
use comity_proto::membership::WatchResponse;
use comity_transparency::leaf::Epoch;
use comity_transparency::testing::TestKey;
use comity_transparency::{Checkpoint, NoteKey, PublicKey, Signer, Tree};
use comity_types::{Timestamp, TrustDomain};

/// The log's entries, and who can sign more.
pub(crate) struct History {
    log: Log,
    genesis: Genesis,
    log_key: NoteKey,
    keys: BTreeMap<String, TestKey>,
    at: Timestamp,
    entries: Vec<Vec<u8>>,
    applications: u8,
}

impl History {
    /// A federation that is founded so, by the operator `alice` whose key this is; its log is signed by `log_key`.
    pub(crate) fn founded(genesis: Genesis, alice: TestKey, log_key: NoteKey, at: Timestamp) -> Self {
        let (log, keys) = (Log::new(genesis.clone()), BTreeMap::from([("alice".to_owned(), alice)]));
        let mut history = Self { log, genesis, log_key, keys, at, entries: Vec::new(), applications: 0 };
        history.enter(Body::Founded(history.genesis.clone()));
        history
    }

    fn enter(&mut self, body: Body) {
        let entry = Entry { epoch: self.log.federation().epoch() + 1, at: self.at, body }.to_json().unwrap();
        self.log.take(&entry).unwrap();
        self.entries.push(entry);
    }

    /// The key of a holder, made when it is first asked for.
    pub(crate) fn key(&mut self, holder: &str) -> PublicKey {
        self.keys.entry(holder.to_owned()).or_insert_with(TestKey::ed25519).public()
    }

    /// Says a statement that these sign.
    pub(crate) fn say(&mut self, statement: Statement, signers: &[&str]) -> &mut Self {
        signers.iter().for_each(|signer| drop(self.key(signer)));
        let version = self.log.federation().next_version(&statement.scope().unwrap());
        let payload = Payload { federation: self.genesis.root_sha256, version, at: self.at, statement };
        let signers: Vec<&dyn Signer> = signers.iter().map(|name| &self.keys[*name] as &dyn Signer).collect();
        let envelope = sign(&payload, &signers).unwrap();
        self.enter(Body::Signed(envelope));
        self
    }

    /// An entry behind the last one that has another statement at a position that is taken, signed by these: the log
    /// itself does not take it.
    pub(crate) fn second_at(&self, version: u64, statement: Statement, signers: &[&str]) -> WatchResponse {
        let payload = Payload { federation: self.genesis.root_sha256, version, at: self.at, statement };
        let signers: Vec<&dyn Signer> = signers.iter().map(|name| &self.keys[*name] as &dyn Signer).collect();
        let epoch = self.log.federation().epoch() + 1;
        let entry = Entry { epoch, at: self.at, body: Body::Signed(sign(&payload, &signers).unwrap()) };
        WatchResponse { epoch, entry: entry.to_json().unwrap().into(), checkpoint: String::new() }
    }

    /// Admits an organisation with its first member; its key is known by its trust domain.
    pub(crate) fn admit(&mut self, facts: Organisation, member: &str) -> &mut Self {
        let domain: TrustDomain = facts.trust_domain.clone();
        let (key, member_key) = (self.key(domain.as_str()), self.key(member));
        self.applications += 1;
        let application = Application {
            federation: self.genesis.root_sha256,
            invite: InviteId::from_bytes([self.applications; 16]),
            organisation: facts,
            layers: Default::default(),
            anchors: vec!["anchor".into()],
            keys: vec![key],
            member: read(member),
            member_key,
            tls_key: TlsKey::Admitted,
            offers: Vec::new(),
        };
        let application = application.sign(&[&self.keys[domain.as_str()], &self.keys[member]]).unwrap();
        self.say(Statement::OrganisationAdmitted { application }, &["alice"])
    }

    /// What it was founded with.
    pub(crate) fn genesis(&self) -> Genesis {
        self.genesis.clone()
    }

    /// The version of the last statement in its scope.
    pub(crate) fn last_position(&self) -> u64 {
        Entry::from_json(self.entries.last().unwrap()).unwrap().payload().unwrap().unwrap().version
    }

    /// The entry at this place.
    pub(crate) fn entry(&self, epoch: u64) -> WatchResponse {
        let entry = self.entries[usize::try_from(epoch).unwrap() - 1].clone();
        WatchResponse { epoch, entry: entry.into(), checkpoint: String::new() }
    }

    /// The checkpoint after the entry at this place.
    pub(crate) fn checkpoint(&self, epoch: u64) -> WatchResponse {
        let mut tree = Tree::default();
        self.entries.iter().take(usize::try_from(epoch).unwrap()).for_each(|entry| tree.push(entry));
        self.signed(epoch, &tree)
    }

    /// The checkpoint of a broker that lets this stand behind the last entry.
    pub(crate) fn checkpoint_with(&self, part: &WatchResponse) -> WatchResponse {
        let mut tree = Tree::default();
        self.entries.iter().for_each(|entry| tree.push(entry));
        tree.push(&part.entry);
        self.signed(part.epoch, &tree)
    }

    /// What a decision at this place pins.
    pub(crate) fn epoch(&self, size: u64) -> Epoch {
        let mut tree = Tree::default();
        self.entries.iter().take(usize::try_from(size).unwrap()).for_each(|entry| tree.push(entry));
        Epoch { size, root: tree.root() }
    }

    /// What a broker signs that shows somebody another log.
    pub(crate) fn fork(&self, epoch: u64) -> WatchResponse {
        let mut tree = Tree::default();
        (0..epoch).for_each(|leaf| tree.push(&leaf.to_be_bytes()));
        self.signed(epoch, &tree)
    }

    fn signed(&self, epoch: u64, tree: &Tree) -> WatchResponse {
        let checkpoint = Checkpoint::of(&self.log.origin(), tree).sign(&self.log_key).unwrap();
        WatchResponse { epoch, checkpoint, ..WatchResponse::default() }
    }

    /// These entries, each with its checkpoint.
    pub(crate) fn parts(&self, epochs: &[u64]) -> Vec<WatchResponse> {
        epochs.iter().flat_map(|epoch| [self.entry(*epoch), self.checkpoint(*epoch)]).collect()
    }

    /// All entries, each with its checkpoint.
    pub(crate) fn all(&self) -> Vec<WatchResponse> {
        self.parts(&(1..=self.log.federation().epoch()).collect::<Vec<_>>())
    }
}

/// An organisation that says little.
pub(crate) fn facts(domain: &str, seat: &str) -> Organisation {
    let text = format!("trust_domain = '{domain}'\nname = '{domain}'\nseat = '{seat}'\nultimate_controllers = []\n");
    toml::from_str(&text).unwrap()
}
