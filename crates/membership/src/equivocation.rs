//! Equivocation: two different statements at one position (a scope and a version in it), each signed by as many as have to
//! sign it. The fold takes one of them and refuses the other; that both were signed is proven here, from the founding on,
//! so that whoever has the root document believes nobody.

mod shown;

use std::collections::BTreeSet;
use std::fmt;

use comity_transparency::{Envelope, KeyId, NoteVerifier};
use comity_types::Digest;
use serde::{Deserialize, Serialize};

use crate::federation::{Federation, Refused};
use crate::log::{Log, NotTaken};
use crate::signed::{Body, Entry, Genesis, Payload};
use crate::statement::Scope;

pub use shown::{NotServed, Served, Shown};

/// Two different statements at one position, proven.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "equivocation: two statements were signed as version {version} of {scope}: {first}, which stands in entry {epoch}, and {second} (hint: keep both, they are the evidence; whoever signed both, or has a copy of a key of theirs, has told two members two things)"
)]
pub struct Equivocation {
    /// Of what.
    pub scope: Scope,
    /// At which version.
    pub version: u64,
    /// The entry that has the first one.
    pub epoch: u64,
    /// The one that stands in the log.
    pub first: SignedStatement,
    /// The other one.
    pub second: SignedStatement,
}

/// A statement, and who signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedStatement {
    /// What it is known by: the digest of its payload.
    pub sha256: Digest,
    /// The keys that signed it, each with whose it was then, where somebody in the federation had it.
    pub signers: Vec<(KeyId, Option<String>)>,
}

/// Why two statements are no equivocation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unproven {
    /// The statement cannot be read.
    #[error("the second statement cannot be read: {0}")]
    Unreadable(String),
    /// It is about another federation.
    #[error("the second statement is about another federation")]
    OtherFederation,
    /// Nothing stands at its position.
    #[error("the log has no statement at version {version} of {scope}")]
    Free {
        /// Of what.
        scope: Scope,
        /// At which version.
        version: u64,
    },
    /// Both say the same, signed at two instants: whoever lost an answer signs again.
    #[error("both statements say the same")]
    Same,
    /// Those who have to have not signed it.
    #[error("the second statement is not signed by those who have to sign it")]
    Unsigned(#[source] Box<Refused>),
    /// The log does not hold for itself.
    #[error("the log is not to be believed")]
    Log(#[from] NotTaken),
    /// The evidence is of a form that this version does not know, or says another than it has.
    #[error(
        "the evidence says that it is of form {version}, and is of none that this version knows (hint: 1 is without what the broker signed, 2 is with it)"
    )]
    OtherForm {
        /// The form that it says.
        version: u32,
    },
}

/// How the entries of a log are taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// Whoever reads them has checked each signature in them before.
    Before,
    /// They come from anybody: each signature is checked.
    Now,
}

impl Equivocation {
    /// Proves that `second` was signed at a position at which `entries`, a log from its founding on, have another statement.
    ///
    /// # Errors
    /// It is none, says the same, or those who had to have not signed it; or the log does not hold.
    pub fn prove<E: AsRef<[u8]>>(
        genesis: &Genesis,
        entries: impl IntoIterator<Item = E>,
        second: &Envelope,
        checked: Checked,
    ) -> Result<Self, Unproven> {
        let unreadable = |problem: String| Unproven::Unreadable(problem);
        let said = Payload::peek(second).map_err(|error| unreadable(error.to_string()))?;
        let scope = said.statement.scope().ok_or_else(|| unreadable("it is about nobody".into()))?;
        if said.federation != genesis.root_sha256 {
            return Err(Unproven::OtherFederation);
        }
        let mut log = Log::new(genesis.clone());
        for entry in entries {
            let before = log.federation().clone();
            let entry = match checked {
                Checked::Before => log.take_again(entry.as_ref())?,
                Checked::Now => log.take(entry.as_ref())?,
            };
            if log.federation().position(&scope, said.version).is_some() {
                return Self::judge(&before, &entry, scope, (&said, second));
            }
        }
        Err(Unproven::Free { scope, version: said.version })
    }

    /// By the state in which the first one got its place: who had to sign then has to have signed both.
    fn judge(
        before: &Federation,
        entry: &Entry,
        scope: Scope,
        (said, second): (&Payload, &Envelope),
    ) -> Result<Self, Unproven> {
        let (Body::Signed(first), Ok(Some(stands))) = (&entry.body, entry.payload()) else {
            return Err(Unproven::Free { scope, version: said.version });
        };
        if stands.statement == said.statement {
            return Err(Unproven::Same);
        }
        let signed = |payload: &Payload, envelope: &Envelope| {
            let signers = before.signers_then(&payload.statement, envelope).map_err(Box::new);
            signers.map(|signers| SignedStatement::of(before, envelope, &signers)).map_err(Unproven::Unsigned)
        };
        let (first, second) = (signed(&stands, first)?, signed(said, second)?);
        Ok(Self { scope, version: said.version, epoch: entry.epoch, first, second })
    }

    /// The keys that signed both.
    #[must_use]
    pub fn signed_both(&self) -> BTreeSet<KeyId> {
        let keys = |one: &SignedStatement| one.signers.iter().map(|(key, _)| *key).collect::<BTreeSet<_>>();
        keys(&self.first).intersection(&keys(&self.second)).copied().collect()
    }
}

impl SignedStatement {
    fn of(federation: &Federation, envelope: &Envelope, signers: &BTreeSet<KeyId>) -> Self {
        let signers = signers.iter().map(|key| (*key, federation.holder(key))).collect();
        Self { sha256: envelope.payload_digest(), signers }
    }
}

impl fmt::Display for SignedStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (signed by ", self.sha256)?;
        for (place, (key, holder)) in self.signers.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            match holder {
                Some(holder) => write!(f, "{comma}{holder} with the key {}", key.fingerprint())?,
                None => write!(f, "{comma}the key {}", key.fingerprint())?,
            }
        }
        f.write_str(")")
    }
}

/// The form of evidence that has what the broker showed.
const WITH_SHOWN: u32 = 2;

/// What proves it to anybody who has the root document: the log up to the first statement, and the second; and, where it is
/// known, what the broker signed of the log that has both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The form: 1, which is not written, has no `shown`; 2 has it.
    #[serde(default = "first_version", skip_serializing_if = "is_first_version")]
    version: u32,
    /// The entries from the founding on to the one that has the first statement, as they are stored.
    pub entries: Vec<String>,
    /// The second statement, with its signatures.
    pub second: Envelope,
    /// How the broker showed both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shown: Option<Shown>,
}

const fn first_version() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
const fn is_first_version(version: &u32) -> bool {
    *version == 1
}

impl Evidence {
    /// The entries up to the first statement, and the second one: who signed both is convicted by that.
    #[must_use]
    pub const fn new(entries: Vec<String>, second: Envelope) -> Self {
        Self { version: 1, entries, second, shown: None }
    }

    /// With how the broker showed both; as it was, where that does not hold: whoever lies last does not spoil the rest.
    #[must_use]
    pub fn with(self, shown: Shown, genesis: &Genesis, key: &NoteVerifier) -> Self {
        if shown.check(&self, genesis, key).is_err() {
            return self;
        }
        Self { version: WITH_SHOWN, shown: Some(shown), ..self }
    }

    /// Of a log, which may go on behind the first statement.
    ///
    /// # Errors
    /// As for [`Equivocation::prove`].
    pub fn of<E: AsRef<[u8]>>(
        genesis: &Genesis,
        log: &[E],
        second: &Envelope,
        checked: Checked,
    ) -> Result<(Equivocation, Self), Unproven> {
        let proven = Equivocation::prove(genesis, log, second, checked)?;
        let until = usize::try_from(proven.epoch).unwrap_or(usize::MAX);
        let entries = log.iter().take(until).map(|entry| String::from_utf8_lossy(entry.as_ref()).into_owned());
        Ok((proven, Self::new(entries.collect(), second.clone())))
    }

    /// Believes nobody: every entry and every signature is checked.
    ///
    /// # Errors
    /// It proves nothing, or is of a form that this version does not know.
    pub fn check(&self, genesis: &Genesis) -> Result<Equivocation, Unproven> {
        if self.version != if self.shown.is_some() { WITH_SHOWN } else { 1 } {
            return Err(Unproven::OtherForm { version: self.version });
        }
        Equivocation::prove(genesis, &self.entries, &self.second, Checked::Now)
    }

    /// What the log's key is convicted of; nothing where no checkpoint of the log that has both is known.
    ///
    /// # Errors
    /// What is in it of that does not hold.
    pub fn convicts_log(&self, genesis: &Genesis, key: &NoteVerifier) -> Result<Option<Served>, NotServed> {
        self.shown.as_ref().map(|shown| shown.check(self, genesis, key)).transpose()
    }
}
