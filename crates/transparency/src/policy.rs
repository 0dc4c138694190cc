//! Which logs count, and how many witnesses have to have cosigned: C2SP tlog-policy, verbatim.
//!
//! ```text
//! log <vkey> [<url>]
//! witness <name> <vkey> [<url>]
//! group <name> all|any|<k> <name>...
//! quorum <name>|none
//! ```
//!
//! Where the specification leaves it open, this is strict: a log's key or name is no witness's, since a log that
//! vouches for itself vouches for nothing; and a file whose last line has no newline may have been cut off.

mod draft;
mod fault;
mod judge;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt;

use comity_types::TrustDomain;

use crate::verifier::Verifier;

pub use draft::{PolicyDraft, Threshold};
pub use fault::{PolicyError, PolicyFault};
pub use judge::{Cosigned, JudgeError, Judgement, NotWitnessed, Witnessed};

/// Most logs of a policy. The specification asks for 32 at least; of logs, witnesses and groups alike.
pub const MAX_LOGS: usize = 64;
/// Most witnesses of a policy: a note has room for the cosignatures of all of them.
pub const MAX_WITNESSES: usize = 64;
/// Most groups of a policy.
pub const MAX_GROUPS: usize = 64;
/// Longest policy, in bytes: the keys of all logs and witnesses take a quarter of it.
pub const MAX_POLICY_BYTES: usize = 1024 * 1024;
/// The quorum that asks for nobody.
const NONE: &[u8] = b"none";

/// A policy in which every name is defined and every key stands once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<Group>,
    quorum: Option<Member>,
}

/// A log whose checkpoints count. Its key's name is its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyLog {
    /// What verifies its signature.
    pub key: Verifier,
    /// Where it is found, if anybody needs to know.
    pub url: Option<Octets>,
}

/// A witness whose cosignature counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyWitness {
    /// What the policy calls it: means nothing anywhere else.
    pub name: Octets,
    /// What verifies its cosignature.
    pub key: Verifier,
    /// Where it is found, if anybody needs to know.
    pub url: Option<Octets>,
}

/// So many of these.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    name: Octets,
    /// From 1 to the number of members.
    needed: usize,
    members: Vec<Member>,
}

/// A witness or a group by its place; a group names earlier groups alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Witness(usize),
    Group(usize),
}

/// A name or a URL: bytes without spaces and control characters, of which those above 0x7F mean nothing
/// (tlog-policy, "Character set"). Shown as UTF-8 as far as it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Octets(Vec<u8>);

impl Octets {
    /// Takes a name.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let plain = bytes.iter().all(|byte| matches!(byte, 0x21..=0x7e | 0x80..));
        (plain && !bytes.is_empty()).then(|| Self(bytes.to_vec()))
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

impl Policy {
    /// The logs that count.
    #[must_use]
    pub fn logs(&self) -> &[PolicyLog] {
        &self.logs
    }

    /// The witnesses that it knows, whether the quorum needs them or not.
    #[must_use]
    pub fn witnesses(&self) -> &[PolicyWitness] {
        &self.witnesses
    }

    /// Whether it is about a log that these keys sign: it names one of them, or no log at all.
    #[must_use]
    pub fn is_about(&self, keys: &[Verifier]) -> bool {
        self.logs.is_empty() || self.logs.iter().any(|log| keys.contains(&log.key))
    }

    /// Whether no cosignature is needed: `quorum none`.
    #[must_use]
    pub const fn asks_for_nobody(&self) -> bool {
        self.quorum.is_none()
    }

    /// A witness whose key bears the name of `federation` or one below it, such as `fed.example/w1`, however it is written: with
    /// a port, as a name that ends with a dot, in capitals. Whoever runs a log is no witness of it, under whichever key.
    #[must_use]
    pub fn own_witness(&self, federation: &TrustDomain) -> Option<&PolicyWitness> {
        let is_own = |key: &Verifier| {
            let host = key.name().split(['/', ':']).next().unwrap_or_default().to_ascii_lowercase();
            host.trim_end_matches('.')
                .strip_suffix(federation.as_str())
                .is_some_and(|above| above.is_empty() || above.ends_with('.'))
        };
        self.witnesses.iter().find(|witness| is_own(&witness.key))
    }

    /// The file that says this: reading it gives the same policy.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        let mut file = Vec::new();
        for PolicyLog { key, url } in &self.logs {
            write(&mut file, &[b"log", key.to_string().as_bytes()], url.iter().map(Octets::as_bytes));
        }
        for PolicyWitness { name, key, url } in &self.witnesses {
            write(
                &mut file,
                &[b"witness", name.as_bytes(), key.to_string().as_bytes()],
                url.iter().map(Octets::as_bytes),
            );
        }
        for Group { name, needed, members } in &self.groups {
            let needed = needed.to_string();
            write(
                &mut file,
                &[b"group", name.as_bytes(), needed.as_bytes()],
                members.iter().map(|member| self.name(*member)),
            );
        }
        let quorum = self.quorum.map_or(NONE, |quorum| self.name(quorum));
        write(&mut file, &[b"quorum"], [quorum].into_iter());
        file
    }

    fn name(&self, member: Member) -> &[u8] {
        let name = match member {
            Member::Witness(place) => self.witnesses.get(place).map(|witness| &witness.name),
            Member::Group(place) => self.groups.get(place).map(|group| &group.name),
        };
        // Every place comes from a name that was defined.
        name.map_or(&[], Octets::as_bytes)
    }
}

/// Adds a line of items.
fn write<'a>(file: &mut Vec<u8>, items: &[&'a [u8]], more: impl Iterator<Item = &'a [u8]>) {
    file.extend(items.iter().copied().chain(more).collect::<Vec<_>>().join(&b' '));
    file.push(b'\n');
}
