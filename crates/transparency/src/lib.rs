//! What a log is made of, and all that is needed to verify one: pure, without clock and I/O.
//!
//! ```text
//! Signer ──sign──▶ Envelope (DSSE) ──▶ leaf ──▶ Tree (RFC 6962) ──▶ Checkpoint (C2SP) ──sign──▶ signed note
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`key`] | public keys, and who can sign |
//! | [`envelope`] | bytes with their signatures: DSSE |
//! | [`tree`] | the Merkle tree's root, leaf by leaf: RFC 6962 |
//! | [`proof`] | inclusion and consistency: RFC 6962, RFC 9162 |
//! | [`leaf`] | what a decision log says of a decision |
//! | [`record`] | what a leaf commits to, and how a field of it is shown alone |
//! | [`receipt`] | the proof of a decision and its outcome |
//! | [`tile`] | hashes and entries as they are kept and served: C2SP tlog-tiles |
//! | [`note`] | signed text: C2SP signed-note |
//! | [`checkpoint`] | (size, root) of a log, signed: C2SP tlog-checkpoint |
//! | [`verifier`] | whose signature of a checkpoint counts: vkeys |
//! | [`cosignature`] | checkpoints signed at a time, against quantum computers too: C2SP tlog-cosignature |
//! | [`log_key`] | the keys of one log |
//! | [`policy`] | which logs count, and how many witnesses are enough: C2SP tlog-policy |
//! | [`tlog_proof`] | that something is in a log, for whoever is offline: C2SP tlog-proof |
//! | [`witness`] | who cosigns logs, and what a log does with it: C2SP tlog-witness |

pub mod checkpoint;
pub mod cosignature;
pub mod envelope;
pub mod key;
pub mod leaf;
pub mod log_key;
#[cfg(test)]
mod mutated;
pub mod note;
#[cfg(test)]
mod oracles;
pub mod policy;
pub mod proof;
pub mod receipt;
pub mod record;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod tile;
pub mod tlog_proof;
pub mod tree;
pub mod verifier;
pub mod witness;

pub use checkpoint::{Checkpoint, CheckpointNote};
pub use cosignature::{CosignatureKind, CosigningKey};
pub use envelope::{Envelope, EnvelopeError, Examined, Signature};
pub use key::{KeyId, PublicKey, Signer, SigningError};
pub use log_key::LogKey;
pub use note::{Note, NoteKey, NoteVerifier};
pub use tree::Tree;
pub use verifier::{Kind, Signed, Verifier};
