//! The operator's word, given in two ways.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;

use comity_client::follow::{self, Followed};
use comity_client::say::{self, Draft, Said};
use comity_client::{Connection, Identity};
use comity_identity::KeyPair;
use comity_membership::{By, Statement};
use comity_tests::clients::comity;
use comity_tests::federation::Federation;
use comity_transparency::Envelope;

use crate::stage::Who;

/// What suspensions are given as their reason.
const REASON: &str = "a measurement";

/// How the word is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// One call over a connection that is open, of a statement that is signed.
    Call,
    /// The whole process of `comity suspend`.
    Command,
}

impl Way {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Call, Self::Command];
}

/// What is to be said, as far as it can be prepared.
pub(crate) enum Word {
    Signed(Box<Envelope>),
    Typed(Command),
}

/// The operator that founded the federation.
pub(crate) struct Operator {
    dir: PathBuf,
    identity: Identity,
    key: KeyPair,
    connection: Connection,
    followed: Followed,
}

impl Operator {
    /// Of this federation.
    pub(crate) fn of(federation: &Federation) -> Self {
        let dir = federation.operator().identity;
        let identity = Identity::open(&dir).unwrap();
        let (key, connection) = (identity.dir().key().unwrap(), Connection::open(&identity).unwrap());
        let root = identity.dir().identity().unwrap().federation_root;
        let followed = Followed::new(identity.root(), root, Arc::clone(identity.clock()));
        Self { dir, identity, key, connection, followed }
    }

    /// How many entries the log has.
    pub(crate) async fn epoch(&mut self) -> u64 {
        self.followed = follow::read(&self.connection, self.followed.clone(), |_, _| {}).await.unwrap();
        self.followed.log().federation().epoch()
    }

    /// All that comes before the word: for a call the signature, for a command nothing.
    pub(crate) async fn prepare(&mut self, way: Way, who: &Who) -> Word {
        let subject = who.subject.clone();
        if way == Way::Command {
            let mut command = comity();
            command.arg("--identity").arg(&self.dir);
            command.args(["suspend", &subject.to_string(), "--reason", REASON]);
            return Word::Typed(command);
        }
        let statement = Statement::Suspended { subject, reason: REASON.into(), by: By::Federation };
        Word::Signed(Box::new(self.sign(statement).await))
    }

    /// Gives the word; returns when it is in force.
    pub(crate) async fn say(&self, word: Word) {
        match word {
            Word::Signed(envelope) => {
                let said = say::submit(&self.connection, &envelope).await.unwrap();
                assert!(matches!(said, Said::InForce(_)), "{said:?}");
            }
            Word::Typed(mut command) => {
                let run = tokio::task::spawn_blocking(move || command.output());
                let Output { status, stderr, .. } = run.await.unwrap().unwrap();
                assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
            }
        }
    }

    /// Signs a statement and says it.
    pub(crate) async fn speak(&mut self, statement: Statement) {
        let word = Word::Signed(Box::new(self.sign(statement).await));
        self.say(word).await;
    }

    async fn sign(&mut self, statement: Statement) -> Envelope {
        let _read = self.epoch().await;
        let federation = self.identity.dir().identity().unwrap().federation_root;
        let draft = Draft { federation, statement, at: self.identity.clock().now() };
        draft.sign(self.followed.log().federation(), &[&self.key]).unwrap()
    }
}
