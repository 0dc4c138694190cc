//! A federation with its keys, for tests.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has to fall")]

use std::collections::BTreeMap;
use std::time::Duration;

use comity_policy::{Layers, Organisation};
use comity_transparency::testing::TestKey;
use comity_transparency::{Envelope, Signer};
use comity_types::{Digest, SpiffeId, Timestamp, TrustDomain};

use crate::federation::{Federation, Refused};
use crate::signed::{Application, Body, Entry, Genesis, Payload, sign};
use crate::statement::{InviteId, Statement, TlsKey};

/// A federation, and every key in it by the name of its holder: `alice`, `org-a.example`, `spiffe://org-a.example/node/n1`.
#[derive(Debug, Default)]
pub struct TestFederation {
    /// The state.
    pub federation: Federation,
    /// The keys.
    pub keys: BTreeMap<String, TestKey>,
    /// When the next entry gets its place.
    pub now: Option<Timestamp>,
    /// What it was founded with.
    pub genesis: Option<Genesis>,
    /// Applications so far: each is by another invite.
    pub applications: u8,
}

/// Parses what a test wrote itself.
///
/// # Panics
/// It is wrong.
pub fn read<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

impl TestFederation {
    /// `fed.example` with these operators; both thresholds are `threshold`.
    ///
    /// # Panics
    /// The test is wrong.
    #[must_use]
    pub fn founded(operators: &[&str], threshold: u32) -> Self {
        Self::founded_with(BTreeMap::new(), operators, threshold)
    }

    /// As [`founded`](Self::founded), with these keys already in it.
    ///
    /// # Panics
    /// The test is wrong.
    #[must_use]
    pub fn founded_with(keys: BTreeMap<String, TestKey>, operators: &[&str], threshold: u32) -> Self {
        let mut test = Self { now: Some(read("2026-11-25")), keys, ..Self::default() };
        let operators = operators.iter().map(|name| (operator(name), test.key(name).public())).collect();
        let genesis = Genesis {
            federation: read("fed.example"),
            root_sha256: Digest::of(b"root"),
            operators,
            root_threshold: threshold,
            membership_threshold: threshold,
        };
        test.genesis = Some(genesis.clone());
        test.enter(Body::Founded(genesis)).unwrap();
        test
    }

    /// The key of a holder, made when it is first asked for.
    pub fn key(&mut self, holder: &str) -> &TestKey {
        self.keys.entry(holder.to_owned()).or_insert_with(TestKey::ed25519)
    }

    /// A statement that these sign, as the next version of its scope.
    ///
    /// # Panics
    /// The test is wrong.
    pub fn signed(&mut self, statement: Statement, signers: &[&str]) -> Envelope {
        let version = statement.scope().map_or(1, |scope| self.federation.next_version(&scope));
        self.signed_at(version, statement, signers)
    }

    /// A statement that these sign at a version.
    ///
    /// # Panics
    /// The test is wrong.
    pub fn signed_at(&mut self, version: u64, statement: Statement, signers: &[&str]) -> Envelope {
        signers.iter().for_each(|signer| drop(self.key(signer).public()));
        let signers: Vec<&dyn Signer> = signers.iter().map(|name| &self.keys[*name] as &dyn Signer).collect();
        let payload = Payload { federation: Digest::of(b"root"), version, at: self.now.unwrap(), statement };
        sign(&payload, &signers).unwrap()
    }

    /// The entry that gives a body the next place.
    ///
    /// # Panics
    /// The test is wrong.
    #[must_use]
    pub fn entry(&self, body: Body) -> Entry {
        let entry = Entry { epoch: self.federation.epoch() + 1, at: self.now.unwrap(), body };
        // As it comes over the wire: what cannot be stored and read again is no statement.
        Entry::from_json(&entry.to_json().unwrap()).unwrap()
    }

    /// Gives a body the next place.
    ///
    /// # Errors
    /// The fold refuses it.
    pub fn enter(&mut self, body: Body) -> Result<(), Refused> {
        let entry = self.entry(body);
        self.apply(&entry)
    }

    /// Folds an entry.
    ///
    /// # Errors
    /// The fold refuses it.
    ///
    /// # Panics
    /// The fold refuses it, and has changed all the same.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), Refused> {
        let before = self.federation.clone();
        let taken = self.federation.apply(entry);
        let unchanged = || format!("{:?}", self.federation) == format!("{before:?}");
        assert!(taken.is_ok() || unchanged(), "{taken:?} has changed the state");
        self.compare_prepared(&before, entry, &taken);
        taken
    }

    /// What was read and verified before, by this state or by one that knew nobody, is taken in the same way.
    fn compare_prepared(&self, before: &Federation, entry: &Entry, taken: &Result<(), Refused>) {
        let Body::Signed(envelope) = &entry.body else { return };
        if entry.epoch != before.epoch() + 1 {
            return;
        }
        for known in [before, &Federation::default()] {
            let Ok(prepared) = known.prepare(envelope.clone()) else {
                assert!(matches!(taken, Err(Refused::Unreadable(_))), "{taken:?}");
                continue;
            };
            let mut state = before.clone();
            assert_eq!(state.apply_prepared(&prepared, entry.at), *taken);
            assert_eq!(format!("{state:?}"), format!("{:?}", self.federation));
            if before.at().is_none_or(|last| entry.at >= last) {
                assert_eq!(before.check_next(&prepared, entry.at), *taken);
            }
        }
    }

    /// Time passes.
    ///
    /// # Panics
    /// The test is wrong.
    pub fn wait(&mut self, duration: Duration) {
        self.now = Some(self.now.unwrap().plus(duration));
    }

    /// Says a statement that these sign.
    ///
    /// # Errors
    /// The fold refuses it.
    pub fn say(&mut self, statement: Statement, signers: &[&str]) -> Result<(), Refused> {
        let envelope = self.signed(statement, signers);
        self.enter(Body::Signed(envelope))
    }

    /// An application of `domain`, with its key and its first member.
    ///
    /// # Panics
    /// The test is wrong.
    pub fn application(&mut self, domain: &str, member: &str) -> Envelope {
        self.application_by(domain, domain, member)
    }

    /// As [`application`](Self::application), with the key of this holder as the organisation's.
    ///
    /// # Panics
    /// The test is wrong.
    pub fn application_by(&mut self, domain: &str, holder: &str, member: &str) -> Envelope {
        self.applications = self.applications.wrapping_add(1);
        let (key, member_key) = (self.key(holder).public(), self.key(member).public());
        let application = Application {
            federation: Digest::of(b"root"),
            invite: InviteId::from_bytes([self.applications; 16]),
            organisation: organisation(domain),
            layers: Layers::default(),
            anchors: vec!["anchor".into()],
            keys: vec![key],
            member: read(member),
            member_key,
            tls_key: TlsKey::Admitted,
            offers: Vec::new(),
        };
        application.sign(&[&self.keys[holder], &self.keys[member]]).unwrap()
    }

    /// Admits `domain` with its first member, by these operators.
    ///
    /// # Errors
    /// The fold refuses it.
    pub fn admit(&mut self, domain: &str, member: &str, operators: &[&str]) -> Result<(), Refused> {
        let application = self.application(domain, member);
        self.say(Statement::OrganisationAdmitted { application }, operators)
    }
}

/// An operator of `fed.example`.
#[must_use]
pub fn operator(name: &str) -> SpiffeId {
    read(&format!("spiffe://fed.example/operator/{name}"))
}

/// The facts of an organisation that says little.
///
/// # Panics
/// The name is no trust domain.
#[must_use]
pub fn organisation(domain: &str) -> Organisation {
    let _checked: TrustDomain = read(domain);
    let json = format!(r#"{{"trust_domain":"{domain}","name":"{domain}","seat":"DE"}}"#);
    serde_json::from_str(&json).unwrap()
}
